# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backups stay, why, and until when: all for some days, then one a day, then one a week."""

import calendar
import datetime
import time
from typing import Callable, Iterable, List, NamedTuple, Optional

Keep = NamedTuple("Keep", [("days", int), ("daily_months", int), ("weekly_months", int)])
# The operations manual's: all for a week, one a day for three months after it, one a week for a year after these.
MANUAL = Keep(7, 3, 12)
UNPROVEN = "nothing goes while the newest backup is unproven"


class Decision(NamedTuple):
    """What becomes of one backup. ``goes`` is the first day without it, None for a day that nobody can know yet."""

    when: float
    kept: bool
    why: str
    goes: Optional[datetime.date]


def local_day(when: float) -> datetime.date:
    """The day of this host's calendar, summer time and all."""
    return datetime.date(*time.localtime(when)[:3])


def add_months(day: datetime.date, months: int) -> datetime.date:
    """The same day of a later month, or that month's last."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return datetime.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def decide(
    backups: Iterable[float],
    now: float,
    keep: Keep = MANUAL,
    proven: bool = True,
    day_of: Callable[[float], datetime.date] = local_day,
) -> List[Decision]:
    """What becomes of each backup, oldest first. ``proven`` says whether the newest one was restored."""
    times = sorted(backups)
    days = {when: day_of(when) for when in times}
    # The last of its day or week: those before it have gone when it is asked, and it need not be chosen again.
    last_of_day = {days[when]: when for when in times}
    last_of_week = {days[when].isocalendar()[:2]: when for when in times}
    today = day_of(now)
    decisions = []
    for when in times:
        day = days[when]
        every = day + datetime.timedelta(days=keep.days)
        daily = add_months(every, keep.daily_months)
        ends = {"every backup is kept for {0} days".format(keep.days): every}
        if last_of_day[day] == when:
            ends["the last of its day is kept for {0} months more".format(keep.daily_months)] = daily
        if last_of_week[day.isocalendar()[:2]] == when:
            ends["the last of its week is kept for {0} months more".format(keep.weekly_months)] = add_months(
                daily, keep.weekly_months
            )
        goes = max(ends.values()) + datetime.timedelta(days=1)
        reasons = [why for why, last in ends.items() if today <= last]
        if when == times[-1]:
            decisions.append(Decision(when, True, "it is the newest", None))
        elif reasons:
            decisions.append(Decision(when, True, reasons[0], goes))
        elif not proven:
            decisions.append(Decision(when, True, UNPROVEN, None))
        else:
            decisions.append(Decision(when, False, "no rule keeps it any longer", goes))
    return decisions


def preview(decisions: Iterable[Decision], name: Callable[[float], str], today: datetime.date) -> List[str]:
    """A line for each backup: kept or not, why, and when it goes."""
    lines = []
    for one in decisions:
        if not one.kept:
            fate = "goes with the next pruning"
        elif one.goes is None:
            fate = "stays for now"
        else:
            fate = "goes on {0}, in {1} days".format(one.goes.isoformat(), (one.goes - today).days)
        lines.append("{0}  {1}: {2}".format(name(one.when), fate, one.why))
    return lines
