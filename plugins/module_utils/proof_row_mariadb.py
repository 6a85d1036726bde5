# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How MariaDB and MySQL make a text of a row, a hash of the text, and one number of the rows of a chunk.

MariaDB's number of a row is the product of two CRC-32: of the text, and of the text written backwards. The CRC of
another text is found by XOR alone, so that CRCs which are added up by XOR would let values be exchanged between rows
unseen, and a second CRC of the same bytes in any other order of the columns would say nothing that the first did not.
Backwards the same change is another polynomial, and the product of both is linear in nothing. A factor of zero takes
the other with it, hence the 1, which is where the products end short of 64 bits. Their sum is an exact DECIMAL.

It is computed ten times as fast as an MD5 of which half becomes a number. MySQL's SHA-2 costs little, and its BIT_XOR
takes the hash as it is.
"""

from typing import List, NamedTuple, Optional, Sequence

from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_mysql

CHARACTER = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext")
LISTED = ("enum", "set")
FLOATING = ("float", "double", "real")
BYTES = ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob")
SPATIAL = (
    "geometry",
    "point",
    "linestring",
    "polygon",
    "multipoint",
    "multilinestring",
    "multipolygon",
    "geometrycollection",
    "geomcollection",
)
# Their text is exact, and never has a comma in it.
PLAIN = (
    "tinyint",
    "smallint",
    "mediumint",
    "int",
    "bigint",
    "decimal",
    "date",
    "datetime",
    "timestamp",
    "time",
    "year",
)
# Of MariaDB: so is theirs, but IFNULL would make one of them of its N.
TEXTUAL = ("uuid", "inet4", "inet6")
# What is not kept in the row itself, which has 65,535 bytes at most.
LONG = ("text", "mediumtext", "longtext", "blob", "mediumblob", "longblob", "json", "vector", *SPATIAL)
# MySQL 9 has no MD5 any more.
MD5 = "MD5({0})"
SHA2 = "SHA2({0},256)"
# Both have this one.
COMMON = "LEFT(SHA2({0},256),32)"


class Column(NamedTuple):
    """One column; ``charset`` is None for what has none, ``convert`` is set where the sides' charsets differ."""

    name: str
    type: str
    charset: Optional[str] = None
    convert: bool = False
    nullable: bool = True

    def beside(self, other: Optional["Column"], convert: bool) -> "Column":
        """This column as it is compared with the other side's."""
        return self._replace(convert=convert, nullable=self.nullable or other is None or other.nullable)

    @property
    def base(self) -> str:
        """The type without length and attributes."""
        return self.type.partition("(")[0].partition(" ")[0].lower()


def quote(name: str) -> str:
    """An identifier within a statement that takes arguments."""
    return quote_mysql(name).replace("%", "%%")


def covered(column: Column) -> bool:
    """Whether this type's values are known to be compared exactly."""
    known = PLAIN + TEXTUAL + FLOATING + LISTED + CHARACTER + BYTES + SPATIAL + ("bit", "json", "vector")
    return column.base in known


def column_text(column: Column) -> str:
    """What CONCAT takes to write a value: text that is equal exactly if the values are; whatever has no fixed form
    comes after its length. NULL is an N. Never NULL itself, unless it is longer than the server writes.
    """
    name, base = quote(column.name), column.base
    rest = ""
    if base in PLAIN:
        first = name
    elif base in TEXTUAL:
        first = "CONCAT({0})".format(name)
    elif base in FLOATING:
        # A FLOAT as text has six digits; as a DOUBLE it has all. Plus zero takes the sign from -0, which MariaDB no
        # longer stores (11.8.9).
        first = "{0}+0e0".format(name)
    elif base == "bit":
        first = "{0}+0".format(name)
    elif base in LISTED:
        # The number tells the empty member from the empty value that stands for an error.
        first, rest = "CONCAT({0}+0,':',LENGTH({0}))".format(name), "CAST({0} AS BINARY)".format(name)
    elif base in CHARACTER or base in BYTES or base == "json":
        value = _value(column)
        first, rest = "LENGTH({0})".format(value), "CAST({0} AS BINARY)".format(value)
    else:
        first, rest = "{0} IS NULL".format(name), "HEX({0})".format(name)
    if column.nullable:
        first = "IFNULL({0},'N')".format(first)
        rest = rest and "IF({0} IS NULL,'',{1})".format(name, rest)
    return "{0},':',{1}".format(first, rest) if rest else first


def _value(column: Column) -> str:
    name = quote(column.name)
    if column.base == "json" or (column.convert and column.base in CHARACTER):
        return "CONVERT({0} USING utf8mb4)".format(name)
    return name


def text(columns: Sequence[Column], digest: str) -> str:
    """The text of these columns' values: their hashes where the whole is longer than max_allowed_packet."""
    # Not CONCAT_WS, which is slower.
    options = ["CONCAT({0})".format(",',',".join(column_text(column) for column in columns))]
    if any(column.base in LONG for column in columns):
        short: List[str] = [
            "IFNULL({0},'N')".format(digest.format(_value(column))) if column.base in LONG else column_text(column)
            for column in columns
        ]
        options.append("CONCAT({0})".format(",',',".join(short)))
    # What is NULL all the same must not be taken for equal.
    return "COALESCE({0},CONCAT(UUID()))".format(",".join(options))


def row_hash(columns: Sequence[Column], digest: str) -> str:
    """The hash of these columns' values."""
    return digest.format(text(columns, digest))


def number(columns: Sequence[Column], digest: str, keyed: bool) -> str:
    """The number of all rows that are looked at, of 64 bits or more; with a key no row comes twice."""
    if digest == MD5:
        # The variable spares the server to write the text twice: the left factor is computed first.
        return "SUM(CRC32(@cutover_row:={0})*(CRC32(REVERSE(@cutover_row))+1))".format(text(columns, digest))
    row = row_hash(columns, digest)
    if digest == SHA2 and keyed:
        return "BIT_XOR(UNHEX({0}))".format(row)
    return "{0}(CAST(CONV(LEFT({1},16),16,10) AS UNSIGNED))".format("BIT_XOR" if keyed else "SUM", row)
