"""What the watchdog makes of a switchover whose process is gone."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import switchover_recovery, switchover_sides, valve
from tests.unit.plugins.fakes import chosen, flags
from tests.unit.plugins.module_utils.test_switchover import House, Second, failing, turned


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(tmp_path, monkeypatch)


def hold(house: House, decided: str = "") -> None:
    """As an owner leaves it that died inside the hold."""
    house.source.soft = False
    valve.raise_flag(house.valve, "near")
    valve.engage(house.valve)
    if decided:
        valve.Decision(house.valve).claim(decided)


def test_the_watchdog_goes_back_where_nothing_was_opened(house: House) -> None:
    hold(house)
    outcome = house.recover()
    assert (outcome["outcome"], outcome["by"], outcome["reason"]) == ("aborted", "watchdog", "the deadline passed")
    assert flags(house.valve) == {"near"}
    assert chosen(house.valve) == "TARGET=127.0.0.1:8000"
    assert house.calls == ["source.fenced_by"]
    assert valve.Decision(house.valve).read() == "abort"


def test_the_watchdog_releases_without_any_database(house: House) -> None:
    hold(house)
    failing("source", "fenced_by")(house)
    assert house.recover()["outcome"] == "aborted"
    assert flags(house.valve) == {"near"}


@pytest.mark.parametrize("answers", [True, False])
def test_the_watchdog_does_not_wait_for_a_fence_for_ever(
    house: House, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    hold(house)
    house.source.soft = True
    monkeypatch.setattr(switchover_recovery, "LEAST_S", 0.05)
    if not answers:
        house.source.fenced_by = threading.Event().wait  # type: ignore[method-assign]
    begun = time.monotonic()
    assert house.recover()["outcome"] == "aborted"
    assert time.monotonic() - begun < 3
    assert flags(house.valve) == {"near"}


def test_the_watchdog_goes_forward_once_that_was_decided(house: House) -> None:
    hold(house, "open")
    outcome = house.recover()
    assert (outcome["outcome"], outcome["reason"]) == ("open", "the deadline passed")
    assert outcome["refused_write"] == "1644 `shop`.`orders`: refused"
    assert house.calls == [
        "source.close",
        "source.mark",
        "target.wait_for 0-1-1",
        "target.open",
        "source.attempt_write",
        "source.lock_accounts",
        "source.end_sessions",
        "source.events_off",
        "target.events_on",
        "source.unfence_soft",
    ]
    assert (outcome["accounts_locked"], outcome["sessions_ended"], outcome["events_moved"]) == (2, 3, 4)
    assert flags(house.valve) == {"moved", "near"}
    assert chosen(house.valve) == "TARGET=127.0.0.1:18001"


def test_the_watchdog_tells_of_events_that_stay_off(house: House) -> None:
    hold(house, "open")
    house.target.let_events_run = lambda _run: 1 // 0  # type: ignore[method-assign]
    outcome = house.recover()
    assert (outcome["outcome"], outcome["events_moved"]) == ("open", 0)
    assert outcome["reason"].startswith("the deadline passed; then the target's mariadb events could not all be turned")


def test_the_watchdog_tells_of_accounts_that_stay_open(house: House) -> None:
    hold(house, "open")
    failing("source", "lock_accounts")(house)
    outcome = house.recover()
    assert (outcome["outcome"], outcome["accounts_locked"], outcome["sessions_ended"]) == ("open", 0, 3)
    assert outcome["reason"] == (
        "the deadline passed; then the accounts of the source's database could not all be locked: server has gone away"
    )


@pytest.mark.parametrize(
    ("turn", "reason"),
    [
        (turned("target", reached=False), "the target did not reach 0-1-1"),
        (turned("source", refuses=False), "a write on the source was let through"),
        (failing("target", "open"), "server has gone away"),
        (failing("source", "mark"), "server has gone away"),
    ],
)
def test_the_watchdog_goes_back_where_forward_fails(house: House, turn: Callable[[House], None], reason: str) -> None:
    hold(house, "open")
    turn(house)
    outcome = house.recover()
    assert (outcome["outcome"], outcome["reason"]) == ("aborted", "the deadline passed; then " + reason)
    assert (house.source.closed, house.target.closed) == (False, True)
    # What did not hear of it is told later, and nobody goes forward by this decision again.
    decision = valve.Decision(house.valve)
    assert (decision.read(), decision.towards(), decision.claim("open")) == ("abort", "source", "abort")
    assert flags(house.valve) == {"near"}
    assert chosen(house.valve) == "TARGET=127.0.0.1:8000"


@pytest.mark.parametrize("method", ["source.close", "target.wait_for", "target.open", "source.attempt_write"])
def test_the_way_forward_has_what_is_left_of_the_deadline(
    house: House, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    hold(house, "open")
    now = [100.0]
    monkeypatch.setattr(switchover_recovery.time, "monotonic", lambda: now[0])
    side, name = method.split(".")
    database = getattr(house, side)
    real = getattr(database, name)

    def late(*arguments: object) -> object:
        # As a driver does that hears nothing.
        now[0] += database.patient
        return real(*arguments) if name != "attempt_write" else ""

    setattr(database, name, late)
    outcome = house.recover(until=103.0)
    # And the way back after it.
    assert now[0] == pytest.approx(103.0 - switchover_recovery.LEAST_S)
    assert (outcome["outcome"], house.source.closed, house.target.closed) == ("aborted", False, True)
    assert flags(house.valve) == {"near"}


def test_at_the_deadline_there_is_an_instant_for_the_way_forward(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(house, "open")
    monkeypatch.setattr(switchover_recovery.time, "monotonic", lambda: 103.5)
    assert house.recover(until=103.0)["outcome"] == "open"
    assert house.target.patient == switchover_sides.CALM_S


def test_a_release_waits_for_no_database_that_hangs(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(house, "open")
    monkeypatch.setattr(switchover_recovery, "LEAST_S", 0.05)
    failing("source", "close")(house)
    house.source.open = threading.Event().wait  # type: ignore[assignment]
    begun = time.monotonic()
    outcome = house.recover()
    assert time.monotonic() - begun < 3
    assert outcome["reason"] == "the deadline passed; then server has gone away; then not every database answered"
    assert flags(house.valve) == {"near"}
    assert valve.Decision(house.valve).towards() == "source"


def test_without_any_database_the_way_is_back(house: House) -> None:
    hold(house, "open")
    outcome = switchover_recovery.recover("lost", house.plan, *house.sides(), [], house.valve)
    assert (outcome["outcome"], outcome["reason"]) == ("aborted", "lost; then no database can be asked")
    assert flags(house.valve) == {"near"}


@pytest.mark.parametrize("side", ["target", "source"])
def test_the_watchdog_never_goes_back_once_requests_are_released(house: House, side: str) -> None:
    hold(house, "open")
    house.source.closed, house.target.closed = True, False
    valve.release(house.valve, "target")
    failing(side, "mark")(house)
    failing(side, "attempt_write")(house)
    outcome = house.recover()
    assert outcome["outcome"] == "open"
    assert (house.source.closed, house.target.closed) == (True, False)
    assert flags(house.valve) == {"moved", "near"}


def test_the_watchdog_releases_even_where_the_target_is_gone(house: House) -> None:
    hold(house, "open")
    failing("target", "open")(house)
    failing("target", "close")(house)
    outcome = house.recover()
    assert outcome["reason"] == "the deadline passed; then server has gone away; then server has gone away"
    assert house.source.closed is False
    assert flags(house.valve) == {"near"}


def test_the_watchdog_goes_forward_with_every_engine(house: House) -> None:
    second = Second(house)
    hold(house, "open")
    outcome = house.recover()
    assert outcome["outcome"] == "open"
    assert outcome["refused_write"] == "1644 `shop`.`orders`: refused; 1644 `shop`.`orders`: refused"
    assert house.calls == [
        "source.close",
        "source postgresql.close",
        "source.mark",
        "target.wait_for 0-1-1",
        "source postgresql.mark",
        "target postgresql.wait_for 0-1-1",
        "target.open",
        "target postgresql.open",
        "source.attempt_write",
        "source postgresql.attempt_write",
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
    assert (second.source.closed, second.target.closed) == (True, False)
    assert flags(house.valve) == {"moved", "near"}


@pytest.mark.parametrize("method", ["close", "mark", "attempt_write"])
def test_the_watchdog_brings_every_engine_back_where_one_fails(house: House, method: str) -> None:
    second = Second(house)
    hold(house, "open")
    second.source.failing[method] = RuntimeError("server has gone away")
    outcome = house.recover()
    assert (outcome["outcome"], outcome["reason"]) == ("aborted", "the deadline passed; then server has gone away")
    assert house.calls[-4:] == ["target.close", "target postgresql.close", "source.open", "source postgresql.open"]
    for source, target in ((house.source, house.target), (second.source, second.target)):
        assert (source.closed, target.closed) == (False, True)
    assert flags(house.valve) == {"near"}
    assert chosen(house.valve) == "TARGET=127.0.0.1:8000"


def test_the_watchdog_waits_for_each_fence_to_go(house: House) -> None:
    house.also("postgresql")
    hold(house)
    assert house.recover()["outcome"] == "aborted"
    assert house.calls == ["source.fenced_by", "source postgresql.fenced_by"]
