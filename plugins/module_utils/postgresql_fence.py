# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: S608 - every name in a statement went through quote_postgresql(), every value is an argument
"""The fence of one PostgreSQL server, and how its databases are asked.

A connection of PostgreSQL sees one database, so there is one for each. Everything of ours is in a schema
``cutover_<site>`` there.

The fence is a statement trigger on every table, which stops superusers and lets the apply worker through (it runs
as a replica, and such triggers do not fire there):

* soft, the *gate*: an advisory lock that the switchover's session holds. The trigger tries it, shared, and lets go
  of it again, so that closing the gate waits for nobody; the server opens it when the session ends.
* hard: a sequence at 2. A sequence is outside of transactions, so that it also stops one whose snapshot is older.

Each transaction that passed holds a second advisory lock until it ends, and goes on passing the gate: who still
writes is exactly who holds it.
"""

import hashlib
import time
from typing import Any, Dict, List, Optional, Sequence, Type, TypeVar

from ansible_collections.ocpizza.cutover.plugins.module_utils.database import words
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_postgresql, schema_for
from ansible_collections.ocpizza.cutover.plugins.module_utils.postgresql_wire import (
    SITE_TABLES,
    ask,
    code_of,
    connect,
    literal,
    milliseconds,
)

FENCE_STATE = "CO001"
TRIGGER = "cutover_fence"
SERVERS = {"source": 1, "target": 2}
OTHER = {"source": "target", "target": "source"}
GATE, INSIDE = 1, 2
EVERYTHING = "insert, update, delete, truncate"
VERSION = "ocpizza.cutover 1"
T = TypeVar("T", bound="FencedServer")

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


def table_name(schema: str, name: str) -> str:
    """A table as our texts have it, usable in SQL as it is."""
    return "{0}.{1}".format(quote_postgresql(schema), quote_postgresql(name))


class FencedServer:
    """One server, seen through a connection to each of the site's databases."""

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
        cls: Type[T], credentials: Dict[str, Any], site: str, databases: Sequence[str], side: str, timeout: float = 5.0
    ) -> T:
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

    def patience(self, seconds: float) -> None:
        """From now on every answer of the server comes within so many seconds, or fails."""
        for connection in [*self.connections.values(), *self.strangers.values()]:
            connection._usock.settimeout(seconds)

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
