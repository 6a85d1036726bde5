"""The critical section with a copy in it: its steps, what its gate refuses, and where it releases to."""

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import (
    copyover,
    copyover_schema,
    copyover_switchover,
    switchover,
    valve,
)
from ansible_collections.ocpizza.cutover.plugins.module_utils.copyover_switchover import CopyOver
from ansible_collections.ocpizza.cutover.plugins.module_utils.switchover_recovery import recover
from ansible_collections.ocpizza.cutover.plugins.module_utils.switchover_sides import Pair, Side
from tests.unit.plugins.fakes import FakeLeash, chosen, flags, make_valve, pair

TRIAL = {"rows": 1000, "copy_seconds": 1.5, "proof_seconds": 0.5, "time": "today", "noted": {}}
EQUAL = {"database": "shop", "equal": True}
UNKNOWN = {
    "database": "shop",
    "equal": False,
    "verdict": "PARTIAL",
    "tables": 1,
    "schema_differences": [],
    "differences": [],
    "tables_detail": [{"table": "a", "reason": "not known"}],
}


class House:
    """A site on MariaDB that would move to MySQL, and what tests turn in it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.source, self.target = pair(self.calls)
        self.valve = make_valve(folder)
        self.trial = dict(TRIAL)
        self.rows = 1000
        self.defined: dict[str, list[str]] = {"shop": []}
        self.proofs: list[dict[str, Any]] = [EQUAL]
        self.failing: Exception | None = None
        self.plan = {
            "journal": str(folder / "journal.jsonl"),
            "trial": str(folder / "trial.json"),
            "phase": "cutover",
            "host": "old",
            "deadline_s": 5.0,
            "near_s": 0,
            "end_requests_after_s": 0,
            "same_release": True,
            "lag_budget_s": 0.05,
            "longest_transaction_s": 1.0,
            "valve_port": 18000,
        }
        monkeypatch.setattr(valve, "is_listening", lambda _one: True)
        monkeypatch.setattr(valve, "listen", lambda _one: None)
        monkeypatch.setattr(valve, "is_idle", lambda _one: True)
        monkeypatch.setattr(valve, "in_flight", lambda _endpoint: 0)
        monkeypatch.setattr(switchover, "ask", lambda _health, _timeout: "")
        monkeypatch.setattr(switchover, "other_release", lambda *_asked: "")
        monkeypatch.setattr(copyover, "read_trial", lambda _path: self.trial)
        monkeypatch.setattr(copyover, "differences", lambda _ends, _noted: self.defined)
        monkeypatch.setattr(copyover, "count_rows", lambda _server: self.rows)
        monkeypatch.setattr(copyover, "copy", self.copy)
        monkeypatch.setattr(copyover, "prove", lambda *_given: self.calls.append("prove") or self.proofs)
        for name in ("begin", "end"):
            monkeypatch.setattr(copyover, name, lambda server, name=name: self.calls.append(f"{server.label}.{name}"))
        for name in ("mend", "clear"):
            monkeypatch.setattr(
                copyover_schema, name, lambda server, name=name: self.calls.append(f"{server.label}.{name}")
            )
        monkeypatch.setattr(copyover_switchover, "write_json", lambda _path, content: self.trial.update(content))

    def copy(self, _ends: Any, origin: str, check: Any) -> int:
        self.calls.append(f"copy from {origin}")
        if self.failing:
            raise self.failing
        check(5)
        return 1200

    def run(self, back: bool = False) -> dict[str, Any]:
        ends = copyover.Ends(self.source, self.target, {}, 2)  # type: ignore[arg-type]
        sides = [
            Side("source", valve.Endpoint("127.0.0.1", 8000, True), {}),
            Side("target", valve.Endpoint("10.0.0.5", 443, False), {}),
        ]
        databases = [self.source, self.target]
        if back:
            sides.reverse()
            databases.reverse()
        pairs = [Pair(*databases, lambda _changed: {}, None, replicates=False)]  # type: ignore[arg-type]
        return CopyOver(self.plan, *sides, pairs, self.valve, lambda: FakeLeash(self.calls), ends).run()


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    made = House(tmp_path, monkeypatch)
    made.target.closed = True
    return made


def test_forward_in_order(house: House) -> None:
    outcome = house.run()
    assert (outcome["outcome"], outcome["reason"], outcome["predicted_s"]) == ("open", "", 2.0)
    assert outcome["predicted_from"] == "1000 rows copied in 1.5 s and proven in 0.5 s at today"
    assert [step["name"] for step in outcome["steps"]][4:8] == ["fence", "copy", "prove", "reverse"]
    assert outcome["proof"] == [EQUAL]
    assert outcome["position"].startswith("fenced at ")
    done = [call for call in house.calls if not call.endswith(("is_closed", "missing_triggers"))]
    assert done == [
        "target.mend",
        "source.writers",
        "target.unlock_accounts",
        "target.begin",
        "target.clear",
        "leash.hold",
        "source.fence_soft",
        "source.attempt_write",
        "source.writers",
        "copy from source",
        "prove",
        "source.close",
        "target.open",
        "source.attempt_write",
        "leash.released",
        "source.lock_accounts",
        "source.end_sessions",
        "source.events_off",
        "target.events_on",
        "source.unfence_soft",
        "target.end",
    ]


def test_the_way_back_is_predicted_from_this_copy(house: House) -> None:
    house.run()
    assert house.trial["rows"] == 1200
    assert house.trial["copy_seconds"] < 1.0


def test_back(house: House) -> None:
    house.source.closed, house.target.closed = True, False
    outcome = house.run(back=True)
    assert (outcome["outcome"], outcome["direction"]) == ("open", "target to source")
    assert {"copy from target", "source.clear"} <= set(house.calls)
    assert "target.clear" not in house.calls


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        ({"trial": {}}, "there was no trial copy; run replicate.yml"),
        ({"rows": 2000}, "the hold would take about 4.0 s (1000 rows copied in 1.5 s"),
        ({"rows": 2000}, "deadline of 5 s; set switchover_copy_deadline to 6 at least"),
        ({"defined": {"shop": ["column a.b is 'x'"]}}, "database shop: column a.b is 'x'; run replicate.yml again"),
    ],
)
def test_what_the_gate_refuses(house: House, turn: dict[str, Any], said: str) -> None:
    vars(house).update(turn)
    outcome = house.run()
    assert outcome["outcome"] == "refused"
    assert said in outcome["reason"]
    assert "leash.hold" not in house.calls
    assert "target.clear" not in house.calls, "the copy that is there stays"


def test_an_open_destination_is_neither_mended_nor_emptied(house: House) -> None:
    house.target.closed = False
    outcome = house.run()
    assert outcome["reason"] == "the target's database is open to writers"
    assert not {"target.mend", "target.clear"} & set(house.calls)


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        ({"failing": RuntimeError("server has gone away")}, "server has gone away"),
        (
            {"proofs": [UNKNOWN]},
            "database shop is not proven equal: table a: not known",
        ),
    ],
)
def test_what_fails_in_the_hold_releases_to_the_source(house: House, turn: dict[str, Any], said: str) -> None:
    vars(house).update(turn)
    outcome = house.run()
    assert (outcome["outcome"], outcome["reason"]) == ("aborted", said)
    assert (flags(house.valve), chosen(house.valve)) == ({"near"}, "TARGET=127.0.0.1:8000")
    assert (house.source.soft, house.source.closed, house.target.closed) == (False, False, True)
    assert house.trial == TRIAL
    assert house.calls[-1] == "target.mend", "after the release: the fence was taken away for the copy"


def test_a_fence_that_cannot_be_put_back_is_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def mend(server: Any) -> None:
        if any(call.startswith("copy") for call in house.calls):
            raise RuntimeError("no route to host")

    monkeypatch.setattr(copyover_schema, "mend", mend)
    house.failing = RuntimeError("server has gone away")
    outcome = house.run()
    assert outcome["outcome"] == "aborted"
    assert outcome["reason"] == "server has gone away (and the target's fence is not back: no route to host)"


def test_a_copy_beyond_the_deadline_releases_to_the_source(house: House) -> None:
    house.plan["deadline_s"] = 0.0
    house.trial.update(copy_seconds=0.0, proof_seconds=0.0)
    outcome = house.run()
    assert (outcome["outcome"], chosen(house.valve)) == ("aborted", "TARGET=127.0.0.1:8000")


def test_a_fence_that_lost_a_table_does_not_open(house: House) -> None:
    answers = [[], [], [{"db": "shop", "tbl": "new", "event": "INSERT"}], []]
    house.source.missing_triggers = lambda: answers.pop(0)  # type: ignore[method-assign]
    house.target.missing_triggers = lambda: answers.pop(0)  # type: ignore[method-assign]
    outcome = house.run()
    assert outcome["outcome"] == "aborted"
    assert outcome["reason"] == "the fence does not cover every table of the source"


def test_the_watchdog_waits_for_no_replication(house: House) -> None:
    decision = valve.Decision(house.valve)
    decision.claim("open")
    pairs = [Pair(house.source, house.target, lambda _c: {}, None, replicates=False)]  # type: ignore[arg-type]
    side = valve.Endpoint("127.0.0.1", 8000, True)
    sides = (Side("source", side, {}), Side("target", side, {}))
    outcome = recover("it was lost", {}, *sides, pairs, house.valve)
    assert outcome["outcome"] == "open"
    assert "source.mark" not in house.calls
