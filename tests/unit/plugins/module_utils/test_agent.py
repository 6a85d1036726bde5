"""The agent's operations: what they open, start and leave behind."""

import json
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import (
    agent,
    journal,
    mariadb,
    proof,
    relay,
    restart,
    seed,
    switchover,
    tracker,
    valve,
    watchdog,
)
from tests.unit.plugins.fakes import FakeDatabase, chosen, flags, make_valve, pair


class House:
    """A plan and the files that it names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.valve = make_valve(folder)
        self.calls: list[str] = []
        self.source, self.target = pair(self.calls)
        side = {"endpoint": {"address": "127.0.0.1", "port": 8000, "local": True}, "health": {"url": "u", "host": "h"}}
        self.plan: dict[str, Any] = {
            "site": "shop",
            "databases": ["shop"],
            "phase": "cutover",
            "host": "old",
            "origin": "source",
            "destination": "target",
            "sides": {"source": side, "target": side},
            "valve": dict(self.valve._asdict()),
            "valves": [dict(self.valve._asdict())],
            "endpoints": [side["endpoint"]],
            "watchdog_unit": "cutover-shop-watchdog",
            "watchdog_socket": self.path("watchdog.sock"),
            "dump": ["dump"],
            "load": ["load"],
            **{name: self.path(name + ".json") for name in ("credentials", "proof", "state", "result")},
            "journal": self.path("journal.jsonl"),
        }
        self.write("credentials", {"source": {"user": "a", "password": "s3cret"}, "target": {"user": "b"}})

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def write(self, name: str, content: Any) -> None:
        (self.folder / (name + ".json")).write_text(json.dumps(content))

    def read(self, name: str) -> Any:
        return json.loads((self.folder / (name + ".json")).read_text())

    def main(self, operation: str) -> int:
        self.write("plan", self.plan)
        return agent.main([operation, self.path("plan.json")])

    def told(self) -> list[tuple[str, str, str]]:
        return [(event["step"], event["status"], event["text"]) for event in journal.read_events(self.plan["journal"])]

    def open_side(self, _plan: Any, name: str, timeout: float = 5.0) -> switchover.Side:
        self.calls.append(f"open {name} {timeout:g}")
        database = self.source if name == "source" else self.target
        return switchover.Side(name, database, valve.Endpoint("127.0.0.1", 8000, True), {})  # type: ignore[arg-type]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    made = House(tmp_path)
    monkeypatch.setattr(agent, "open_side", made.open_side)
    return made


class FakeSwitchover:
    """Ends as told."""

    outcome = "open"
    made: tuple[Any, ...] = ()

    def __init__(self, *arguments: Any) -> None:
        FakeSwitchover.made = arguments

    def run(self) -> dict[str, Any]:
        return {"outcome": self.outcome, "reason": ""}


class FakeComparer:
    """Compares nothing."""

    def __init__(self, _plan: Any) -> None:
        pass

    def keys(self) -> dict[Any, Any]:
        return {("shop", "orders"): (["id"], ["id"])}


class FakeFollower:
    """Follows nothing."""

    made: tuple[Any, ...] = ()

    def __init__(self, *arguments: Any) -> None:
        FakeFollower.made = arguments

    def start(self) -> None:
        pass


@pytest.fixture
def switching(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr(switchover, "Switchover", FakeSwitchover)
    monkeypatch.setattr(agent, "Comparer", FakeComparer)
    monkeypatch.setattr(tracker, "Tracker", FakeFollower)
    monkeypatch.setattr(FakeSwitchover, "outcome", "open")
    monkeypatch.setattr(FakeFollower, "made", ())
    monkeypatch.setattr(FakeDatabase, "full_position", lambda _self: "1-2-7", raising=False)
    return house


def test_after_the_open_the_next_proof_starts_from_here(switching: House) -> None:
    switching.write("proof", {"positions": {"source": "0-1-5"}})
    assert switching.main("switchover") == 0
    assert switching.read("result") == {"outcome": "open", "reason": ""}
    assert switching.read("state")["side"] == "target"
    assert switching.read("proof")["positions"] == {"target": "1-2-7"}
    assert FakeFollower.made == (
        {"user": "a", "password": "s3cret"},
        "0-1-5",
        {("shop", "orders"): (["id"], ["id"])},
        ("cutover_shop", "marker"),
    )
    assert FakeSwitchover.made[3] == switching.valve


def test_without_a_proof_of_the_origin_nothing_is_followed(switching: House) -> None:
    switching.write("proof", {"positions": {"target": "1-2-7"}})
    FakeSwitchover.outcome = "refused"
    assert switching.main("switchover") == 1
    assert FakeFollower.made == ()
    assert FakeSwitchover.made[5] is None
    assert not os.path.exists(switching.plan["state"])
    assert switching.read("proof") == {"positions": {"target": "1-2-7"}}


def test_an_aborted_switchover_is_no_success(switching: House) -> None:
    FakeSwitchover.outcome = "aborted"
    assert switching.main("switchover") == 1
    assert switching.read("result")["outcome"] == "aborted"


def test_a_position_that_cannot_be_read_afterwards_does_not_call_it_refused(
    switching: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_self: Any) -> NoReturn:
        raise OSError("server has gone away")

    switching.write("proof", {"positions": {"source": "0-1-5"}})
    monkeypatch.setattr(FakeDatabase, "full_position", gone, raising=False)
    assert switching.main("switchover") == 0
    outcome = switching.read("result")
    assert outcome["outcome"] == "open"
    assert outcome["reason"] == "the next proof has no position to start from, run verify.yml: server has gone away"
    assert switching.read("state")["side"] == "target"
    # The old position is of before this switchover.
    assert switching.read("proof")["positions"] == {}


def test_a_failure_is_a_refusal_in_words(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_plan: Any, _path: str) -> NoReturn:
        raise switchover.Refused("no way")

    monkeypatch.setattr(agent, "run_switchover", refuse)
    assert house.main("switchover") == 1
    assert house.read("result") == {"outcome": "refused", "reason": "no way"}
    assert house.told() == [("switchover", "failed", "no way")]


def test_an_error_without_words_is_named(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_plan: Any, _path: str) -> NoReturn:
        raise AssertionError

    monkeypatch.setattr(agent, "run_restart", fail)
    assert house.main("restart") == 1
    assert house.read("result")["reason"] == "AssertionError"


def test_what_is_left_to_the_watchdog_writes_no_result(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(_plan: Any, _path: str) -> NoReturn:
        raise SystemExit("the way forward is left to the watchdog")

    monkeypatch.setattr(agent, "run_switchover", leave)
    with pytest.raises(SystemExit, match="left to the watchdog"):
        house.main("switchover")
    assert not os.path.exists(house.plan["result"])


def test_an_unknown_operation_is_refused(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        house.main("dance")
    assert "invalid choice: 'dance'" in capsys.readouterr().err


def test_the_copy_tells_how_far_it_is(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def copy(source: Any, target: Any, dump: Any, load: Any, progress: Any) -> dict[str, Any]:
        assert (source, target, dump, load) == (house.source, house.target, ["dump"], ["load"])
        progress(1, 10)
        progress(2, 10)
        return {"changed": True, "position": "0-1-5"}

    monkeypatch.setattr(seed, "seed", copy)
    assert house.main("seed") == 0
    assert house.read("result") == {"changed": True, "position": "0-1-5"}
    assert house.calls == ["open source 600", "open target 600"]
    (event,) = journal.read_events(house.plan["journal"])
    assert (event["status"], event["step"], event["done"], event["total"]) == ("progress", "seed", 1, 10)


def test_the_relay_reads_its_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(relay, "serve", lambda *arguments: seen.append(arguments))
    for connect, expected in (("10.0.0.5:8443", ("10.0.0.5", 8443)), ("[fd00::5]", ("fd00::5", 443))):
        path = tmp_path / "relay.json"
        path.write_text(json.dumps({"listen": "18001", "connect": connect, "name": "shop.example", "ca": "/ca.pem"}))
        assert agent.main(["relay", str(path)]) == 0
        assert seen.pop() == (18001, *expected, "shop.example", "/ca.pem")


def recovering(monkeypatch: pytest.MonkeyPatch, reason: str = "the deadline passed") -> None:
    monkeypatch.setattr(watchdog, "watch", lambda _path, recover: recover(reason))


def test_the_watchdog_of_a_switchover_leaves_result_and_journal(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    recovering(monkeypatch)
    valve.engage(house.valve)
    assert house.main("switchover-watchdog") == 0
    assert house.calls[:2] == ["open source 2", "open target 2"]
    assert house.read("result")["outcome"] == "aborted"
    assert house.told() == [("watchdog", "failed", "the deadline passed")]
    assert not os.path.exists(house.plan["state"])
    assert flags(house.valve) == set()


def test_the_watchdog_that_goes_forward_remembers_where_the_site_is(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    recovering(monkeypatch)
    valve.Decision(house.valve).claim("open")
    valve.engage(house.valve)
    house.main("switchover-watchdog")
    assert house.read("result")["outcome"] == "open"
    assert house.read("state")["side"] == "target"
    assert flags(house.valve) == {"moved"}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (None, "the deadline passed; the database runs"),
        (switchover.Refused("Job failed"), "the deadline passed; then Job failed"),
    ],
)
def test_the_watchdog_of_a_restart_releases_whatever_happens(
    house: House, monkeypatch: pytest.MonkeyPatch, error: Exception | None, reason: str
) -> None:
    def bring_back(_plan: Any) -> str:
        # Requests wait until the database is there again.
        assert flags(house.valve) == {"hold", "valve"}
        if error:
            raise error
        return "the database runs"

    recovering(monkeypatch)
    monkeypatch.setattr(restart, "bring_back", bring_back)
    valve.engage(house.valve)
    house.main("restart-watchdog")
    assert house.read("result") == {"outcome": "refused", "reason": reason, "by": "watchdog"}
    assert house.told() == [("watchdog", "failed", reason)]
    assert flags(house.valve) == set()
    assert chosen(house.valve) == "TARGET=127.0.0.1:8000"


def test_the_watchdog_is_a_unit_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "systemd-run"
    script.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/asked\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(watchdog, "Leash", lambda path: "leash at " + path)
    monkeypatch.setattr(agent.sys, "argv", ["/lib/agent.pyz"])
    plan = {"watchdog_unit": "cutover-shop-watchdog", "watchdog_socket": "/run/w.sock"}
    assert agent.start_watchdog(plan, "/plan.json", "restart-watchdog") == "leash at /run/w.sock"
    asked = (tmp_path / "asked").read_text()
    assert asked.startswith("--quiet --collect --unit=cutover-shop-watchdog /")
    assert asked.endswith(" /lib/agent.pyz restart-watchdog /plan.json\n")


def test_a_side_is_connected_and_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = House(tmp_path)
    monkeypatch.setattr(mariadb, "connect", lambda credentials, timeout: (credentials["user"], timeout))
    side = agent.open_side(made.plan, "target", 2.0)
    assert (side.name, side.endpoint, side.health) == (
        "target",
        valve.Endpoint("127.0.0.1", 8000, True),
        {"url": "u", "host": "h"},
    )
    assert (side.database.connection, side.database.databases) == (("b", 2.0), ["shop"])


def test_a_side_that_cannot_be_reached_is_named_without_its_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_credentials: Any, _timeout: float) -> NoReturn:
        raise OSError("Connection refused")

    monkeypatch.setattr(mariadb, "connect", refuse)
    with pytest.raises(switchover.Refused) as raised:
        agent.open_side(House(tmp_path).plan, "source")
    assert str(raised.value) == "the source's database cannot be reached as a: Connection refused"


class Named:
    """A table or a difference, by its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.columns: list[Named] = []
        self.key = ["id"]

    def text(self) -> str:
        return f"row {self.name} differs"


def test_changed_keys_are_compared_table_by_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {"a": ["orders", "pizza"], "b": ["pizza", "orders", "more"]}
    monkeypatch.setattr(mariadb, "connect", lambda credentials, _timeout, dictionaries: credentials["user"])
    monkeypatch.setattr(proof, "load_tables", lambda side, _database: [Named(name) for name in tables[side]])
    monkeypatch.setattr(proof, "pair", lambda ours, theirs: (ours.name, theirs.name) and ours)
    monkeypatch.setattr(
        proof, "compare_keys", lambda _a, _b, table, keys: [Named(f"{table.name} {keys[0]}")] if 3 in keys else []
    )
    comparer = agent.Comparer(House(tmp_path).plan)
    assert comparer.keys() == {("shop", "orders"): ([], ["id"]), ("shop", "pizza"): ([], ["id"])}
    changed = {("shop", "orders"): [3], ("shop", "pizza"): [4]}
    assert comparer(changed) == {("shop", "orders"): ["row orders 3 differs"]}  # type: ignore[arg-type]


def test_a_table_that_is_missing_on_the_other_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mariadb, "connect", lambda credentials, _timeout, dictionaries: credentials["user"])
    monkeypatch.setattr(proof, "load_tables", lambda side, _database: [Named("orders")] if side == "a" else [])
    with pytest.raises(switchover.Refused, match=r"table shop.orders is missing on the target"):
        agent.Comparer(House(tmp_path).plan)
