# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: S608 - every name in a statement went through quote_mysql(), every value is a number or an argument
"""Widening keys on MariaDB and MySQL: foreign keys away, each table changed once, foreign keys back.

A change of a table ends its transaction, so that an interruption leaves a part of the work. What the foreign keys
and the definitions were is kept in the site's schema before anything is touched, and the next run goes on from it.

The way back writes a bigint into an int, and the server that applies it cuts what does not fit without a word. So
triggers keep larger values out of the target for as long as there is to be a way back. They come after the row, for
only then a number that the server gives is known; and the applier fires none.

MySQL's applier takes all integers that it converts for signed ones or all for unsigned ones. Where both kinds are
widened it is told unsigned, and so the signed keys must not be negative.
"""

import hashlib
import json
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils import proof_mariadb, widen
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_mysql
from ansible_collections.ocpizza.cutover.plugins.module_utils.widen import Column, Reference, Room

GUARD = "cutover_room_{0}_{1}"
GUARDED = ("INSERT", "UPDATE")
# What a server says by itself of a number that is too large.
OUT_OF_RANGE = 1264


def guard_name(event: str, table: str) -> str:
    """The name of a guard's trigger."""
    return GUARD.format(event.lower(), hashlib.sha256(table.encode("utf-8")).hexdigest()[:16])


def guard(database: str, table: str, event: str, columns: Sequence[Tuple[str, int, int]]) -> str:
    """The trigger that keeps values out which the other side cannot hold."""
    outside = " OR ".join(
        "NEW.{0} NOT BETWEEN {1:d} AND {2:d}".format(quote_mysql(name), lowest, limit)
        for name, lowest, limit in columns
    )
    return (
        "CREATE TRIGGER {0}.{1} AFTER {2} ON {0}.{3} FOR EACH ROW IF {4} THEN SIGNAL SQLSTATE '22003' "
        "SET MYSQL_ERRNO = {5:d}, MESSAGE_TEXT = 'This key is larger than the old server can hold, and the way "
        "back to it is open (ocpizza.cutover)'; END IF"
    ).format(
        quote_mysql(database), quote_mysql(guard_name(event, table)), event, quote_mysql(table), outside, OUT_OF_RANGE
    )


def is_unsigned(kind: str) -> bool:
    """Whether the type has no negative values."""
    return widen.range_of(kind)[0] == 0


def not_negative(columns: Sequence[Sequence[Any]]) -> List[List[Any]]:
    """Kept columns as one applier's rows can hold them all: where one is unsigned, none may be negative."""
    if not any(is_unsigned(one[3]) for one in columns):
        return [list(one) for one in columns]
    return [[*one[:4], max(0, one[4]), *one[5:]] for one in columns]


def wider_line(created: str, column: str) -> str:
    """A column's line of SHOW CREATE TABLE, its type a bigint and all else as it was."""
    name = quote_mysql(column)
    at = created.find("\n  {0} ".format(name))
    if at < 0:
        raise widen.WidenError("column {0} is not in its table's definition".format(column))
    line = created[at + 3 :].split("\n", 1)[0]
    head, rest = line[: len(name) + 1], line[len(name) + 1 :]
    rest = rest[:-1] if rest.endswith(",") else rest
    return head + widen.wide_type_in(rest)


def reference_line(created: str, name: str) -> str:
    """A foreign key's line of SHOW CREATE TABLE."""
    start = "\n  CONSTRAINT {0} FOREIGN KEY ".format(quote_mysql(name))
    at = created.find(start)
    if at < 0:
        raise widen.WidenError("foreign key {0} is not in its table's definition".format(name))
    line = created[at + 3 :].split("\n", 1)[0]
    return line[:-1] if line.endswith(",") else line


class Widener:
    """One server of MariaDB or MySQL, whose keys are widened, or have been."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.table = "{0}.widened".format(server.schema)

    # What there is.

    def created(self, database: str, table: str) -> str:
        """How the server would make the table."""
        (row,) = self.server.rows("SHOW CREATE TABLE {0}.{1}".format(quote_mysql(database), quote_mysql(table)))
        return str(row["Create Table"])

    def references(self) -> List[Reference]:
        """The foreign keys of the site's tables, and those of others that refer to them."""
        found = {}  # type: Dict[Tuple[str, str, str], List[Dict[str, str]]]
        for row in self.server.rows(
            "SELECT table_schema AS db, table_name AS tbl, constraint_name AS name, column_name AS col, "
            "referenced_table_schema AS other_db, referenced_table_name AS other, referenced_column_name AS other_col "
            "FROM information_schema.key_column_usage WHERE referenced_table_name IS NOT NULL "
            "AND (table_schema IN %s OR referenced_table_schema IN %s) ORDER BY 1, 2, 3, ordinal_position",
            [self.server.databases, self.server.databases],
        ):
            found.setdefault((row["db"], row["tbl"], row["name"]), []).append(row)
        return [
            Reference(
                *key,
                columns=[row["col"] for row in rows],
                other=(rows[0]["other_db"], rows[0]["other"]),
                other_columns=[row["other_col"] for row in rows],
            )
            for key, rows in sorted(found.items())
        ]

    def columns(self, references: Iterable[Reference]) -> List[Column]:
        """The integer columns of the site's tables, and why some cannot be changed."""
        outside = {}  # type: Dict[Tuple[str, str, str], str]
        for reference in references:
            for one, two in reference.pairs():
                for here, there in ((one, two), (two, one)):
                    if there[0] not in self.server.databases:
                        outside[here] = "a foreign key ties it to {0}.{1}, which is not the site's".format(*there)
        found = []
        for row in self.server.rows(
            "SELECT c.table_schema AS db, c.table_name AS tbl, c.column_name AS col, c.column_type AS kind, "
            "c.column_key AS keyed, c.extra AS extra FROM information_schema.columns c "
            "JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name "
            "WHERE c.table_schema IN %s AND t.table_type <> 'VIEW' AND c.data_type LIKE '%%int' "
            "ORDER BY 1, 2, c.ordinal_position",
            [self.server.databases],
        ):
            name = (row["db"], row["tbl"], row["col"])
            blocked = outside.get(name, "")
            if "VIRTUAL" in row["extra"].upper() or "STORED" in row["extra"].upper():
                blocked = "it is generated. Give its expression a bigint on the source"
            kind = row["kind"].decode("ascii") if isinstance(row["kind"], bytes) else row["kind"]
            found.append(Column(*name, type=kind, primary=row["keyed"] == "PRI", blocked=blocked))
        return found

    def wanted(self, chosen: Sequence[str], references: Sequence[Reference]) -> List[Column]:
        """What is left to widen here."""
        tables = [(row["db"], row["tbl"], ["{db}.{tbl}".format(**row)]) for row in self.server.tables()]
        return widen.select(tables, self.columns(references), references, chosen)

    def check_signs(self, columns: Sequence[Column]) -> None:
        """Refuse negative keys beside unsigned ones, where the applier cannot tell them apart."""
        unsigned = [column for column in columns if is_unsigned(column.type)]
        if not self.server.one_sign or not unsigned:
            return
        for column in columns:
            if is_unsigned(column.type):
                continue
            (row,) = self.server.rows("SELECT MIN({2}) AS least FROM {0}.{1}".format(*map(quote_mysql, column.id)))
            if (row["least"] or 0) < 0:
                raise widen.WidenError(
                    "{0} has negative values and {1} is unsigned: MySQL replicates only one of them into a wider "
                    "column. Leave the table of one out of site_widen".format(column.text(), unsigned[0].text())
                )

    def definitions(self) -> Dict[str, widen.Definitions]:
        """Every definition as the proof reads it, by database."""
        connection = self.server.connection
        return {database: proof_mariadb.schema(connection, database) for database in self.server.databases}

    # What is remembered.

    def read(self) -> Dict[str, Any]:
        """What an earlier run left: the columns, the foreign keys that it took away, the definitions before it."""
        known = self.server.rows(
            "SELECT 1 FROM information_schema.tables WHERE table_schema = %s AND table_name = 'widened'",
            [self.server.name],
        )
        found = self.server.rows("SELECT content AS content FROM {0}".format(self.table)) if known else []
        return dict(json.loads(found[0]["content"])) if found else {"columns": [], "before": {}, "references": []}

    def write(self, content: Dict[str, Any]) -> None:
        """Keep it, in one step."""
        self.server.rows("REPLACE INTO {0} VALUES (1, %s)".format(self.table), [json.dumps(content)])

    def changed(self, database: str) -> widen.Changed:
        """The definitions of one database that the widening changed."""
        return widen.readable(self.read().get("changed", {}).get(database, []))

    # The work.

    def widen(self, chosen: Sequence[str], progress: Any) -> List[str]:
        """Widen what is left, go on where an earlier run was interrupted, and keep larger values out."""
        known = self.read()
        references = self.references()
        present = {(one.database, one.table, one.name) for one in references}
        # What an interrupted run took away still ties its columns together.
        references += [
            Reference(kept[0], kept[1], kept[2], kept[3], (kept[4][0], kept[4][1]), kept[5], kept[6])
            for kept in known["references"]
            if tuple(kept[:3]) not in present
        ]
        wanted = self.wanted(chosen, references)
        begun = {(one[0], one[1], one[2]) for one in known["columns"]} - {column.id for column in wanted}
        # It is ended as it was begun, whatever is asked for now.
        wanted += [one for one in self.columns(references) if one.id in begun and widen.is_narrow(one.type)]
        written = self.server.has_link() and not self.server.is_closed()
        if not wanted and not known["before"]:
            if not written:
                self.limit(known)
            return []
        if written:
            raise widen.WidenError("the site writes on this server, so that its keys cannot be widened here")
        connection = self.server.connection
        proof_mariadb.prepare(connection)
        self.server.rows(
            "SET SESSION sql_log_bin = 0, SESSION foreign_key_checks = 0, SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO', "
            "SESSION lock_wait_timeout = 60"
        )
        if self.server.engine == "mariadb":
            self.server.rows("SET SESSION system_versioning_alter_history = KEEP")
        try:
            return self._widen(wanted, references, known, progress)
        finally:
            self.server.rows("SET SESSION foreign_key_checks = 1, SESSION sql_log_bin = 1")

    def _widen(
        self, wanted: Sequence[Column], references: Sequence[Reference], known: Dict[str, Any], progress: Any
    ) -> List[str]:
        self.server.rows(
            "CREATE TABLE IF NOT EXISTS {0} (id TINYINT PRIMARY KEY, content LONGTEXT CHARACTER SET utf8mb4 NOT NULL) "
            "ENGINE=InnoDB".format(self.table)
        )
        away = widen.touched(references, wanted)
        if not known["before"]:
            for database, found in self.definitions().items():
                found.update({key: one for key, (one, _two) in self.changed(database).items()})
                known["before"][database] = [[*key, text] for key, text in sorted(found.items())]
        kept = {(one[0], one[1], one[2]) for one in known["references"]}
        away = [one for one in away if not one.definition]
        known["references"] += [
            list(one._replace(definition=reference_line(self.created(one.database, one.table), one.name)))
            for one in away
            if (one.database, one.table, one.name) not in kept
        ]
        self.check_signs([Column(one[0], one[1], one[2], one[3], True) for one in known["columns"]] + list(wanted))
        done = {tuple(one[:3]) for one in known["columns"]}
        known["columns"] += [
            [*column.id, column.type, *widen.range_of(column.type)] for column in wanted if column.id not in done
        ]
        if self.server.one_sign:
            known["columns"] = not_negative(known["columns"])
        self.write(known)
        for one in away:
            self.server.rows("ALTER TABLE {0} DROP FOREIGN KEY {1}".format(_of(one), quote_mysql(one.name)))
        work = widen.by_table(wanted)
        for count, ((database, table), columns) in enumerate(work):
            progress(count, len(work), "tables: widening {0}.{1}".format(database, table))
            created = self.created(database, table)
            self.server.rows(
                "ALTER TABLE {0}.{1} {2}".format(
                    quote_mysql(database),
                    quote_mysql(table),
                    ", ".join("MODIFY " + wider_line(created, column.name) for column in columns),
                )
            )
        present = {(one.database, one.table, one.name) for one in self.references()}
        for database, table, name, _columns, _other, _others, line in known["references"]:
            if (database, table, name) not in present:
                self.server.rows("ALTER TABLE {0}.{1} ADD {2}".format(quote_mysql(database), quote_mysql(table), line))
        now = self.definitions()
        known["changed"] = {
            database: widen.writable(widen.changed({(row[0], row[1]): row[2] for row in before}, now[database]))
            for database, before in known["before"].items()
        }
        known.update(before={}, references=[])
        self.write(known)
        self.lift()
        self.limit(known)
        progress(len(work), len(work), "tables: widening")
        return widen.told(wanted)

    # The limits.

    def guards(self) -> List[Dict[str, str]]:
        """The triggers that keep larger values out."""
        found: List[Dict[str, str]] = self.server.rows(
            "SELECT trigger_schema AS db, event_object_table AS tbl, trigger_name AS name "
            "FROM information_schema.triggers WHERE trigger_schema IN %s AND trigger_name LIKE 'cutover\\_room\\_%%'",
            [self.server.databases],
        )
        return found

    def limit(self, known: Dict[str, Any]) -> None:
        """Keep values out of the widened columns that the other side cannot hold."""
        present = {(row["db"], row["name"]) for row in self.guards()}
        tables = {}  # type: Dict[Tuple[str, str], List[Tuple[str, int, int]]]
        for database, table, column, _kind, lowest, limit in known["columns"]:
            tables.setdefault((database, table), []).append((column, lowest, limit))
        for (database, table), columns in sorted(tables.items()):
            for event in GUARDED:
                if (database, guard_name(event, table)) not in present:
                    self.server.unlogged(guard(database, table, event, columns))

    def unsigned(self) -> bool:
        """Whether a widened column has no negative values."""
        return any(is_unsigned(one[3]) for one in self.read()["columns"])

    def lift(self) -> int:
        """Let larger values in; how many triggers went."""
        found = self.guards()
        for row in found:
            self.server.unlogged(
                "DROP TRIGGER IF EXISTS {0}.{1}".format(quote_mysql(row["db"]), quote_mysql(row["name"]))
            )
        return len(found)

    def room(self) -> List[Room]:
        """How far the widened keys have come; what refers to another one of them is no further."""
        guarded = {(row["db"], row["name"]) for row in self.guards()}
        known = self.read()["columns"]
        bounded = widen.bounded(self.references(), {(one[0], one[1], one[2]) for one in known}) if known else set()
        found = []
        for database, table, column, _kind, lowest, limit in known:
            if (database, table, column) in bounded:
                continue
            (row,) = self.server.rows(
                "SELECT MIN({2}) AS least, MAX({2}) AS most FROM {0}.{1}".format(
                    *(quote_mysql(name) for name in (database, table, column))
                )
            )
            limited = all((database, guard_name(event, table)) in guarded for event in GUARDED)
            name = "{0}.{1}.{2}".format(database, table, column)
            found.append(Room(name, _number(row["least"]), _number(row["most"]), lowest, limit, limited))
        return found


def _number(value: Any) -> Optional[int]:
    return None if value is None else int(value)


def _of(reference: Reference) -> str:
    return "{0}.{1}".format(quote_mysql(reference.database), quote_mysql(reference.table))
