# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When jobs and timers run next."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import schedules

NOW = datetime(2026, 11, 23, 10, 30, 40)  # a Monday


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("* * * * *", "2026-11-23T10:31"),
        ("*/20 * * * *", "2026-11-23T10:40"),
        ("15 3 * * *", "2026-11-24T03:15"),
        ("0 0 1 * *", "2026-12-01T00:00"),
        ("0 12 * * mon-fri", "2026-11-23T12:00"),
        ("0 9 * * 7", "2026-11-29T09:00"),
        ("0 9 13 * fri", "2026-11-27T09:00"),
        ("0 0 29 2 *", "2028-02-29T00:00"),
        ("@weekly", "2026-11-29T00:00"),
    ],
)
def test_when_a_job_runs_next(schedule: str, expected: str) -> None:
    found = schedules.next_run(schedule, NOW)
    assert found is not None
    assert found.isoformat(timespec="minutes") == expected


def test_a_job_that_never_runs() -> None:
    assert schedules.next_run("0 0 31 2 *", NOW) is None


fields = st.tuples(
    st.sampled_from(["*", "*/7", "5", "10-40/15", "0,59"]),
    st.sampled_from(["*", "*/5", "0", "22-23"]),
    st.sampled_from(["*", "1", "28-31"]),
    st.sampled_from(["*", "feb", "6-8"]),
    st.sampled_from(["*", "sun", "1-5"]),
)


@given(fields, st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)))
def test_the_next_run_fits_and_none_is_passed_over(parts: tuple[str, ...], now: datetime) -> None:
    found = schedules.next_run(" ".join(parts), now)
    assert found is not None
    assert found > now
    minutes, hours, days, months, weekdays = [schedules.parse_field(text, place) for place, text in enumerate(parts)]

    def fits(moment: datetime) -> bool:
        either = parts[2] != "*" and parts[4] != "*"
        day = [moment.day in days, moment.isoweekday() % 7 in weekdays]
        return (
            moment.minute in minutes
            and moment.hour in hours
            and moment.month in months
            and (any(day) if either else all(day))
        )

    assert fits(found)
    moment = now.replace(second=0, microsecond=0)
    assert not any(fits(moment + timedelta(minutes=n)) for n in range(1, 1500) if moment + timedelta(minutes=n) < found)


def test_a_table_of_jobs_with_what_is_broken_in_it() -> None:
    text = "# x\nPATH=/bin\n15 3 * * * root mysqldump shop\n@reboot root /a b\n61 * * * * root x\n* * * root\n"
    jobs, broken = schedules.parse_crontab(text, "/etc/crontab", "", NOW)
    assert [(job["source"], job["user"], job["command"], job["next"], job["dump"]) for job in jobs] == [
        ("/etc/crontab:3", "root", "mysqldump shop", "2026-11-24T03:15:00", True),
        ("/etc/crontab:4", "root", "/a b", "", False),
    ]
    assert broken == [
        "/etc/crontab:5: what stands for its minute is none",
        "/etc/crontab:6: it is no line of a table of jobs",
    ]
    assert schedules.parse_crontab("1 2 * * * a b\n", "/c", "shop", NOW)[0][0]["command"] == "a b"


def test_when_timers_run_next() -> None:
    text = (
        "Unit=a.service\nTimersCalendar={ OnCalendar=*-*-* 03:00:00 ; next_elapse=x }\n"
        "NextElapseUSecRealtime=Tue 2026-11-24 03:00:00 UTC\nId=a.timer\nLoadState=loaded\n\n"
        "Unit=b.service\nTimersMonotonic={ OnUnitActiveUSec=1d ; next_elapse=1d 1h }\n"
        "TimersMonotonic={ OnBootUSec=15min ; next_elapse=15min }\nNextElapseUSecRealtime=\n"
        "NextElapseUSecMonotonic=1d 1h 30.5s\nId=b.timer\nLoadState=loaded\n\n"
        "Unit=c.service\nNextElapseUSecRealtime=\nNextElapseUSecMonotonic=infinity\nId=c.timer\nLoadState=loaded\n\n"
        "Unit=\nId=d.timer\nLoadState=masked\n"
    )
    timers = schedules.parse_timers(text, NOW, 3600)
    assert [(one["source"], one["next"]) for one in timers] == [
        ("a.timer", "2026-11-24T03:00:00"),
        ("b.timer", "2026-11-24T10:31:10"),
        ("c.timer", ""),
    ]
    assert timers[0]["schedule"] == "OnCalendar=*-*-* 03:00:00"


@pytest.mark.parametrize("place", ["cheese 1 * * *", "1 cheese-2 * * *", "* * * * */cheese"])
def test_what_stands_in_the_wrong_place_of_a_table_is_not_told(place: str) -> None:
    _jobs, broken = schedules.parse_crontab(f"{place} root x\n", "/etc/crontab", "", NOW)
    assert len(broken) == 1
    assert "cheese" not in broken[0]


def test_what_timers_start_and_as_whom() -> None:
    timers = [{"unit": name, "user": "", "command": name, "dump": False} for name in ("a.service", "b.service", "")]
    schedules.add_services(
        timers,
        "Id=a.service\nUser=shop\nExecStart={ path=/bin/sh ; argv[]=/bin/sh -c mysqldump shop ; pid=0 }\n"
        "\nId=b.service\nUser=\nExecStart={ path=/bin/x ; argv[]=/bin/x ; pid=0 }\n"
        "ExecStartPost=\n",
    )
    assert [(one["user"], one["command"], one["dump"]) for one in timers] == [
        ("shop", "/bin/sh -c mysqldump shop", True),
        ("root", "/bin/x", False),
        ("", "", False),
    ]
