# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SQL of the proof for PostgreSQL: tables, exact row hashes, chunks by key, positions.

A row's hash is the MD5 of its text as a record, in UTF-8. That text tells NULL from '', has every digit of a
float and each zero of a numeric, and is what the copy and the replication carry: what it does not show, they
cannot move either.

A chunk is limited by keys of the source's own order, so that its index serves. Where the target sorts a few texts
differently, their chunks differ at first, and then their rows, read by key, do not: every row is in one of the
source's chunks and at least one of the target's, so that nothing is missed. Only where the collations have
different names is text sorted by its bytes, at the price of a sort a chunk.

Every statement is a pair (text, arguments), each argument in place of a %s; a percent sign in a name is doubled.
"""

# ruff: noqa: S608 - every name in a statement went through quote_postgresql(), every value is an argument

import json
import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_postgresql
from ansible_collections.ocpizza.cutover.plugins.module_utils.postgresql_wire import SITE_TABLES, ask

Statement = Tuple[str, Tuple[Any, ...]]
Key = Tuple[Any, ...]

MAX_HASHES = 200000
# Extensions whose types print all that they hold.
EXACT_EXTENSIONS = ("citext", "hstore", "ltree", "isn", "intarray", "cube", "seg", "uuid-ossp", "postgis", "vector")


class Column(NamedTuple):
    """One column; ``charset`` is how it sorts, None for what is no text; ``convert`` is set where the sides' differ.

    ``known`` types print exactly what they hold; ``foreign`` ones are not PostgreSQL's own, nor made of them.
    """

    name: str
    type: str
    charset: Optional[str] = None
    convert: bool = False
    known: bool = True
    foreign: bool = False


# 64 bits of a row's text. The first is there since PostgreSQL 11, takes half the time, and hashes the bytes of the
# database's own encoding. Where two versions were to compute it differently, the rows themselves would be compared.
HASH = 'hashtextextended({0} COLLATE "C",0)'
MD5 = "('x'||left(md5(convert_to({0},'UTF8')),16))::bit(64)::bigint"


class Table(NamedTuple):
    """One table, its name with its schema and quoted. ``key`` is empty where no key identifies a row.

    ``digest`` is how the server makes a number of a row.
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


def row_text(columns: Sequence[Column]) -> str:
    """These columns' values as one text."""
    return "ROW({0})::text".format(",".join(quote(column.name) for column in columns))


def digest(columns: Sequence[Column]) -> str:
    """The MD5 of these columns' values."""
    return "md5(convert_to({0},'UTF8'))".format(row_text(columns))


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
    number = table.digest.format(row_text(table.columns))
    return "SELECT count(*),coalesce(sum({0}),0) FROM {1} WHERE {2}".format(number, table_name(table), where), arguments


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
            _key_names(table), digest(table.columns), table_name(table), where, MAX_HASHES
        ),
        arguments,
    )


def hashes_of(table: Table, keys: Sequence[Key]) -> Statement:
    """Key columns, then the hash, of the rows with these keys."""
    where, arguments = _keys(table, keys)
    return (
        "SELECT {0},{1} FROM {2} WHERE {3}".format(_key_names(table), digest(table.columns), table_name(table), where),
        arguments,
    )


def column_hashes_of(table: Table, keys: Sequence[Key]) -> Statement:
    """Key columns, then one hash a column, of the rows with these keys."""
    where, arguments = _keys(table, keys)
    columns = ",".join(digest([column]) for column in table.columns)
    return (
        "SELECT {0},{1} FROM {2} WHERE {3}".format(_key_names(table), columns, table_name(table), where),
        arguments,
    )


def multiset(table: Table) -> Statement:
    """The hashes of a table without key, and how often each comes."""
    return (
        "SELECT {0} AS h,count(*) FROM {1} GROUP BY 1 LIMIT {2:d}".format(
            digest(table.columns), table_name(table), MAX_HASHES
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
    for oid, name, kind, type_oid, collation, provider, locale in ask(
        connection,
        "SELECT c.oid, a.attname, format_type(a.atttypid, a.atttypmod), a.atttypid, a.attcollation, o.collprovider, "
        "o.collname "
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
            Column(name, kind, sorts, False, exact(types, type_oid), foreign(types, type_oid))
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
    number = HASH if encoding == "UTF8" and int(version) >= 110000 else MD5
    return [
        Table(database, name, columns.get(oid, []), min(keys[oid])[-1] if oid in keys else [], "", int(rows), number)
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


# Objects that are no extension's, of a schema that is the site's.
_SITE = (
    "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%' "
    "AND coalesce(obj_description(n.oid, 'pg_namespace'), '') NOT LIKE 'ocpizza.cutover%' "
    "AND NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.objid = {0}.oid AND e.deptype = 'e')"
)
_ACL = (
    "(SELECT string_agg(DISTINCT concat_ws(' ', CASE WHEN x.grantee = 0 THEN 'PUBLIC' "
    "ELSE x.grantee::regrole::text END, x.privilege_type, CASE WHEN x.is_grantable AND x.grantee <> x.grantor "
    "THEN 'grantable' END), ', ') FROM aclexplode(coalesce({0}.{1}, "
    "acldefault({2}, {0}.{3}))) x WHERE x.privilege_type <> 'MAINTAIN')"
)
# What is not defined in words anywhere: that it is there has to do.
_OTHERS = (
    *("pg_operator", "pg_cast", "pg_opclass", "pg_opfamily", "pg_conversion", "pg_language", "pg_transform"),
    *("pg_ts_config", "pg_ts_dict", "pg_ts_parser", "pg_ts_template", "pg_am", "pg_foreign_data_wrapper"),
    *("pg_foreign_server", "pg_user_mapping"),
)
# Objects of the server itself have lower numbers.
_MADE = "{0}.oid >= 16384 AND NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.objid = {0}.oid AND e.deptype = 'e')"
SCHEMA_QUERIES = {
    # The one that every database has belongs to another role in each version.
    "schema": (
        "SELECT 'schema', n.nspname, '', n.nspowner::regrole, "
        + _ACL.format("n", "nspacl", "'n'", "nspowner")
        + " FROM pg_namespace n WHERE n.nspname <> 'public' AND "
        + _SITE.format("n")
    ),
    "default privileges": (
        "SELECT 'default privileges', concat_ws(' ', d.defaclrole::regrole, n.nspname), d.defaclobjtype, "
        "(SELECT string_agg(concat_ws(' ', CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END, "
        "x.privilege_type), ', ' ORDER BY 1) FROM aclexplode(d.defaclacl) x WHERE x.privilege_type <> 'MAINTAIN') "
        "FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace"
    ),
    "collation": (
        "SELECT n.nspname, c.collname, '', c.collprovider, c.collisdeterministic, coalesce(to_jsonb(c)->>'colllocale', "
        "to_jsonb(c)->>'colliculocale', c.collcollate) FROM pg_collation c "
        "JOIN pg_namespace n ON n.oid = c.collnamespace WHERE " + _SITE.format("c")
    ),
    "rule": (
        "SELECT n.nspname, c.relname, r.rulename, r.ev_enabled, pg_get_ruledef(r.oid) FROM pg_rewrite r "
        "JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE r.rulename <> '_RETURN' AND " + _SITE.format("c")
    ),
    "statistics": (
        "SELECT n.nspname, s.stxname, '', pg_get_statisticsobjdef(s.oid) FROM pg_statistic_ext s "
        "JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE " + _SITE.format("s")
    ),
    "comment": (
        "SELECT 'comment', pg_describe_object(d.classoid, d.objoid, d.objsubid), '', d.description "
        "FROM (SELECT s.*, s.objoid AS oid FROM pg_description s) d WHERE d.classoid <> 'pg_extension'::regclass "
        "AND d.description NOT LIKE 'ocpizza.cutover%' AND " + _MADE.format("d")
    ),
    "object": " UNION ALL ".join(
        "SELECT 'object', pg_describe_object('{0}'::regclass, o.oid, 0), '' FROM {0} o WHERE ".format(catalogue)
        + _MADE.format("o")
        for catalogue in _OTHERS
    ),
    "large objects": (
        "SELECT 'large objects', 'all', '', (SELECT count(*) FROM pg_largeobject_metadata), "
        "md5(string_agg(concat_ws(':', loid, pageno, md5(data)), ',' ORDER BY loid, pageno)) FROM pg_largeobject"
    ),
    "table": (
        "SELECT n.nspname, c.relname, '', c.relkind, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity, "
        "pg_get_expr(c.relpartbound, c.oid), CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END, "
        "c.relowner::regrole, "
        + _ACL.format("c", "relacl", "'r'", "relowner")
        + " FROM pg_class c JOIN pg_namespace n "
        "ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND " + _SITE.format("c")
    ),
    "column": (
        "SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, "
        "a.attgenerated, pg_get_expr(d.adbin, d.adrelid), CASE WHEN o.collprovider <> 'd' THEN o.collname END, "
        "(SELECT string_agg(concat_ws(' ', CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END, "
        "x.privilege_type), ', ' ORDER BY 1) FROM aclexplode(a.attacl) x) "
        "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
        "LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum "
        "LEFT JOIN pg_collation o ON o.oid = a.attcollation "
        "WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND a.attnum > 0 AND NOT a.attisdropped AND "
        + _SITE.format("c")
    ),
    "index": (
        "SELECT n.nspname, c.relname, '', pg_get_indexdef(c.oid), i.indisvalid, i.indisreplident FROM pg_index i "
        "JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE "
        + _SITE.format("c")
    ),
    "constraint": (
        "SELECT n.nspname, coalesce(c.relname, y.typname), k.conname, pg_get_constraintdef(k.oid), k.convalidated "
        "FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace LEFT JOIN pg_class c ON c.oid = k.conrelid "
        "LEFT JOIN pg_type y ON y.oid = k.contypid WHERE k.contype <> 'n' AND "
        + _SITE.format("k").replace("e.objid = k.oid", "e.objid IN (k.oid, c.oid)")
    ),
    "trigger": (
        "SELECT n.nspname, c.relname, t.tgname, t.tgenabled, pg_get_triggerdef(t.oid) FROM pg_trigger t "
        "JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE NOT t.tgisinternal AND t.tgname <> 'cutover_fence' AND " + _SITE.format("c")
    ),
    "routine": (
        "SELECT n.nspname, p.proname, pg_get_function_identity_arguments(p.oid), pg_get_function_result(p.oid), "
        "p.prokind, p.provolatile, p.proisstrict, p.prosecdef, p.proconfig, md5(p.prosrc), p.proowner::regrole, "
        + _ACL.format("p", "proacl", "'f'", "proowner")
        + " FROM pg_proc p "
        "JOIN pg_namespace n ON n.oid = p.pronamespace WHERE " + _SITE.format("p")
    ),
    "view": (
        "SELECT n.nspname, c.relname, '', pg_get_viewdef(c.oid) FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm') AND " + _SITE.format("c")
    ),
    "sequence": (
        "SELECT n.nspname, c.relname, '', format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmax, "
        "s.seqmin, s.seqcache, s.seqcycle, c.relowner::regrole, "
        + _ACL.format("c", "relacl", "'s'", "relowner")
        + " FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE " + _SITE.format("c")
    ),
    "type": (
        "SELECT n.nspname, t.typname, '', t.typtype, t.typnotnull, t.typdefault, "
        "CASE WHEN t.typbasetype <> 0 THEN format_type(t.typbasetype, t.typtypmod) END, "
        "(SELECT json_agg(l.enumlabel ORDER BY l.enumsortorder) FROM pg_enum l WHERE l.enumtypid = t.oid), "
        "t.typowner::regrole, "
        + _ACL.format("t", "typacl", "'T'", "typowner")
        + " FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype IN ('e', 'd', 'r') AND "
        + _SITE.format("t")
    ),
    "policy": (
        "SELECT n.nspname, c.relname, p.polname, p.polcmd, p.polpermissive, pg_get_expr(p.polqual, p.polrelid), "
        "pg_get_expr(p.polwithcheck, p.polrelid), p.polroles::regrole[] FROM pg_policy p "
        "JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE " + _SITE.format("c")
    ),
    "extension": "SELECT 'extension', extname, '' FROM pg_extension",
    "event trigger": "SELECT 'event trigger', evtname, '', evtevent, evtenabled, evttags FROM pg_event_trigger",
}


def normalised(kind: str, value: Any) -> str:
    """One spelling for what versions spell differently: from 16 on a view's columns lack the tables that 13 names."""
    if value is None:
        return "NULL"
    text = str(value)
    if kind == "view":
        text = re.sub(r'(?:"(?:[^"]|"")*"|[A-Za-z_][\w$]*)\.', "", text)
        text = re.sub(r"[\s()]+", " ", text).strip()
    if kind == "collation":
        # From 16 on a language tag is kept without what goes without saying.
        text = re.sub(r"-true(?=-|\Z)", "", text)
    return text


def schema(connection: Any, database: str) -> Dict[Tuple[str, str], str]:
    """Everything that is defined in a database: (kind, name) to a normalised definition."""
    found = {}
    for kind, query in SCHEMA_QUERIES.items():
        for row in ask(connection, query):
            name = ".".join(quote_postgresql(part) for part in row[:2])
            if row[2]:
                name += "({0})".format(row[2]) if kind == "routine" else "." + quote_postgresql(row[2])
            found[(kind, name)] = " ".join(normalised(kind, value) for value in row[3:])
    return found
