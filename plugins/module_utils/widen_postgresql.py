# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: S608 - every name in a statement went through quote_postgresql(), every value is a literal or a number
"""Widening keys on PostgreSQL: each table rewritten once, in one transaction a database, so that none is half done.

The server makes indexes and foreign keys anew by itself; views that show a widened column are made anew here.

Sequences become bigint and keep the greatest value that the source's column can hold, for as long as there is to be a
way back. A larger key that the application chooses by itself stops the way back instead: the source's server refuses
it, and replication stands still.
"""

import json
from collections import defaultdict
from typing import Any, Dict, List, Sequence

from ansible_collections.ocpizza.cutover.plugins.module_utils import proof_postgresql, widen
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import words
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_postgresql
from ansible_collections.ocpizza.cutover.plugins.module_utils.postgresql_wire import (
    SITE_TABLES,
    code_of,
    literal,
)
from ansible_collections.ocpizza.cutover.plugins.module_utils.widen import Column, Reference, Room

LARGEST = 2**63 - 1
# The parts of a partitioned table, and what inherits, follow their root.
ROOTS = (
    SITE_TABLES + " AND c.relkind IN ('r', 'p') AND NOT EXISTS (SELECT 1 FROM pg_inherits h WHERE h.inhrelid = c.oid)"
)
# What the server refuses to change the type under. Views are made anew, unless there is more to them than their query.
BLOCKED = (
    "CASE WHEN c.relkind = 'p' AND EXISTS (SELECT 1 FROM pg_partitioned_table p WHERE p.partrelid = c.oid "
    "AND a.attnum = ANY (p.partattrs)) THEN 'the table is partitioned by it' "
    "WHEN a.attgenerated <> '' THEN 'it is generated' ELSE (SELECT min(CASE "
    "WHEN d.classid = 'pg_policy'::regclass THEN 'a policy uses it' "
    "WHEN d.classid = 'pg_trigger'::regclass THEN 'a trigger names it' "
    "WHEN d.classid = 'pg_attrdef'::regclass THEN 'a generated column is made of it' "
    "WHEN w.relkind = 'm' THEN 'the materialized view ' || w.relname || ' shows it' "
    "WHEN w.relkind IN ('r', 'p') THEN 'a rule uses it' END) FROM pg_depend d "
    "LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid "
    "LEFT JOIN pg_class w ON w.oid = r.ev_class WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid "
    "AND d.refobjsubid = a.attnum AND (d.classid IN ('pg_policy'::regclass, 'pg_trigger'::regclass) "
    "OR (d.classid = 'pg_attrdef'::regclass AND NOT EXISTS (SELECT 1 FROM pg_attrdef f WHERE f.oid = d.objid "
    "AND f.adrelid = c.oid AND f.adnum = a.attnum)) OR w.relkind IN ('m', 'r', 'p'))) END"
)
COLUMNS = (
    "SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, NULL), EXISTS (SELECT 1 FROM pg_index i "
    "WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey)), "
    + BLOCKED
    + ROOTS.replace("FROM pg_class c", " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid", 1)
    + " AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid IN (20, 21, 23) ORDER BY 1, 2, a.attnum"
)
_NAMES = (
    "(SELECT json_agg(a.attname ORDER BY u.n) FROM unnest({0}) WITH ORDINALITY u (attnum, n) "
    "JOIN pg_attribute a ON a.attrelid = {1} AND a.attnum = u.attnum)"
)
REFERENCES = (
    "SELECT n.nspname, c.relname, k.conname, m.nspname, o.relname, "
    + _NAMES.format("k.conkey", "k.conrelid")
    + ", "
    + _NAMES.format("k.confkey", "k.confrelid")
    + " FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
    "JOIN pg_class o ON o.oid = k.confrelid JOIN pg_namespace m ON m.oid = o.relnamespace "
    "WHERE k.contype = 'f' AND k.conparentid = 0 ORDER BY 1, 2, 3"
)
# Owned by the column, or what its default takes numbers from.
SEQUENCES = (
    "SELECT DISTINCT n.nspname, s.relname, q.seqmax, format_type(q.seqtypid, NULL), t.nspname, c.relname, a.attname "
    "FROM pg_sequence q JOIN pg_class s ON s.oid = q.seqrelid JOIN pg_namespace n ON n.oid = s.relnamespace "
    "JOIN (SELECT d.objid AS seq, d.refobjid AS tbl, d.refobjsubid AS num FROM pg_depend d "
    "WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') "
    "UNION SELECT d.refobjid, f.adrelid, f.adnum FROM pg_depend d JOIN pg_attrdef f ON f.oid = d.objid "
    "WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass) u ON u.seq = s.oid "
    "JOIN pg_class c ON c.oid = u.tbl JOIN pg_namespace t ON t.oid = c.relnamespace "
    "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.num WHERE q.seqincrement > 0 ORDER BY 1, 2"
)
# Views that show one of these columns, or another view that does; the deepest last.
VIEWS = (
    "WITH RECURSIVE v (oid, depth) AS (SELECT r.ev_class, 1 FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid "
    "JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid "
    "WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND r.ev_class <> d.refobjid "
    "AND (a.attrelid, a.attname) IN ({0}) UNION SELECT r.ev_class, v.depth + 1 FROM v "
    "JOIN pg_depend d ON d.refobjid = v.oid AND d.refclassid = 'pg_class'::regclass "
    "AND d.classid = 'pg_rewrite'::regclass JOIN pg_rewrite r ON r.oid = d.objid WHERE r.ev_class <> v.oid) "
    "SELECT c.oid::regclass::text, pg_get_viewdef(c.oid), array_to_string(c.reloptions, ', '), "
    "c.relowner::regrole::text, obj_description(c.oid, 'pg_class'), (SELECT json_agg(json_build_array("
    "CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END, x.privilege_type, x.is_grantable)) "
    "FROM aclexplode(c.relacl) x), CASE WHEN c.relkind <> 'v' THEN 'is materialized' "
    "WHEN EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgrelid = c.oid) THEN 'has triggers' "
    "WHEN EXISTS (SELECT 1 FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN') "
    "THEN 'has rules' WHEN EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND (a.atthasdef "
    "OR a.attacl IS NOT NULL OR col_description(c.oid, a.attnum) IS NOT NULL)) THEN 'has columns with defaults, rights "
    "or comments' END FROM pg_class c JOIN (SELECT oid, max(depth) AS depth FROM v GROUP BY oid) v ON v.oid = c.oid "
    "ORDER BY v.depth, 1"
)


def table_name(schema: str, name: str) -> str:
    """A table as our texts have it, usable in SQL as it is."""
    return "{0}.{1}".format(quote_postgresql(schema), quote_postgresql(name))


def sequence_after(kind: str, greatest: int, limit: int, limited: bool) -> int:
    """A sequence's greatest value beside a bigint: the source's limit at first, and later what it had or may have."""
    if limited:
        return min(greatest, limit)
    return LARGEST if greatest == widen.range_of(kind)[1] else greatest


class Widener:
    """One server of PostgreSQL, whose keys are widened, or have been."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.table = "{0}.widened".format(server.schema)

    # What there is.

    def references(self, database: str) -> List[Reference]:
        """The foreign keys of one database."""
        return [
            Reference(
                database,
                table_name(schema, table),
                name,
                json.loads(columns),
                (database, table_name(other_schema, other)),
                json.loads(others),
            )
            for schema, table, name, other_schema, other, columns, others in self.server.rows(database, REFERENCES)
        ]

    def wanted(self, chosen: Sequence[str]) -> List[Column]:
        """What is left to widen here."""
        tables, columns = [], []
        references = []  # type: List[Reference]
        for database in self.server.databases:
            for schema, name in self.server.rows(database, "SELECT n.nspname, c.relname " + ROOTS):
                tables.append((database, table_name(schema, name), [".".join((database, schema, name))]))
            for schema, table, name, kind, primary, blocked in self.server.rows(database, COLUMNS):
                columns.append(Column(database, table_name(schema, table), name, kind, primary, blocked or ""))
            references += self.references(database)
        return widen.select(tables, columns, references, chosen)

    def definitions(self, database: str) -> widen.Definitions:
        """Every definition as the proof reads it, which takes all values as text."""
        connection = self.server.connections[database]
        typed, connection.pg_types = connection.pg_types, defaultdict(lambda: str)
        try:
            return proof_postgresql.schema(connection, database)
        finally:
            connection.pg_types = typed

    # What is remembered.

    def read(self, database: str) -> Dict[str, Any]:
        """What was widened in one database."""
        known = self.server.value(database, "SELECT to_regclass(%s) IS NOT NULL", self.table)
        found = self.server.rows(database, "SELECT content FROM {0}".format(self.table)) if known else []
        return dict(json.loads(found[0][0])) if found else {"columns": [], "changed": [], "sequences": []}

    def write(self, database: str, content: Dict[str, Any]) -> None:
        """Keep it."""
        self.server.rows(
            database,
            "CREATE TABLE IF NOT EXISTS {0} (id int PRIMARY KEY, content text NOT NULL); "
            "INSERT INTO {0} VALUES (1, %s) ON CONFLICT (id) DO UPDATE "
            "SET content = excluded.content".format(self.table),
            json.dumps(content),
        )

    def changed(self, database: str) -> widen.Changed:
        """The definitions of one database that the widening changed."""
        return widen.readable(self.read(database)["changed"])

    # The work.

    def widen(self, chosen: Sequence[str], progress: Any) -> List[str]:
        """Widen what is left, database by database, each as a whole or not at all."""
        wanted = self.wanted(chosen)
        written = self.server.has_link() and not self.server.is_closed()
        if wanted and written:
            raise widen.WidenError("the site writes on this server, so that its keys cannot be widened here")
        for database in self.server.databases:
            columns = [column for column in wanted if column.database == database]
            if columns:
                self.transaction(database, lambda: self._widen(database, columns, progress))  # noqa: B023
                for (_database, table), _columns in widen.by_table(columns):
                    self.server.rows(database, "ANALYZE {0}".format(table))
            elif not written:
                self.limit_all(database, True)
        return widen.told(wanted)

    def transaction(self, database: str, action: Any) -> None:
        """Do it as a whole or not at all."""
        self.server.rows(database, "BEGIN")
        try:
            action()
            self.server.rows(database, "COMMIT")
        except BaseException as error:
            self.server.rows(database, "ROLLBACK")
            if code_of(error):
                raise widen.WidenError("keys of database {0}: {1}".format(database, words(error))) from error
            raise

    def _widen(self, database: str, columns: List[Column], progress: Any) -> None:
        known = self.read(database)
        before = self.definitions(database)
        before.update({key: one for key, (one, _two) in widen.readable(known["changed"]).items()})
        views = self.views(database, columns)
        for view in reversed(views):
            self.server.rows(database, "DROP VIEW {0}".format(view[0]))
        work = widen.by_table(columns)
        for count, ((_database, table), own) in enumerate(work):
            progress(count, len(work), "tables: widening {0} in database {1}".format(table, database))
            alter = ", ".join("ALTER {0} TYPE bigint".format(quote_postgresql(column.name)) for column in own)
            self.server.rows(database, "ALTER TABLE {0} {1}".format(table, alter))
        for view in views:
            self.make_view(database, view)
        known["columns"] += [
            [column.table, column.name, column.type, *widen.range_of(column.type)] for column in columns
        ]
        limits = {(one[0], one[1]): one[4] for one in known["columns"]}
        kept = {one[0] for one in known["sequences"]}
        for schema, name, greatest, kind, table_schema, table, column in self.server.rows(database, SEQUENCES):
            sequence, of = table_name(schema, name), (table_name(table_schema, table), column)
            if of in limits and sequence not in kept:
                kept.add(sequence)
                known["sequences"].append([sequence, kind, int(greatest), limits[of]])
        self.write(database, known)
        self.limit(database, True)
        known["changed"] = widen.writable(widen.changed(before, self.definitions(database)))
        self.write(database, known)
        progress(len(work), len(work), "tables: widening")

    def views(self, database: str, columns: Sequence[Column]) -> List[Any]:
        """The views that have to be made anew, each after those that it shows."""
        names = ", ".join(
            "(to_regclass({0})::oid, {1})".format(literal(column.table), literal(column.name)) for column in columns
        )
        found: List[Any] = self.server.rows(database, VIEWS.format(names))
        for view in found:
            if view[6]:
                raise widen.WidenError(
                    "view {0} of database {1} shows a key that is to be widened, and {2}. Drop it, and make it anew "
                    "after the cutover; or leave the table out of site_widen".format(view[0], database, view[6])
                )
        return found

    def make_view(self, database: str, view: Sequence[Any]) -> None:
        """Make a view anew: options, owner, comment and rights as they were."""
        name, query, options, owner, comment, rights = view[:6]
        statements = ["CREATE VIEW {0}{1} AS {2}".format(name, " WITH ({0})".format(options) if options else "", query)]
        statements.append("ALTER VIEW {0} OWNER TO {1}".format(name, owner))
        if comment is not None:
            statements.append("COMMENT ON VIEW {0} IS {1}".format(name, literal(comment)))
        if rights is not None:
            statements.append("REVOKE ALL ON {0} FROM {1}".format(name, owner))
            statements += [
                "GRANT {0} ON {1} TO {2}{3}".format(right, name, who, " WITH GRANT OPTION" if grantable else "")
                for who, right, grantable in json.loads(rights)
            ]
        for statement in statements:
            self.server.rows(database, statement.rstrip().rstrip(";"))

    # The limits.

    def limit(self, database: str, limited: bool) -> int:
        """Have the sequences end where the source's columns do, or not; how many were changed."""
        known = self.read(database)
        count = 0
        for sequence, kind, greatest, limit in known["sequences"]:
            wanted = sequence_after(kind, greatest, limit, limited)
            now = self.server.rows(
                database,
                "SELECT format_type(seqtypid, NULL), seqmax FROM pg_sequence WHERE seqrelid = to_regclass(%s)",
                sequence,
            )
            if now and now[0] != ["bigint", wanted]:
                self.server.rows(database, "ALTER SEQUENCE {0} AS bigint MAXVALUE {1:d}".format(sequence, wanted))
                count += 1
        return count

    def limit_all(self, database: str, limited: bool) -> int:
        """The same as a whole; what the proof accepts goes with it."""
        known, counts = self.read(database), []  # type: Dict[str, Any], List[int]

        def work() -> None:
            counts.append(self.limit(database, limited))
            now = self.definitions(database)
            known["changed"] = [
                [kind, name, one, now.get((kind, name), two)] for kind, name, one, two in known["changed"]
            ]
            self.write(database, known)

        if known["sequences"]:
            self.transaction(database, work)
        return sum(counts)

    def lift(self) -> int:
        """Let the sequences go on; how many."""
        return sum(self.limit_all(database, False) for database in self.server.databases)

    def room(self) -> List[Room]:
        """How far the widened keys have come; what refers to another one of them is no further."""
        found = []
        for database in self.server.databases:
            known = self.read(database)
            if not known["columns"]:
                continue
            limited = not any(
                self.server.rows(
                    database,
                    "SELECT 1 FROM pg_sequence WHERE seqrelid = to_regclass(%s) AND seqmax > %s",
                    sequence,
                    limit,
                )
                for sequence, _kind, _greatest, limit in known["sequences"]
            )
            ids = {(database, one[0], one[1]) for one in known["columns"]}
            bounded = widen.bounded(self.references(database), ids)
            for table, column, _kind, lowest, limit in known["columns"]:
                if (database, table, column) in bounded:
                    continue
                ((least, most),) = self.server.rows(
                    database, "SELECT min({0})::int8, max({0})::int8 FROM {1}".format(quote_postgresql(column), table)
                )
                name = "{0}.{1}.{2}".format(database, table, quote_postgresql(column))
                found.append(Room(name, least, most, lowest, limit, limited))
        return found
