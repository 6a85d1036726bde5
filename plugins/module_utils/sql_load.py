# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions of the module sql_load, which need no server: may a file be loaded, is a load due, what broke."""

import re
from typing import Iterable, NamedTuple, Optional, Sequence, Tuple

LEAVE, LOAD, START_OVER = "leave", "load", "start over"

# As root, a client's own commands run shells, and these statements leave the database they were meant for.
_REFUSED = {
    "mysql": re.compile(
        rb"^\s*(?:/\*!\d*\s*)?(?P<found>\\[!.uT]|system\s|source\s|tee\s|pager\s|use\s+(?P<database>[^\s;]+)"
        rb"|(?:create|drop|alter)\s+(?:database|schema|user)\b|grant\s|revoke\s)",
        re.IGNORECASE,
    ),
    "postgresql": re.compile(
        rb"^\s*(?P<found>\\(?!restrict\b|unrestrict\b)[a-zA-Z!]+|(?:create|drop|alter)\s+(?:database|role|user)\b"
        rb"|commit\b|rollback\b|begin\s*;|begin\s+transaction\b|start\s+transaction\b)",
        re.IGNORECASE,
    ),
}
_COPY = re.compile(rb"^\s*copy\s.*\sfrom\s+stdin\s*;\s*$", re.IGNORECASE)
_COPY_END = b"\\."
_MYSQL_ERROR = re.compile(r"^ERROR (?P<code>\d+) \([0-9A-Z]+\)(?: at line (?P<line>\d+))?:? (?P<text>.*)", re.MULTILINE)
_PSQL_ERROR = re.compile(r"^psql:[^:]*:(?P<line>\d+): (?:ERROR|FATAL):\s+(?P<text>.*)", re.MULTILINE)


class Refused(NamedTuple):
    """A line that must not be loaded."""

    line: int
    found: str


class Broken(NamedTuple):
    """Where a load stopped."""

    member: str
    line: Optional[int]
    text: str

    def describe(self) -> str:
        """The place and the server's words, as a message begins with them."""
        place = self.member if self.line is None else "{0}, line {1}".format(self.member, self.line)
        return "{0}: {1}".format(place, self.text)


def find_refused(engine: str, database: str, lines: Iterable[bytes]) -> Optional[Refused]:
    """The first line that would act outside the database, or end the transaction that makes a load whole."""
    pattern = _REFUSED[engine]
    copying = False
    for number, line in enumerate(lines, 1):
        if copying:
            copying = line.rstrip(b"\r\n") != _COPY_END
            continue
        if engine == "postgresql" and _COPY.match(line):
            copying = True
            continue
        match = pattern.match(line)
        if match is None:
            continue
        used = match.group("database") if engine == "mysql" else None
        if used and used.strip(b"`").decode("utf-8", "replace") == database:
            continue
        return Refused(number, match.group("found").decode("utf-8", "replace").strip())
    return None


def decide(objects: int, marker: Optional[str]) -> str:
    """What to do with a database that holds so many objects and has this marker of an earlier load."""
    if objects == 0:
        return LOAD
    # Users are made after the load, so what stands beside an unfinished load's marker came from that load.
    return START_OVER if marker == "loading" else LEAVE


def place(line: int, lengths: Sequence[Tuple[str, int]]) -> Tuple[str, int]:
    """Which member a line of the concatenated input lies in, and its number there."""
    for member, length in lengths[:-1]:
        if line <= length:
            return member, line
        line -= length
    return lengths[-1][0], line


def mysql_failure(member: str, errors: str) -> Broken:
    """What the client of MySQL or MariaDB said when it stopped in a member."""
    match = _MYSQL_ERROR.search(errors)
    if match is None:
        return Broken(member, None, _last_line(errors))
    line = int(match.group("line")) if match.group("line") else None
    return Broken(member, line, "{0} (error {1})".format(match.group("text").strip(), match.group("code")))


def psql_failure(lengths: Sequence[Tuple[str, int]], errors: str) -> Broken:
    """What psql said when it stopped in the concatenated members."""
    match = _PSQL_ERROR.search(errors)
    if match is None:
        return Broken(", ".join(member for member, _length in lengths), None, _last_line(errors))
    member, line = place(int(match.group("line")), lengths)
    return Broken(member, line, match.group("text").strip())


def _last_line(errors: str) -> str:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return lines[-1] if lines else "the client ended without a word"
