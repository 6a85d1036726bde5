# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MariaDB's definitions as MySQL reads them. Pure, and for definitions alone: rows never come through here.

Only what is outside of quotes and comments is changed. A body (routine, trigger, event, view) is left as it is, so
that both sides can be compared by it.
"""

import re
from typing import Callable, Dict, Optional

QUOTED = re.compile(
    r"('(?:[^'\\]|\\.|'')*'|`(?:[^`]|``)*`|\"(?:[^\"\\]|\\.|\"\")*\"|/\*.*?\*/)",
    re.DOTALL,
)
NAME = r"`(?:[^`]|``)*`"
STRING = r"'(?:[^'\\]|\\.|'')*'"
CHARSET = re.compile(r"(CHARACTER SET |CHARSET[= ])(\w+)( COLLATE[= ]\w+)?")
COLLATE = re.compile(r"(COLLATE[= ])(\w+)")
# What says nothing about the rows, and what MySQL does not know.
OPTIONS = re.compile(r" (?:PAGE_CHECKSUM|TRANSACTIONAL)=\d+")
# A literal is no default of a text in MySQL, an expression is.
TEXT_DEFAULT = re.compile(r"(\s+{0} (?:tiny|medium|long)?(?:text|blob)\b[^'`]*? DEFAULT )({1})".format(NAME, STRING))
CALL_DEFAULT = re.compile(r" DEFAULT (?!current_timestamp\b)(?=[a-z_0-9]+\()")

# The collations of the same rules in MySQL. What is not here has the same name on both sides, or none in MySQL.
COLLATIONS = {
    "utf8mb4_uca1400_ai_ci": "utf8mb4_0900_ai_ci",
    "utf8mb4_uca1400_as_ci": "utf8mb4_0900_as_ci",
    "utf8mb4_uca1400_as_cs": "utf8mb4_0900_as_cs",
    "utf8mb4_uca1400_nopad_ai_ci": "utf8mb4_0900_ai_ci",
    "utf8mb4_uca1400_nopad_as_ci": "utf8mb4_0900_as_ci",
    "utf8mb4_uca1400_nopad_as_cs": "utf8mb4_0900_as_cs",
    "utf8mb4_nopad_bin": "utf8mb4_0900_bin",
}
# What MySQL 9 knows; a mode that only MariaDB has is left out, and those that change what a body means are obstacles.
MODES = frozenset(
    """
    REAL_AS_FLOAT PIPES_AS_CONCAT ANSI_QUOTES IGNORE_SPACE ONLY_FULL_GROUP_BY NO_UNSIGNED_SUBTRACTION
    NO_DIR_IN_CREATE ANSI NO_AUTO_VALUE_ON_ZERO NO_BACKSLASH_ESCAPES STRICT_TRANS_TABLES STRICT_ALL_TABLES
    NO_ZERO_IN_DATE NO_ZERO_DATE ALLOW_INVALID_DATES ERROR_FOR_DIVISION_BY_ZERO TRADITIONAL HIGH_NOT_PRECEDENCE
    NO_ENGINE_SUBSTITUTION PAD_CHAR_TO_FULL_LENGTH
    """.split()  # noqa: SIM905
)


def outside(text: str, change: Callable[[str], str]) -> str:
    """The text with everything changed that is in no quotes and no comment."""
    return "".join(part if number % 2 else change(part) for number, part in enumerate(QUOTED.split(text)))


def charset(name: str) -> str:
    """utf8 is MariaDB 10.5's name for what MySQL calls utf8mb3."""
    return "utf8mb3" if name == "utf8" else name


def collation(name: str) -> str:
    """A collation's name in MySQL."""
    return COLLATIONS.get(name) or re.sub(r"\Autf8_", "utf8mb3_", name)


def modes(sql_mode: str) -> str:
    """The modes that a body was made with, without what MySQL does not know."""
    return ",".join(mode for mode in sql_mode.split(",") if mode in MODES)


def table(statement: str, defaults: Dict[str, str]) -> str:
    """A CREATE TABLE of MariaDB for MySQL.

    ``defaults`` are the source's: {charset: collation}. Where MariaDB leaves a collation out it means its own default,
    and MySQL would take another one.
    """

    def named(found: "re.Match[str]") -> str:
        lead, name, given = found.groups()
        return "{0}{1}{2}".format(lead, charset(name), given or " COLLATE " + defaults.get(name, name + "_bin"))

    def plain(part: str) -> str:
        part = OPTIONS.sub("", CHARSET.sub(named, part))
        return COLLATE.sub(lambda found: found.group(1) + collation(found.group(2)), part)

    return outside("\n".join(_column(line) for line in statement.split("\n")), plain)


def _column(line: str) -> str:
    """A column's line, an expression as its default in parentheses."""
    line = TEXT_DEFAULT.sub(r"\1(\2)", line) if TEXT_DEFAULT.match(line) else line
    parts = QUOTED.split(line)
    offset = 0
    for number, part in enumerate(parts):
        found = None if number % 2 else CALL_DEFAULT.search(part)
        if found:
            begin = offset + found.end()
            end = _end_of_call(line, begin)
            return line if end is None else "{0}({1}){2}".format(line[:begin], line[begin:end], line[end:])
        offset += len(part)
    return line


def _end_of_call(line: str, begin: int) -> Optional[int]:
    depth, offset = 0, 0
    for number, part in enumerate(QUOTED.split(line)):
        for at, letter in enumerate(part, offset):
            if number % 2 or at < begin:
                continue
            depth += (letter == "(") - (letter == ")")
            if letter == ")" and depth == 0:
                return at + 1
        offset += len(part)
    return None
