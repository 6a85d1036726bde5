# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: S608 - every name went through quote_mysql(); a bound is a literal that the server itself wrote
"""The SQL of the copy for MariaDB and MySQL: rows as text that INSERT takes as it is, ranges of a key, indexes.

The source writes each row as ``(1,'a',NULL)``, so nothing in between looks at values. The session that takes the rows
has ``SET NAMES binary``: text goes over in the bytes that the column holds.
"""

import re
from typing import List, NamedTuple, Optional, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_mysql
from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_row_mariadb import (
    BYTES,
    CHARACTER,
    FLOATING,
    LISTED,
    TEXTUAL,
    Column,
)

INTEGERS = ("tinyint", "smallint", "mediumint", "int", "bigint")
MOMENTS = ("date", "datetime", "timestamp", "time")

PRIMARY = re.compile(r"^  PRIMARY KEY ", re.MULTILINE)
INDEX = re.compile(r"^  ((?:UNIQUE )?KEY (`(?:[^`]|``)+`) .*?),?$", re.MULTILINE)
FOREIGN = re.compile(r"^  (CONSTRAINT (`(?:[^`]|``)+`) FOREIGN KEY .*?),?$", re.MULTILINE)


class Source(NamedTuple):
    """One table to copy: the columns that can be written, and the first column of its primary key."""

    database: str
    name: str
    columns: List[Column]
    key: Optional[Column]
    rows: int

    @property
    def qualified(self) -> str:
        """The table with its database."""
        return "{0}.{1}".format(quote_mysql(self.database), quote_mysql(self.name))


class Deferred(NamedTuple):
    """An index or a foreign key that is cheaper to make once the rows are there."""

    drop: str
    add: str


def literal(column: Column) -> str:
    """An expression that gives a value as SQL has to have it to make exactly that value again."""
    name = quote_mysql(column.name)
    base = column.base
    if base == "json" or base in TEXTUAL:
        # Bytes would be no text to them.
        return _utf8(name)
    if base in FLOATING:
        # A FLOAT as text has six digits, as a DOUBLE all; quoted, for -0 without is a whole number and has no sign.
        form = "QUOTE({0}*1e0)"
    elif base in CHARACTER:
        form = "QUOTE(CAST({0} AS BINARY))"
    elif base in MOMENTS or base in BYTES:
        form = "QUOTE({0})"
    elif base in INTEGERS or base in ("decimal", "year"):
        form = "IFNULL({0},'NULL')"
    elif base in LISTED or base == "bit":
        # By number: the empty value that stands for an error has no other name.
        form = "IFNULL({0}+0,'NULL')"
    else:
        # Not IFNULL: what is too long to be written must not become NULL.
        form = "IF({0} IS NULL,'NULL',CONCAT('X''',HEX({0}),''''))"
    return form.format(name)


def _utf8(name: str) -> str:
    return "IF({0} IS NULL,'NULL',CONCAT('_utf8mb4',QUOTE(CONVERT({0} USING utf8mb4))))".format(name)


def select(table: Source, condition: str) -> str:
    """The rows of a range, each as the text that ``insert()`` goes on with."""
    values = ",',',".join(literal(column) for column in table.columns) or "''"
    return "SELECT CONCAT(_binary'(',{0},')') FROM {1} WHERE {2}".format(values, table.qualified, condition)


def insert(table: Source) -> str:
    """What stands before the rows."""
    names = ",".join(quote_mysql(column.name) for column in table.columns)
    return "INSERT INTO {0} ({1}) VALUES ".format(table.qualified, names)


def can_be_split(column: Column) -> bool:
    """Whether a key that begins with this column can be cut into ranges: it sorts as it compares."""
    return column.base in INTEGERS or column.base in CHARACTER or column.base in BYTES


def bound(table: Source, lower: Optional[str], size: int) -> str:
    """The literal of the key that the next ``size`` rows end with; nothing where fewer are left."""
    assert table.key
    name = quote_mysql(table.key.name)
    # As characters, not as bytes, for it is compared with the column by the column's collation.
    text = _utf8(name) if table.key.base in CHARACTER else literal(table.key)
    return "SELECT {0} FROM {1} WHERE {2} ORDER BY {3} LIMIT 1 OFFSET {4:d}".format(
        text, table.qualified, within(table, lower, None), name, size - 1
    )


def within(table: Source, lower: Optional[str], upper: Optional[str]) -> str:
    """lower < key <= upper."""
    if not table.key:
        return "TRUE"
    name = quote_mysql(table.key.name)
    limits = [(lower, ">"), (upper, "<=")]
    return " AND ".join("{0}{1}{2}".format(name, sign, limit) for limit, sign in limits if limit) or "TRUE"


def deferred(definition: str) -> Tuple[List[Deferred], List[Deferred]]:
    """The indexes and the foreign keys in what SHOW CREATE TABLE says.

    Without a primary key an index may be what the rows are kept by, and stays.
    """
    if not PRIMARY.search(definition):
        return [], []
    indexes = [Deferred("DROP KEY " + name, "ADD " + text) for text, name in INDEX.findall(definition)]
    foreign = [Deferred("DROP FOREIGN KEY " + name, "ADD " + text) for text, name in FOREIGN.findall(definition)]
    return indexes, foreign
