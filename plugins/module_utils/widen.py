# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Widening keys on the way over: which columns become bigint on the target, and what may differ for it.

A foreign key and what it refers to always stay of one type. So a table takes along whatever is tied to its key,
in both directions, over as many tables as it goes.

What was widened is known by its definitions before and after, as the proof reads them: the proof accepts exactly
these, and that nothing but the type changed is looked at when they are recorded.
"""

import re
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Set, Tuple

ALL = "all"
BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "integer": 32, "bigint": 64}
TYPE = re.compile(r"(tinyint|smallint|mediumint|integer|int|bigint)(\(\d+\))?(?= |\Z)", re.IGNORECASE)

ColumnName = Tuple[str, str, str]
Definitions = Dict[Tuple[str, str], str]
Changed = Dict[Tuple[str, str], Tuple[str, str]]


class WidenError(Exception):
    """The keys cannot be widened as told: what, where, and what to do."""


class Column(NamedTuple):
    """An integer column that is in a primary key, or in a foreign key, or referred to by one.

    ``table`` is the table as the engine's texts have it, without its database; ``blocked`` is why its type cannot
    be changed, '' where it can.
    """

    database: str
    table: str
    name: str
    type: str
    primary: bool
    blocked: str = ""

    @property
    def id(self) -> ColumnName:
        """What tells it from every other column."""
        return self.database, self.table, self.name

    def text(self) -> str:
        """The column in words."""
        return "{0}.{1}.{2}".format(*self.id)


class Reference(NamedTuple):
    """A foreign key: its columns, what they refer to, and how to make it again."""

    database: str
    table: str
    name: str
    columns: Sequence[str]
    other: Tuple[str, str]
    other_columns: Sequence[str]
    definition: str = ""

    def pairs(self) -> List[Tuple[ColumnName, ColumnName]]:
        """Each column with the one that it refers to."""
        return [
            ((self.database, self.table, one), (self.other[0], self.other[1], two))
            for one, two in zip(self.columns, self.other_columns)
        ]


class Room(NamedTuple):
    """How far a widened key has come on one server, and how far the other side's type goes.

    ``limited`` tells whether the server keeps larger values out, for as long as there is to be a way back.
    """

    column: str
    smallest: Optional[int]
    largest: Optional[int]
    lowest: int
    limit: int
    limited: bool

    def beyond(self) -> bool:
        """Whether a value is there that the other side cannot hold."""
        known = [value for value in (self.smallest, self.largest) if value is not None]
        return any(not self.lowest <= value <= self.limit for value in known)

    def share(self) -> float:
        """Which share of the other side's range is used."""
        return round(max(0, self.largest or 0) / float(self.limit), 4)

    def facts(self) -> Dict[str, Any]:
        """What the evidence of a switchover says of it."""
        return {"column": self.column, "largest": self.largest, "limit": self.limit, "share": self.share()}

    def text(self) -> str:
        """In a sentence."""
        return "{0} has come to {1} of {2} ({3:.1%})".format(self.column, self.largest or 0, self.limit, self.share())


def range_of(kind: str) -> Tuple[int, int]:
    """The least and the greatest value of an integer type, as a server writes it."""
    found = TYPE.match(kind)
    if not found:
        raise ValueError("'{0}' is no integer type".format(kind))
    bits = BITS[found.group(1).lower()]
    if re.search(r" (unsigned|zerofill)\b", kind, re.IGNORECASE):
        return 0, 2**bits - 1
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def is_integer(kind: str) -> bool:
    """Whether it is an integer type; what stands for a truth value in MySQL is none."""
    return bool(TYPE.match(kind)) and not re.match(r"tinyint\(1\)", kind, re.IGNORECASE)


def is_narrow(kind: str) -> bool:
    """Whether it can be widened."""
    return is_integer(kind) and not kind.lower().startswith("bigint")


def wide_type_in(definition: str) -> str:
    """A column's definition that begins with its type, as a bigint: all else as it was, and as wide where zeros are."""
    found = TYPE.match(definition)
    if not found:
        raise ValueError("'{0}' is no integer type".format(definition))
    rest = definition[found.end() :]
    padded = re.match(r"( unsigned)? zerofill\b", rest, re.IGNORECASE)
    return "bigint" + ((found.group(2) or "") if padded else "") + rest


def check_request(chosen: Any) -> List[str]:
    """What was asked for, as a list of names; anything else is refused."""
    if not isinstance(chosen, (list, tuple)) or not all(isinstance(name, str) and name for name in chosen):
        raise WidenError("site_widen must be a list of tables, or [all], and is {0!r}".format(chosen))
    return list(chosen)


def of_engine(chosen: Any, engines: Dict[str, Sequence[str]], engine: str) -> List[str]:
    """What of the request concerns one engine's databases; a table of no database of the site is refused."""

    def has(databases: Sequence[str], name: str) -> bool:
        return any(name.startswith(database + ".") for database in databases)

    names = check_request(chosen)
    strange = [name for name in names if name != ALL and not any(has(each, name) for each in engines.values())]
    if strange:
        raise WidenError(
            "site_widen names {0}, in no database of the site. Name tables as database.table, on PostgreSQL as "
            "database.schema.table, or [all]".format(", ".join(strange))
        )
    return [name for name in names if name == ALL or has(engines[engine], name)]


def select(
    tables: Iterable[Tuple[str, str, Sequence[str]]],
    columns: Iterable[Column],
    references: Iterable[Reference],
    chosen: Sequence[str],
) -> List[Column]:
    """The columns to widen, in the order of their tables.

    ``tables`` has each table's database and name as the engine's texts have them, and the plain names by which it
    may be asked for.
    """
    names = {name: (database, table) for database, table, plain in tables for name in plain}
    unknown = [name for name in check_request(chosen) if name != ALL and name not in names]
    if unknown:
        raise WidenError(
            "site_widen names {0}, which is not there. Name tables as {1}, or [all]".format(
                ", ".join(unknown), min(names) if names else "database.table"
            )
        )
    wanted = set(names.values()) if ALL in chosen else {names[name] for name in chosen}
    known = {column.id: column for column in columns}
    tied = {}  # type: Dict[ColumnName, Set[ColumnName]]
    for reference in references:
        for one, two in reference.pairs():
            tied.setdefault(one, set()).add(two)
            tied.setdefault(two, set()).add(one)
    pending = [column.id for column in known.values() if column.primary and column.id[:2] in wanted]
    found = set()  # type: Set[ColumnName]
    while pending:
        name = pending.pop()
        if name not in found and name in known and is_integer(known[name].type):
            found.add(name)
            pending.extend(tied.get(name, ()))
    widened = [known[name] for name in sorted(found) if is_narrow(known[name].type)]
    blocked = [column for column in widened if column.blocked]
    if blocked:
        raise WidenError(
            "{0} cannot be widened".format(
                "; ".join("{0}: {1}".format(column.text(), column.blocked) for column in blocked)
            )
        )
    return widened


def touched(references: Iterable[Reference], widened: Iterable[Column]) -> List[Reference]:
    """The foreign keys that have a widened column at either end."""
    names = {column.id for column in widened}
    return [one for one in references if any(end in names for pair in one.pairs() for end in pair)]


def bounded(references: Iterable[Reference], widened: Set[ColumnName]) -> Set[ColumnName]:
    """The widened columns that refer to another one: they are never further than it."""
    return {one for each in references for one, two in each.pairs() if one != two and {one, two} <= widened}


def by_table(columns: Iterable[Column]) -> List[Tuple[Tuple[str, str], List[Column]]]:
    """The columns of each table together, so that it is rewritten once."""
    grouped = {}  # type: Dict[Tuple[str, str], List[Column]]
    for column in columns:
        grouped.setdefault(column.id[:2], []).append(column)
    return sorted(grouped.items())


def told(columns: Iterable[Column]) -> List[str]:
    """What was widened, in words."""
    return ["{0} is bigint, and was {1}".format(column.text(), column.type) for column in columns]


def changed(before: Definitions, after: Definitions) -> Changed:
    """The definitions that the widening changed: {(kind, name): (before, after)}. Anything but a type is refused."""
    found = {}  # type: Changed
    for key in sorted(set(before) | set(after)):
        one, two = before.get(key), after.get(key)
        if one == two:
            continue
        if one is None or two is None or not _only_wider(key[0], one, two):
            raise WidenError("widening changed {0} {1} from '{2}' to '{3}'".format(key[0], key[1], one, two))
        found[key] = (one, two)
    return found


def _only_wider(kind: str, one: str, two: str) -> bool:
    old, new = TYPE.match(one), TYPE.match(two)
    if not old or not new or not two.lower().startswith("bigint"):
        return False
    if kind == "sequence":
        # Its greatest value may have been another one: type, start, increment, greatest, least …
        ours, theirs = one.split(" "), two.split(" ")
        return len(ours) == len(theirs) and ours[1:3] + ours[4:] == theirs[1:3] + theirs[4:]
    return kind == "column" and one[old.end() :] == two[new.end() :]


def accepts(widened: Optional[Changed], key: Tuple[str, str], one: Optional[str], two: Optional[str]) -> bool:
    """Whether a definition differs between the sides exactly as the widening left it."""
    return widened is not None and key in widened and widened[key] == (one, two)


def writable(found: Changed) -> List[List[str]]:
    """As it can be kept as JSON."""
    return [[key[0], key[1], one, two] for key, (one, two) in sorted(found.items())]


def readable(kept: Iterable[Sequence[str]]) -> Changed:
    """From what was kept."""
    return {(kind, name): (one, two) for kind, name, one, two in kept}
