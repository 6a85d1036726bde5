# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SQL of the proof for PostgreSQL: tables, exact row hashes, chunks by key, positions.

A row's hash is the MD5 of its text as a record, in UTF-8. That text tells NULL from '', has every digit of a
float and each zero of a numeric, and is what the copy and the replication carry: what it does not show, they
cannot move either. A chunk folds 64 bits of each row, made without printing it (proof_number_postgresql).

A chunk is limited by keys of the source's own order, so that its index serves. Where the target sorts a few texts
differently, their chunks differ at first, and then their rows, read by key, do not: every row is in one of the
source's chunks and at least one of the target's, so that nothing is missed. Only where the collations have
different names is text sorted by its bytes, at the price of a sort a chunk.

Every statement is a pair (text, arguments), each argument in place of a %s; a percent sign in a name is doubled.
"""

# ruff: noqa: S608 - every name in a statement went through quote_postgresql(), every value is an argument

import json
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils import proof_schema_postgresql
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_postgresql
from ansible_collections.ocpizza.cutover.plugins.module_utils.postgresql_wire import SITE_TABLES, ask
from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_number_postgresql import (
    MD5,
    NUMBER,
    fast,
    number,
    row_text,
)

Statement = Tuple[str, Tuple[Any, ...]]
Key = Tuple[Any, ...]

MAX_HASHES = 200000
schema = proof_schema_postgresql.schema
# Extensions whose types print all that they hold.
EXACT_EXTENSIONS = ("citext", "hstore", "ltree", "isn", "intarray", "cube", "seg", "uuid-ossp", "postgis", "vector")


class Column(NamedTuple):
    """One column; ``charset`` is how it sorts, None for what is no text; ``convert`` is set where the sides' differ.

    ``known`` types print exactly what they hold; ``foreign`` ones are not PostgreSQL's own, nor made of them.
    ``fast`` is how a number is made of its values without printing them, empty where they are printed.
    """

    name: str
    type: str
    charset: Optional[str] = None
    convert: bool = False
    known: bool = True
    foreign: bool = False
    nullable: bool = True
    fast: str = ""

    def beside(self, other: Optional["Column"], convert: bool) -> "Column":
        """This column as it is compared with the other side's."""
        return self._replace(
            convert=convert,
            nullable=self.nullable or other is None or other.nullable,
            fast=self.fast if other is not None and other.fast == self.fast else "",
        )


class Table(NamedTuple):
    """One table, its name with its schema and quoted. ``key`` is empty where no key identifies a row.

    ``digest`` is how the server makes a number of a row: MD5 or NUMBER.
    """

    database: str
    name: str
    columns: List[Column]
    key: List[str]
    engine: str
    rows_estimate: int
    digest: str = MD5

    @property
    def common(self) -> str:
        """How every server can hash, whatever its version and encoding."""
        return MD5

    def column(self, name: str) -> Column:
        """The column of this name."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


def quote(name: str) -> str:
    """An identifier within a statement that takes arguments."""
    return quote_postgresql(name).replace("%", "%%")


def table_name(table: Table) -> str:
    """The table alone, without what inherits from it."""
    return "ONLY " + table.name.replace("%", "%%")


def covered(column: Column) -> bool:
    """Whether this type's values are known to be compared exactly."""
    return column.known


def row_hash(columns: Sequence[Column]) -> str:
    """The MD5 of these columns' values."""
    return "md5(convert_to({0},'UTF8'))".format(row_text([quote(column.name) for column in columns]))


def sortable(column: Column) -> str:
    """What a key column is ordered and limited by."""
    if column.foreign:
        return '{0}::text COLLATE "C"'.format(quote(column.name))
    return quote(column.name) + (' COLLATE "C"' if column.convert and column.charset else "")


def equated(column: Column) -> str:
    """What a key column is looked up by: an operator of an extension would not be found."""
    return "{0}::text".format(quote(column.name)) if column.foreign else quote(column.name)


def _where(table: Table, lower: Optional[Key], upper: Optional[Key]) -> Statement:
    """lower < key <= upper. As a comparison of rows it is a range of the index; literals take the columns' types."""
    names = ",".join(sortable(table.column(name)) for name in table.key)
    marks = ",".join(["%s"] * len(table.key))
    texts = ["({0}){1}({2})".format(names, sign, marks) for sign, bound in ((">", lower), ("<=", upper)) if bound]
    arguments = tuple(lower or ()) + tuple(upper or ())
    return " AND ".join(texts) or "TRUE", arguments


def _keys(table: Table, keys: Sequence[Key]) -> Statement:
    names = [equated(table.column(name)) for name in table.key]
    if len(names) == 1:
        return "{0} IN %s".format(names[0]), ([key[0] for key in keys],)
    one = "({0})".format(" AND ".join("{0}=%s".format(name) for name in names))
    return "({0})".format(" OR ".join([one] * len(keys)) or "FALSE"), tuple(value for key in keys for value in key)


def _key_names(table: Table) -> str:
    return ",".join(quote(name) for name in table.key)


def checksum(table: Table, lower: Optional[Key] = None, upper: Optional[Key] = None) -> Statement:
    """Count, and sum of 64 bits of each row's hash: the order does not matter, and rows may come twice."""
    where, arguments = _where(table, lower, upper)
    one = number([(column.fast, quote(column.name), column.nullable) for column in table.columns], table.digest)
    return "SELECT count(*),coalesce(sum({0}),0) FROM {1} WHERE {2}".format(one, table_name(table), where), arguments


def last_key(table: Table) -> Statement:
    """The greatest key there is."""
    names = [sortable(table.column(name)) for name in table.key]
    order = ",".join(name + " DESC" for name in names)
    return "SELECT {0} FROM {1} ORDER BY {2} LIMIT 1".format(_key_names(table), table_name(table), order), ()


def boundary(table: Table, lower: Optional[Key], last: Key, size: int) -> Statement:
    """The key of the last row of the chunk of ``size`` rows that follows ``lower``, not beyond ``last``."""
    where, arguments = _where(table, lower, last)
    return (
        "SELECT {0} FROM {1} WHERE {2} ORDER BY {3} LIMIT 1 OFFSET {4:d}".format(
            _key_names(table),
            table_name(table),
            where,
            ",".join(sortable(table.column(name)) for name in table.key),
            size - 1,
        ),
        arguments,
    )


def hashes(table: Table, lower: Optional[Key], upper: Optional[Key]) -> Statement:
    """Key columns, then the hash, of every row of a chunk."""
    where, arguments = _where(table, lower, upper)
    return (
        "SELECT {0},{1} FROM {2} WHERE {3} LIMIT {4:d}".format(
            _key_names(table), row_hash(table.columns), table_name(table), where, MAX_HASHES
        ),
        arguments,
    )


def hashes_of(table: Table, keys: Sequence[Key]) -> Statement:
    """Key columns, then the hash, of the rows with these keys."""
    where, arguments = _keys(table, keys)
    return (
        "SELECT {0},{1} FROM {2} WHERE {3}".format(
            _key_names(table), row_hash(table.columns), table_name(table), where
        ),
        arguments,
    )


def column_hashes_of(table: Table, keys: Sequence[Key]) -> Statement:
    """Key columns, then one hash a column, of the rows with these keys."""
    where, arguments = _keys(table, keys)
    columns = ",".join(row_hash([column]) for column in table.columns)
    return (
        "SELECT {0},{1} FROM {2} WHERE {3}".format(_key_names(table), columns, table_name(table), where),
        arguments,
    )


def multiset(table: Table) -> Statement:
    """The hashes of a table without key, and how often each comes."""
    return (
        "SELECT {0} AS h,count(*) FROM {1} GROUP BY 1 LIMIT {2:d}".format(
            row_hash(table.columns), table_name(table), MAX_HASHES
        ),
        (),
    )


# What asks the server.


def fetch(connection: Any, statement: Statement) -> List[Tuple[Any, ...]]:
    """All rows, as tuples of text."""
    text, arguments = statement
    # The one way for both: without arguments a doubled percent sign would stay doubled.
    return [tuple(row) for row in ask(connection, text if arguments else text.replace("%%", "%"), arguments)]


def prepare(connection: Any) -> None:
    """Nothing: ``connect()`` has set the session, the same on both sides."""


def load_tables(connection: Any, database: str) -> List[Table]:
    """The tables with rows of a database, the parts of a partitioned one, in the order of their names."""
    ((current, described, encoding, version),) = ask(
        connection,
        "SELECT datname, to_jsonb(d), pg_encoding_to_char(encoding), current_setting('server_version_num') "
        "FROM pg_database d WHERE datname = current_database()",
    )
    if current != database:
        raise ValueError("a connection to database {0} cannot see database {1}".format(current, database))
    order = database_order(json.loads(described))
    types = load_types(connection)
    columns = {}  # type: Dict[str, List[Column]]
    for oid, name, kind, type_oid, collation, provider, locale, filled in ask(
        connection,
        "SELECT c.oid, a.attname, format_type(a.atttypid, a.atttypmod), a.atttypid, a.attcollation, o.collprovider, "
        "o.collname, a.attnotnull "
        + SITE_TABLES.replace(
            "FROM pg_class c",
            "FROM pg_attribute a JOIN pg_class c "
            "ON c.oid = a.attrelid LEFT JOIN pg_collation o ON o.oid = a.attcollation",
            1,
        )
        + " AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.oid, a.attnum",
    ):
        sorts = None if collation == "0" else order if provider == "d" else sort_name(provider, locale)
        columns.setdefault(oid, []).append(
            Column(
                name,
                kind,
                sorts,
                known=exact(types, type_oid),
                foreign=foreign(types, type_oid),
                nullable=filled != "t",
                fast=fast(int(type_oid)),
            )
        )
    keys = {}  # type: Dict[str, List[Tuple[Any, ...]]]
    for oid, identity, primary, name, names in ask(
        connection,
        "SELECT i.indrelid, i.indisreplident, i.indisprimary, x.relname, (SELECT json_agg(a.attname ORDER BY k.n) "
        "FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, n) "
        "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE k.n <= i.indnkeyatts) "
        "FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indisunique AND i.indisvalid "
        "AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL AND NOT EXISTS (SELECT 1 FROM pg_attribute a "
        "WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) AND NOT a.attnotnull)",
    ):
        key = json.loads(names)
        # What the log knows a deleted row by comes first: the proof must be able to look it up.
        keys.setdefault(oid, []).append((identity != "t", primary != "t", len(key), name, key))
    digest = NUMBER if encoding == "UTF8" and int(version) >= 110000 else MD5
    return [
        Table(database, name, columns.get(oid, []), min(keys[oid])[-1] if oid in keys else [], "", int(rows), digest)
        for oid, name, rows in sorted(
            (
                (oid, "{0}.{1}".format(quote_postgresql(schema), quote_postgresql(name)), rows)
                for oid, schema, name, rows in ask(
                    connection,
                    "SELECT c.oid, n.nspname, c.relname, greatest(c.reltuples, 0)::bigint "
                    + SITE_TABLES
                    + " AND c.relkind = 'r'",
                )
            ),
            key=lambda row: row[1],
        )
    ]


def database_order(described: Dict[str, Any]) -> str:
    """How a database sorts text, from its row in pg_database; what ICU calls a locale changed its column twice."""
    provider = described.get("datlocprovider") or "c"
    locale = described.get("datcollate") or ""
    if provider != "c":
        locale = described.get("datlocale") or described.get("daticulocale") or ""
    return sort_name(provider, locale)


def sort_name(provider: str, locale: str) -> str:
    """One name for the same order: of bytes, or of a locale."""
    name = locale.lower().replace("-", "")
    if name in ("c", "posix", "c.utf8", "ucs_basic"):
        return "bytes"
    return ("icu " if provider == "i" else "") + name


def load_types(connection: Any) -> Dict[str, Dict[str, Any]]:
    """The types that are not PostgreSQL's own: their kind, what they are made of, and the extension they are of."""
    found = {}
    for oid, kind, element, base, extension, parts in ask(
        connection,
        "SELECT t.oid, t.typtype, CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0 END, t.typbasetype, "
        "(SELECT x.extname FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid "
        "WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e' "
        "AND d.refclassid = 'pg_extension'::regclass), "
        "(SELECT json_agg(a.atttypid::text) FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 "
        "AND NOT a.attisdropped AND t.typtype = 'c') "
        "FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace "
        "WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')",
    ):
        found[oid] = {
            "kind": kind,
            "extension": extension,
            "of": [one for one in (element, base) if one != "0"] + (json.loads(parts) if parts else []),
        }
    return found


def exact(types: Dict[str, Dict[str, Any]], oid: str, seen: Optional[Set[str]] = None) -> bool:
    """Whether a type prints exactly what it holds: one of PostgreSQL's own, or made of such."""
    seen = seen or set()
    described = types.get(oid)
    if described is None or oid in seen:
        return True
    if described["kind"] == "b" and not described["of"]:
        return described["extension"] in EXACT_EXTENSIONS
    return all(exact(types, part, seen | {oid}) for part in described["of"])


def foreign(types: Dict[str, Dict[str, Any]], oid: str) -> bool:
    """Whether the operators of a type are an extension's: they are not in PostgreSQL's own schema."""
    described = types.get(oid)
    if described is None:
        return False
    if described["kind"] == "b" and not described["of"]:
        return True
    return any(foreign(types, part) for part in described["of"] if described["kind"] != "c")


def flavour(_connection: Any) -> str:
    """Always postgresql."""
    return "postgresql"


def position(connection: Any) -> str:
    """The server's position in its log."""
    ((value,),) = fetch(connection, ("SELECT pg_current_wal_insert_lsn()", ()))
    return str(value)
