# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: S608 - every name in a statement went through quote_postgresql(), every value is an argument
"""What the switchover needs of one PostgreSQL server: a fence, a marker, positions, the state of a link.

A connection of PostgreSQL sees one database, so there is one for each. Everything of ours is in a schema
``cutover_<site>`` there.

The fence is a statement trigger on every table, which stops superusers and lets the apply worker through (it runs
as a replica, and such triggers do not fire there):

* soft, the *gate*: an advisory lock that the switchover's session holds. The trigger tries it, shared, and lets go
  of it again, so that closing the gate waits for nobody; the server opens it when the session ends.
* hard: a sequence at 2. A sequence is outside of transactions, so that it also stops one whose snapshot is older.

Each transaction that passed holds a second advisory lock until it ends, and goes on passing the gate: who still
writes is exactly who holds it.

Two publications a database: one of the site's tables, one of this server's marker. Where the site does not write,
the first publishes no kind of change: ``publish = ''``. The plugin looks at that as it was at each change's place
in the log, so what was written before is still sent, and what arrives from the other side is not sent back. It is
one row of a catalogue and locks no table, however many there are.
"""

import functools
import hashlib
import threading
import time
import urllib.parse
from queue import Queue
from typing import Any, Dict, Iterator, List, Optional, Sequence, Set, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils import pgoutput, postgresql_obstacles
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Change, Database, Link, TableName
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_postgresql, schema_for
from ansible_collections.ocpizza.cutover.plugins.module_utils.postgresql_wire import (
    SITE_TABLES,
    ask,
    code_of,
    connect,
    literal,
    milliseconds,
    parse_lsn,
    render,
    stream,
    words,
)

__all__ = ["SERVER", "PostgreSQL", "connect"]

FENCE_STATE = "CO001"
TRIGGER = "cutover_fence"
SERVERS = {"source": 1, "target": 2}
OTHER = {"source": "target", "target": "source"}
GATE, INSIDE = 1, 2
EVERYTHING = "insert, update, delete, truncate"
# A link with nothing to do hears from its server twice a minute.
SILENCE_S = 40
# One that fails does so sooner.
PROBATION_S = 3
VERSION = "ocpizza.cutover 1"

SCHEMA = """
SELECT pg_advisory_xact_lock({key}, 3);
CREATE SCHEMA IF NOT EXISTS {schema};
CREATE TABLE IF NOT EXISTS {schema}.fence (id int PRIMARY KEY, since timestamptz NOT NULL);
CREATE TABLE IF NOT EXISTS {schema}.seed (id int PRIMARY KEY, position text NOT NULL, finished timestamptz NOT NULL);
CREATE TABLE IF NOT EXISTS {schema}.locked (role text PRIMARY KEY);
CREATE TABLE IF NOT EXISTS {schema}.marker_source
  (server int PRIMARY KEY, serial bigint NOT NULL, token text NOT NULL, written timestamptz NOT NULL);
CREATE TABLE IF NOT EXISTS {schema}.marker_target (LIKE {schema}.marker_source INCLUDING ALL);
INSERT INTO {schema}.marker_source VALUES (1, 0, '', now()) ON CONFLICT DO NOTHING;
INSERT INTO {schema}.marker_target VALUES (2, 0, '', now()) ON CONFLICT DO NOTHING;
CREATE SEQUENCE IF NOT EXISTS {schema}.closed MINVALUE 1 MAXVALUE 2;
CREATE OR REPLACE FUNCTION {schema}.refuse() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $cutover$
DECLARE
  passed boolean := coalesce(current_setting('cutover.passed_{key}', true), '') = 'yes';
BEGIN
  IF NOT passed THEN
    PERFORM pg_advisory_xact_lock_shared({key}, 2);
    passed := pg_try_advisory_lock_shared({key}, 1);
    IF passed THEN
      PERFORM pg_advisory_unlock_shared({key}, 1);
      PERFORM set_config('cutover.passed_{key}', 'yes', true);
    END IF;
  END IF;
  IF NOT passed OR (SELECT last_value FROM {schema}.closed) = 2 THEN
    RAISE EXCEPTION USING ERRCODE = 'CO001',
      MESSAGE = 'This database takes no more writes: the site has moved (ocpizza.cutover)';
  END IF;
  RETURN NULL;
END
$cutover$;
COMMENT ON SCHEMA {schema} IS '{version}'
"""
# The publication may not be there yet; the fence is needed before.
PUBLISH = """DO $cutover$ BEGIN
IF EXISTS (SELECT 1 FROM pg_publication WHERE pubname = {name}) THEN
  ALTER PUBLICATION {publication} SET (publish = {kinds});
END IF; END $cutover$"""


def site_roles(
    roles: Dict[str, Dict[str, Any]], rights: Dict[str, Set[str]], members: Dict[str, Set[str]], databases: Set[str]
) -> List[str]:
    """Roles that can log in and whose every right, their own or a group's, concerns the site's databases.

    ``rights``: in which databases a role owns something or was granted something; ``members``: its groups.
    """
    found = []
    for name, role in roles.items():
        everywhere = set()  # type: Set[str]
        groups, seen = [name], set()  # type: List[str], Set[str]
        while groups:
            group = groups.pop()
            if group not in seen:
                seen.add(group)
                everywhere |= rights.get(group, set())
                groups.extend(members.get(group, set()))
        special = any(
            group.startswith("pg_") or roles.get(group, {}).get("super") or roles.get(group, {}).get("replication")
            for group in seen
        )
        if role["login"] and not special and everywhere and everywhere <= databases:
            found.append(name)
    return sorted(found)


def conninfo(account: Dict[str, Any], database: str) -> str:
    """How a subscription reaches the other server, its password included; only superusers can read it there."""
    parts = {
        "host": account["host"],
        "port": account["port"],
        "dbname": database,
        "user": account["user"],
        "password": account.get("password") or "",
        "connect_timeout": 5,
        "sslmode": "verify-ca" if account.get("ssl_ca") else "prefer",
        "sslrootcert": account.get("ssl_ca") or "",
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
    }
    return " ".join(
        "{0}='{1}'".format(key, str(value).replace("\\", "\\\\").replace("'", "\\'"))
        for key, value in parts.items()
        if value != ""
    )


def write_position(parts: Dict[str, str]) -> str:
    """A position of several databases as one text."""
    return ",".join("{0}={1}".format(urllib.parse.quote(name, safe=""), parts[name]) for name in sorted(parts))


def read_position(text: str) -> Dict[str, str]:
    """The position of each database."""
    pairs = [part.rsplit("=", 1) for part in text.split(",") if part]
    return {urllib.parse.unquote(name): value for name, value in pairs}


def table_name(schema: str, name: str) -> str:
    """A table as our texts have it, usable in SQL as it is."""
    return "{0}.{1}".format(quote_postgresql(schema), quote_postgresql(name))


class PostgreSQL(Database):
    """One server, seen through a connection to each of the site's databases."""

    engine = "postgresql"

    def __init__(
        self,
        connections: Dict[str, Any],
        site: str,
        side: str = "source",
        credentials: Optional[Dict[str, Any]] = None,
        timeout: float = 5.0,
        strangers: Optional[Dict[str, Any]] = None,
    ) -> None:
        self.connections = connections
        self.strangers = strangers or connections
        self.databases = list(connections)
        self.side = side
        self.credentials = dict(credentials or {})
        self.timeout = timeout
        self.name = schema_for(site)
        self.schema = quote_postgresql(self.name)
        self.publication = quote_postgresql(self.name)
        self.marker_publication = quote_postgresql(self.name + "_marker")
        self.publications = [self.name, self.name + "_marker"]
        self.key = int(hashlib.sha256(self.name.encode("utf-8")).hexdigest()[:8], 16) >> 1
        self.own_marker = "{0}.marker_{1}".format(self.schema, side)
        self.other_marker = "{0}.marker_{1}".format(self.schema, OTHER[side])

    @classmethod
    def open_server(
        cls, credentials: Dict[str, Any], site: str, databases: Sequence[str], side: str, timeout: float = 5.0
    ) -> "PostgreSQL":
        """Connect to each database; every answer of the server comes within ``timeout`` seconds, or fails."""
        opened = [{}, {}]  # type: List[Dict[str, Any]]
        try:
            for connections in opened:
                for database in databases:
                    connections[database] = connect(credentials, timeout, database, typed=True)
        except BaseException:
            for connections in opened:
                for connection in connections.values():
                    connection.close()
            raise
        return cls(opened[0], site, side, credentials, timeout, opened[1])

    def rows(self, database: str, statement: str, *arguments: Any) -> List[List[Any]]:
        """The answer to one request to a database."""
        return ask(self.connections[database], statement, arguments)

    def value(self, database: str, statement: str, *arguments: Any) -> Any:
        """The only column of the only row of an answer."""
        ((value,),) = self.rows(database, statement, *arguments)
        return value

    def everywhere(self, statement: str, *arguments: Any) -> Dict[str, List[List[Any]]]:
        """The answers of each of the site's databases to the same request."""
        return {database: self.rows(database, statement, *arguments) for database in self.databases}

    def patiently(self, database: str, *statements: str) -> None:
        """Run what needs a table for an instant: rather than queue every request behind it, try again."""
        for attempt in range(30):
            try:
                self.rows(database, "SET LOCAL lock_timeout = '1s'; " + "; ".join(statements))
                return
            except Exception as error:
                if code_of(error) != "55P03" or attempt == 29:
                    raise
                time.sleep(0.2)

    # The site's own schema, and the triggers of the fence.

    def has_schema(self) -> bool:
        """Whether what fence and marker need is in every database."""
        found = self.everywhere("SELECT obj_description(to_regnamespace(%s), 'pg_namespace')", self.schema)
        return all(rows == [[VERSION]] for rows in found.values())

    def make_schema(self) -> None:
        """What fence and marker need. The marker's rows are there from the start: they only ever change."""
        if not self.has_schema():
            self.everywhere(SCHEMA.format(schema=self.schema, key=self.key, version=VERSION))

    def drop_schema(self) -> None:
        """Take away all that is ours, publications and slots too."""
        self.drop_slots()
        self.everywhere("DROP PUBLICATION IF EXISTS {0}, {1}".format(self.publication, self.marker_publication))
        self.everywhere("DROP SCHEMA IF EXISTS {0} CASCADE".format(self.schema))

    def tables(self) -> List[Dict[str, str]]:
        """The tables with rows of the site's databases; of a partitioned table its parts."""
        return [
            {"db": database, "tbl": table_name(schema, name)}
            for database, found in self.everywhere(
                "SELECT n.nspname, c.relname " + SITE_TABLES + " AND c.relkind = 'r' ORDER BY 1, 2"
            ).items()
            for schema, name in found
        ]

    def fence_triggers(self) -> List[Dict[str, str]]:
        """The triggers of the fence that exist, and refuse when told to."""
        return [
            {"db": database, "tbl": table_name(schema, name), "event": "any", "name": TRIGGER}
            for database, found in self.everywhere(
                "SELECT n.nspname, c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
                "JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_proc p ON p.oid = t.tgfoid "
                "WHERE t.tgname = %s AND NOT t.tgisinternal AND t.tgenabled = 'O' "
                "AND p.pronamespace = to_regnamespace(%s) AND p.proname = 'refuse'",
                TRIGGER,
                self.schema,
            ).items()
            for schema, name in found
        ]

    def missing_triggers(self) -> List[Dict[str, str]]:
        """What the fence does not cover yet; a partitioned table too, for its trigger fires and not its parts'."""
        present = {(entry["db"], entry["tbl"]) for entry in self.fence_triggers()}
        return [
            {"db": database, "tbl": table_name(schema, name), "event": "any"}
            for database, found in self.everywhere(
                "SELECT n.nspname, c.relname " + SITE_TABLES + " AND c.relkind IN ('r', 'p') ORDER BY 1, 2"
            ).items()
            for schema, name in found
            if (database, table_name(schema, name)) not in present
        ]

    def make_triggers(self) -> int:
        """Cover every table with the fence; it refuses nothing until it is set. How many were made."""
        missing = self.missing_triggers()
        for entry in missing:
            self.patiently(
                entry["db"],
                "DROP TRIGGER IF EXISTS {0} ON {1}".format(TRIGGER, entry["tbl"]),
                "CREATE TRIGGER {0} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {1} FOR EACH STATEMENT "
                "EXECUTE FUNCTION {2}.refuse()".format(TRIGGER, entry["tbl"], self.schema),
            )
        return len(missing)

    def drop_fence(self) -> None:
        """Remove every trigger of the fence."""
        for database, found in self.everywhere(
            "SELECT n.nspname, c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
            "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE t.tgname = %s AND NOT t.tgisinternal",
            TRIGGER,
        ).items():
            for schema, name in found:
                self.patiently(database, "DROP TRIGGER IF EXISTS {0} ON {1}".format(TRIGGER, table_name(schema, name)))

    # The fence.

    def fence_soft(self, wait: int = 1) -> bool:
        """Close the gate, for as long as this session lives: nothing begins to write from now on.

        Transactions that have written go on to their end; ``writers()`` names them.
        """
        for database in self.databases:
            try:
                self.rows(
                    database,
                    "SET LOCAL lock_timeout = %s; SELECT pg_advisory_lock(%s, %s)",
                    milliseconds(max(wait, 0.05), 1.0),
                    self.key,
                    GATE,
                )
            except Exception as error:
                self.unfence_soft()
                if code_of(error) != "55P03":
                    raise
                return False
        return True

    def unfence_soft(self) -> None:
        """Open the gate."""
        self.everywhere("SELECT pg_advisory_unlock_all()")

    def locks(self, database: str, number: int, mode: str) -> List[List[Any]]:
        """Who holds one of the fence's locks: process, user, seconds in a transaction. No process: a prepared one."""
        return self.rows(
            database,
            "SELECT l.pid, coalesce(a.usename, 'a prepared transaction'), "
            "coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::int "
            "FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.granted "
            "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
            "AND l.classid = %s AND l.objid = %s AND l.objsubid = 2 AND l.mode = %s",
            self.key,
            number,
            mode,
        )

    def fenced_by(self) -> Optional[int]:
        """The session that holds the gate of the first database that has it closed."""
        for database in self.databases:
            for pid, _user, _seconds in self.locks(database, GATE, "ExclusiveLock"):
                return int(pid)
        return None

    def writers(self) -> List[Dict[str, Any]]:
        """Open transactions that have written to a table of the site."""
        return [
            {"id": pid or 0, "user": user, "db": database, "seconds": seconds}
            for database in self.databases
            for pid, user, seconds in self.locks(database, INSIDE, "ShareLock")
        ]

    def end_writers(self, seconds: float) -> None:
        """Wait for the transactions that still write, then end them: what they wrote later would not be sent."""
        until = time.monotonic() + seconds
        ended = False
        while self.writers():
            if time.monotonic() > until:
                if ended:
                    raise RuntimeError(
                        "transactions of {0} cannot be ended; look at pg_prepared_xacts".format(
                            ", ".join(sorted({writer["user"] for writer in self.writers()}))
                        )
                    )
                for writer in self.writers():
                    self.rows(self.databases[0], "SELECT pg_terminate_backend(%s)", writer["id"])
                ended, until = True, time.monotonic() + 1.0
            time.sleep(0.002)

    def publish(self, kinds: str) -> None:
        """What kinds of changes of the site's tables are sent to the other side."""
        statement = PUBLISH.format(name=literal(self.name), publication=self.publication, kinds=literal(kinds))
        self.everywhere(statement)

    def close(self) -> None:
        """Refuse every write from now on, restarts included, and send no more changes of the site's tables.

        A write that went on beyond the second step would be lost to the other side, so none may.
        """
        self.everywhere(
            "SELECT setval('{0}.closed', 2); INSERT INTO {0}.fence VALUES (1, now()) ON CONFLICT DO NOTHING".format(
                self.schema
            )
        )
        self.end_writers(1.0)
        self.publish("")

    def open(self) -> None:
        """Send changes of the site's tables to the other side, and only then let writes through."""
        self.publish(EVERYTHING)
        self.everywhere("DELETE FROM {0}.fence; SELECT setval('{0}.closed', 1)".format(self.schema))

    def is_closed(self) -> bool:
        """Whether the hard fence is set, in every database."""
        found = self.everywhere("SELECT last_value FROM {0}.closed".format(self.schema))
        return all(rows == [[2]] for rows in found.values())

    def attempt_write(self) -> str:
        """Try to delete a row of each database, take it back, and return a refusal; '' if one was let through.

        In sessions of their own: the one that closed the gate goes through it.
        """
        refusal = ""
        tables = {table["db"]: table["tbl"] for table in self.tables()}
        if not tables:
            raise RuntimeError("there is no table in {0} to try a write on".format(", ".join(self.databases)))
        for database, table in tables.items():
            statement = "DELETE FROM {0} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {0} LIMIT 1))".format(table)
            try:
                ask(self.strangers[database], "BEGIN; {0}; ROLLBACK".format(statement))
                return ""
            except Exception as error:
                ask(self.strangers[database], "ROLLBACK")
                if code_of(error) != FENCE_STATE:
                    raise
                refusal = refusal or "{0} {1}: {2}".format(FENCE_STATE, table, words(error))
        return refusal

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

    # The link from the other server to this one.

    def subscription(self, database: str) -> Optional[List[Any]]:
        """The link's state in one database: enabled, worker, seconds of silence, behind, and of its life.

        The other server says so when it has sent everything, unless it hears at once that all was applied. Seconds
        behind are those since it last said so, where changes arrived after it and the worker does not wait for
        more; each server's clock measures its own part of them.
        """
        found = self.rows(
            database,
            "SELECT s.subenabled, t.pid, extract(epoch FROM clock_timestamp() - t.last_msg_receipt_time)::float8, "
            "CASE WHEN t.received_lsn <= t.latest_end_lsn OR (t.latest_end_lsn IS NOT NULL "
            "AND a.wait_event = 'LogicalApplyMain' AND clock_timestamp() - t.last_msg_receipt_time > '500 ms') THEN 0 "
            "ELSE extract(epoch FROM t.last_msg_send_time - t.latest_end_time + clock_timestamp() "
            "- t.last_msg_receipt_time) END::float8, "
            "extract(epoch FROM clock_timestamp() - a.backend_start)::float8 "
            "FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid "
            "LEFT JOIN pg_stat_subscription t ON t.subid = s.oid AND t.relid IS NULL "
            "LEFT JOIN pg_stat_activity a ON a.pid = t.pid "
            "WHERE d.datname = current_database() AND s.subname = %s ORDER BY t.pid IS NULL LIMIT 1",
            self.name,
        )
        return found[0] if found else None

    def link(self) -> Link:
        """The state of this server as a replica of the other one: of its databases the worst."""
        states = [link_of(database, self.subscription(database)) for database in self.databases]
        lags = [state.lag_seconds for state in states]
        return Link(
            exists=all(state.exists for state in states),
            receiving=all(state.receiving for state in states),
            applying=all(state.applying for state in states),
            lag_seconds=None if None in lags else max(lag for lag in lags if lag is not None),
            error="; ".join(state.error for state in states if state.error),
        )

    def has_link(self) -> bool:
        """Whether the site's link is defined here, in any database."""
        return any(self.subscription(database) for database in self.databases)

    def follow(self, other: "Database", account: Dict[str, Any]) -> None:
        """Become a replica of the other server, for the site's databases alone.

        The account's password is in the subscription, which only superusers can read; so it is in PostgreSQL.
        The worker's commits do not wait for the disk (synchronous_commit is off for it): the other server sends
        again what a crash lost, and ``wait_for()`` has the disk written before anything is decided on it.
        """
        assert isinstance(other, PostgreSQL)
        self.make_schema()
        for database in self.databases:
            other.make_publications(database)
            self.make_publications(database)
            if self.subscription(database) is None:
                self.subscribe(database, other, account)
            else:
                self.rows(
                    database,
                    "ALTER SUBSCRIPTION {0} CONNECTION %s".format(self.publication),
                    conninfo(account, database),
                )
                self.rows(database, "ALTER SUBSCRIPTION {0} ENABLE".format(self.publication))
                self.rows(
                    database,
                    "ALTER SUBSCRIPTION {0} REFRESH PUBLICATION WITH (copy_data = false)".format(self.publication),
                )
                continue
            self.rows(database, "ALTER SUBSCRIPTION {0} ENABLE".format(self.publication))

    def subscribe(self, database: str, other: "PostgreSQL", account: Dict[str, Any]) -> None:
        """Define the link of one database: from where the copy began, or from now."""
        slot = other.slot(database)
        if self.side == "target":
            kept = other.rows(database, "SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", slot)
            if not kept or self.seeded_in(database) is None:
                raise RuntimeError(
                    "the target has no complete copy of database {0} to go on from; run replicate.yml from its "
                    "start".format(database)
                )
        else:
            other.make_slot(database, slot)
        self.rows(
            database,
            "CREATE SUBSCRIPTION {0} CONNECTION %s PUBLICATION {0}, {1} WITH (enabled = false, create_slot = false, "
            "copy_data = false, slot_name = %s)".format(self.publication, self.marker_publication),
            conninfo(account, database),
            slot,
        )

    def seeded_in(self, database: str) -> Optional[str]:
        """The position of a copy of one database that completed; None where there is none."""
        found = self.rows(database, "SELECT position FROM {0}.seed".format(self.schema))
        return str(found[0][0]) if found else None

    def resume_link(self) -> None:
        """Start a link that stopped: a worker that waits to be started again is started now."""
        for database in self.databases:
            found = self.subscription(database)
            if found is not None and found[1] is None:
                self.rows(database, "ALTER SUBSCRIPTION {0} DISABLE".format(self.publication))
                self.rows(database, "ALTER SUBSCRIPTION {0} ENABLE".format(self.publication))

    def unfollow(self) -> None:
        """End the site's link, and its slot on the other server where that can be reached; else it stays there."""
        for database in self.databases:
            if self.subscription(database) is None:
                continue
            self.rows(database, "ALTER SUBSCRIPTION {0} DISABLE".format(self.publication))
            try:
                self.rows(database, "DROP SUBSCRIPTION {0}".format(self.publication))
            except Exception:
                self.rows(database, "ALTER SUBSCRIPTION {0} SET (slot_name = NONE)".format(self.publication))
                self.rows(database, "DROP SUBSCRIPTION {0}".format(self.publication))

    # Sequences.

    def counters(self, database: str) -> Dict[str, Tuple[int, bool]]:
        """Every sequence: its last value, and whether that was given out."""
        names = [
            table_name(*row)
            for row in self.rows(database, "SELECT n.nspname, c.relname " + SITE_TABLES + " AND c.relkind = 'S'")
        ]
        if not names:
            return {}
        found = self.rows(
            database,
            " UNION ALL ".join(
                render("SELECT %s, last_value, is_called FROM ", [name]).replace("%", "%%") + name.replace("%", "%%")
                for name in names
            ).replace("%%", "%"),
        )
        return {str(name): (int(value), bool(called)) for name, value, called in found}

    def take_counters(self, origin: "Database") -> int:
        """Set the sequences that differ to the origin's exact values, and look again; how many there are."""
        assert isinstance(origin, PostgreSQL)
        count = 0
        for database in self.databases:
            wanted, here = origin.counters(database), self.counters(database)
            missing = sorted(set(wanted) - set(here))
            if missing:
                raise RuntimeError("sequence {0} is missing in database {1}".format(missing[0], database))
            differing = [(name, *wanted[name]) for name in sorted(wanted) if wanted[name] != here[name]]
            if differing:
                self.rows(
                    database,
                    "SELECT setval(s.name::regclass, s.value, s.called) FROM (VALUES {0}) s (name, value, called)"
                    "".format(", ".join("({0}, {1}::bigint, {2})".format(*map(literal, one)) for one in differing)),
                )
                here = self.counters(database)
            wrong = [name for name in wanted if wanted[name] != here[name]]
            if wrong:
                raise RuntimeError("sequence {0} of database {1} could not be set".format(wrong[0], database))
            count += len(wanted)
        return count

    def obstacles(self, target: Optional["PostgreSQL"] = None) -> List[Dict[str, str]]:
        """What stands in the way of moving from this server, or is left behind: {'key', 'title', 'remedy'}."""
        found = []  # type: List[Dict[str, str]]
        for database in self.databases:
            sides = [
                None if side is None else postgresql_obstacles.facts_of(functools.partial(side.rows, database))
                for side in (self, target)
            ]
            for one in postgresql_obstacles.obstacles(sides[0] or {}, sides[1], len(self.databases)):
                if one not in found:
                    found.append(one)
        return found

    # Accounts.

    def accounts(self) -> List[str]:
        """Roles whose every right concerns the site's databases, and which can log in now."""
        first = self.databases[0]
        roles = {
            name: {"login": login, "super": superuser, "replication": replication}
            for name, login, superuser, replication in self.rows(
                first, "SELECT rolname, rolcanlogin, rolsuper, rolreplication FROM pg_roles"
            )
        }
        rights = {}  # type: Dict[str, Set[str]]
        for role, database in self.rows(
            first,
            "SELECT DISTINCT r.rolname, d.datname FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid "
            "JOIN pg_database d ON d.oid = CASE WHEN s.classid = 'pg_database'::regclass THEN s.objid ELSE s.dbid END "
            "WHERE s.refclassid = 'pg_authid'::regclass",
        ):
            rights.setdefault(role, set()).add(database)
        members = {}  # type: Dict[str, Set[str]]
        for member, group in self.rows(
            first,
            "SELECT m.rolname, g.rolname FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member "
            "JOIN pg_roles g ON g.oid = a.roleid",
        ):
            members.setdefault(member, set()).add(group)
        return site_roles(roles, rights, members, set(self.databases))

    def lock_accounts(self, locked: bool) -> int:
        """Lock the site's accounts on this server alone, or unlock those that were locked so; how many."""
        first = self.databases[0]
        table = "{0}.locked".format(self.schema)
        if locked:
            names = self.accounts()
            for name in names:
                self.rows(
                    first,
                    "ALTER ROLE {0} NOLOGIN; INSERT INTO {1} VALUES (%s) ON CONFLICT DO NOTHING".format(
                        quote_postgresql(name).replace("%", "%%"), table
                    ),
                    name,
                )
            return len(names)
        names = [
            row[0]
            for row in self.rows(first, "SELECT l.role FROM {0} l JOIN pg_roles r ON r.rolname = l.role".format(table))
        ]
        for name in names:
            self.rows(first, "ALTER ROLE {0} LOGIN".format(quote_postgresql(name)))
        self.rows(first, "DELETE FROM {0}".format(table))
        return len(names)

    def end_sessions(self) -> int:
        """End every session on the site's databases but our own; replication is none. Superusers' too."""
        found = self.rows(
            self.databases[0],
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' "
            "AND datname IN %s AND usename <> current_user",
            self.databases,
        )
        return len(found)

    # The restart behind the valve.

    def before_restart(self) -> None:
        """Write dirty pages beforehand: at the stop they would be written while requests wait."""
        self.rows(self.databases[0], "CHECKPOINT")


def link_of(database: str, state: Optional[Sequence[Any]]) -> Link:
    """The link of one database from its subscription's state; what is not known is not zero.

    A worker that fails is started again every few seconds, is there for an instant, and looks well then.
    """
    if state is None:
        return Link(False, False, False, None, "")
    enabled, worker, silence, behind, age = state
    error = ""
    if not enabled:
        error = "the subscription in database {0} is disabled".format(database)
    elif worker is None:
        error = "the apply worker in database {0} does not run; the server's log says why".format(database)
    elif age is None or age < PROBATION_S:
        error = "the apply worker in database {0} has only just been started".format(database)
    receiving = not error and silence is not None and silence < SILENCE_S
    return Link(True, receiving, not error, int(behind) if receiving and behind is not None else None, error)


SERVER = PostgreSQL
