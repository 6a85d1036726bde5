"""The agent's operations: what they open, start and leave behind."""

import json
import os
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, NoReturn

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import (
    agent,
    engines,
    journal,
    proof,
    relay,
    restart,
    switchover,
    tracker,
    valve,
    watchdog,
)
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Change
from ansible_collections.ocpizza.cutover.plugins.module_utils.switchover_sides import Refused
from tests.unit.plugins.fakes import FakeDatabase, FakeLeash, chosen, flags, make_valve, pair


class House:
    """A plan and the files that it names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.valve = make_valve(folder)
        self.calls: list[str] = []
        self.source, self.target = pair(self.calls)
        self.databases: dict[tuple[str, str], FakeDatabase] = {
            ("mariadb", "source"): self.source,
            ("mariadb", "target"): self.target,
        }
        side = {"endpoint": {"address": "127.0.0.1", "port": 8000, "local": True}, "health": {"url": "u", "host": "h"}}
        self.plan: dict[str, Any] = {
            "site": "shop",
            "engine": "mariadb",
            "engines": {"mariadb": ["shop"]},
            "phase": "cutover",
            "host": "old",
            "deadline_s": 0.0,
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
        self.write(
            "credentials",
            {
                "source": {"mariadb": {"user": "a", "password": "s3cret"}, "postgresql": {"user": "p"}},
                "target": {"mariadb": {"user": "b"}, "postgresql": {"user": "q"}},
            },
        )

    def also(self, engine: str, *databases: str) -> None:
        """Give the site the databases of one more engine."""
        self.plan["engines"][engine] = list(databases)
        source, target = pair(self.calls, engine)
        self.databases.update({(engine, "source"): source, (engine, "target"): target})

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

    def open_database(self, _plan: Any, engine: str, side: str, timeout: float = 5.0) -> FakeDatabase:
        self.calls.append(f"open {engine} {side} {timeout:g}")
        return self.databases[engine, side]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    made = House(tmp_path)
    monkeypatch.setattr(agent, "open_database", made.open_database)
    monkeypatch.setattr(valve, "LONGEST_BURST_S", 0.0)
    monkeypatch.setattr(valve, "rests", lambda _unit: True)
    return made


class FakeSwitchover:
    """Ends as told."""

    verdict = "open"
    outcome: ClassVar[dict[str, Any]] = {}
    made: tuple[Any, ...] = ()
    calls: ClassVar[list[str]] = []

    def __init__(self, *arguments: Any) -> None:
        FakeSwitchover.made = arguments
        self.leash: Any = None

    def run(self) -> dict[str, Any]:
        followed_from = {one.destination.engine: one.destination.changes_from() for one in self.made[3]}
        # Rows are written on the destination as soon as it is open.
        for one in self.made[3]:
            one.destination.mark("a row of the site")
        verdict = type(self).verdict
        self.outcome = {"outcome": verdict, "reason": "", "followed_from": followed_from, "pause_ms": None}
        if verdict != "refused":
            self.outcome["pause_ms"] = 1.5
            valve.raise_flag(self.made[4], "near")
            self.leash = self.made[5]()
        self.calls.append("released")
        return self.outcome


class FakeComparer:
    """Compares nothing."""

    def __init__(self, plan: Any, engine: str) -> None:
        self.tables = {(database, "orders"): None for database in plan["engines"][engine]}

    def keys(self) -> dict[Any, Any]:
        return {name: (["id"], ["id"]) for name in self.tables}


class FakeFollower:
    """Follows nothing until it is asked."""

    made: ClassVar[list["FakeFollower"]] = []

    def __init__(self, changes: Any, *arguments: Any) -> None:
        self.changes, self.arguments, self.started = changes, arguments, False
        FakeFollower.made.append(self)

    def start(self) -> None:
        self.started = True


@pytest.fixture
def switching(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr(switchover, "Switchover", FakeSwitchover)
    monkeypatch.setattr(agent, "Comparer", FakeComparer)
    monkeypatch.setattr(tracker, "Tracker", FakeFollower)
    monkeypatch.setattr(FakeSwitchover, "verdict", "open")

    def start_watchdog(*_arguments: Any) -> FakeLeash:
        house.calls.append("watchdog")
        return FakeLeash(house.calls)

    monkeypatch.setattr(agent, "start_watchdog", start_watchdog)
    monkeypatch.setattr(FakeSwitchover, "calls", house.calls)
    monkeypatch.setattr(FakeFollower, "made", [])
    return house


def test_the_next_proof_starts_before_the_first_write_on_the_other_side(switching: House) -> None:
    switching.write("proof", {"positions": {"source": {"mariadb": "0-1-5"}}})
    assert switching.main("switchover") == 0
    assert switching.read("result")["outcome"] == "open"
    assert switching.read("state")["side"] == "target"
    # A point of after the release would leave out what was written in between.
    assert switching.read("proof")["positions"] == {"target": {"mariadb": "0-2-0"}}
    assert switching.target.changes_from() == "0-2-1"
    assert switching.calls.index("target.changes_from") < switching.calls.index("target.mark")
    # The watchdog finds the point where it has to finish; what is not needed any more is given up.
    assert switching.calls[switching.calls.index("watchdog") : -1] == [
        "watchdog",
        "released",
        "leash.done",
        "source.forget_changes",
        "leash.end",
    ]
    assert not os.path.exists(switching.plan["proof"] + ".next")
    assert FakeSwitchover.made[4] == switching.valve
    assert [side.name for side in FakeSwitchover.made[1:3]] == ["source", "target"]


def test_on_the_way_back_the_proof_goes_on_at_the_source(switching: House) -> None:
    switching.plan.update(origin="target", destination="source")
    switching.write("proof", {"positions": {"target": {"mariadb": "0-2-7"}}})
    assert switching.main("switchover") == 0
    (moved,) = FakeSwitchover.made[3]
    assert (moved.origin, moved.destination) == (switching.target, switching.source)
    assert [side.name for side in FakeSwitchover.made[1:3]] == ["target", "source"]
    assert switching.read("proof")["positions"] == {"source": {"mariadb": "0-1-0"}}
    assert switching.read("state")["side"] == "source"


def test_the_origins_log_is_followed_from_its_proof_with_connections_of_its_own(
    switching: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[FakeDatabase] = []

    def open_database(plan: Any, engine: str, side: str, timeout: float = 5.0) -> FakeDatabase:
        switching.open_database(plan, engine, side, timeout)
        opened.append(FakeDatabase(side, 1, []))
        return opened[-1]

    monkeypatch.setattr(agent, "open_database", open_database)
    switching.write("proof", {"positions": {"source": {"mariadb": "0-1-5"}}})
    switching.main("switchover")
    (follower,) = FakeFollower.made
    assert follower.started
    assert follower.arguments == ({("shop", "orders"): (["id"], ["id"])}, [("cutover_shop", "marker")])
    (moved,) = FakeSwitchover.made[3]
    assert moved.tracker is follower
    for database in opened:
        database.log = [Change(("shop", "orders"), [{"id": 1}])]
        database.calls.clear()
    # Of what the server is asked by the tracker's thread nothing goes over the connections that the switchover uses.
    assert list(follower.changes()) == [Change(("shop", "orders"), [{"id": 1}])]
    assert (moved.origin.calls, moved.destination.calls) == ([], [])
    assert [database.calls for database in opened if database.calls] == [
        ["source.changes a 0-1-5 [('shop', 'orders')]"]
    ]


def test_each_engine_has_its_pair_its_credentials_and_its_position(switching: House) -> None:
    switching.also("postgresql", "bills", "archive")
    switching.write("proof", {"positions": {"source": {"mariadb": "0-1-5", "postgresql": "bills=slot@0/1"}}})
    assert switching.main("switchover") == 0
    first, second = FakeSwitchover.made[3]
    assert (first.origin, first.destination) == (switching.source, switching.target)
    assert second.origin is switching.databases["postgresql", "source"]
    assert second.destination is switching.databases["postgresql", "target"]
    assert [one.tracker for one in (first, second)] == FakeFollower.made
    assert sorted(FakeFollower.made[1].arguments[0]) == [("archive", "orders"), ("bills", "orders")]
    for follower in FakeFollower.made:
        list(follower.changes())
    assert switching.calls[-2:] == [
        "source.changes a 0-1-5 [('shop', 'orders')]",
        "source postgresql.changes p bills=slot@0/1 [('bills', 'orders'), ('archive', 'orders')]",
    ]
    assert switching.read("proof")["positions"] == {"target": {"mariadb": "0-2-0", "postgresql": "0-2-0"}}


@pytest.mark.parametrize(
    "positions", [{}, {"target": {"mariadb": "1-2-7"}}, {"source": {}}, {"source": {"mariadb": ""}}]
)
def test_without_a_proof_of_the_origin_nothing_is_followed(switching: House, positions: dict[str, Any]) -> None:
    switching.write("proof", {"positions": positions})
    FakeSwitchover.verdict = "refused"
    assert switching.main("switchover") == 1
    assert FakeFollower.made == []
    assert [one.tracker for one in FakeSwitchover.made[3]] == [None]
    assert not os.path.exists(switching.plan["state"])
    assert switching.read("proof") == {"positions": positions}


def test_without_any_proof_nothing_is_followed(switching: House) -> None:
    FakeSwitchover.verdict = "refused"
    switching.main("switchover")
    assert [one.tracker for one in FakeSwitchover.made[3]] == [None]
    assert not os.path.exists(switching.plan["proof"])


def test_an_engine_without_a_proof_is_not_followed_beside_one_with(switching: House) -> None:
    switching.also("postgresql", "bills")
    switching.write("proof", {"positions": {"source": {"mariadb": "0-1-5"}}})
    switching.main("switchover")
    assert [bool(one.tracker) for one in FakeSwitchover.made[3]] == [True, False]


def test_an_aborted_switchover_is_no_success(switching: House) -> None:
    FakeSwitchover.verdict = "aborted"
    assert switching.main("switchover") == 1
    assert switching.read("result")["outcome"] == "aborted"
    assert flags(switching.valve) == set()


@pytest.mark.parametrize("outcome", ["aborted", "refused"])
def test_a_switchover_that_did_not_open_leaves_the_proof_as_it_was(switching: House, outcome: str) -> None:
    FakeSwitchover.verdict = outcome
    switching.write("proof", {"positions": {"source": {"mariadb": "0-1-5"}}})
    switching.main("switchover")
    assert switching.read("proof") == {"positions": {"source": {"mariadb": "0-1-5"}}}
    assert "target.forget_changes" in switching.calls
    assert not os.path.exists(switching.plan["state"])


def test_a_server_that_is_lost_after_the_open_does_not_call_it_refused(
    switching: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = FakeSwitchover.run

    def run(made: FakeSwitchover) -> dict[str, Any]:
        outcome = real(made)
        for method in ("changes_from", "mark"):
            switching.target.failing[method] = OSError("server has gone away")
        return outcome

    monkeypatch.setattr(FakeSwitchover, "run", run)
    switching.write("proof", {"positions": {"source": {"mariadb": "0-1-5"}}})
    assert switching.main("switchover") == 0
    assert (switching.read("result")["outcome"], switching.read("result")["reason"]) == ("open", "")
    assert switching.read("state")["side"] == "target"
    # The point was taken before: the old one is of before this switchover.
    assert switching.read("proof")["positions"] == {"target": {"mariadb": "0-2-0"}}


def test_a_failure_is_a_refusal_in_words(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_plan: Any, _path: str) -> NoReturn:
        raise Refused("no way")

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


def seeding(house: House, monkeypatch: pytest.MonkeyPatch, changed: bool = True) -> list[str]:
    """Have a copy made by an engine's own means; which engine was asked."""
    asked: list[str] = []

    def copy(source: Any, target: Any, plan: Any, progress: Any) -> dict[str, Any]:
        engine = asked[-1]
        assert (source, target) == (house.databases[engine, "source"], house.databases[engine, "target"])
        assert (plan["dump"], plan["load"]) == (["dump"], ["load"])
        # What the servers need is set before the copy begins.
        assert [call for call in house.calls if "prepare" in call]
        progress(1, 10, "bytes copied")
        progress(2, 10, "bytes copied")
        return {"changed": changed, "position": "0-1-5"}

    monkeypatch.setattr(engines, "seeder", lambda engine: asked.append(engine) or SimpleNamespace(seed=copy))
    return asked


def test_the_copy_tells_how_far_it_is(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = seeding(house, monkeypatch)
    assert house.main("seed") == 0
    assert house.read("result") == {"changed": True, "position": "0-1-5", "settings": [], "widened": []}
    assert house.calls == [
        "open mariadb source 600",
        "open mariadb target 600",
        "source.prepare for target",
        "target.prepare for source",
        "open mariadb target 86400",
    ]
    assert asked == ["mariadb"]
    (event,) = journal.read_events(house.plan["journal"])
    assert (event["status"], event["step"], event["done"], event["total"]) == ("progress", "seed", 1, 10)
    assert event["text"] == "bytes copied"


def test_the_copy_is_that_of_the_plans_engine(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.also("postgresql", "bills")
    house.plan["engine"] = "postgresql"
    asked = seeding(house, monkeypatch)
    assert house.main("seed") == 0
    assert asked == ["postgresql"]
    assert house.calls[:2] == ["open postgresql source 600", "open postgresql target 600"]


def test_keys_are_widened_after_the_copy(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    seeding(house, monkeypatch, changed=False)
    house.plan["widen"] = ["shop.orders"]
    house.target.wider = ["shop.orders.id is bigint, and was int"]
    house.target.changed = {("column", "orders.id"): ("int NO", "bigint NO")}
    assert house.main("seed") == 0
    assert [call for call in house.calls if "wid" in call] == [
        "source.widenable ['shop.orders']",
        "target.widen ['shop.orders']",
        "source.take_widths of target",
        "target.take_widths of target",
    ]
    result = house.read("result")
    assert (result["changed"], result["widened"]) == (True, ["shop.orders.id is bigint, and was int"])
    assert result["settings"] == ["conversions on the source", "conversions on the target"]
    assert result["widen_seconds"] >= 0


@pytest.mark.parametrize("wrong", ["all", ["other.orders"], {"shop": "orders"}])
def test_what_cannot_be_widened_stops_the_copy(house: House, monkeypatch: pytest.MonkeyPatch, wrong: Any) -> None:
    seeding(house, monkeypatch)
    house.plan["widen"] = wrong
    assert house.main("seed") == 1
    assert "site_widen" in house.read("result")["reason"]
    assert not [call for call in house.calls if "prepare" in call]


def test_what_was_set_is_a_change_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    seeding(house, monkeypatch, changed=False)
    assert house.main("seed") == 0
    assert (house.read("result")["changed"], house.read("result")["settings"]) == (False, [])
    house.source.prepare = lambda _other: ["gtid_mode on the source"]  # type: ignore[method-assign]
    house.target.prepare = lambda _other: ["gtid_mode on the target"]  # type: ignore[method-assign]
    assert house.main("seed") == 0
    result = house.read("result")
    assert (result["changed"], result["settings"]) == (True, ["gtid_mode on the source", "gtid_mode on the target"])


def test_the_restart_is_prepared_and_awaited_by_its_engine(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    class FakeRestart:
        def __init__(self, *arguments: Any) -> None:
            made.extend(arguments)

        def run(self) -> dict[str, Any]:
            made[3]()
            assert made[4]() == ("connected", {"user": "p"}, 2.0)
            return {"outcome": "restarted"}

    house.also("postgresql", "bills")
    house.plan["engine"] = "postgresql"
    monkeypatch.setattr(restart, "Restart", FakeRestart)
    fake = SimpleNamespace(connect=lambda *asked: ("connected", *asked))
    monkeypatch.setattr(engines, "server", {"postgresql": fake}.__getitem__)
    assert house.main("restart") == 0
    assert house.calls == ["open postgresql source 60", "source postgresql.before_restart"]
    assert made[1:3] == [[house.valve], [valve.Endpoint("127.0.0.1", 8000, True)]]
    assert house.read("result") == {"outcome": "restarted"}


def test_the_relay_reads_its_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(relay, "serve", lambda *arguments: seen.append(arguments))
    for connect, expected in (("10.0.0.5:8443", ("10.0.0.5", 8443)), ("[fd00::5]", ("fd00::5", 443))):
        path = tmp_path / "relay.json"
        path.write_text(json.dumps({"listen": "18001", "connect": connect, "name": "shop.example", "ca": "/ca.pem"}))
        assert agent.main(["relay", str(path)]) == 0
        assert seen.pop() == (18001, *expected, "shop.example", "/ca.pem")


def recovering(monkeypatch: pytest.MonkeyPatch, reason: str = "the deadline passed") -> None:
    monkeypatch.setattr(watchdog, "watch", lambda _path, recover: recover(reason, 0.0))


def test_the_watchdog_of_a_switchover_leaves_result_and_journal(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    recovering(monkeypatch)
    valve.engage(house.valve)
    assert house.main("switchover-watchdog") == 0
    assert house.calls[:2] == ["open mariadb source 2", "open mariadb target 2"]
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
    house.write("proof", {"positions": {"source": {"mariadb": "0-1-5"}}})
    Path(house.plan["proof"] + ".next").write_text('{"positions": {"target": {"mariadb": "0-2-1"}}}')
    house.main("switchover-watchdog")
    assert house.read("result")["outcome"] == "open"
    assert house.read("state")["side"] == "target"
    # The way back goes on from the point that the gate took.
    assert house.read("proof")["positions"] == {"target": {"mariadb": "0-2-1"}}
    assert flags(house.valve) == {"moved"}


def test_the_watchdog_holds_every_engine_ready(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.also("postgresql", "bills")
    valve.Decision(house.valve).claim("open")
    valve.engage(house.valve)
    Path(house.plan["proof"] + ".next").write_text("{}")

    def watch(_path: str, recover: Any) -> None:
        # Opened before it is needed: then it may be too late.
        assert house.calls == [
            "open mariadb source 2",
            "open mariadb target 2",
            "open postgresql source 2",
            "open postgresql target 2",
        ]
        recover("the deadline passed", 0.0)

    monkeypatch.setattr(watchdog, "watch", watch)
    house.main("switchover-watchdog")
    assert house.read("result")["outcome"] == "open"
    closed = [house.databases[engine, side].closed for engine in house.plan["engines"] for side in ("source", "target")]
    assert closed == [True, False, True, False]


def left_alone(house: House, decided: str = "") -> subprocess.Popen[bytes]:
    """As a watchdog leaves it that was killed inside a hold; its owner lives on."""
    owner = subprocess.Popen(["sleep", "60"])
    watchdog.watches(house.plan["watchdog_socket"], owner.pid, 0.0)
    valve.engage(house.valve)
    if decided:
        valve.Decision(house.valve).claim(decided, "target")
    return owner


def test_a_watchdog_that_is_started_again_releases_without_a_database(house: House) -> None:
    owner = left_alone(house)
    assert house.main("switchover-watchdog") == 0
    assert owner.wait(5) == -signal.SIGKILL
    assert house.calls == []
    assert house.read("result")["reason"] == "the watchdog was lost"
    assert flags(house.valve) == set()
    assert watchdog.left_behind(house.plan["watchdog_socket"]) == (0, 0.0)


def test_a_watchdog_that_is_started_again_goes_forward_where_that_was_decided(house: House) -> None:
    owner = left_alone(house, "open")
    assert house.main("switchover-watchdog") == 0
    assert owner.wait(5) == -signal.SIGKILL
    assert house.read("result")["outcome"] == "open"
    assert (house.source.closed, house.target.closed) == (True, False)
    assert flags(house.valve) == {"moved"}


@pytest.mark.parametrize("cleared", [True, False])
@pytest.mark.parametrize("lost", ["owner", "watchdog"])
def test_what_was_written_down_is_not_taken_back(
    house: House, monkeypatch: pytest.MonkeyPatch, lost: str, cleared: bool
) -> None:
    valve.engage(house.valve)
    valve.release(house.valve, "target")
    house.source.closed, house.target.closed = True, False
    house.write("state", {"side": "target"})
    if not cleared:
        valve.Decision(house.valve).claim("open", "target")
    recovering(monkeypatch)
    if lost == "watchdog":
        owner = subprocess.Popen(["sleep", "60"])
        watchdog.watches(house.plan["watchdog_socket"], owner.pid, 0.0)
    assert house.main("switchover-watchdog") == 0
    assert house.read("result")["outcome"] == "open"
    assert flags(house.valve) == {"moved"}
    assert (house.source.closed, house.target.closed) == (True, False)
    assert valve.Decision(house.valve).read() == ""


def test_what_is_written_down_is_so_before_the_watchdog_goes(switching: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeLeash, "done", lambda _leash: switching.calls.append(lived_on(switching)))
    switching.main("switchover")
    assert "on the target" in switching.calls


def lived_on(house: House) -> str:
    return "on the " + house.read("state")["side"]


def unreachable(house: House, monkeypatch: pytest.MonkeyPatch, attempts: int, side: str = "") -> list[float]:
    """No answer from a side, or from any, until so many attempts have failed; how long was waited between them."""
    waits: list[float] = []
    left = [attempts]

    def open_database(plan: Any, engine: str, where: str, timeout: float = 5.0) -> FakeDatabase:
        if left[0] and where in (side or where):
            left[0] -= 1
            raise Refused(f"the {where}'s mariadb database cannot be reached")
        return house.open_database(plan, engine, where, timeout)

    monkeypatch.setattr(agent, "open_database", open_database)
    monkeypatch.setattr(agent.time, "sleep", waits.append)
    monkeypatch.setattr(valve, "keep_again", lambda *_arguments: waits.append(-1.0))
    return waits


def test_a_watchdog_that_is_started_again_goes_back_where_a_server_is_gone(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_alone(house, "open")
    house.source.closed = True
    waits = unreachable(house, monkeypatch, 3, "target")
    released: list[bool] = []
    real = agent.put_back

    def put_back(plan: Any) -> None:
        released.append(flags(house.valve) == set())
        real(plan)

    monkeypatch.setattr(agent, "put_back", put_back)
    assert house.main("switchover-watchdog") == 0
    result = house.read("result")
    assert result["outcome"] == "aborted"
    assert result["reason"] == (
        "the watchdog was lost; then the target's mariadb database cannot be reached; then no database can be asked"
    )
    assert chosen(house.valve) == "TARGET=127.0.0.1:8000"
    # Nobody waits for a server that does not answer, and the site writes again before it does.
    assert released == [True] * 4
    assert house.calls.index("source.open") < house.calls.index("target.close")
    assert (house.source.closed, house.target.closed) == (False, True)
    # Once more: what it was told before may have been under way.
    assert house.calls.count("source.open") == 4
    assert waits == [0.5] * 4 + [-1.0]
    assert watchdog.left_behind(house.plan["watchdog_socket"]) == (0, 0.0)


def test_a_watchdog_that_hears_nothing_says_what_to_do(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    valve.Decision(house.valve).revoke("source")
    now = iter(range(0, 10000, 100))
    unreachable(house, monkeypatch, 1000)
    monkeypatch.setattr(agent.time, "monotonic", lambda: next(now))
    agent.keep_putting_back(house.plan)
    assert house.told() == [
        (
            "watchdog",
            "failed",
            "the databases are not all as before: the target's mariadb database cannot be reached; "
            "give the same command again",
        )
    ]


@pytest.mark.parametrize("operation", ["switchover", "recover"])
def test_a_decision_that_was_taken_back_is_taken_back_in_every_database(switching: House, operation: str) -> None:
    valve.Decision(switching.valve).revoke("source")
    switching.source.closed, switching.target.closed = True, False
    switching.main(operation)
    assert (switching.source.closed, switching.target.closed) == (False, True)
    assert switching.calls[:4] == [
        "open mariadb target 2",
        "target.close",
        "open mariadb source 2",
        "source.open",
    ]
    assert ("released" in switching.calls) == (operation == "switchover")


@pytest.mark.parametrize("side", ["target", "retired"])
def test_what_was_taken_back_long_ago_opens_no_side_that_the_site_has_left(switching: House, side: str) -> None:
    valve.Decision(switching.valve).revoke("source")
    switching.write("state", {"side": side})
    switching.main("recover")
    assert switching.calls == []


def test_an_ordinary_abort_leaves_the_databases_alone(switching: House) -> None:
    valve.Decision(switching.valve).claim("abort")
    switching.main("recover")
    assert switching.calls == []


def test_the_same_command_goes_forward_where_a_database_was_opened(switching: House) -> None:
    valve.Decision(switching.valve).claim("open", "target")
    switching.source.closed, switching.target.closed = True, False
    assert switching.main("switchover") == 0
    assert switching.read("result")["reason"].startswith("an earlier switchover was interrupted after its decision")
    assert switching.read("state")["side"] == "target"
    assert flags(switching.valve) == {"moved"}
    assert "released" not in switching.calls
    # What was carried out is not carried out again after the way back.
    assert valve.Decision(switching.valve).read() == ""


def test_the_same_command_begins_anew_where_none_was(switching: House) -> None:
    valve.Decision(switching.valve).claim("open", "target")
    switching.source.closed, switching.target.closed = True, True
    switching.main("switchover")
    assert switching.calls[:5] == [
        "open mariadb source 2",
        "open mariadb target 2",
        "target.is_closed",
        "source.open",
        "open mariadb source 5",
    ]
    assert "released" in switching.calls


def test_a_restart_of_the_source_opens_what_was_closed(switching: House) -> None:
    valve.Decision(switching.valve).claim("open", "target")
    switching.source.closed, switching.target.closed = True, True
    assert switching.main("recover") == 0
    assert (switching.source.closed, switching.target.closed) == (False, True)
    # Nothing more: a person gives the command again.
    assert "released" not in switching.calls
    assert not os.path.exists(switching.plan["result"])


def test_nothing_is_undone_while_a_watchdog_may_do_it(switching: House, monkeypatch: pytest.MonkeyPatch) -> None:
    valve.Decision(switching.valve).claim("open", "target")
    asked: list[str] = []

    def rests(unit: str) -> bool:
        asked.append(unit)
        if len(asked) == 2:
            switching.write("state", {"side": "target"})
        return len(asked) == 2

    monkeypatch.setattr(valve, "rests", rests)
    assert switching.main("switchover") == 0
    assert asked == ["cutover-shop-watchdog"] * 2
    assert switching.read("result")["reason"] == "the watchdog has finished an earlier switchover"
    assert switching.calls == []


def test_a_watchdog_that_does_not_end_is_named(switching: House, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(100))
    monkeypatch.setattr(agent.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(agent.time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(valve, "rests", lambda _unit: False)
    valve.engage(switching.valve)
    assert switching.main("switchover") == 1
    assert switching.read("result")["reason"].startswith("cutover-shop-watchdog still runs; see 'journalctl")
    assert flags(switching.valve) == {"hold", "valve"}


@pytest.mark.parametrize(("why", "left"), [("lost", set()), ("", {"near"})])
def test_a_watchdog_whose_owner_was_lost_lets_connections_be_kept_again(
    house: House, monkeypatch: pytest.MonkeyPatch, why: str, left: set[str]
) -> None:
    monkeypatch.setattr(watchdog, "watch", lambda _path, _recover: why)
    valve.raise_flag(house.valve, "near")
    assert house.main("switchover-watchdog") == 0
    assert flags(house.valve) == left, "an owner that is done does it itself, in its time"


def test_a_decision_for_the_other_side_is_an_old_one(switching: House) -> None:
    valve.Decision(switching.valve).claim("open", "source")
    switching.main("switchover")
    assert switching.calls[0] == "open mariadb source 5"


def test_a_hold_that_nobody_watches_is_ended_first(switching: House) -> None:
    valve.engage(switching.valve)
    switching.main("switchover")
    assert flags(switching.valve) == set()
    assert chosen(switching.valve) == "TARGET=127.0.0.1:8000"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (None, "the deadline passed; the database runs"),
        (Refused("Job failed"), "the deadline passed; then Job failed"),
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
    assert asked.startswith("--quiet --collect --property=Restart=on-failure ")
    assert " --unit=cutover-shop-watchdog /" in asked
    assert asked.endswith(" /lib/agent.pyz restart-watchdog /plan.json\n")


def test_a_side_is_described(tmp_path: Path) -> None:
    side = agent.side_of(House(tmp_path).plan, "target")
    assert (side.name, side.endpoint, side.health) == (
        "target",
        valve.Endpoint("127.0.0.1", 8000, True),
        {"url": "u", "host": "h"},
    )


@pytest.mark.parametrize(
    ("engine", "side", "user", "databases"),
    [("mariadb", "target", "b", ["shop"]), ("postgresql", "source", "p", ["bills"])],
)
def test_a_server_is_connected_with_the_credentials_of_side_and_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, side: str, user: str, databases: list[str]
) -> None:
    made = House(tmp_path)
    made.also("postgresql", "bills")
    fake = SimpleNamespace(SERVER=SimpleNamespace(open_server=lambda *asked: asked))
    monkeypatch.setattr(engines, "server", {engine: fake}.__getitem__)
    asked: Any = agent.open_database(made.plan, engine, side, 2.0)
    assert asked == ({"user": user}, "shop", databases, side, 2.0)


def test_a_server_that_cannot_be_reached_is_named_without_its_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_asked: Any) -> NoReturn:
        raise OSError("Connection refused")

    fake = SimpleNamespace(SERVER=SimpleNamespace(open_server=refuse))
    monkeypatch.setattr(engines, "server", {"mariadb": fake}.__getitem__)
    with pytest.raises(Refused) as raised:
        agent.open_database(House(tmp_path).plan, "mariadb", "source")
    assert str(raised.value) == "the source's mariadb database cannot be reached as a: Connection refused"


def test_an_engine_that_is_none_is_refused(tmp_path: Path) -> None:
    made = House(tmp_path)
    made.plan["engines"] = {"oracle": ["shop"]}
    made.write("credentials", {"source": {"oracle": {"user": "o"}}})
    with pytest.raises(Refused, match="engine 'oracle' is not one of mariadb, mysql, postgresql"):
        agent.open_database(made.plan, "oracle", "source")


class Named:
    """A table or a difference, by its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.columns: list[Named] = []
        self.key = ["id"]

    def text(self) -> str:
        return f"row {self.name} differs"


def connecting(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Connections that are their user's name and the database's; how they were asked for."""
    asked: list[Any] = []

    def connect(credentials: Any, timeout: float, database: str) -> str:
        asked.append((credentials["user"], timeout, database))
        return f"{credentials['user']} {database}"

    monkeypatch.setattr(engines, "server", lambda _engine: SimpleNamespace(connect=connect))
    return asked


def test_changed_keys_are_compared_table_by_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {"a shop": ["orders", "pizza"], "b shop": ["pizza", "orders", "more"]}
    connecting(monkeypatch)
    monkeypatch.setattr(proof, "load_tables", lambda side, _database: [Named(name) for name in tables[side]])
    monkeypatch.setattr(proof, "pair", lambda ours, theirs: (ours.name, theirs.name) and ours)
    monkeypatch.setattr(
        proof, "compare_keys", lambda _a, _b, table, keys: [Named(f"{table.name} {keys[0]}")] if 3 in keys else []
    )
    comparer = agent.Comparer(House(tmp_path).plan, "mariadb")
    assert comparer.keys() == {("shop", "orders"): ([], ["id"]), ("shop", "pizza"): ([], ["id"])}
    changed = {("shop", "orders"): [3], ("shop", "pizza"): [4]}
    assert comparer(changed) == {("shop", "orders"): ["row orders 3 differs"]}  # type: ignore[arg-type]


def test_each_database_is_compared_over_its_own_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = House(tmp_path)
    made.also("postgresql", "bills", "archive")
    made.plan.update(origin="target", destination="source")
    asked = connecting(monkeypatch)
    monkeypatch.setattr(proof, "load_tables", lambda side, _database: [Named("bill")])
    monkeypatch.setattr(proof, "pair", lambda ours, _theirs: ours)
    monkeypatch.setattr(proof, "compare_keys", lambda ours, theirs, _table, _keys: [Named(f"{ours}, {theirs}:")])
    comparer = agent.Comparer(made.plan, "postgresql")
    assert asked == [(user, 10.0, name) for name in ("bills", "archive") for user in ("q", "p")]
    # The side that is written to comes first.
    changed: Any = {("archive", "bill"): [1], ("bills", "bill"): [1]}
    assert comparer(changed) == {
        ("archive", "bill"): ["row q archive, p archive: differs"],
        ("bills", "bill"): ["row q bills, p bills: differs"],
    }


def test_a_table_that_is_missing_on_the_other_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connecting(monkeypatch)
    monkeypatch.setattr(proof, "load_tables", lambda side, _database: [Named("orders")] if side == "a shop" else [])
    with pytest.raises(Refused, match=r"table shop.orders is missing on the target"):
        agent.Comparer(House(tmp_path).plan, "mariadb")
