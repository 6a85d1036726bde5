# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: S608 - every name in a statement went through quote_postgresql(), every value is an argument
"""The log of one PostgreSQL server: its marker, what it sends to the other server, and who reads it.

Two publications a database: one of the site's tables, one of this server's marker. Where the site does not write,
the first publishes no kind of change: ``publish = ''``. The plugin looks at that as it was at each change's place
in the log, so what was written before is still sent, and what arrives from the other side is not sent back. It is
one row of a catalogue and locks no table, however many there are.
"""

import hashlib
import threading
import time
import urllib.parse
from queue import Queue
from typing import Any, Dict, Iterator, List, Sequence

from ansible_collections.ocpizza.cutover.plugins.module_utils import pgoutput
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Change, TableName
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_postgresql
from ansible_collections.ocpizza.cutover.plugins.module_utils.postgresql_fence import (
    EVERYTHING,
    SERVERS,
    FencedServer,
    table_name,
)
from ansible_collections.ocpizza.cutover.plugins.module_utils.postgresql_wire import (
    SITE_TABLES,
    code_of,
    connect,
    literal,
    parse_lsn,
    stream,
)


def write_position(parts: Dict[str, str]) -> str:
    """A position of several databases as one text."""
    return ",".join("{0}={1}".format(urllib.parse.quote(name, safe=""), parts[name]) for name in sorted(parts))


def read_position(text: str) -> Dict[str, str]:
    """The position of each database."""
    pairs = [part.rsplit("=", 1) for part in text.split(",") if part]
    return {urllib.parse.unquote(name): value for name, value in pairs}


class LoggedServer(FencedServer):
    """A server whose changes are known by their places in its log."""

    # Positions and the marker.

    def server(self) -> int:
        """The source's markers are of 1, the target's of 2."""
        return SERVERS[self.side]

    def mark(self, token: str) -> str:
        """Write the marker, and return where: 'database=position#serial'.

        Others may commit between the position and the marker's own commit, so that the serial is what is
        waited for; it grows, and is never used again, even where the schema was made anew.
        """
        found = self.everywhere(
            "UPDATE {0} SET serial = greatest(serial + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint), "
            "token = %s, written = clock_timestamp() RETURNING pg_current_wal_insert_lsn()::text, serial".format(
                self.own_marker
            ),
            token,
        )
        return write_position({database: "{0}#{1}".format(*row) for database, (row,) in found.items()})

    def marked(self, server: int) -> str:
        """The last marker of the given server that has arrived in every database."""
        side = next(name for name, number in SERVERS.items() if number == server)
        found = self.everywhere("SELECT token FROM {0}.marker_{1}".format(self.schema, side))
        tokens = {str(row[0]) for rows in found.values() for row in rows}
        return tokens.pop() if len(tokens) == 1 else ""

    def wait_for(self, position: str, seconds: float) -> bool:
        """Wait until the marker of a position is here: all before it is too, for it is applied in order of commits.

        The link's commits are not waited for by the disk; asking for the progress so writes them to it.
        """
        until = time.monotonic() + seconds
        for database, where in read_position(position).items():
            serial = int(where.split("#")[1])
            statement = "SELECT serial FROM {0}".format(self.other_marker)
            while self.value(database, statement) < serial:
                if time.monotonic() > until:
                    return False
                time.sleep(0.002)
            self.rows(
                database,
                "SELECT pg_replication_origin_progress('pg_' || s.oid, true) FROM pg_subscription s "
                "JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = current_database() AND s.subname = %s",
                self.name,
            )
        return True

    def slot(self, database: str, purpose: str = "") -> str:
        """The name of a slot on this server; the server knows each name once, whatever the database."""
        number = self.value(database, "SELECT oid FROM pg_database WHERE datname = current_database()")
        name = "{0}{1}_{2}".format(self.name, purpose and "_" + purpose, number)
        return (
            name if len(name) <= 63 else "{0}_{1}".format(hashlib.sha256(name.encode("utf-8")).hexdigest()[:40], number)
        )

    def drop_slot(self, database: str, slot: str) -> None:
        """Drop a slot, its reader ended, if it is there."""
        for attempt in range(100):
            found = self.rows(database, "SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s", slot)
            if not found:
                return
            try:
                if found[0][0] is not None:
                    self.rows(database, "SELECT pg_terminate_backend(%s)", found[0][0])
                self.rows(database, "SELECT pg_drop_replication_slot(%s)", slot)
                return
            except Exception as error:
                if code_of(error) not in ("55006", "42704") or attempt == 99:
                    raise
                time.sleep(0.05)

    def make_slot(self, database: str, slot: str) -> str:
        """A new slot of this name, from now on: the position of its start."""
        self.drop_slot(database, slot)
        try:
            return str(
                self.value(database, "SELECT lsn::text FROM pg_create_logical_replication_slot(%s, 'pgoutput')", slot)
            )
        except Exception as error:
            if code_of(error) == "57014":
                raise RuntimeError(
                    "a replication slot in database {0} could not be made: it waits for every transaction that is "
                    "open, and one was for longer than {1} s".format(database, self.timeout)
                ) from error
            raise

    def drop_slots(self) -> None:
        """Drop the site's slots here: a slot without a reader keeps the log for ever."""
        for database in self.databases:
            for purpose in ("", "proof"):
                self.drop_slot(database, self.slot(database, purpose))

    def forget_changes(self) -> None:
        """Drop the slots that keep the log for the proof."""
        for database in self.databases:
            self.drop_slot(database, self.slot(database, "proof"))

    def drop_schema(self) -> None:
        """Take away all that is ours, publications and slots too."""
        self.drop_slots()
        self.everywhere("DROP PUBLICATION IF EXISTS {0}, {1}".format(self.publication, self.marker_publication))
        self.everywhere("DROP SCHEMA IF EXISTS {0} CASCADE".format(self.schema))

    def changes_from(self) -> str:
        """Keep the log from now on, in a slot of each database: 'database=slot@position'.

        What an earlier call kept is given up.
        """
        found = {}
        for database in self.databases:
            self.make_publications(database)
            slot = self.slot(database, "proof")
            found[database] = "{0}@{1}".format(slot, self.make_slot(database, slot))
        return write_position(found)

    def marker_tables(self) -> List[TableName]:
        """This server's own marker in each database: the other one's is not sent on."""
        return [(database, self.own_marker) for database in self.databases]

    def kept_from(self, database: str, slot: str) -> str:
        """From where a slot keeps the log; '' where it is not there. A reader that has just ended is waited for."""
        until = time.monotonic() + 5.0
        while True:
            found = self.rows(
                database,
                "SELECT confirmed_flush_lsn::text, active FROM pg_replication_slots WHERE slot_name = %s",
                slot,
            )
            if not found:
                return ""
            if not found[0][1]:
                return str(found[0][0])
            if time.monotonic() > until:
                raise RuntimeError("the changes of database {0} are followed by another process".format(database))
            time.sleep(0.02)

    def changes(self, credentials: Dict[str, Any], since: str, tables: Sequence[TableName]) -> Iterator[Change]:
        """The row images of the log since a point, as text; each database is followed by a thread.

        The slots stay where they are, so that the same point can be followed again, until ``changes_from()``
        or ``drop_slots()``; the server keeps the log for that long.
        """
        wanted = {*tables, *self.marker_tables()}
        news = Queue(maxsize=10000)  # type: Queue[Any]
        over = threading.Event()
        opened = []
        for database, where in read_position(since).items():
            slot, position = where.split("@")
            if self.kept_from(database, slot) != position:
                raise RuntimeError(
                    "the log of database {0} is no longer kept from {1} on; run verify.yml".format(database, position)
                )
            opened.append((database, slot, parse_lsn(position), connect(credentials, 60.0, database, replication=True)))

        def follow(database: str, slot: str, position: int, connection: Any) -> None:
            parser = pgoutput.Parser()
            try:
                for message in stream(connection, slot, position, self.publications):
                    said = parser.parse(message)
                    if isinstance(said, pgoutput.Rows) and (database, said.table) in wanted:
                        news.put(Change((database, said.table), said.images))
                    if over.is_set():
                        return
            except Exception as error:
                news.put(error)

        for arguments in opened:
            threading.Thread(target=follow, args=arguments, name="changes", daemon=True).start()
        try:
            while True:
                change = news.get()
                if isinstance(change, Exception):
                    raise change
                yield change
        finally:
            over.set()
            for _database, _slot, _position, connection in opened:
                # Without this a thread that waits for the server would keep its end open.
                connection._usock.shutdown(2)

    # What is sent to the other server.

    def make_publications(self, database: str) -> List[str]:
        """Have every table, and the marker, in a publication; the tables that had no key to be known by.

        A publication that is new sends nothing of the tables where the site does not write.
        """
        self.make_schema()
        unkeyed = self.identify(database)
        tables = [table["tbl"] for table in self.tables() if table["db"] == database]
        permanent = {
            table_name(*row)
            for row in self.rows(
                database,
                "SELECT n.nspname, c.relname " + SITE_TABLES + " AND c.relkind = 'r' AND c.relpersistence = 'p'",
            )
        }
        tables = [table for table in tables if table in permanent]
        present = self.rows(
            database, "SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = %s", self.name
        )
        exists = self.rows(database, "SELECT 1 FROM pg_publication WHERE pubname = %s", self.name)
        if not exists:
            kinds = "" if self.is_closed() or self.side == "target" else EVERYTHING
            self.patiently(
                database,
                "CREATE PUBLICATION {0} WITH (publish = {1})".format(self.publication, literal(kinds)),
                "CREATE PUBLICATION {0} FOR TABLE {1}".format(self.marker_publication, self.own_marker),
            )
        missing = sorted(set(tables) - {table_name(*row) for row in present})
        for table in missing:
            # One at a time: it waits for whoever vacuums the table.
            self.patiently(database, "ALTER PUBLICATION {0} ADD TABLE {1}".format(self.publication, table))
        return unkeyed

    def identify(self, database: str) -> List[str]:
        """Have each table's rows known by a key in the log, or else by every column; those tables' names."""
        unkeyed = []
        for schema, name, identity, index in self.rows(
            database,
            "SELECT n.nspname, c.relname, c.relreplident::text, (SELECT x.relname FROM pg_index i "
            "JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid "
            "AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL AND NOT EXISTS "
            "(SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey) "
            "AND NOT a.attnotnull) ORDER BY i.indnkeyatts, x.relname LIMIT 1) " + SITE_TABLES + " AND c.relkind = 'r' "
            "AND (c.relreplident = 'f' OR c.relreplident = 'n' OR (c.relreplident = 'd' AND NOT EXISTS "
            "(SELECT 1 FROM pg_index p WHERE p.indrelid = c.oid AND p.indisprimary))) ORDER BY 1, 2",
        ):
            table = table_name(schema, name)
            if index is None:
                unkeyed.append(table)
            if identity != "f" or index is not None:
                how = "FULL" if index is None else "USING INDEX " + quote_postgresql(index)
                self.patiently(database, "ALTER TABLE {0} REPLICA IDENTITY {1}".format(table, how))
        return unkeyed
