# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts of MariaDB and MySQL: what they may do in the site's databases, and how they come to another server.

The questions are SQL that a plain client can ask too: each answer is one JSON array, its kind first. None of them is
for a password's hash; ``definitions()`` alone reads those, for ``Rights`` to write them on the target.
"""

# ruff: noqa: S608 - names are hexadecimal literals or went through quote_mysql()

import json
import re
from typing import Any, Dict, List, Sequence, Set, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.database_facts import named
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_mysql
from ansible_collections.ocpizza.cutover.plugins.module_utils.rights import Account, Right, label

# Made by the server or its package: each server has its own.
SYSTEM = ("root", "mysql", "mariadb.sys", "mysql.sys", "mysql.session", "mysql.infoschema", "debian-sys-maint")
HERE = ("localhost", "127.0.0.1", "::1")
PUBLIC = "PUBLIC"
# What reaches rows or definitions, and with them the site's.
DATA = frozenset(
    (
        *("ALL PRIVILEGES", "ALTER", "ALTER ROUTINE", "CREATE", "CREATE ROUTINE", "CREATE VIEW", "DELETE", "DROP"),
        *("EVENT", "EXECUTE", "INDEX", "INSERT", "LOCK TABLES", "REFERENCES", "SELECT", "SHOW VIEW", "SUPER"),
        *("TRIGGER", "UPDATE"),
    )
)
RENAMED = {"DELETE VERSIONING ROWS": "DELETE HISTORY"}
# The part before how an account logs in.
HEAD = re.compile(r"CREATE USER (?:`(?:[^`]|``)*`|'(?:[^'\\]|\\.|'')*')@(?:`(?:[^`]|``)*`|'(?:[^'\\]|\\.|'')*')")
_TEXT = r"('(?:[^'\\]|\\.|'')*')"
LOCK = re.compile(_TEXT + r"| ACCOUNT (?:UN)?LOCK")
DEFAULT_ROLE = re.compile(_TEXT + r"| DEFAULT ROLE (?:`(?:[^`]|``)*`@`(?:[^`]|``)*`,?)+")


def queries(databases: Sequence[str], flavour: str) -> List[str]:
    """What is asked of a server."""
    found = [
        "SELECT JSON_ARRAY('method',PLUGIN_NAME) FROM information_schema.PLUGINS "
        "WHERE PLUGIN_TYPE='AUTHENTICATION' AND PLUGIN_STATUS='ACTIVE'",
        "SELECT JSON_ARRAY('everywhere',GRANTEE,PRIVILEGE_TYPE) FROM information_schema.USER_PRIVILEGES "
        "WHERE PRIVILEGE_TYPE<>'USAGE'",
        "SELECT JSON_ARRAY('database',GRANTEE,TABLE_SCHEMA,PRIVILEGE_TYPE,IS_GRANTABLE) "
        "FROM information_schema.SCHEMA_PRIVILEGES",
        "SELECT JSON_ARRAY('table',GRANTEE,TABLE_SCHEMA,TABLE_NAME,PRIVILEGE_TYPE,IS_GRANTABLE) "
        "FROM information_schema.TABLE_PRIVILEGES WHERE " + named("TABLE_SCHEMA", databases),
        "SELECT JSON_ARRAY('column',GRANTEE,TABLE_SCHEMA,TABLE_NAME,COLUMN_NAME,PRIVILEGE_TYPE,IS_GRANTABLE) "
        "FROM information_schema.COLUMN_PRIVILEGES WHERE " + named("TABLE_SCHEMA", databases),
        "SELECT JSON_ARRAY('routine',User,Host,Db,Routine_type,Routine_name,CONCAT(Proc_priv)) FROM mysql.procs_priv "
        "WHERE " + named("Db", databases),
    ]
    for view, kind, name in (
        ("VIEWS", "view", "TABLE"),
        ("ROUTINES", "routine", "ROUTINE"),
        ("TRIGGERS", "trigger", "TRIGGER"),
        ("EVENTS", "event", "EVENT"),
    ):
        found.append(
            "SELECT JSON_ARRAY('owns',DEFINER,CONCAT('{1} ',{2}_SCHEMA,'.',{2}_NAME)) FROM information_schema.{0} "
            "WHERE {2}_NAME NOT LIKE 'cutover\\_%' AND ".format(view, kind, name)
            + named(name + "_SCHEMA", databases)
        )
    if flavour == "mysql":
        return [
            *found,
            "SELECT JSON_ARRAY('account',User,Host,plugin,'N') FROM mysql.user",
            "SELECT JSON_ARRAY('role',TO_USER,TO_HOST,FROM_USER,FROM_HOST,WITH_ADMIN_OPTION) FROM mysql.role_edges",
            "SELECT JSON_ARRAY('default role',USER,HOST,DEFAULT_ROLE_USER,DEFAULT_ROLE_HOST) FROM mysql.default_roles",
        ]
    return [
        *found,
        "SELECT JSON_ARRAY('account',User,Host,plugin,is_role) FROM mysql.user",
        "SELECT JSON_ARRAY('role',User,Host,Role,'',Admin_option) FROM mysql.roles_mapping",
        "SELECT JSON_ARRAY('default role',User,Host,default_role,'') FROM mysql.user WHERE default_role<>''",
    ]


def grantee(text: str) -> Tuple[str, str]:
    """User and host from 'user'@'host', as the server's own tables write it."""
    user, _at, host = text.rpartition("'@'")
    return (user[1:], host[:-1]) if _at else (text.strip("'"), "")


def reaches(pattern: str, databases: Sequence[str]) -> List[str]:
    """Which of the databases a granted pattern means; one that is a database's name is meant for that alone."""
    if pattern in databases:
        return [pattern]
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    expression = "".join(
        ".*" if part == "%" else "." if part == "_" else re.escape(part[-1] if len(part) > 1 else part)
        for part in parts
    )
    return [name for name in databases if re.match(expression + r"\Z", name, re.DOTALL)]


class Reading:
    """What the answers say, account by account."""

    def __init__(self, databases: Sequence[str]) -> None:
        self.databases = databases
        self.methods = []  # type: List[str]
        self.accounts = {}  # type: Dict[Tuple[str, str], Dict[str, Any]]
        self.rights = {}  # type: Dict[Tuple[str, str], Set[Right]]
        self.everywhere = {}  # type: Dict[Tuple[str, str], Set[str]]
        self.owns = {}  # type: Dict[Tuple[str, str], Set[str]]
        self.granted = {}  # type: Dict[Tuple[str, str], Set[Tuple[str, str]]]

    def take(self, kind: str, values: List[Any]) -> None:
        """One answer."""
        if kind == "method":
            self.methods.append(values[0])
        elif kind == "account":
            user, host, method, role = values
            self.accounts[(user, host)] = {"method": method or "mysql_native_password", "role": role == "Y"}
        elif kind == "everywhere":
            self.everywhere.setdefault(grantee(values[0]), set()).add(values[1])
        elif kind == "owns":
            user, _at, host = values[0].rpartition("@")
            self.owns.setdefault((user, host), set()).add(values[1])
        elif kind == "role":
            user, host, role, role_host, admin = values
            self.granted.setdefault((user, host), set()).add((role, role_host))
            self._add((user, host), Right("role", "", "", label(role, role_host), admin == "Y"))
        elif kind == "default role":
            self._add((values[0], values[1]), Right("default role", "", "", label(values[2], values[3])))
        elif kind == "routine":
            user, host, database, type_, name, privileges = values
            chosen = set(privileges.upper().split(","))
            for privilege in chosen - {"GRANT"}:
                self._add((user, host), Right(type_.lower(), privilege, database, name, "GRANT" in chosen))
        else:
            self._take_right(kind, values)

    def _take_right(self, kind: str, values: List[Any]) -> None:
        who, database = grantee(values[0]), values[1]
        privilege, grantable = RENAMED.get(values[-2], values[-2]), values[-1] == "YES"
        if privilege == "USAGE":
            return
        if kind == "database":
            for one in reaches(database, self.databases):
                self._add(who, Right("database", privilege, one, "", grantable))
        elif kind == "table":
            self._add(who, Right("table", privilege, database, values[2], grantable))
        else:
            self._add(
                who,
                Right("table", "{0} ({1})".format(privilege, quote_mysql(values[3])), database, values[2], grantable),
            )

    def _add(self, who: Tuple[str, str], right: Right) -> None:
        self.rights.setdefault(who, set()).add(right)

    def _reaching(self, who: Tuple[str, str]) -> bool:
        """Whether an account, or a role of its, has a right on the site's databases."""
        seen, pending = set(), [who]  # type: Set[Tuple[str, str]], List[Tuple[str, str]]
        while pending:
            one = pending.pop()
            if one not in seen:
                seen.add(one)
                pending.extend(self.granted.get(one, ()))
        return any(right.database for one in seen for right in self.rights.get(one, ()))

    def told(self) -> Dict[str, Account]:
        """The accounts that are not the server's own; those too that something is to run as, and that do not exist."""
        roles = {role for given in self.granted.values() for role in given}
        found = {}
        for who in sorted(set(self.accounts) | set(self.owns)):
            user, host = who
            if (user in SYSTEM and host in HERE) or who == (PUBLIC, ""):
                continue
            known = self.accounts.get(who)
            is_role = bool(known and known["role"]) or who in roles
            login = bool(known) and not is_role
            rights = self._rights(who)
            found[label(user, host)] = Account(
                label(user, host),
                user,
                host,
                login,
                (known["method"],) if known and login else (),
                frozenset(rights),
                tuple(sorted(self._everywhere(who, bool(rights)))),
                tuple(sorted(self.owns.get(who, ()))),
                known is not None,
            )
        return found

    def _rights(self, who: Tuple[str, str]) -> Set[Right]:
        """What concerns the site: roles of others are left out, and those that somebody has for having made them."""
        given = {label(*role) for role in self.granted.get(who, ()) if self._reaching(role)}
        keeper = "CREATE USER" in self.everywhere.get(who, ())
        return {
            right
            for right in self.rights.get(who, ())
            if right.database or (right.name in given and not (keeper and right.grantable))
        }

    def _everywhere(self, who: Tuple[str, str], sites: bool) -> Set[str]:
        """Of the site's accounts all; of others what reaches the site's rows."""
        chosen = self.everywhere.get(who, set())
        return chosen if sites or who in self.owns else chosen & DATA


def parse(rows: Sequence[List[Any]], databases: Sequence[str]) -> Tuple[Dict[str, Account], List[str]]:
    """The accounts, and the authentication plugins that the server has."""
    reading = Reading(databases)
    for kind, *values in rows:
        reading.take(kind, values)
    return reading.told(), sorted(reading.methods)


class Rights:
    """The accounts of one server, through its :class:`MariaDB` or :class:`MySQL`."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.brought_table = "{0}.brought".format(server.schema)

    def read(self) -> Tuple[Dict[str, Account], List[str]]:
        """The accounts, and the authentication plugins that the server has."""
        rows = [
            json.loads(value)
            for query in queries(self.server.databases, self.server.engine)
            for row in self.server.rows(query)
            for value in row.values()
        ]
        return parse(rows, self.server.databases)

    def definition(self, account: Account) -> str:
        """How an account logs in and under which conditions: a secret."""
        if self.server.engine == "mysql":
            # Hashes hold bytes that are no text.
            self.server.rows("SET SESSION print_identified_with_as_hex = 1")
        elif not account.host:
            return ""
        (row, *_more) = self.server.rows("SHOW CREATE USER {0}".format(quoted(account.user, account.host)))
        return str(next(iter(row.values())))

    def methods(self, account: Account, definition: str) -> Tuple[str, ...]:
        """The plugins that a definition names; MariaDB's accounts may have several."""
        return tuple(sorted(methods_in(definition) | set(account.methods))) if account.login else ()

    def rest(self, definition: str) -> str:
        """What two definitions have to be compared by."""
        return rest(definition)

    def brought(self) -> Dict[str, Tuple[str, str]]:
        """What was made here by us: name to user and host."""
        if not self.server.rows(
            "SELECT 1 FROM information_schema.tables WHERE table_schema = %s AND table_name = 'brought'",
            [self.server.name],
        ):
            return {}
        rows = self.server.rows("SELECT user AS user, host AS host FROM {0}".format(self.brought_table))
        return {label(row["user"], row["host"]): (row["user"], row["host"]) for row in rows}

    def make(self, _account: Account, user: str, host: str, definition: str) -> None:
        """Make an account that may do nothing and cannot log in; ``lock_accounts(False)`` lets it."""
        whom = quoted(user, host)
        self.server.make_schema()
        self.server.make_locked()
        self.server.unlogged(
            "CREATE TABLE IF NOT EXISTS {0} (user CHAR(128) NOT NULL, host CHAR(255) CHARACTER SET ascii NOT NULL, "
            "PRIMARY KEY (user, host)) ENGINE=InnoDB COLLATE utf8mb4_bin".format(self.brought_table)
        )
        names = ", ".join(self.server.connection.escape(part) for part in (user, host))
        note = "REPLACE INTO {0} VALUES ({1})"
        # Before it is made, so that it can be taken away again whatever happens in between.
        self.server.unlogged(note.format(self.brought_table, names))
        try:
            if host:
                self.server.unlogged("CREATE USER {0}{1}".format(whom, locked(definition)))
            else:
                self.server.unlogged("CREATE ROLE {0}".format(whom))
        except Exception:
            self.forget(user, host)
            raise
        if host and not is_locked(definition):
            self.server.unlogged(note.format(self.server.schema + ".locked", names))

    def change(self, user: str, host: str, definition: str) -> None:
        """Have an account log in as the source has it log in now; it stays locked."""
        self.server.unlogged("ALTER USER {0}{1}".format(quoted(user, host), locked(definition)))

    def grant(self, user: str, host: str, rights: Sequence[Right]) -> None:
        """Give rights; roles first, for a default role must have been given."""
        self.server.unlogged(*(statement(right, user, host, self.server.engine) for right in ordered(rights)))

    def revoke(self, user: str, host: str, rights: Sequence[Right]) -> None:
        """Take rights away."""
        self.server.unlogged(
            *(withdrawal(right, user, host) for right in ordered(rights) if right.kind != "default role")
        )

    def drop(self, user: str, host: str) -> None:
        """Take away an account that was brought."""
        self.server.unlogged("DROP {0} IF EXISTS {1}".format("USER" if host else "ROLE", quoted(user, host)))
        self.forget(user, host)

    def forget(self, user: str, host: str) -> None:
        """Remember an account no more."""
        names = "user = {0} AND host = {1}".format(*(self.server.connection.escape(part) for part in (user, host)))
        for table in (self.server.schema + ".locked", self.brought_table):
            self.server.unlogged("DELETE FROM {0} WHERE {1}".format(table, names))


def rest(definition: str) -> str:
    """A definition without the name and what is told apart: whether it is locked, and its default roles."""
    text = HEAD.sub("", definition, count=1)
    text = DEFAULT_ROLE.sub(lambda match: match.group(1) or "", text)
    text = LOCK.sub(lambda match: match.group(1) or "", text)
    text = re.sub(r"^ IDENTIFIED BY PASSWORD '", " IDENTIFIED VIA mysql_native_password USING '", text)
    return text.replace(" REQUIRE NONE", "", 1)


def is_locked(definition: str) -> bool:
    """Whether it was locked by whoever keeps the source."""
    return any(match.group(0) == " ACCOUNT LOCK" for match in LOCK.finditer(definition))


def locked(definition: str) -> str:
    """The definition as CREATE USER and ALTER USER take it after the name, locked."""
    text = rest(definition)
    # What comes with COMMENT or ATTRIBUTE has to stay last.
    head, attribute, value = text.partition(" ATTRIBUTE ")
    return "{0} ACCOUNT LOCK{1}{2}".format(head, attribute, value)


def methods_in(definition: str) -> Set[str]:
    """Every plugin that a definition names."""
    text = re.sub(r"(?:USING|AS) " + _TEXT, "", rest(definition))
    return set(re.findall(r"(?:IDENTIFIED VIA|IDENTIFIED WITH|OR) ['`]?([a-z][a-z0-9_]*)", text))


def quoted(user: str, host: str) -> str:
    """An account, or a role that has no host, in SQL."""
    return "{0}@{1}".format(quote_mysql(user), quote_mysql(host)) if host else quote_mysql(user)


def ordered(rights: Sequence[Right]) -> List[Right]:
    """Roles, then what is granted on things, then default roles."""
    return sorted(rights, key=lambda right: ({"role": 0, "default role": 2}.get(right.kind, 1), right))


def _role(name: str) -> str:
    user, at, host = name.rpartition("@")
    return quoted(user, host) if at else quoted(name, "")


def _on(right: Right) -> str:
    database = quote_mysql(right.database)
    if right.kind == "database":
        # Here alone a name is a pattern.
        return "{0}.*".format(quote_mysql(right.database.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%")))
    kind = "" if right.kind == "table" else right.kind.upper() + " "
    return "{0}{1}.{2}".format(kind, database, quote_mysql(right.name))


def statement(right: Right, user: str, host: str, flavour: str) -> str:
    """The statement that gives a right."""
    whom = quoted(user, host)
    if right.kind == "role":
        return "GRANT {0} TO {1}{2}".format(_role(right.name), whom, " WITH ADMIN OPTION" if right.grantable else "")
    if right.kind == "default role":
        shape = "ALTER USER {1} DEFAULT ROLE {0}" if flavour == "mysql" else "SET DEFAULT ROLE {0} FOR {1}"
        return shape.format(_role(right.name), whom)
    option = " WITH GRANT OPTION" if right.grantable else ""
    return "GRANT {0} ON {1} TO {2}{3}".format(right.privilege, _on(right), whom, option)


def withdrawal(right: Right, user: str, host: str) -> str:
    """The statement that takes a right away."""
    whom = quoted(user, host)
    if right.kind == "role":
        return "REVOKE {0} FROM {1}".format(_role(right.name), whom)
    return "REVOKE {0} ON {1} FROM {2}".format(right.privilege, _on(right), whom)
