# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cron's tables, and when a job runs next; times are those of the host's own clock."""

import datetime
import re
from typing import Any, Dict, List, Optional, Sequence, Set, Tuple

RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
DUMPS = re.compile(
    r"\b(mysqldump|mariadb-dump|mydumper|mariabackup|mariadb-backup|xtrabackup|pg_dump|pg_dumpall|pg_basebackup)\b"
)
YEARS = 8
SPANS = {
    "y": 31557600.0,
    "month": 2629800.0,
    "w": 604800.0,
    "d": 86400.0,
    "h": 3600.0,
    "min": 60.0,
    "s": 1.0,
    "ms": 0.001,
    "us": 0.000001,
}
FIELDS = ("minute", "hour", "day", "month", "weekday")


def _number(text: str, names: Sequence[str], first: int) -> int:
    low = text.lower()[:3]
    return names.index(low) + first if low in names else int(text)


def parse_field(text: str, place: int) -> Set[int]:
    """The numbers that a field stands for; ValueError where it is none."""
    low, high = RANGES[place]
    names: Sequence[str] = MONTHS if place == 3 else DAYS if place == 4 else ()
    found: Set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        begin, dash, end = span.partition("-")
        if span == "*":
            first, last = low, high
        else:
            first = _number(begin, names, low)
            last = _number(end, names, low) if dash else high if slash else first
        width = int(step) if slash else 1
        if not (low <= first <= last <= high and width > 0):
            raise ValueError
        found.update(range(first, last + 1, width))
    return {number % 7 for number in found} if place == 4 else found


def _field(text: str, place: int) -> Set[int]:
    try:
        return parse_field(text, place)
    except ValueError:
        # Not the text itself, for what stands in the wrong place may be a secret.
        raise ValueError("what stands for its {0} is none".format(FIELDS[place])) from None


def next_run(schedule: str, now: datetime.datetime) -> Optional[datetime.datetime]:
    """When a schedule is due after now; nothing for one that never is. ValueError where it is no schedule."""
    fields = NICKNAMES.get(schedule.lower(), schedule).split()
    if len(fields) != 5:
        raise ValueError("it is no schedule")
    minutes, hours, days, months, weekdays = [_field(text, place) for place, text in enumerate(fields)]
    # Cron's rule: where both are restricted, either is enough.
    either = not fields[2].startswith("*") and not fields[4].startswith("*")
    moment = now.replace(second=0, microsecond=0) + datetime.timedelta(minutes=1)
    for ahead in range(366 * YEARS):
        day = moment.date() + datetime.timedelta(days=ahead)
        by_month, by_week = day.day in days, (day.weekday() + 1) % 7 in weekdays
        if day.month not in months or not ((by_month or by_week) if either else (by_month and by_week)):
            continue
        for hour in sorted(hours):
            for minute in sorted(minutes):
                found = datetime.datetime(day.year, day.month, day.day, hour, minute)
                if found >= moment:
                    return found
    return None


def parse_crontab(text: str, path: str, user: str, now: datetime.datetime) -> Tuple[List[Dict[str, Any]], List[str]]:
    """The jobs of a table, and lines that cannot be read; with no user each line names its own."""
    jobs, broken = [], []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#") or re.match(r"[\"']?\w+[\"']?\s*=", line):
            continue
        count = 1 if line.startswith("@") else 5
        parts = line.split(None, count if user else count + 1)
        if len(parts) <= (count if user else count + 1):
            broken.append("{0}:{1}: it is no line of a table of jobs".format(path, number))
            continue
        schedule = " ".join(parts[:count])
        try:
            due = None if schedule.lower() == "@reboot" else next_run(schedule, now)
        except ValueError as error:
            broken.append("{0}:{1}: {2}".format(path, number, error))
            continue
        jobs.append(
            {
                "kind": "cron",
                "source": "{0}:{1}".format(path, number),
                "schedule": schedule,
                "user": user or parts[count],
                "command": parts[-1],
                "next": due.strftime("%Y-%m-%dT%H:%M:%S") if due else "",
                "dump": bool(DUMPS.search(parts[-1])),
            }
        )
    return jobs, broken


def _blocks(text: str) -> List[Dict[str, str]]:
    """The units of C(systemctl show)."""
    return [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in text.split("\n\n")]


def add_services(timers: Sequence[Dict[str, Any]], text: str) -> None:
    """Tell each timer the user and the command of its service, of what C(systemctl show) says of these."""
    services = {block["Id"]: block for block in _blocks(text) if block.get("Id")}
    for timer in timers:
        block = services.get(timer["unit"], {})
        commands = re.findall(r"argv\[\]=(.*?) ;", block.get("ExecStart", ""))
        if commands:
            timer.update(user=block.get("User") or "root", command=" ; ".join(commands))
            timer["dump"] = timer["dump"] or bool(DUMPS.search(timer["command"]))


def parse_timers(text: str, now: datetime.datetime, uptime: float) -> List[Dict[str, Any]]:
    """The timers of C(systemctl show) that there are; C(next) is empty for one that is not started."""
    blocks = _blocks(text)
    return [
        {
            "kind": "timer",
            "source": block["Id"],
            "schedule": ", ".join(re.findall(r"(On\w+=[^;}]+?) ;", _schedule(block))),
            "user": "",
            "command": block.get("Unit", ""),
            "unit": block.get("Unit", ""),
            "next": _next_elapse(block, now, uptime),
            "dump": bool(DUMPS.search(block.get("Unit", "") + " " + block["Id"])),
        }
        for block in blocks
        if block.get("Id") and block.get("LoadState", "loaded") == "loaded"
    ]


def _schedule(block: Dict[str, str]) -> str:
    return " ".join(block.get(name, "") for name in ("TimersCalendar", "TimersMonotonic"))


def _next_elapse(block: Dict[str, str], now: datetime.datetime, uptime: float) -> str:
    calendar = re.search(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)", block.get("NextElapseUSecRealtime", ""))
    if calendar:
        return "T".join(calendar.groups())
    span = seconds_of(block.get("NextElapseUSecMonotonic", ""))
    if span is None:
        return ""
    return (now + datetime.timedelta(seconds=span - uptime)).strftime("%Y-%m-%dT%H:%M:%S")


def seconds_of(span: str) -> Optional[float]:
    """A span as systemd writes it, such as C(1d 17h 15min 33.5s); nothing where there is none."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(y|month|w|d|h|min|s|ms|us)(?!\w)", span)
    return sum(float(number) * SPANS[unit] for number, unit in parts) if parts else None
