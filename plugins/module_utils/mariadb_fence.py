# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: S608 - every name in a statement went through quote_mysql(), every value is an argument
"""The fence of one MariaDB or MySQL server, and how it is asked.

The fence has two layers, both read by the same triggers, which stop superusers and let the replication
applier through (a row-based applier fires no triggers):

* soft: a user-level lock. It takes no write to set, and the server drops it when the session that holds it
  ends, so a switchover that dies leaves nothing fenced.
* hard: a row in the site's ``fence`` table. It survives restarts.
"""

import sys
import time
from typing import Any, Dict, List, Optional, Sequence, Tuple

try:
    import pymysql
    import pymysql.cursors
except ImportError:
    pymysql = None  # type: ignore[assignment]

from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_mysql, schema_for, trigger_name

EVENTS = ("INSERT", "UPDATE", "DELETE")
FENCE_ERRNO = 1644  # ER_SIGNAL_EXCEPTION
LOCKED_ERRNO = 1205  # ER_LOCK_WAIT_TIMEOUT
# More tables than this are not locked, and so kept open, at once.
LOCKED_TABLES = 500
# Only what nobody has read for so long is made anew: information_schema.innodb_trx.
NAMES_AGE = 0.11
MISSING_DRIVER = (
    "PyMySQL cannot be imported by {0}. Run the task with PYTHONPATH set to the site's agent.pyz, "
    "which brings it along, or install python3-pymysql on this host."
)


def settings_of(credentials: Dict[str, Any]) -> Dict[str, Any]:
    """The driver's arguments for a side's credentials: with a CA, over TLS that is verified."""
    settings = dict(credentials)
    if settings.get("ssl_ca"):
        # The site's CA signs nothing but the site's machines, whose addresses may not be in the certificate.
        settings.update(ssl_verify_cert=True, ssl_verify_identity=False)
    return settings


def connect(credentials: Dict[str, Any], timeout: float = 5.0, database: str = "", dictionaries: bool = False) -> Any:
    """A connection in autocommit mode whose every answer comes within ``timeout`` seconds, or fails.

    A server's databases are all seen through one connection; ``database`` is for engines where they are not.
    """
    if pymysql is None:
        raise RuntimeError(MISSING_DRIVER.format(sys.executable))
    arguments = settings_of(credentials)
    return pymysql.connect(
        autocommit=True,
        charset="utf8mb4",
        cursorclass=pymysql.cursors.DictCursor if dictionaries else pymysql.cursors.Cursor,
        connect_timeout=max(1, int(timeout)),
        read_timeout=timeout,
        write_timeout=timeout,
        **arguments,
    )


class FencedServer:
    """One server with the tables and triggers of its fence, seen through one connection."""

    def __init__(self, connection: Any, site: str, databases: Sequence[str], side: str = "source") -> None:
        self.connection = connection
        self.databases = list(databases)
        self.side = side
        self.name = schema_for(site)
        self.schema = quote_mysql(self.name)
        self.credentials: Dict[str, Any] = {}
        self._named: Tuple[float, List[Dict[str, Any]]] = (0.0, [])

    def patience(self, seconds: float) -> None:
        """From now on every answer of the server comes within so many seconds, or fails."""
        # PyMySQL looks at them before every answer.
        self.connection._read_timeout = self.connection._write_timeout = seconds

    def rows(self, statement: str, arguments: Sequence[Any] = ()) -> List[Dict[str, Any]]:
        """The answer to one statement."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement, tuple(arguments) or None)
            return list(cursor.fetchall())

    def value(self, statement: str, arguments: Sequence[Any] = ()) -> Any:
        """The only column of the only row of an answer."""
        (row,) = self.rows(statement, arguments)
        (value,) = row.values()
        return value

    def unlogged(self, *statements: str) -> None:
        """Run statements that concern this server alone: they must not replicate."""
        self.rows("SET SESSION sql_log_bin = 0")
        try:
            for statement in statements:
                self.rows(statement)
        finally:
            self.rows("SET SESSION sql_log_bin = 1")

    # The site's own schema, and the triggers of the fence.

    def has_schema(self) -> bool:
        """Whether the tables of marker and fence are here."""
        return bool(self.rows("SELECT 1 FROM information_schema.schemata WHERE schema_name = %s", [self.name]))

    def make_schema(self) -> None:
        """The tables of marker and fence. They belong to each server alone; only the marker's rows replicate."""
        self.unlogged(
            "CREATE DATABASE IF NOT EXISTS {0}".format(self.schema),
            "CREATE TABLE IF NOT EXISTS {0}.marker (server INT UNSIGNED PRIMARY KEY, token CHAR(32) NOT NULL, "
            "written DATETIME(6) NOT NULL) ENGINE=InnoDB".format(self.schema),
            "CREATE TABLE IF NOT EXISTS {0}.fence (id TINYINT PRIMARY KEY, since DATETIME(6) NOT NULL) "
            "ENGINE=InnoDB".format(self.schema),
        )

    def tables(self) -> List[Dict[str, str]]:
        """The base tables of the site's databases."""
        return self.rows(
            "SELECT table_schema AS db, table_name AS tbl FROM information_schema.tables "
            "WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') AND table_schema IN %s ORDER BY 1, 2",
            [self.databases],
        )

    def fence_triggers(self) -> List[Dict[str, str]]:
        """The triggers of the fence that exist."""
        return self.rows(
            "SELECT trigger_schema AS db, trigger_name AS name, event_manipulation AS event, "
            "event_object_table AS tbl FROM information_schema.triggers "
            "WHERE trigger_schema IN %s AND trigger_name LIKE 'cutover\\_%%' AND action_timing = 'BEFORE'",
            [self.databases],
        )

    def missing_triggers(self) -> List[Dict[str, str]]:
        """What the fence does not cover yet: one entry a table and event."""
        present = {(row["db"], row["tbl"], row["event"]) for row in self.fence_triggers()}
        return [
            {"db": table["db"], "tbl": table["tbl"], "event": event}
            for table in self.tables()
            for event in EVENTS
            if (table["db"], table["tbl"], event) not in present
        ]

    def make_triggers(self) -> int:
        """Cover every table with the fence's triggers; they refuse nothing until it is set. How many were made.

        A trigger needs its table for an instant: rather than queue every request behind a long
        transaction, it gives up after a second and tries again.
        """
        made = 0
        self.rows("SET SESSION lock_wait_timeout = 1")
        for entry in self.missing_triggers():
            statement = (
                "CREATE TRIGGER {db}.{name} BEFORE {event} ON {db}.{table} FOR EACH ROW "
                "IF IS_USED_LOCK('{lock}') IS NOT NULL OR EXISTS (SELECT 1 FROM {schema}.fence) THEN "
                "SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = {errno}, "
                "MESSAGE_TEXT = 'This database takes no more writes: the site has moved (ocpizza.cutover)'; END IF"
            ).format(
                db=quote_mysql(entry["db"]),
                name=quote_mysql(trigger_name(entry["event"], entry["tbl"])),
                event=entry["event"],
                table=quote_mysql(entry["tbl"]),
                lock=self.name,
                schema=self.schema,
                errno=FENCE_ERRNO,
            )
            for attempt in range(30):
                try:
                    self.unlogged(statement)
                    break
                except Exception as error:
                    if error.args[:1] != (LOCKED_ERRNO,) or attempt == 29:
                        raise
                    time.sleep(0.2)
            made += 1
        return made

    def drop_fence(self) -> None:
        """Remove every trigger of the fence."""
        for row in self.fence_triggers():
            self.unlogged("DROP TRIGGER IF EXISTS {0}.{1}".format(quote_mysql(row["db"]), quote_mysql(row["name"])))

    # The fence.

    def fence_soft(self, wait: int = 1) -> bool:
        """Refuse every write from now on, for as long as this session lives."""
        return bool(self.value("SELECT GET_LOCK(%s, %s)", [self.name, wait]) == 1)

    def unfence_soft(self) -> None:
        """Let writes through again."""
        self.rows("SELECT RELEASE_LOCK(%s)", [self.name])

    def fenced_by(self) -> Optional[int]:
        """The session that holds the soft fence."""
        holder = self.value("SELECT IS_USED_LOCK(%s)", [self.name])
        return None if holder is None else int(holder)

    def close(self) -> None:
        """Refuse every write from now on, restarts included."""
        self.unlogged("REPLACE INTO {0}.fence VALUES (1, UTC_TIMESTAMP(6))".format(self.schema))

    def open(self) -> None:
        """Let writes through."""
        self.unlogged("DELETE FROM {0}.fence".format(self.schema))

    def is_closed(self) -> bool:
        """Whether the hard fence is set."""
        return bool(self.value("SELECT COUNT(*) FROM {0}.fence".format(self.schema)))

    def attempt_write(self) -> str:
        """Try to change a row of the site, take it back, and return the server's refusal; '' if it was let through."""
        for table in self.tables():
            qualified = "{0}.{1}".format(quote_mysql(table["db"]), quote_mysql(table["tbl"]))
            if not self.rows("SELECT 1 FROM {0} LIMIT 1".format(qualified)):
                continue
            self.rows("START TRANSACTION")
            try:
                self.rows("DELETE FROM {0} LIMIT 1".format(qualified))
            except Exception as error:
                code, text = (*error.args, "", "")[:2]
                if code != FENCE_ERRNO:
                    raise
                return "{0} {1}: {2}".format(code, qualified, text)
            finally:
                self.rows("ROLLBACK")
            return ""
        raise RuntimeError("no table of {0} has a row to try a write on".format(", ".join(self.databases)))

    def writers(self) -> List[Dict[str, Any]]:
        """Open transactions that have written, or are about to, in the site's tables.

        Whoever writes holds a metadata lock on the table from before its triggers run until the transaction ends.
        So a shared lock that is granted proves that there is nobody, and NOWAIT keeps nobody waiting for it. That
        cannot be had from information_schema.innodb_trx, which neither shows who has just begun nor forgets who
        has ended while it is asked often; it only gives the names.
        """
        if not self._is_still():
            return [row for row in self._transactions() if row["id"]] or [_unknown("an unknown account")]
        # A prepared transaction lets go of its tables when its session ends, and may be committed at any time.
        if self.rows("XA RECOVER"):
            return [row for row in self._transactions() if not row["id"]] or [_unknown("XA")]
        return []

    def _is_still(self) -> bool:
        names = ["{0}.{1}".format(quote_mysql(table["db"]), quote_mysql(table["tbl"])) for table in self.tables()]
        for start in range(0, len(names), LOCKED_TABLES):
            locks = ", ".join(name + " READ" for name in names[start : start + LOCKED_TABLES])
            try:
                self.rows("LOCK TABLES {0} NOWAIT".format(locks))
            except Exception as error:
                if error.args[:1] != (LOCKED_ERRNO,):
                    raise
                return False
            self.rows("UNLOCK TABLES")
        return True

    def _transactions(self) -> List[Dict[str, Any]]:
        """Who had a transaction open a moment ago; never the applier, never a neighbour. Prepared ones are 0."""
        if time.monotonic() - self._named[0] > NAMES_AGE:
            found = self.rows(
                "SELECT COALESCE(p.id, 0) AS id, COALESCE(p.user, 'XA') AS user, p.db AS db, "
                "TIMESTAMPDIFF(SECOND, t.trx_started, NOW()) AS seconds FROM information_schema.innodb_trx t "
                "LEFT JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id "
                "WHERE (t.trx_rows_modified > 0 OR t.trx_lock_structs > 0) AND (t.trx_mysql_thread_id = 0 "
                "OR (p.user <> 'system user' AND p.id <> CONNECTION_ID() AND (p.db IS NULL OR p.db IN %s)))",
                [self.databases],
            )
            self._named = (time.monotonic(), found)
        return self._named[1]


def _unknown(user: str) -> Dict[str, Any]:
    return {"id": 0, "user": user, "db": None, "seconds": 0}
