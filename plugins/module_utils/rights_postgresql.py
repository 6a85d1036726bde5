# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL's roles: what they may do with the site's databases, and how they come to another server.

What a role owns and may do inside a database is part of the dump, and compared by the proof. Here is what belongs to
the server: the role, its groups, its right to connect, and its settings.
"""

# ruff: noqa: S608 - names are literals or went through quote_postgresql()

import json
from typing import Any, Dict, List, Sequence, Set, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.client_postgresql import literal
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_postgresql
from ansible_collections.ocpizza.cutover.plugins.module_utils.rights import Account, Right

METHODS = ["md5", "no password", "scram-sha-256"]
# Their values are lists of names, which are kept quoted already.
LISTS = ("search_path", "temp_tablespaces", "session_preload_libraries", "local_preload_libraries")


def script(databases: Sequence[str]) -> str:
    """What is asked of a server: lines of JSON, an array with the kind first. No password's hash is among them."""
    names = ", ".join(literal(name) for name in databases) or "NULL"
    return r"""
SELECT json_build_array('account', r.rolname, r.oid = 10, r.rolcanlogin,
    CASE WHEN r.rolpassword LIKE 'SCRAM-%' THEN 'scram-sha-256' WHEN r.rolpassword LIKE 'md5%' THEN 'md5'
    ELSE 'no password' END, array_remove(ARRAY[CASE WHEN r.rolsuper THEN 'SUPERUSER' END,
    CASE WHEN r.rolcreatedb THEN 'CREATEDB' END, CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END,
    CASE WHEN r.rolreplication THEN 'REPLICATION' END, CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END], NULL))
  FROM pg_catalog.pg_authid r ORDER BY r.rolname;
SELECT json_build_array('member', m.rolname, g.rolname, a.admin_option) FROM pg_catalog.pg_auth_members a
  JOIN pg_catalog.pg_roles m ON m.oid = a.member JOIN pg_catalog.pg_roles g ON g.oid = a.roleid;
SELECT DISTINCT json_build_array('holds', r.rolname, d.datname)::text
  FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid JOIN pg_catalog.pg_database d
    ON d.oid = CASE WHEN s.classid = 'pg_catalog.pg_database'::regclass THEN s.objid ELSE s.dbid END
 WHERE s.refclassid = 'pg_catalog.pg_authid'::regclass AND d.datname IN ({names});
SELECT json_build_array('may', r.rolname, p.name, d.datname)
  FROM pg_catalog.pg_authid r, pg_catalog.pg_database d, (VALUES ('CONNECT'), ('CREATE'), ('TEMPORARY')) p (name)
 WHERE d.datname IN ({names}) AND NOT r.rolsuper AND r.rolname !~ '^pg_'
   AND has_database_privilege(r.oid, d.oid, p.name);
SELECT json_build_array('role setting', r.rolname, coalesce(d.datname, ''), u.setting)
  FROM pg_catalog.pg_db_role_setting s CROSS JOIN unnest(s.setconfig) u (setting)
  JOIN pg_catalog.pg_roles r ON r.oid = s.setrole LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
 WHERE s.setdatabase = 0 OR d.datname IN ({names});
SELECT json_build_array('database setting', d.datname, u.setting)
  FROM pg_catalog.pg_db_role_setting s CROSS JOIN unnest(s.setconfig) u (setting)
  JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase WHERE s.setrole = 0 AND d.datname IN ({names});
""".format(names=names)


class Reading:
    """What the answers say, role by role."""

    def __init__(self) -> None:
        self.roles = {}  # type: Dict[str, Tuple[bool, bool, str, List[str]]]
        self.groups = {}  # type: Dict[str, Set[str]]
        self.holds = {}  # type: Dict[str, Set[str]]
        self.rights = {}  # type: Dict[str, Set[Right]]
        self.settings = []  # type: List[Tuple[str, str]]

    def take(self, kind: str, values: List[Any]) -> None:
        """One answer."""
        if kind == "account":
            name, first, login, method, attributes = values
            self.roles[name] = (first, login, method, attributes)
        elif kind == "member":
            member, group, admin = values
            self.groups.setdefault(member, set()).add(group)
            if not group.startswith("pg_"):
                self._add(member, Right("role", "", "", group, admin))
        elif kind == "holds":
            self.holds.setdefault(values[0], set()).add(values[1])
        elif kind == "may":
            self._add(values[0], Right("database", values[1], values[2], ""))
        elif kind == "role setting":
            self._add(values[0], Right("setting", values[2], values[1], ""))
        elif kind == "database setting":
            self.settings.append((values[0], values[1]))

    def _add(self, name: str, right: Right) -> None:
        self.rights.setdefault(name, set()).add(right)

    def _reach(self, name: str) -> Set[str]:
        seen, pending = set(), [name]  # type: Set[str], List[str]
        while pending:
            one = pending.pop()
            if one not in seen:
                seen.add(one)
                pending.extend(self.groups.get(one, ()))
        return seen

    def _reaching(self, name: str) -> bool:
        """Whether a role, or a group of its, owns or may do something in the site's databases."""
        return any(self.holds.get(one) for one in self._reach(name))

    def _rights(self, name: str) -> Set[Right]:
        """What concerns the site: groups of others are left out."""
        return {right for right in self.rights.get(name, ()) if right.kind != "role" or self._reaching(right.name)}

    def told(self) -> Dict[str, Account]:
        """The roles that are not the server's own. To be let into a database makes none of them the site's."""
        found = {}
        for name, (first, login, method, attributes) in sorted(self.roles.items()):
            if first or name.startswith("pg_"):
                continue
            reached = self._reach(name)
            sites = self._reaching(name)
            everywhere = attributes + ["member of " + one for one in sorted(reached) if one.startswith("pg_")]
            found[name] = Account(
                name,
                name,
                "",
                login,
                (method,) if login else (),
                frozenset(self._rights(name) if sites else ()),
                tuple(everywhere if sites else [one for one in everywhere if "SUPER" in one or "_all_data" in one]),
                tuple("what is in {0}".format(one) for one in sorted(self.holds.get(name, ()))),
            )
        return found


def parse(rows: Sequence[List[Any]]) -> Tuple[Dict[str, Account], List[Tuple[str, str]]]:
    """The accounts, and (database, setting) of what is set for everybody in a database."""
    reading = Reading()
    for kind, *values in rows:
        reading.take(kind, values)
    return reading.told(), sorted(reading.settings)


class Rights:
    """The roles of one server, through its :class:`PostgreSQL`."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.first = server.databases[0]
        self.brought_table = "{0}.brought".format(server.schema)

    def _run(self, statement: str, *arguments: Any) -> List[List[Any]]:
        return list(self.server.rows(self.first, statement, *arguments))

    def read(self) -> Tuple[Dict[str, Account], List[str]]:
        """The roles; a server knows every method."""
        rows = []
        for query in script(self.server.databases).split(";\n"):
            if query.strip():
                rows += [_plain(row[0]) for row in self._run(query)]
        return parse(rows)[0], METHODS

    def definition(self, account: Account) -> str:
        """How a role logs in and under which conditions: a secret."""
        ((inherits, limit, until, password),) = self._run(
            "SELECT rolinherit, rolconnlimit, rolvaliduntil::text, rolpassword FROM pg_authid WHERE rolname = %s",
            account.user,
        )
        parts = ["INHERIT" if inherits else "NOINHERIT", "CONNECTION LIMIT {0}".format(limit)]
        parts.append("VALID UNTIL {0}".format(literal(until or "infinity")))
        parts.append("PASSWORD {0}".format(literal(password) if password else "NULL"))
        return " ".join(parts)

    def methods(self, account: Account, _definition: str) -> Tuple[str, ...]:
        """How the password is kept."""
        return account.methods

    def rest(self, definition: str) -> str:
        """What two definitions have to be compared by."""
        return definition

    def brought(self) -> Dict[str, Tuple[str, str]]:
        """What was made here by us: name to user and host."""
        if self._run("SELECT to_regclass(%s) IS NOT NULL", self.brought_table) != [[True]]:
            return {}
        return {row[0]: (row[0], "") for row in self._run("SELECT role FROM {0}".format(self.brought_table))}

    def make(self, account: Account, user: str, _host: str, definition: str) -> None:
        """Make a role that may do nothing and cannot log in; ``lock_accounts(False)`` lets it."""
        self.server.make_schema()
        name = quote_postgresql(user).replace("%", "%%")
        lock = "; INSERT INTO {0}.locked VALUES (%s) ON CONFLICT DO NOTHING".format(self.server.schema)
        self._run(
            "CREATE TABLE IF NOT EXISTS {0} (role text PRIMARY KEY); CREATE ROLE {1} NOLOGIN {2}; "
            "INSERT INTO {0} VALUES (%s) ON CONFLICT DO NOTHING{3}".format(
                self.brought_table, name, definition.replace("%", "%%"), lock if account.login else ""
            ),
            *([user, user] if account.login else [user]),
        )

    def change(self, user: str, _host: str, definition: str) -> None:
        """Have a role log in as the source has it log in now; it stays locked."""
        self._run("ALTER ROLE {0} {1}".format(quote_postgresql(user), definition))

    def grant(self, user: str, _host: str, rights: Sequence[Right]) -> None:
        """Give rights, and settings."""
        for right in sorted(rights):
            self._run(statement(right, user))

    def revoke(self, user: str, _host: str, rights: Sequence[Right]) -> None:
        """Take rights away."""
        for right in sorted(rights):
            self._run(withdrawal(right, user))

    def drop(self, user: str, _host: str) -> None:
        """Take away a role that was brought; what it owns in the copy goes to who withdraws it."""
        name = quote_postgresql(user)
        if self._run("SELECT 1 FROM pg_roles WHERE rolname = %s", user):
            for database in self.server.databases:
                self.server.rows(database, "REASSIGN OWNED BY {0} TO CURRENT_USER; DROP OWNED BY {0}".format(name))
            self._run("DROP ROLE {0}".format(name))
        self._run("DELETE FROM {0} WHERE role = %s".format(self.brought_table), user)
        self._run("DELETE FROM {0}.locked WHERE role = %s".format(self.server.schema), user)


def statement(right: Right, user: str) -> str:
    """The statement that gives a right or a setting."""
    name = quote_postgresql(user)
    if right.kind == "role":
        option = " WITH ADMIN OPTION" if right.grantable else ""
        return "GRANT {0} TO {1}{2}".format(quote_postgresql(right.name), name, option)
    if right.kind == "setting":
        key, _equal, value = right.privilege.partition("=")
        return "{0} SET {1} TO {2}".format(
            _settings(right, name), quoted_setting(key), value if key in LISTS else literal(value)
        )
    return "GRANT {0} ON DATABASE {1} TO {2}".format(right.privilege, quote_postgresql(right.database), name)


def withdrawal(right: Right, user: str) -> str:
    """The statement that takes a right or a setting away."""
    name = quote_postgresql(user)
    if right.kind == "role":
        return "REVOKE {0} FROM {1}".format(quote_postgresql(right.name), name)
    if right.kind == "setting":
        return "{0} RESET {1}".format(_settings(right, name), quoted_setting(right.privilege.partition("=")[0]))
    return "REVOKE {0} ON DATABASE {1} FROM {2}".format(right.privilege, quote_postgresql(right.database), name)


def _plain(value: Any) -> List[Any]:
    """A line of JSON, which some drivers have read already."""
    return list(json.loads(value) if isinstance(value, str) else value)


def quoted_setting(key: str) -> str:
    """A setting's name; an extension's has a dot in it."""
    return ".".join(quote_postgresql(part) for part in key.split("."))


def _settings(right: Right, name: str) -> str:
    where = " IN DATABASE {0}".format(quote_postgresql(right.database)) if right.database else ""
    return "ALTER ROLE {0}{1}".format(name, where)
