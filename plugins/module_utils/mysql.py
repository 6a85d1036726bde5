# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: S608 - every name in a statement went through quote_mysql(), every value is an argument
"""What the switchover needs of one MySQL server: what differs from MariaDB.

The fence is MariaDB's, for ``super_read_only`` would stop every site of the server. TRUNCATE and DDL fire no
triggers and pass it. A trigger reads the hard fence with a shared lock, so ``close()`` waits for transactions that
began to write before it, and no old snapshot can miss it.

A position is a set of GTIDs. What this server took itself carries its server_uuid, so nothing of it comes back
from the other side.
"""

import time
import uuid
from typing import Any, Dict, Iterator, List, Sequence, Set, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils import binlog
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Change, Database, Link, TableName
from ansible_collections.ocpizza.cutover.plugins.module_utils.gtids import (
    count_of,
    each_of,
    is_tagged,
    members,
    of_server,
)
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import wildcard
from ansible_collections.ocpizza.cutover.plugins.module_utils.mariadb import MariaDB, connect
from ansible_collections.ocpizza.cutover.plugins.module_utils.mariadb_fence import settings_of

__all__ = ["SERVER", "MySQL", "connect"]

Account = Tuple[str, str]

# Set without a restart; what they are now is asked first.
WANTED = {"binlog_row_metadata": "FULL"}
SETTINGS = (*WANTED, "server_id", "server_uuid", "gtid_mode", "enforce_gtid_consistency")
# More empty transactions than this are not written into a log that others read as well.
MOST_SKIPPED = 20000


class MySQL(MariaDB):
    """One server, seen through one connection."""

    engine = "mysql"
    processlist = "performance_schema.processlist"
    conversions = "replica_type_conversions"
    one_sign = True
    event_off = "DISABLE ON REPLICA"

    @classmethod
    def open_server(
        cls, credentials: Dict[str, Any], site: str, databases: Sequence[str], side: str, timeout: float = 5.0
    ) -> "MySQL":
        """Connect; every answer of the server comes within ``timeout`` seconds, or fails."""
        server = cls(connect(credentials, timeout, dictionaries=True), site, databases, side)
        server.credentials = credentials
        # A statement that waits for a lock must end before the connection gives up, and takes the soft fence along.
        server.rows("SET SESSION innodb_lock_wait_timeout = 1, SESSION information_schema_stats_expiry = 0")
        return server

    def take_counters(self, origin: Database) -> int:
        """There are no sequences."""
        return 0

    # What the servers must be like.

    def settings(self) -> Dict[str, str]:
        """The server's global settings that matter here; one that its version does not have is not there."""
        found = self.rows("SHOW GLOBAL VARIABLES WHERE Variable_name IN %s", [SETTINGS])
        return {row["Variable_name"]: str(row["Value"]) for row in found}

    def prepare(self, other: Database, patience: float = 60.0) -> List[str]:
        """Set what replication needs, all of it without a restart; what was changed.

        ``patience`` is how long statements that GTIDs do not allow are looked for before they are refused.
        """
        now = self.settings()
        done = [self.persist(name, wanted) for name, wanted in WANTED.items() if now.get(name) != wanted]
        if self.side == "target" and now["server_id"] == str(other.server()):
            # From the UUID: two targets of one source, or two runs, must not come to the same number by chance.
            number = 1 + int(now["server_uuid"].replace("-", "")[:8], 16) % 4000000000
            done.append(self.persist("server_id", number if number != other.server() else number + 1))
        return done + self._turn_gtids_on(now, patience)

    def persist(self, name: str, value: Any) -> str:
        """Set one of the server's settings for now and for every start; what was done, in words."""
        self.rows("SET PERSIST {0} = %s".format(name), [value])
        return "{0} = {1}".format(name, value if value != "" else "''")

    def _turn_gtids_on(self, now: Dict[str, str], patience: float) -> List[str]:
        if now["gtid_mode"] == "ON":
            return []
        done = []
        if now["enforce_gtid_consistency"] != "ON":
            self.rows("SET GLOBAL enforce_gtid_consistency = WARN")
            begun = str(self.value("SELECT NOW(6)"))
            time.sleep(patience)
            violations = self.rows(
                "SELECT data AS text FROM performance_schema.error_log WHERE logged >= %s "
                "AND data LIKE '%%GTID consistency%%' LIMIT 1",
                [begun],
            )
            if violations:
                self.rows("SET GLOBAL enforce_gtid_consistency = OFF")
                raise RuntimeError(
                    "GTIDs cannot be turned on, the server would refuse what the application does: {0}".format(
                        violations[0]["text"]
                    )
                )
            done.append(self.persist("enforce_gtid_consistency", "ON"))
        steps = ("OFF", "OFF_PERMISSIVE", "ON_PERMISSIVE", "ON")
        for step in steps[steps.index(now["gtid_mode"]) + 1 :]:
            if step == "ON":
                self._await_no_anonymous()
            done.append(self.persist("gtid_mode", step))
        return done

    def _await_no_anonymous(self) -> None:
        until = time.monotonic() + 60
        while self.rows("SHOW STATUS LIKE 'Ongoing_anonymous_transaction_count'")[0]["Value"] != "0":
            if time.monotonic() > until:
                raise RuntimeError("GTIDs cannot be turned on: a transaction that began without one is open for 60 s")
            time.sleep(0.1)

    # The fence.

    def writers(self) -> List[Dict[str, Any]]:
        """Open transactions that write, or are about to, in the site's tables; never the applier, never a neighbour's.

        By their locks: information_schema.innodb_trx is made anew only once nobody has read it for 0.1 s, and
        so neither shows a transaction that has just begun nor forgets one that has ended.
        """
        if not int(self.value("SELECT @@performance_schema")):
            raise RuntimeError("performance_schema is off, so it is not known who writes")
        return self.rows(
            "SELECT COALESCE(t.processlist_id, 0) AS id, COALESCE(t.processlist_user, 'XA') AS user, "
            "t.processlist_db AS db, COALESCE(t.processlist_time, 0) AS seconds FROM "
            "(SELECT DISTINCT thread_id FROM performance_schema.data_locks WHERE lock_type = 'TABLE' "
            "AND lock_mode LIKE '%%X' AND object_schema IN %s) l "
            "LEFT JOIN performance_schema.threads t ON t.thread_id = l.thread_id "
            "WHERE t.name IS NULL OR (t.name NOT LIKE 'thread/sql/replica%%' AND t.processlist_id <> CONNECTION_ID())",
            [self.databases],
        )

    # Positions and the marker.

    def executed(self) -> str:
        """Every transaction that this server has, its own and others'."""
        return ",".join(members(str(self.value("SELECT @@GLOBAL.gtid_executed") or "")))

    def server_uuid(self) -> str:
        """What this server's own GTIDs begin with."""
        return str(self.value("SELECT @@server_uuid"))

    def position(self) -> str:
        """The transactions that this server itself took, '' before the first."""
        return of_server(self.executed(), self.server_uuid())

    def changes_from(self) -> str:
        """Every transaction that this server has."""
        return self.executed()

    def changes(self, credentials: Dict[str, Any], since: str, tables: Sequence[TableName]) -> Iterator[Change]:
        """The row events of the binary log since a position."""
        if is_tagged(since):
            raise RuntimeError("the log of a server whose GTIDs have tags cannot be read")
        return binlog.follow(settings_of(credentials), since, [*tables, *self.marker_tables()], mariadb=False)

    def wait_for(self, position: str, seconds: float) -> bool:
        """Wait until this replica has applied a position."""
        if not position:
            return False
        return bool(self.value("SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, %s)", [position, round(seconds, 3)]) == 0)

    # The link from the other server to this one.

    def channels(self) -> List[Dict[str, Any]]:
        """Every replication channel that is defined here."""
        return self.rows("SHOW REPLICA STATUS")

    def _channel(self) -> Dict[str, Any]:
        for row in self.channels():
            if row["Channel_Name"] == self.name:
                return row
        return {}

    def has_link(self) -> bool:
        """Whether the site's link is defined here."""
        return bool(self._channel())

    def wildcards(self) -> List[str]:
        """The tables that the site's link is for."""
        return [wildcard(database) for database in [*self.databases, self.name]]

    def link(self) -> Link:
        """The state of this server as a replica of the other one."""
        status = self._channel()
        if not status:
            return Link(False, False, False, None, "")
        errors = [status["Last_IO_Error"], status["Last_SQL_Error"]]
        if "performance_schema" in (status["Last_SQL_Error"] or ""):
            errors += [
                row["text"]
                for row in self.rows(
                    "SELECT last_error_message AS text FROM performance_schema.replication_applier_status_by_worker "
                    "WHERE channel_name = %s AND last_error_number <> 0",
                    [self.name],
                )
            ]
        if set(status["Replicate_Wild_Do_Table"].split(",")) != set(self.wildcards()):
            errors.append("the link's filter is '{0}'".format(status["Replicate_Wild_Do_Table"]))
        lag = status["Seconds_Behind_Source"]
        return Link(
            exists=True,
            receiving=status["Replica_IO_Running"] == "Yes",
            applying=status["Replica_SQL_Running"] == "Yes",
            lag_seconds=None if lag is None else int(lag),
            error="; ".join(error for error in errors if error),
        )

    def follow(self, other: Database, account: Dict[str, Any]) -> None:
        """Become a replica of the other server, for the site's databases alone.

        Every transaction of the other server is counted as applied, those of other databases too: so a second
        channel from there would lose what the first one left out.
        """
        assert isinstance(other, MySQL)
        theirs = other.server_uuid()
        if theirs == self.server_uuid() or other.server() == self.server():
            raise RuntimeError("both servers have the same server_uuid or server_id")
        for row in self.channels():
            if row["Channel_Name"] != self.name and row["Source_UUID"] == theirs:
                raise RuntimeError(
                    "channel {0} brings another site from the same server, and with GTIDs two channels lose what the "
                    "other one leaves out. Move both as one site, or finish that one first".format(row["Channel_Name"])
                )
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
        if self.has_link():
            self.rows("STOP REPLICA FOR CHANNEL %s", [self.name])
        else:
            self.skip(position, theirs)
        # Without SOURCE_SSL_VERIFY_SERVER_CERT the chain is checked still; the name may be the site's, not the address.
        # SOURCE_RETRY_COUNT: the default gives up for good after ten attempts.
        self.rows(
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST=%s, SOURCE_PORT=%s, SOURCE_USER=%s, SOURCE_PASSWORD=%s, "
            "SOURCE_SSL=1, SOURCE_SSL_CA=%s, SOURCE_SSL_VERIFY_SERVER_CERT=0, SOURCE_CONNECT_RETRY=1, "
            "SOURCE_RETRY_COUNT=0, SOURCE_HEARTBEAT_PERIOD=2, SOURCE_AUTO_POSITION=1, REQUIRE_ROW_FORMAT=1 "
            "FOR CHANNEL %s",
            [
                account["host"],
                int(account["port"]),
                account["user"],
                account["password"],
                account["ssl_ca"],
                self.name,
            ],
        )
        self.resume_link()

    def skip(self, position: str, other_uuid: str) -> None:
        """Count transactions as applied that are in the copy already, or older than the link."""
        missing = "".join(str(self.value("SELECT GTID_SUBTRACT(%s, @@GLOBAL.gtid_executed)", [position]) or "").split())
        if not missing:
            return
        others = [row for row in self.rows("SHOW REPLICAS") if row["Replica_UUID"] != other_uuid]
        if not others:
            self.rows("SET @@GLOBAL.gtid_purged = %s", ["+" + missing])
            return
        # What is purged here can't be had from here: a replica of this server would stop at its next connection.
        if is_tagged(missing) or count_of(missing) > MOST_SKIPPED:
            raise RuntimeError(
                "{0} is a replica of this server, and would stop: it cannot get {1}".format(
                    others[0]["Replica_UUID"], missing
                )
            )
        try:
            for gtid in each_of(missing):
                self.rows("SET SESSION gtid_next = %s", [gtid])
                self.rows("BEGIN")
                self.rows("COMMIT")
        finally:
            self.rows("ROLLBACK")
            self.rows("SET SESSION gtid_next = 'AUTOMATIC'")

    def resume_link(self) -> None:
        """Start a link that stopped, with its filter: a server forgets it when it is restarted."""
        self.rows("STOP REPLICA FOR CHANNEL %s", [self.name])
        filters = ", ".join(self.connection.escape(pattern) for pattern in self.wildcards())
        self.rows(
            "CHANGE REPLICATION FILTER REPLICATE_WILD_DO_TABLE = ({0}) FOR CHANNEL '{1}'".format(filters, self.name)
        )
        self.rows("START REPLICA FOR CHANNEL %s", [self.name])

    def unfollow(self) -> None:
        """End the site's link and forget it."""
        if self.has_link():
            self.rows("STOP REPLICA FOR CHANNEL %s", [self.name])
            self.rows("RESET REPLICA ALL FOR CHANNEL %s", [self.name])

    # Accounts.

    def accounts(self) -> List[Dict[str, str]]:
        """Accounts whose every right, their roles' included, concerns the site's databases."""
        granted: Dict[Account, Set[str]] = {}
        for table in ("db", "tables_priv", "columns_priv", "procs_priv"):
            for row in self.rows("SELECT DISTINCT User AS user, Host AS host, Db AS db FROM mysql.{0}".format(table)):
                granted.setdefault((row["user"], row["host"]), set()).add(row["db"])
        everywhere = {
            row["grantee"]
            for row in self.rows(
                "SELECT DISTINCT grantee AS grantee FROM information_schema.user_privileges "
                "WHERE privilege_type <> 'USAGE'"
            )
        }
        roles: Dict[Account, Set[Account]] = {}
        for row in self.rows(
            "SELECT TO_USER AS user, TO_HOST AS host, FROM_USER AS role, FROM_HOST AS role_host FROM mysql.role_edges"
        ):
            roles.setdefault((row["user"], row["host"]), set()).add((row["role"], row["role_host"]))
        return [
            {"user": user, "host": host} for user, host in site_accounts(granted, everywhere, roles, self.databases)
        ]

    def locked_accounts(self) -> List[Dict[str, str]]:
        """Every account that is locked now."""
        return self.rows("SELECT User AS user, Host AS host FROM mysql.user WHERE account_locked = 'Y'")


def site_accounts(
    granted: Dict[Account, Set[str]],
    everywhere: Set[str],
    roles: Dict[Account, Set[Account]],
    databases: Sequence[str],
) -> List[Account]:
    """The accounts that have rights on these databases and on nothing else.

    ``roles`` maps an account to what is granted to it. A role is no account: nobody logs in as one.
    """
    # A right is given to a pattern, in which some escape what others leave.
    own = set(databases) | {database.replace("_", "\\_") for database in databases}
    own |= {wildcard(database)[: -len(".%")] for database in databases}
    are_roles = {role for given in roles.values() for role in given}

    def reach(account: Account) -> Set[Account]:
        found, pending = set(), [account]  # type: Set[Account], List[Account]
        while pending:
            one = pending.pop()
            if one not in found:
                found.add(one)
                pending.extend(roles.get(one, ()))
        return found

    sites = []
    for account in sorted(set(granted) | set(roles)):
        names = reach(account)
        rights = {database for name in names for database in granted.get(name, ())}
        beyond = any("'{0}'@'{1}'".format(*name) in everywhere for name in names)
        if account[0] and account not in are_roles and rights and rights <= own and not beyond:
            sites.append(account)
    return sites


SERVER = MySQL
