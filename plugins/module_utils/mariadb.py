# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: S608 - every name in a statement went through quote_mysql(), every value is an argument
"""What the switchover needs of one MariaDB server: a marker, positions, the state of a link, events, accounts.

The fence is in ``mariadb_fence.py``.
"""

import time
import uuid
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils import binlog
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import (
    Change,
    Database,
    Link,
    Progress,
    TableName,
)
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_mysql, wildcard
from ansible_collections.ocpizza.cutover.plugins.module_utils.mariadb_fence import FencedServer, connect, settings_of
from ansible_collections.ocpizza.cutover.plugins.module_utils.widen import Changed, Room, told
from ansible_collections.ocpizza.cutover.plugins.module_utils.widen_mysql import Widener

__all__ = ["SERVER", "MariaDB", "connect"]


class MariaDB(FencedServer, Database):
    """One server, seen through one connection."""

    engine = "mariadb"
    # Where the sessions are listed.
    processlist = "information_schema.processlist"
    # How an event is left to the other side.
    event_off = "DISABLE ON SLAVE"
    conversions = "slave_type_conversions"
    # Whether the applier takes every integer that it converts for signed, or every one for unsigned.
    one_sign = False

    @classmethod
    def open_server(
        cls, credentials: Dict[str, Any], site: str, databases: Sequence[str], side: str, timeout: float = 5.0
    ) -> "MariaDB":
        """Connect; every answer of the server comes within ``timeout`` seconds, or fails."""
        server = cls(connect(credentials, timeout, dictionaries=True), site, databases, side)
        server.credentials = credentials
        return server

    def another(self, timeout: float) -> Any:
        """One more connection to this server, for reading rows as tuples."""
        return connect(self.credentials, timeout)

    def drop_schema(self) -> None:
        """Take away the tables of marker, fence and copy, and the limits of widened keys."""
        self.let_keys_grow()
        self.unlogged("DROP DATABASE IF EXISTS {0}".format(self.schema))

    # Sequences. The next value of each is in the log and replicates; it is looked at, and set where it differs.

    def counters(self) -> Dict[str, int]:
        """The value from which each sequence goes on."""
        names = self.rows(
            "SELECT table_schema AS db, table_name AS name FROM information_schema.tables "
            "WHERE table_type = 'SEQUENCE' AND table_schema IN %s",
            [self.databases],
        )
        qualified = ["{0}.{1}".format(quote_mysql(row["db"]), quote_mysql(row["name"])) for row in names]
        return {name: int(self.value("SELECT next_not_cached_value FROM {0}".format(name))) for name in qualified}

    def take_counters(self, origin: "Database") -> int:
        """Set the sequences that differ to the origin's values, and look again; how many there are."""
        assert isinstance(origin, MariaDB)
        wanted, here = origin.counters(), self.counters()
        missing = sorted(set(wanted) - set(here))
        if missing:
            raise RuntimeError("sequence {0} is missing".format(missing[0]))
        differing = [name for name in sorted(wanted) if wanted[name] != here[name]]
        for name in differing:
            # SETVAL() never goes back.
            self.unlogged("ALTER SEQUENCE {0} RESTART {1:d}".format(name, wanted[name]))
        if differing and self.counters() != {**here, **wanted}:
            raise RuntimeError("sequence {0} could not be set".format(differing[0]))
        return len(wanted)

    # Keys that are wider on the target than on the source.

    def widenable(self, tables: Sequence[str]) -> List[str]:
        """What ``widen()`` would widen, in words."""
        widener = Widener(self)
        columns = widener.wanted(tables, widener.references())
        widener.check_signs(columns)
        return told(columns)

    def widen(self, tables: Sequence[str], progress: Progress) -> List[str]:
        """Make bigint of the keys of these tables, or of ``all``, and of what is tied to them by foreign keys."""
        self.make_schema()
        return Widener(self).widen(tables, progress)

    def widened(self, database: str) -> Changed:
        """The definitions that ``widen()`` changed here."""
        return Widener(self).changed(database)

    def take_widths(self, wide: Database) -> List[str]:
        """Let the applier convert integers: the source's must cut, which the target's limits make harmless."""
        wanted = "ALL_NON_LOSSY" if self.side == "target" else "ALL_LOSSY,ALL_NON_LOSSY"
        if self.one_sign and Widener(wide).unsigned():
            wanted += ",ALL_UNSIGNED"
        if str(self.value("SELECT @@GLOBAL.{0}".format(self.conversions))) == wanted:
            return []
        return [self.persist(self.conversions, wanted)]

    def persist(self, name: str, value: Any) -> str:
        """Set one of the server's settings for now; the role's file has it for every start. What was done, in words."""
        self.rows("SET GLOBAL {0} = %s".format(name), [value])
        return "{0} = {1}".format(name, value)

    def room(self) -> List[Room]:
        """How far each widened key has come here, and the limit of the other side's type."""
        return Widener(self).room()

    def let_keys_grow(self) -> int:
        """Drop the triggers that keep larger values out; how many."""
        return Widener(self).lift()

    # Positions and the marker.

    def server(self) -> int:
        """The server's id, which the marker's rows are keyed by."""
        return int(self.value("SELECT @@server_id"))

    def position(self) -> str:
        """The last transaction that this server itself took: the GTID of its own domain, '' before the first."""
        domain = str(self.value("SELECT @@gtid_domain_id"))
        every = str(self.value("SELECT @@gtid_binlog_pos") or "").split(",")
        return ",".join(gtid for gtid in every if gtid.split("-")[0] == domain)

    def changes_from(self) -> str:
        """The last transaction of every domain in this server's binary log."""
        return str(self.value("SELECT @@gtid_binlog_pos") or "")

    def changes(self, credentials: Dict[str, Any], since: str, tables: Sequence[TableName]) -> Iterator[Change]:
        """The row events of the binary log since a position."""
        return binlog.follow(settings_of(credentials), since, [*tables, *self.marker_tables()], mariadb=True)

    def marker_tables(self) -> List[TableName]:
        """The one table that carries both sides' tokens."""
        return [(self.name, "marker")]

    def mark(self, token: str) -> str:
        """Write the marker row, and return the position that includes it."""
        self.rows(
            "REPLACE INTO {0}.marker VALUES (%s, %s, UTC_TIMESTAMP(6))".format(self.schema), [self.server(), token]
        )
        return self.position()

    def expect_markers_of(self, server: int) -> None:
        """Have the other server's row here before its first change arrives: it was made before the copy began."""
        self.unlogged(
            "INSERT IGNORE INTO {0}.marker VALUES ({1}, '', UTC_TIMESTAMP(6))".format(self.schema, int(server))
        )

    def marked(self, server: int) -> str:
        """The last marker of the given server that has arrived here."""
        found = self.rows("SELECT token FROM {0}.marker WHERE server = %s".format(self.schema), [server])
        return str(found[0]["token"]) if found else ""

    def wait_for(self, position: str, seconds: float) -> bool:
        """Wait until this replica has applied a position."""
        return bool(self.value("SELECT MASTER_GTID_WAIT(%s, %s)", [position, round(seconds, 3)]) == 0)

    # The link from the other server to this one.

    def link(self) -> Link:
        """The state of this server as a replica of the other one."""
        found = self.rows("SHOW SLAVE '{0}' STATUS".format(self.name)) if self.has_link() else []
        if not found:
            return Link(False, False, False, None, "")
        status = found[0]
        errors = [status.get("Last_IO_Error") or "", status.get("Last_SQL_Error") or ""]
        lag = status.get("Seconds_Behind_Master")
        return Link(
            exists=True,
            receiving=status.get("Slave_IO_Running") == "Yes",
            applying=status.get("Slave_SQL_Running") == "Yes",
            lag_seconds=None if lag is None else int(lag),
            error="; ".join(error for error in errors if error),
        )

    def has_link(self) -> bool:
        """Whether the site's link is defined here."""
        return any(row.get("Connection_name") == self.name for row in self.rows("SHOW ALL SLAVES STATUS"))

    def follow(self, other: "Database", account: Dict[str, Any]) -> None:
        """Become a replica of the other server, for the site's databases alone.

        The domain of this server's own transactions is ignored, or each would come back.
        """
        if self.side == "target":
            position = self.seeded()
            if position is None:
                raise RuntimeError("the target has no complete copy to go on from; run replicate.yml from its start")
        else:
            # Its row must be older than the position, as the source's is older than the copy.
            other.mark(uuid.uuid4().hex)
            position = other.changes_from()
        self.make_schema()
        self.expect_markers_of(other.server())
        ignore_domain = int(self.value("SELECT @@gtid_domain_id"))
        wildcards = ",".join(wildcard(database) for database in [*self.databases, self.name])
        if self.has_link():
            self.rows("STOP SLAVE '{0}'".format(self.name))
        if position:
            self.rows("SET GLOBAL gtid_slave_pos = %s", [position])
        self.rows(
            "CHANGE MASTER '{0}' TO MASTER_HOST=%s, MASTER_PORT=%s, MASTER_USER=%s, MASTER_PASSWORD=%s, "
            "MASTER_SSL=1, MASTER_SSL_CA=%s, MASTER_SSL_VERIFY_SERVER_CERT=1, MASTER_CONNECT_RETRY=1, "
            "MASTER_HEARTBEAT_PERIOD=2, MASTER_USE_GTID=slave_pos, IGNORE_DOMAIN_IDS=({1})".format(
                self.name, ignore_domain
            ),
            [account["host"], int(account["port"]), account["user"], account["password"], account["ssl_ca"]],
        )
        self.rows("SET @@default_master_connection = %s", [self.name])
        self.rows("SET GLOBAL replicate_wild_do_table = %s", [wildcards])
        self.rows("SET @@default_master_connection = ''")
        self.rows("START SLAVE '{0}'".format(self.name))

    def resume_link(self) -> None:
        """Start a link that stopped."""
        self.rows("START SLAVE '{0}'".format(self.name))

    def seeded(self) -> Optional[str]:
        """The position of a copy to this server that completed; None where there is none."""
        self.make_schema()
        self.unlogged(
            "CREATE TABLE IF NOT EXISTS {0}.seed (id TINYINT PRIMARY KEY, position VARCHAR(10000) NOT NULL, "
            "finished DATETIME(6) NOT NULL) ENGINE=InnoDB".format(self.schema)
        )
        found = self.rows("SELECT position FROM {0}.seed".format(self.schema))
        return str(found[0]["position"]) if found else None

    def unfollow(self) -> None:
        """End the site's link and forget it."""
        if self.has_link():
            self.rows("STOP SLAVE '{0}'".format(self.name))
            self.rows("RESET SLAVE '{0}' ALL".format(self.name))

    # Events, which run on one side only.

    def events(self) -> List[Dict[str, str]]:
        """The events of the site's databases: {'db', 'name', 'status', 'definer'}."""
        return self.rows(
            "SELECT event_schema AS db, event_name AS name, status AS status, definer AS definer "
            "FROM information_schema.events WHERE event_schema IN %s ORDER BY 1, 2",
            [self.databases],
        )

    def let_events_run(self, run: bool) -> int:
        """Let the site's events run here, or leave them to the other side; how many changed.

        What the site itself has disabled stays so.
        """
        state, wanted = ("REPLICA_SIDE_DISABLED", "ENABLE") if run else ("ENABLED", self.event_off)
        found = [row for row in self.events() if row["status"].replace("SLAVESIDE", "REPLICA_SIDE") == state]
        for row in found:
            user, _at, host = row["definer"].rpartition("@")
            # Without it the event would belong to this account, and stop with it.
            definer = "{0}@{1}".format(self.connection.escape(user), self.connection.escape(host))
            name = "{0}.{1}".format(quote_mysql(row["db"]), quote_mysql(row["name"]))
            self.unlogged("ALTER DEFINER={0} EVENT {1} {2}".format(definer, name, wanted))
        return len(found)

    # Accounts.

    def accounts(self) -> List[Dict[str, str]]:
        """Accounts whose every right concerns the site's databases."""
        granted = self.rows(
            " UNION ".join(
                "SELECT User AS user, Host AS host, Db AS db FROM mysql.{0}".format(table)
                for table in ("db", "tables_priv", "columns_priv", "procs_priv")
            )
        )
        everywhere = {
            row["grantee"]
            for row in self.rows(
                "SELECT DISTINCT grantee AS grantee FROM information_schema.user_privileges "
                "WHERE privilege_type <> 'USAGE'"
            )
        }
        own = {database.replace("_", "\\_") for database in self.databases} | set(self.databases)
        found: Dict[Tuple[str, str], List[str]] = {}
        for row in granted:
            found.setdefault((row["user"], row["host"]), []).append(row["db"])
        return [
            {"user": user, "host": host}
            for (user, host), databases in sorted(found.items())
            if user and set(databases) <= own and "'{0}'@'{1}'".format(user, host) not in everywhere
        ]

    def locked_accounts(self) -> List[Dict[str, str]]:
        """Every account that is locked now."""
        return self.rows(
            "SELECT User AS user, Host AS host FROM mysql.global_priv "
            "WHERE JSON_EXTRACT(Priv, '$.account_locked') = true"
        )

    def make_locked(self) -> None:
        """Where the accounts are kept that ``lock_accounts(False)`` is to unlock."""
        self.unlogged(
            "CREATE TABLE IF NOT EXISTS {0}.locked (user CHAR(128) NOT NULL, host CHAR(255) CHARACTER SET ascii "
            "NOT NULL, PRIMARY KEY (user, host)) ENGINE=InnoDB COLLATE utf8mb4_bin".format(self.schema)
        )

    def lock_accounts(self, locked: bool) -> int:
        """Lock or unlock the site's accounts on this server alone; how many. What was locked before stays so."""
        self.make_locked()
        if locked:
            already = {(row["user"], row["host"]) for row in self.locked_accounts()}
            accounts = [row for row in self.accounts() if (row["user"], row["host"]) not in already]
        else:
            accounts = self.rows("SELECT user AS user, host AS host FROM {0}.locked".format(self.schema))
        for account in accounts:
            user, host = (self.connection.escape(account[part]) for part in ("user", "host"))
            remember = "REPLACE INTO {0}.locked VALUES ({1}, {2})"
            forget = "DELETE FROM {0}.locked WHERE user = {1} AND host = {2}"
            alter = "ALTER USER IF EXISTS {0}@{1} ACCOUNT {2}".format(user, host, "LOCK" if locked else "UNLOCK")
            note = (remember if locked else forget).format(self.schema, user, host)
            self.unlogged(*((note, alter) if locked else (alter, note)))
        return len(accounts)

    def end_sessions(self) -> int:
        """End what sessions the site's accounts still have here; how many."""
        users = [account["user"] for account in self.accounts()]
        if not users:
            return 0
        # A neighbour's account may have the same name on another host.
        sessions = self.rows(
            "SELECT id AS id FROM {0} WHERE user IN %s AND (db IS NULL OR db IN %s)".format(self.processlist),
            [users, self.databases],
        )
        for session in sessions:
            try:
                self.rows("KILL %s", [session["id"]])
            except Exception as error:
                if error.args[:1] != (1094,):  # it ended by itself
                    raise
        return len(sessions)

    def before_restart(self) -> None:
        """Write dirty pages beforehand: at the stop they would be written while requests wait."""
        self.rows("SET GLOBAL innodb_max_dirty_pages_pct = 0")
        time.sleep(1.0)


SERVER = MariaDB
