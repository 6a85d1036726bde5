"""The critical section: forward, and every way it can fail."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import journal, switchover, valve
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Link
from ansible_collections.ocpizza.cutover.plugins.module_utils.switchover import Switchover
from ansible_collections.ocpizza.cutover.plugins.module_utils.switchover_recovery import recover
from ansible_collections.ocpizza.cutover.plugins.module_utils.switchover_sides import CALM_S, Pair, Side
from tests.unit.plugins.fakes import HEALTHY, FakeDatabase, FakeLeash, FakeTracker, chosen, flags, make_valve, pair

ORDERS = ("shop", "orders")
BILLS = ("bills", "bill")
STEPS = ["gate", "keep-alive off", "hold", "drain", "fence", "catch up", "prove", "reverse", "open", "release"]


class House:
    """A site on two sides, a switchover of it that would succeed, and what tests turn in it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.source, self.target = pair(self.calls)
        self.valve = make_valve(folder)
        self.leash = FakeLeash(self.calls)
        self.more: list[tuple[FakeDatabase, FakeDatabase, FakeTracker | None]] = []
        self.tracker: FakeTracker | None = FakeTracker(self.calls, {ORDERS: [(1,), (2,)]}, {ORDERS: [(3,)]})
        self.differences: dict[tuple[str, str], list[str]] = {}
        self.compared: list[Any] = []
        self.journal = str(folder / "journal.jsonl")
        self.listening, self.idle, self.running = True, True, 0
        self.answers: list[str] = []
        self.plan = {
            "journal": self.journal,
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
        monkeypatch.setattr(valve, "is_listening", lambda _one: self.listening)
        monkeypatch.setattr(valve, "listen", lambda _one: self.calls.append("valve.listen"))
        self.full: list[list[str]] = []
        monkeypatch.setattr(valve, "full", lambda _one: self.full.pop(0) if self.full else [])
        monkeypatch.setattr(valve, "is_idle", lambda _one: self.idle)
        monkeypatch.setattr(valve, "rest", lambda _one: self.calls.append("valve.rest"))
        monkeypatch.setattr(valve, "in_flight", lambda _endpoint: self.running)
        monkeypatch.setattr(switchover, "ask", lambda _health, _timeout: self.answers.pop() if self.answers else "")
        self.release = ""
        monkeypatch.setattr(switchover, "other_release", lambda *_asked: self.release)

    def also(self, engine: str) -> "House":
        """Give the site the databases of one more engine."""
        source, target = pair(self.calls, engine)
        tracker = FakeTracker(self.calls, {BILLS: [(5,)]}, {BILLS: [(6,)]}, label=f"tracker {engine}")
        self.more.append((source, target, tracker))
        return self

    def sides(self) -> tuple[Side, Side]:
        return (
            Side("source", valve.Endpoint("127.0.0.1", 8000, True), {}),
            Side("target", valve.Endpoint("10.0.0.5", 443, False), {}),
        )

    def pairs(self, back: bool = False) -> list[Pair]:
        found = []
        for source, target, tracker in [(self.source, self.target, self.tracker), *self.more]:
            origin, destination = (target, source) if back else (source, target)
            found.append(Pair(origin, destination, self.compare, tracker))  # type: ignore[arg-type]
        return found

    def compare(self, changed: Any) -> dict[tuple[str, str], list[str]]:
        self.compared.append(changed)
        return {name: self.differences[name] for name in changed if name in self.differences}

    def make(self, back: bool = False) -> Switchover:
        origin, destination = reversed(self.sides()) if back else self.sides()
        return Switchover(
            self.plan,
            origin,
            destination,
            self.pairs(back),
            self.valve,
            lambda: self.leash,  # type: ignore[arg-type,return-value]
        )

    def run(self) -> dict[str, Any]:
        return self.make().run()

    def recover(self, until: float = 0.0) -> dict[str, Any]:
        return recover("the deadline passed", self.plan, *self.sides(), self.pairs(), self.valve, until)

    def told(self) -> list[tuple[str, str]]:
        return [(event["step"], event["status"]) for event in journal.read_events(self.journal)]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(tmp_path, monkeypatch)


def test_forward(house: House) -> None:
    outcome = house.run()
    assert (outcome["outcome"], outcome["reason"]) == ("open", "")
    assert outcome["direction"] == "source to target"
    assert [step["name"] for step in outcome["steps"]] == [*STEPS, "fence for good"]
    assert outcome["position"] == "0-1-3"
    assert outcome["refused_write"] == "1644 `shop`.`orders`: refused"
    assert outcome["proven_keys"] == 3
    assert (outcome["accounts_locked"], outcome["sessions_ended"], outcome["events_moved"]) == (2, 3, 4)
    assert outcome["pause_ms"] < 5000
    assert json.loads(json.dumps(outcome)) == outcome
    assert (house.source.closed, house.target.closed) == (True, False)
    assert (house.source.soft, house.source.locked, house.target.locked) == (False, True, False)
    assert flags(house.valve) == {"moved", "near"}
    assert chosen(house.valve) == "TARGET=127.0.0.1:18001"
    assert house.told() == [(name, "passed") for name in [*STEPS, "fence for good"]]


def test_forward_in_order(house: House) -> None:
    house.run()
    begun = house.calls.index("leash.hold")
    assert house.calls[begun:] == [
        "leash.hold",
        "source.fence_soft",
        "source.attempt_write",
        "source.writers",
        "source.mark",
        "target.wait_for 0-1-3",
        "tracker.wait_for",
        "tracker.drain",
        "target.take_counters of source",
        "source.link",
        "source.close",
        "target.open",
        "source.attempt_write",
        "leash.released",
        "source.lock_accounts",
        "source.end_sessions",
        "source.events_off",
        "target.events_on",
        "source.unfence_soft",
    ]
    assert house.compared == [{ORDERS: [(1,), (2,)]}, {ORDERS: [(3,)]}]


def test_back_again_is_the_same_with_the_sides_exchanged(house: House) -> None:
    house.source.closed, house.target.closed = True, False
    valve.raise_flag(house.valve, "moved")
    outcome = house.make(back=True).run()
    assert (outcome["outcome"], outcome["direction"]) == ("open", "target to source")
    assert (house.source.closed, house.target.closed) == (False, True)
    assert flags(house.valve) == {"near"}
    assert chosen(house.valve) == "TARGET=127.0.0.1:8000"
    assert "target.lock_accounts" in house.calls
    assert "source.unlock_accounts" in house.calls


def test_the_way_back_is_followed_from_before_anything_is_held(house: House) -> None:
    outcome = house.run()
    # What reaches the destination after this point, and before its first own write, is compared on the way back.
    assert outcome["followed_from"] == {"mariadb": "0-2-1"}
    assert house.calls.count("target.changes_from") == 1
    assert house.calls.index("target.changes_from") < house.calls.index("leash.hold")
    assert "source.changes_from" not in house.calls


def test_a_point_that_cannot_be_taken_refuses_at_the_gate(house: House) -> None:
    failing("target", "changes_from")(house)
    outcome = house.run()
    assert (outcome["outcome"], outcome["reason"], outcome["followed_from"]) == ("refused", "server has gone away", {})
    assert "leash.hold" not in house.calls


def test_several_engines_move_in_one_hold(house: House) -> None:
    outcome = house.also("postgresql").run()
    assert (outcome["outcome"], outcome["reason"]) == ("open", "")
    # The first is followed once more after the second, or what changed meanwhile would be left for the pause.
    assert outcome["position"] == "0-1-4; 0-1-3"
    assert outcome["followed_from"] == {"mariadb": "0-2-1", "postgresql": "0-2-1"}
    assert outcome["proven_keys"] == 5
    assert outcome["refused_write"] == "1644 `shop`.`orders`: refused; 1644 `shop`.`orders`: refused"
    assert (outcome["accounts_locked"], outcome["sessions_ended"], outcome["events_moved"]) == (4, 6, 8)
    assert [step["name"] for step in outcome["steps"]] == [*STEPS, "fence for good"]
    # All are closed before any opens.
    assert house.calls[house.calls.index("leash.hold") :] == [
        "leash.hold",
        "source.fence_soft",
        "source postgresql.fence_soft",
        "source.attempt_write",
        "source postgresql.attempt_write",
        "source.writers",
        "source postgresql.writers",
        "source.mark",
        "source postgresql.mark",
        "target.wait_for 0-1-4",
        "tracker.wait_for",
        "target postgresql.wait_for 0-1-3",
        "tracker postgresql.wait_for",
        "tracker.drain",
        "target.take_counters of source",
        "tracker postgresql.drain",
        "target postgresql.take_counters of source postgresql",
        "source.link",
        "source postgresql.link",
        "source.close",
        "source postgresql.close",
        "target.open",
        "target postgresql.open",
        "source.attempt_write",
        "source postgresql.attempt_write",
        "leash.released",
        "source.lock_accounts",
        "source postgresql.lock_accounts",
        "source.end_sessions",
        "source postgresql.end_sessions",
        "source.events_off",
        "target.events_on",
        "source postgresql.events_off",
        "target postgresql.events_on",
        "source.unfence_soft",
        "source postgresql.unfence_soft",
    ]


def test_several_engines_go_back_too(house: House) -> None:
    house.also("postgresql")
    for source, target in ((house.source, house.target), house.more[0][:2]):
        source.closed, target.closed = True, False
    valve.raise_flag(house.valve, "moved")
    outcome = house.make(back=True).run()
    assert (outcome["outcome"], outcome["direction"]) == ("open", "target to source")
    opened = [call for call in house.calls if call.endswith((".close", ".open"))]
    assert opened == ["target.close", "target postgresql.close", "source.open", "source postgresql.open"]
    assert flags(house.valve) == {"near"}


def test_nothing_is_journaled_while_requests_are_held(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = journal.append, []

    def append(*args: Any, **named: Any) -> Any:
        seen.append(bool(flags(house.valve) & {"hold", "valve"}))
        return real(*args, **named)

    monkeypatch.setattr(journal, "append", append)
    house.run()
    assert seen == [False] * 11
    times = [event["time"] for event in journal.read_events(house.journal)]
    assert times == sorted(times)


def test_what_opens_leaves_the_watchdog_time_before_the_deadline(house: House) -> None:
    seen: list[float] = []
    for database in (house.source, house.target):
        database.open = database.close = lambda one=database: seen.append(one.patient)  # type: ignore[method-assign]
    house.make().run()
    assert len(seen) == 2
    assert 0 < max(seen) < 5.0 - switchover.RESERVE_S
    assert house.source.patient == house.target.patient == CALM_S


def test_the_leash_is_told_before_anything_is_held(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[str]] = []
    monkeypatch.setattr(house.leash, "hold_until", lambda _instant: seen.append(flags(house.valve)))
    house.run()
    assert seen == [{"near"}]


def no_peer(house: House) -> None:
    house.target.wait_for = lambda position, _seconds: position == "0-1-2"  # type: ignore[method-assign]


def marker_lost(house: House) -> None:
    real = house.source.mark

    def mark(token: str) -> str:
        house.target.arrives = house.source.sequence < 2
        return real(token)

    house.source.mark = mark  # type: ignore[method-assign]


def tracker_stops(house: House) -> None:
    assert house.tracker
    answers = [True, False]
    house.tracker.wait_for = lambda _token, _seconds: answers.pop(0)  # type: ignore[method-assign]


def reverse_breaks(house: House) -> None:
    states = [HEALTHY, Link(True, False, True, 0, "")]
    house.source.link = lambda: states.pop(0)  # type: ignore[method-assign]


def rows_differ(house: House) -> None:
    def drain() -> Any:
        # Equal at the gate, different in the pause.
        house.differences = {ORDERS: ["row 3 differs", "row 4 differs"]} if house.compared else {}
        return {ORDERS: [(3,)]}

    assert house.tracker
    house.tracker.drain = drain  # type: ignore[method-assign]


def unkeyed_late(house: House) -> None:
    assert house.tracker
    real, tracker = house.tracker.drain, house.tracker

    def drain() -> Any:
        if house.source.soft:
            tracker.unkeyed.add(("shop", "log"))
        return real()

    tracker.drain = drain  # type: ignore[method-assign]


def failing(side: str, method: str) -> Callable[[House], None]:
    def turn(house: House) -> None:
        getattr(house, side).failing[method] = RuntimeError("server has gone away")

    return turn


def turned(side: str, **attributes: Any) -> Callable[[House], None]:
    def turn(house: House) -> None:
        for name, value in attributes.items():
            setattr(getattr(house, side) if side else house, name, value)

    return turn


def late(house: House) -> None:
    house.plan["deadline_s"] = 0.0


def without_tracker(house: House) -> None:
    house.tracker = None


def other_decided(house: House) -> None:
    real = house.source.link

    def link() -> Link:
        if house.source.soft:
            valve.Decision(house.valve).claim("abort")
        return real()

    house.source.link = link  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("turn", "step", "reason"),
    [
        (turned("", running=1), "drain", "requests still ran on the source at the deadline"),
        (
            turned("source", soft_free=False),
            "fence",
            "session 77 holds the fence of another switchover in the source's database",
        ),
        (turned("source", refuses=False), "fence", "a write in the source's database was let through the fence"),
        (failing("source", "fence_soft"), "fence", "server has gone away"),
        (failing("source", "attempt_write"), "fence", "server has gone away"),
        (no_peer, "catch up", "the target's database did not reach 0-1-3 in time"),
        (marker_lost, "catch up", "the target's database reached the position without the marker row"),
        (tracker_stops, "catch up", "the log of changes was not read to the final position in time"),
        (unkeyed_late, "prove", "rows without a key changed in shop.log; give the table a primary key"),
        (rows_differ, "prove", "rows differ: row 3 differs"),
        (
            reverse_breaks,
            "reverse",
            "reverse replication to the source's database: the replica is not connected to its source",
        ),
        (other_decided, "open", "the watchdog has released the site"),
    ],
)
def test_before_the_open_everything_goes_back_to_the_origin(
    house: House, turn: Callable[[House], None], step: str, reason: str
) -> None:
    if step == "drain":
        late(house)
    turn(house)
    outcome = house.run()
    assert (outcome["outcome"], outcome["reason"]) == ("aborted", reason)
    assert outcome["pause_ms"] is not None
    assert flags(house.valve) == {"near"}
    assert chosen(house.valve) == "TARGET=127.0.0.1:8000"
    assert (house.source.closed, house.source.soft, house.source.locked) == (False, False, False)
    assert house.target.closed is True
    assert valve.Decision(house.valve).read() == "abort"
    assert house.calls[-2:] == ["source.unfence_soft", "leash.released"]
    assert house.told()[-1] == (step, "failed")


def test_a_transaction_that_does_not_end_is_named(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    stays = [{"id": 9, "user": "cron", "seconds": 0}]
    made = house.make()

    def writers() -> Any:
        if house.source.soft:
            made.deadline = 0.0
        return stays

    house.source.writers = writers  # type: ignore[method-assign,assignment]
    outcome = made.run()
    assert (outcome["outcome"], outcome["reason"]) == (
        "aborted",
        "session 9 of cron kept a transaction open in the source's database",
    )
    assert flags(house.valve) == {"near"}


def test_a_transaction_that_ends_is_waited_for(house: House) -> None:
    one = [{"id": 9, "user": "cron", "seconds": 0}]
    house.source.transactions = [one, one, one]
    assert house.run()["outcome"] == "open"
    assert house.calls.count("source.writers") == 4


def test_the_deadline_counts_until_the_open(house: House) -> None:
    made = house.make()
    real = house.source.link

    def link() -> Link:
        if house.source.soft:
            made.deadline = 0.0
        return real()

    house.source.link = link  # type: ignore[method-assign]
    outcome = made.run()
    assert (outcome["outcome"], outcome["reason"]) == ("aborted", "the deadline of 5.0 s passed")
    assert "source.close" not in house.calls


def test_a_lost_fence_session_does_not_stop_the_release(house: House) -> None:
    no_peer(house)
    failing("source", "unfence_soft")(house)
    outcome = house.run()
    assert outcome["outcome"] == "aborted"
    assert outcome["reason"].endswith(" (and the fence's session was lost: server has gone away)")
    assert flags(house.valve) == {"near"}


@pytest.mark.parametrize(("side", "method"), [("source", "close"), ("target", "open")])
def test_after_the_claim_the_way_forward_is_left_to_the_watchdog(house: House, side: str, method: str) -> None:
    failing(side, method)(house)
    with pytest.raises(SystemExit, match="the way forward is left to the watchdog: server has gone away"):
        house.run()
    assert valve.Decision(house.valve).read() == "open"
    assert {"hold", "valve"} <= flags(house.valve)
    assert "leash.released" not in house.calls
    assert house.told()[-1] == ("open", "failed")


def test_a_write_let_through_after_the_open_is_left_to_the_watchdog(house: House) -> None:
    answers = ["1644 refused", ""]
    house.source.attempt_write = lambda: answers.pop(0)  # type: ignore[method-assign]
    with pytest.raises(SystemExit, match="a write in the source's database was let through after the open"):
        house.run()
    assert {"hold", "valve"} <= flags(house.valve)


GONE = "server has gone away"
AFTER = [
    ("source", "lock_accounts", "the accounts of the source's database could not all be locked: "),
    ("source", "end_sessions", "the sessions of the source's database could not all be ended: "),
    ("source", "let_events_run", "the source's mariadb events could not all be turned off: "),
    ("target", "let_events_run", "the target's mariadb events could not all be turned on: "),
    ("source", "unfence_soft", "the fence's session of the source's database was lost: "),
]


@pytest.mark.parametrize(("side", "method", "text"), AFTER)
def test_what_fails_after_the_release_does_not_call_it_refused(house: House, side: str, method: str, text: str) -> None:
    whole = getattr(house.source, method)

    def only_after_the_release(*arguments: Any) -> Any:
        if arguments == (False,) and method == "lock_accounts":
            return 0
        whole(*arguments)
        raise RuntimeError(GONE)

    if side == "target":
        house.target.let_events_run = only_after_the_release  # type: ignore[method-assign]
    else:
        setattr(house.source, method, only_after_the_release)
    outcome = house.run()
    assert outcome["outcome"] == "open"
    assert outcome["reason"] == f"the source is closed, but {text}{GONE}"
    # All the rest is done all the same.
    done = house.calls[house.calls.index("leash.released") :]
    assert len([call for call in done if "accounts" in call or "sessions" in call or "events" in call]) == 4
    assert flags(house.valve) == {"moved", "near"}
    assert house.told()[-1] == ("fence for good", "failed")


class Second:
    """The other engine's parts, as attributes of a house would be."""

    def __init__(self, house: House) -> None:
        self.source, self.target, tracker = house.also("postgresql").more[0]
        assert tracker
        self.tracker = tracker


def in_hold(database: FakeDatabase, house: House, **attributes: Any) -> None:
    """Turn a database once the first one's fence is set."""
    real = house.source.fence_soft

    def fence_soft(wait: int = 1) -> bool:
        for name, value in attributes.items():
            setattr(database, name, value)
        return real(wait)

    house.source.fence_soft = fence_soft  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("side", "attributes", "step", "reason"),
    [
        (
            "source",
            {"soft_free": False},
            "fence",
            "session 77 holds the fence of another switchover in the source's postgresql database",
        ),
        (
            "source",
            {"refuses": False},
            "fence",
            "a write in the source's postgresql database was let through the fence",
        ),
        ("target", {"reached": False}, "catch up", "the target's postgresql database did not reach 0-1-3 in time"),
        (
            "target",
            {"arrives": False},
            "catch up",
            "the target's postgresql database reached the position without the marker row",
        ),
        (
            "source",
            {"link_state": HEALTHY._replace(applying=False)},
            "reverse",
            "reverse replication to the source's postgresql database: the replica does not apply what it receives",
        ),
    ],
)
def test_one_engines_trouble_brings_all_back(
    house: House, side: str, attributes: dict[str, Any], step: str, reason: str
) -> None:
    second = Second(house)
    in_hold(getattr(second, side), house, **attributes)
    outcome = house.run()
    assert (outcome["outcome"], outcome["reason"]) == ("aborted", reason)
    assert house.told()[-1] == (step, "failed")
    for source, target in ((house.source, house.target), (second.source, second.target)):
        assert (source.closed, source.soft, source.locked, target.closed) == (False, False, False, True)
    assert house.calls[-3:] == ["source.unfence_soft", "source postgresql.unfence_soft", "leash.released"]
    assert not [call for call in house.calls if call.endswith((".close", ".open"))]
    assert flags(house.valve) == {"near"}
    assert chosen(house.valve) == "TARGET=127.0.0.1:8000"


def test_rows_of_the_last_engine_that_differ_open_none(house: House) -> None:
    second = Second(house)
    real = second.tracker.drain

    def drain() -> Any:
        house.differences = {BILLS: ["row 6 differs"]} if second.source.soft else {}
        return real()

    second.tracker.drain = drain  # type: ignore[method-assign]
    outcome = house.run()
    assert (outcome["outcome"], outcome["reason"]) == ("aborted", "rows differ: row 6 differs")
    assert not [call for call in house.calls if call.endswith((".close", ".open"))]


def test_a_fence_that_is_lost_is_no_reason_to_leave_the_others(house: House) -> None:
    second = Second(house)
    in_hold(second.target, house, reached=False)
    failing("source", "unfence_soft")(house)
    outcome = house.run()
    assert outcome["reason"].endswith("(and the fence's session was lost: server has gone away)")
    assert second.source.soft is False
    assert flags(house.valve) == {"near"}


def test_the_gate_names_the_engine_where_there_are_several(house: House) -> None:
    second = Second(house)
    second.source.closed, second.target.closed = True, False
    second.target.link_state = HEALTHY._replace(receiving=False)
    second.target.missing = [{"db": "bills", "tbl": "bill", "event": "INSERT"}]
    second.source.transactions = [[{"id": 9, "user": "cron", "seconds": 2}]]
    house.more[0] = (second.source, second.target, None)
    outcome = house.run()
    assert (outcome["outcome"], outcome["reason"]) == (
        "refused",
        "the source's postgresql database is closed: the site does not write there; "
        "the target's postgresql database is open to writers; "
        "the fence of the target's postgresql database does not cover bills.bill; run replicate.yml again; "
        "replication to the target's postgresql database: the replica is not connected to its source; "
        "session 9 of cron has had a transaction open for 2 s in the source's postgresql database; "
        "there is no full proof of postgresql to start from; run verify.yml",
    )
    # What is well is not touched either.
    assert not [call for call in house.calls if call.endswith((".mark", ".unlock_accounts", ".changes_from"))]


@pytest.mark.parametrize(
    ("side", "attributes", "reason"),
    [
        (
            "target",
            {"arrives": False},
            "a row written in the source's postgresql database did not reach the target's postgresql database "
            "within 0.05 s",
        ),
        ("target", {"reached": False}, "the target's postgresql database lags more than 0.05 s"),
        ("tracker", {"failure": "the log is gone"}, "the log is gone"),
        (
            "tracker",
            {"batches": [{BILLS: [(number,) for number in range(switchover.TAIL_KEYS + 1)]}] * 20},
            "the source's postgresql database changes rows faster than they can be compared",
        ),
    ],
)
def test_one_engines_trouble_at_the_gate_refuses_all(
    house: House, side: str, attributes: dict[str, Any], reason: str
) -> None:
    second = Second(house)
    for name, value in attributes.items():
        setattr(getattr(second, side), name, value)
    outcome = house.run()
    assert (outcome["outcome"], outcome["reason"]) == ("refused", reason)
    assert "leash.hold" not in house.calls


def test_after_the_claim_one_engine_that_does_not_open_is_left_to_the_watchdog(house: House) -> None:
    second = Second(house)
    second.target.failing["open"] = RuntimeError("server has gone away")
    with pytest.raises(SystemExit, match="the way forward is left to the watchdog: server has gone away"):
        house.run()
    assert (house.source.closed, second.source.closed) == (True, True)
    assert {"hold", "valve"} <= flags(house.valve)


def test_a_write_that_the_last_engine_lets_through_counts(house: House) -> None:
    second = Second(house)
    answers = ["refused", ""]
    second.source.attempt_write = lambda: answers.pop(0)  # type: ignore[method-assign]
    with pytest.raises(SystemExit, match="a write in the source's postgresql database was let through after the open"):
        house.run()
    assert {"hold", "valve"} <= flags(house.valve)


def test_requests_that_run_too_long_are_ended_and_counted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(endpoint: valve.Endpoint) -> None:
        house.calls.append(f"valve.end {endpoint.port}")
        house.running = 0

    monkeypatch.setattr(valve, "end_running", end)
    house.running = 3
    house.plan["end_requests_after_s"] = 0.05
    outcome = house.run()
    assert (outcome["outcome"], outcome["ended_requests"]) == ("open", 3)
    assert house.calls.count("valve.end 8000") == 1
    assert next(step["ms"] for step in outcome["steps"] if step["name"] == "drain") >= 50


def test_requests_that_cannot_be_ended_send_the_site_back(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    late(house)
    monkeypatch.setattr(valve, "end_running", lambda _endpoint: None)
    house.running = 1
    house.plan["end_requests_after_s"] = 0.01
    outcome = house.run()
    assert (outcome["outcome"], outcome["reason"]) == ("aborted", "requests still ran on the source at the deadline")


def test_nothing_is_ended_where_all_end_by_themselves(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valve, "end_running", lambda _endpoint: pytest.fail("ended"))
    house.plan["end_requests_after_s"] = 3
    outcome = house.run()
    assert (outcome["outcome"], outcome["ended_requests"]) == ("open", 0)


@pytest.mark.parametrize(
    ("place", "there", "reason"),
    [
        ({"path": "/run/shop.sock"}, True, "on /run/shop.sock"),
        ({"folder": "/run/cutover/shop/asked"}, True, "inside Apache"),
        ({"port": 8000}, False, ""),
    ],
)
def test_the_gate_refuses_to_promise_an_end_that_it_cannot_bring(
    house: House, monkeypatch: pytest.MonkeyPatch, place: dict[str, Any], there: bool, reason: str
) -> None:
    source, target = house.sides()
    monkeypatch.setattr(house, "sides", lambda: (source._replace(endpoint=valve.Endpoint(**place)), target))
    monkeypatch.setattr(switchover.running, "is_seen", lambda _path: True)
    monkeypatch.setattr(switchover.running, "notes", lambda *_asked: True)
    monkeypatch.setattr(switchover.shutil, "which", lambda _name: "/bin/ss" if there else None)
    house.plan["end_requests_after_s"] = 1
    outcome = house.run()
    assert (outcome["outcome"], outcome["reason"]) == (
        "refused",
        f"requests {reason} cannot be ended; set switchover_end_requests_after to 0"
        if reason
        else "there is no ss to end requests with; install iproute2",
    )


def test_a_release_is_not_compared_on_the_way_back(house: House) -> None:
    house.release = "has release '2', and the site runs '1'"
    house.plan["same_release"] = False
    assert house.run()["outcome"] == "open"


def raised(flag: str) -> Callable[[House], None]:
    return lambda house: valve.raise_flag(house.valve, flag)


def behind(seconds: int | None) -> Callable[[House], None]:
    return turned("target", link_state=Link(True, True, True, seconds, ""))


@pytest.mark.parametrize(
    ("turn", "reason"),
    [
        (turned("", listening=False), "the valve's socket cutover-shop.socket does not listen"),
        (turned("", idle=False, running=1), "the valve still carries requests of an earlier hold"),
        (raised("hold"), "the flag {run}/hold is raised already"),
        (raised("valve"), "the flag {run}/valve is raised already"),
        (turned("source", closed=True), "the source's database is closed: the site does not write there"),
        (turned("target", closed=False), "the target's database is open to writers"),
        (
            turned("source", missing=[{"db": "shop", "tbl": "orders", "event": "INSERT"}]),
            "the fence of the source's database does not cover shop.orders; run replicate.yml again",
        ),
        (
            turned("target", missing=[{"db": "shop", "tbl": "orders", "event": "INSERT"}]),
            "the fence of the target's database does not cover shop.orders; run replicate.yml again",
        ),
        (behind(None), "replication to the target's database: the replica does not know its lag"),
        (
            turned("source", link_state=Link(False, False, False, None, "")),
            "replication to the source's database: there is no replication link",
        ),
        (
            turned("source", transactions=[[{"id": 9, "user": "cron", "seconds": 2}]]),
            "session 9 of cron has had a transaction open for 2 s in the source's database",
        ),
        (
            turned("target", arrives=False),
            "a row written in the source's database did not reach the target's database within 0.05 s",
        ),
        (
            turned("source", arrives=False),
            "a row written in the target's database did not reach the source's database within 0.05 s",
        ),
        (turned("", answers=["it is ill"]), "the target's application is not well: it is ill"),
        (
            turned("", release="has release '2', and the site runs '1'"),
            "the target's application has release '2', and the site runs '1': deploy the same with prepare.yml",
        ),
        (turned("target", reached=False), "the target's database lags more than 0.05 s"),
        (without_tracker, "there is no full proof of mariadb to start from; run verify.yml"),
        (turned("tracker", seen=False), "the log of changes was not read to its end within 120 s"),
        (turned("tracker", failure="the log is gone"), "the log is gone"),
        (
            turned("tracker", unkeyed={("shop", "log")}),
            "rows without a key changed in shop.log; give the table a primary key",
        ),
        (failing("target", "is_closed"), "server has gone away"),
        (failing("source", "writers"), "server has gone away"),
    ],
)
def test_the_gate_refuses_before_a_request_is_held(house: House, turn: Callable[[House], None], reason: str) -> None:
    turn(house)
    before = flags(house.valve)
    if house.answers:
        # The first requests may fail, the last may not.
        house.answers = ["it is ill"] * 24
    outcome = house.run()
    assert (outcome["outcome"], outcome["reason"]) == ("refused", reason.format(run=house.valve.runtime))
    assert outcome["pause_ms"] is None
    assert "leash.hold" not in house.calls
    assert house.told() == [("gate", "failed")]
    # Who else holds the site, or moved it, is not undone by a refusal.
    assert flags(house.valve) == before
    assert chosen(house.valve) == ""


def test_nothing_is_held_where_apache_does_not_note_what_runs(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "running"
    source, target = house.sides()
    house.sides = lambda: (source._replace(endpoint=valve.Endpoint(folder=str(folder))), target)  # type: ignore[method-assign]
    words = f"Apache does not note in {folder} what runs inside it; run replicate.yml again"
    assert house.run()["reason"] == words
    folder.mkdir()
    assert house.run()["reason"] == words


def test_nothing_is_held_where_nobody_is_seen_to_listen(house: House, tmp_path: Path) -> None:
    source, target = house.sides()
    path = str(tmp_path / "shop.sock")
    house.sides = lambda: (source._replace(endpoint=valve.Endpoint(path=path)), target)  # type: ignore[method-assign]
    assert house.run()["reason"] == f"nobody is seen to listen on {path}; correct site_upstream"


def test_nothing_is_held_without_room_for_the_release(house: House) -> None:
    house.full = [["/run/cutover/shop"]]
    assert house.run()["reason"] == "no room is left in /run/cutover/shop"
    # Nor where the disk is full since the gate.
    house.full = [[], ["/run/cutover/shop"]]
    outcome = house.run()
    assert (outcome["outcome"], outcome["reason"]) == ("refused", "no room is left in /run/cutover/shop")
    assert house.told()[-1] == ("keep-alive off", "failed")
    assert flags(house.valve) == set()


def test_a_socket_that_was_stopped_is_started(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.listening = False
    monkeypatch.setattr(valve, "listen", lambda _one: setattr(house, "listening", True))
    assert house.run()["outcome"] == "open"


def test_the_gate_names_every_problem(house: House) -> None:
    house.listening = False
    house.source.closed = True
    reason = house.run()["reason"]
    assert "does not listen; the source's database is closed" in reason


def test_a_refused_repetition_leaves_the_site_where_it_moved(house: House) -> None:
    assert house.run()["outcome"] == "open"
    outcome = house.run()
    assert outcome["outcome"] == "refused"
    assert outcome["reason"].startswith("the source's database is closed")
    assert flags(house.valve) == {"moved"}
    assert chosen(house.valve) == "TARGET=127.0.0.1:18001"


def test_cold_first_requests_are_forgiven(house: House) -> None:
    house.answers = ["cold"] * 16
    assert house.run()["outcome"] == "open"


def test_a_valve_left_running_without_requests_is_put_to_rest(house: House) -> None:
    house.idle = False
    assert house.run()["outcome"] == "open"
    assert "valve.rest" in house.calls


def test_without_a_watchdog_nothing_is_held(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    made = house.make()

    def none_comes() -> Any:
        raise RuntimeError("the watchdog did not answer at /run/watchdog.sock within 10 s")

    made.make_leash = none_comes
    outcome = made.run()
    assert (outcome["outcome"], outcome["reason"]) == (
        "refused",
        "the watchdog did not answer at /run/watchdog.sock within 10 s",
    )
    assert flags(house.valve) == set()


def test_keys_that_differ_before_the_hold_are_compared_again(house: House) -> None:
    house.differences = {ORDERS: ["row 1 differs"]}
    assert house.tracker
    house.tracker.batches = [{ORDERS: [(1,)], ("shop", "pizza"): [(7,)]}]
    outcome = house.run()
    assert outcome["outcome"] == "open"
    assert house.tracker.given_back == [(ORDERS, [(1,)])]
    assert outcome["proven_keys"] == 1


def test_many_changes_take_another_round_before_the_hold(house: House) -> None:
    assert house.tracker
    many = [(number,) for number in range(switchover.TAIL_KEYS + 1)]
    house.tracker.batches = [{ORDERS: many}, {ORDERS: many[:2]}]
    house.run()
    assert [len(changed.get(ORDERS, [])) for changed in house.compared] == [len(many), 2, 0]


def test_a_source_that_outruns_the_comparison_is_refused(house: House) -> None:
    assert house.tracker
    many = {ORDERS: [(number,) for number in range(switchover.TAIL_KEYS + 1)]}
    house.tracker.batches = [many] * 20
    assert house.run()["reason"] == "the source's database changes rows faster than they can be compared"


class FakeMedia:
    """Uploaded files that follow; `trouble` is what their last instants end with."""

    forward = True
    carried_at_last = 2

    def __init__(self, calls: list[str]) -> None:
        self.calls = calls
        self.foreign: list[str] = []
        self.trouble = ""

    def watch(self) -> None:
        self.calls.append("media.watch")

    def catch_up_before(self) -> dict[str, Any]:
        return {"foreign": self.foreign}

    def start(self) -> None:
        self.calls.append("media.start")

    def catch_up(self, _remaining: Callable[[], float]) -> None:
        self.calls.append("media.catch_up")
        if self.trouble:
            raise switchover.Refused(self.trouble)


def with_media(house: House) -> tuple[Switchover, FakeMedia]:
    move = house.make()
    files = FakeMedia(house.calls)
    move.media = files  # type: ignore[assignment]
    return move, files


def test_the_last_uploads_are_carried_while_nobody_writes_and_before_the_open(house: House) -> None:
    move, _files = with_media(house)
    outcome = move.run()
    assert (outcome["outcome"], outcome["reason"]) == ("open", "")
    names = [step["name"] for step in outcome["steps"]]
    assert names == [*STEPS[: STEPS.index("prove")], "media", *STEPS[STEPS.index("prove") :], "fence for good"]
    order = ["media.watch", "media.start", "leash.hold", "source.fence_soft", "media.catch_up", "target.open"]
    assert [call for call in house.calls if call in order] == order
    assert outcome["media"]["in_hold"] == 2


def test_uploads_that_do_not_arrive_bring_all_back(house: House) -> None:
    move, files = with_media(house)
    files.trouble = "app1 did not take a.jpg"
    outcome = move.run()
    assert (outcome["outcome"], outcome["reason"]) == ("aborted", "app1 did not take a.jpg")
    assert (house.source.closed, house.source.soft, house.target.closed) == (False, False, True)
    assert house.told()[-1] == ("media", "failed")
