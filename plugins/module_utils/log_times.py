# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The time of a line in the logs of applications and servers, where it begins with one."""

import calendar
import re
import time
from typing import Optional, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.access_log import MONTHS, parse_time

ZONED = re.compile(r"\W?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?\s?(?:Z|[+-]\d\d:?\d\d))")
# Python's logging, MariaDB; nginx and Go write slashes.
LOCAL = re.compile(r"\W?(\d{4})[-/](\d\d)[-/](\d\d)[T ]\s?(\d\d?):(\d\d):(\d\d)(?:[.,]\d+)?(?: (UTC|GMT))?")
APACHE = re.compile(r"\[\w{3} (\w{3}) (\d\d) (\d\d):(\d\d):(\d\d)(?:\.\d+)? (\d{4})\]")
SYSLOG = re.compile(r"(\w{3}) ([ \d]\d) (\d\d):(\d\d):(\d\d) ")


def line_time(line: str, now: float) -> Optional[float]:
    """Seconds since 1970, of a time without a zone in that of this host; nothing where there is none."""
    match = ZONED.match(line)
    if match:
        return parse_time(match.group(1))
    match = LOCAL.match(line)
    if match:
        numbers = tuple(int(part) for part in match.groups()[:6])
        return _seconds(numbers, match.group(7) is not None)
    match = APACHE.match(line)
    if match and match.group(1) in MONTHS:
        month, *numbers_text, year = match.groups()
        return _seconds((int(year), MONTHS[month], *map(int, numbers_text)), False)
    match = SYSLOG.match(line)
    if match and match.group(1) in MONTHS:
        month, *numbers_text = match.groups()
        this_year = time.localtime(now).tm_year
        found = _seconds((this_year, MONTHS[month], *map(int, numbers_text)), False)
        # A line of December that is read in January is not from the future.
        if found is not None and found > now + 86400:
            found = _seconds((this_year - 1, MONTHS[month], *map(int, numbers_text)), False)
        return found
    return None


def _seconds(numbers: Tuple[int, ...], utc: bool) -> Optional[float]:
    try:
        text = "%04d-%02d-%02d %02d:%02d:%02d" % numbers
        parsed = time.strptime(text, "%Y-%m-%d %H:%M:%S")
        return float(calendar.timegm(parsed)) if utc else time.mktime(parsed)
    except (ValueError, OverflowError):
        return None
