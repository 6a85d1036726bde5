"""Retention against a model that walks the calendar day by day, over two years with a leap day and summer time."""

import datetime as dt
import functools
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils.backup_retention import (
    MANUAL,
    UNPROVEN,
    add_months,
    decide,
    local_day,
    preview,
)

PARIS = ZoneInfo("Europe/Paris")
FIRST = dt.datetime(2027, 6, 1, tzinfo=PARIS)  # 29 February 2028, and summer time begins and ends twice
HOURS = 2 * 366 * 24


@functools.lru_cache(maxsize=None)
def day_of(when: float) -> dt.date:
    return dt.datetime.fromtimestamp(when, PARIS).date()


def at(text: str) -> float:
    return dt.datetime.fromisoformat(text).replace(tzinfo=PARIS).timestamp()


def months_on(day: dt.date, months: int) -> dt.date:
    """The model's calendar: month by month, and the longest day that exists."""
    month, year = day.month, day.year
    for _ in range(months):
        month, year = (1, year + 1) if month == 12 else (month + 1, year)
    for number in range(day.day, 0, -1):
        try:
            return dt.date(year, month, number)
        except ValueError:
            continue
    raise AssertionError


@functools.lru_cache(maxsize=None)
def label(day: dt.date, rule: str) -> str:
    return day.strftime(rule)


@functools.lru_cache(maxsize=None)
def last_day(day: dt.date, rule: str) -> str:
    """Until when one of a day stays by a rule."""
    week_over = day
    for _ in range(7):
        week_over += dt.timedelta(days=1)
    months = months_on(week_over, 3)
    return f"{ ({'all': week_over, '%Y%m%d': months}.get(rule) or months_on(months, 12)):%Y%m%d}"


def model(times: list[float], now: float) -> set[float]:
    """Which stay: written from the manual's three sentences, one pass a rule, days by their labels."""
    today, stay = f"{day_of(now):%Y%m%d}", {max(times)}
    for rule in ("all", "%Y%m%d", "%G week %V"):
        groups: dict[str, list[float]] = {}
        for when in times:
            groups.setdefault(str(when) if rule == "all" else label(day_of(when), rule), []).append(when)
        stay |= {max(group) for group in groups.values() if today <= last_day(day_of(max(group)), rule)}
    return stay


instants = st.lists(st.integers(0, HOURS * 4), min_size=1, max_size=60, unique=True).map(
    lambda quarters: [FIRST.timestamp() + quarter * 900 for quarter in quarters]
)


@given(instants, st.integers(0, 500))
def test_what_stays_is_what_the_manual_says(times: list[float], days_later: int) -> None:
    now = max(times) + days_later * 86400
    assert {one.when for one in decide(times, now, day_of=day_of) if one.kept} == model(times, now)


@given(instants)
def test_what_was_pruned_day_by_day_is_never_missed_later(times: list[float]) -> None:
    there: list[float] = []
    made = sorted(times)
    for number, when in enumerate(made):
        there = [one.when for one in decide([*there, when], when, day_of=day_of) if one.kept]
        assert set(there) == model(made[: number + 1], when)


@given(instants, st.integers(0, 500))
def test_the_day_that_is_foretold_is_the_day_it_goes(times: list[float], days_later: int) -> None:
    now = max(times) + days_later * 86400
    for one in decide(times, now, day_of=day_of):
        if one.kept and one.goes:
            noon = dt.datetime.combine(one.goes, dt.time(12), PARIS)
            before = (noon - dt.timedelta(days=1)).timestamp()
            assert one.when in {each.when for each in decide(times, before, day_of=day_of) if each.kept}
            assert one.when not in {each.when for each in decide(times, noon.timestamp(), day_of=day_of) if each.kept}


def test_two_years_of_backups_every_six_hours_with_a_drill_each_night() -> None:
    there: list[float] = []
    made: list[float] = []
    for hours in range(0, HOURS, 6):
        when = FIRST.timestamp() + hours * 3600
        there.append(when)
        made.append(when)
        if hours % 24 == 0:
            there = [one.when for one in decide(there, when, day_of=day_of) if one.kept]
            assert set(there) == model(made, when)
    assert 28 + 85 + 48 < len(there) < 32 + 95 + 56


@given(instants, st.integers(0, 2000))
def test_nothing_goes_while_the_newest_is_unproven(times: list[float], days_later: int) -> None:
    now = max(times) + days_later * 86400
    assert all(one.kept for one in decide(times, now, proven=False, day_of=day_of))


def test_a_night_of_23_or_25_hours_takes_nothing_from_the_week() -> None:
    for night in ("2028-03-26", "2028-10-29"):
        first, second = at(f"{night}T01:30"), at(f"{night}T04:30")
        week_later = at(f"{dt.date.fromisoformat(night) + dt.timedelta(days=7)}T23:59")
        newer = [second, week_later]
        assert [one.kept for one in decide([first, *newer], week_later, day_of=day_of)] == [True, True, True]
        assert not decide([first, *newer], week_later + 120, day_of=day_of)[0].kept


@pytest.mark.parametrize(
    ("day", "months", "result"),
    [
        ("2027-11-29", 3, "2028-02-29"),
        ("2028-02-29", 12, "2029-02-28"),
        ("2027-11-30", 3, "2028-02-29"),
        ("2027-12-31", 0, "2027-12-31"),
    ],
)
def test_months_end_where_the_calendar_says(day: str, months: int, result: str) -> None:
    assert add_months(dt.date.fromisoformat(day), months) == dt.date.fromisoformat(result)


def test_the_preview_says_why_and_when() -> None:
    times = [at("2026-01-05T03:00"), at("2027-06-01T03:00"), at("2027-06-01T15:00"), at("2027-06-02T03:00")]
    now = at("2027-06-03T12:00")
    decisions = decide(times, now, MANUAL, day_of=day_of)
    assert preview(decisions, lambda when: f"{day_of(when)}", day_of(now)) == [
        "2026-01-05  goes with the next pruning: no rule keeps it any longer",
        "2027-06-01  goes on 2027-06-09, in 6 days: every backup is kept for 7 days",
        "2027-06-01  goes on 2027-09-09, in 98 days: every backup is kept for 7 days",
        "2027-06-02  stays for now: it is the newest",
    ]
    assert decide(times, now, proven=False, day_of=day_of)[0].why == UNPROVEN


def test_the_day_is_the_hosts() -> None:
    noon = dt.datetime(2028, 2, 29, 12)
    assert local_day(noon.timestamp()) == dt.date(2028, 2, 29)
