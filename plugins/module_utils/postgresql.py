# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: S608 - every name in a statement went through quote_postgresql(), every value is an argument
"""One PostgreSQL server as the switchover knows it: the link from the other one, sequences and accounts.

The fence is in ``postgresql_fence.py``; marker, publications, slots and changes are in ``postgresql_log.py``.
"""

from typing import Any, Dict, List, Optional, Sequence, Set, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Database, Link, Progress
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_postgresql
from ansible_collections.ocpizza.cutover.plugins.module_utils.postgresql_fence import FENCE_STATE, table_name
from ansible_collections.ocpizza.cutover.plugins.module_utils.postgresql_log import (
    LoggedServer,
    read_position,
    write_position,
)
from ansible_collections.ocpizza.cutover.plugins.module_utils.postgresql_wire import (
    SITE_TABLES,
    connect,
    literal,
    render,
)
from ansible_collections.ocpizza.cutover.plugins.module_utils.widen import Changed, Room, told
from ansible_collections.ocpizza.cutover.plugins.module_utils.widen_postgresql import Widener

__all__ = ["FENCE_STATE", "SERVER", "PostgreSQL", "connect", "read_position", "write_position"]

# A link with nothing to do hears from its server twice a minute.
SILENCE_S = 40
# One that fails does so sooner.
PROBATION_S = 3


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


class PostgreSQL(LoggedServer, Database):
    """One server, seen through connections to each of the site's databases."""

    engine = "postgresql"

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

    def drop_schema(self) -> None:
        """Take away all that is ours; sequences go on beyond the other side's limit again."""
        self.let_keys_grow()
        super().drop_schema()

    # Keys that are wider on the target than on the source.

    def widenable(self, tables: Sequence[str]) -> List[str]:
        """What ``widen()`` would widen, in words."""
        return told(Widener(self).wanted(tables))

    def widen(self, tables: Sequence[str], progress: Progress) -> List[str]:
        """Make bigint of the keys of these tables, or of ``all``, and of what is tied to them by foreign keys."""
        self.make_schema()
        return Widener(self).widen(tables, progress)

    def widened(self, database: str) -> Changed:
        """The definitions that ``widen()`` changed here."""
        return Widener(self).changed(database)

    def room(self) -> List[Room]:
        """How far each widened key has come here, and the limit of the other side's type."""
        return Widener(self).room()

    def let_keys_grow(self) -> int:
        """Let sequences go on beyond what the other side can hold; how many."""
        return Widener(self).lift()

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
