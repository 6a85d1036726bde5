# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The accounts of MariaDB's and MySQL's databases on two real servers: brought, compared, taken away."""

# ruff: noqa: S608 - the statements are constants of this file

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pymysql
import pytest
import yaml

from ansible_collections.ocpizza.cutover.plugins.module_utils import mariadb
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_mysql
from ansible_collections.ocpizza.cutover.plugins.modules import database_rights
from tests.unit.plugins.fakes import ModuleFailedError, run_module

ROLES = Path(__file__).parents[2] / "roles" / "replication" / "vars"
NAME = "sh`op_'é' 100%"
D = quote_mysql(NAME)
PATTERN = quote_mysql(NAME.replace("_", r"\_").replace("%", r"\%"))
SITE = "rights"
SECRET = "it's \\ \"se;cret"
AGENT = "agent"
USERS = ("writer@localhost", "reader@'10.%'", "`o'dd na%me`@'%'", "`app`@localhost", "keeper@localhost", "member@'%'")
GONE = ("app@'10.0.0.5'", "writer@'10.0.0.7'", "other@'%'", "dropped@'%'", "weird@'%'", "agent@'%'", "dba@'%'")
TABLES = f"""
CREATE TABLE {D}.t (id INT PRIMARY KEY, a INT);
INSERT INTO {D}.t VALUES (1, 1);
CREATE FUNCTION {D}.one() RETURNS INT DETERMINISTIC RETURN 1
"""
GRANTS = f"""
GRANT SELECT, INSERT, UPDATE, DELETE ON {PATTERN}.* TO writer@localhost, `o'dd na%me`@'%' WITH GRANT OPTION;
GRANT SELECT (id, a), UPDATE (a) ON {D}.t TO reader@'10.%';
GRANT INSERT ON {D}.t TO reader@'10.%';
GRANT EXECUTE ON FUNCTION {D}.one TO reader@'10.%';
GRANT ALL ON {PATTERN}.* TO app@localhost;
GRANT SELECT ON {PATTERN}.* TO keeper@localhost;
GRANT PROCESS ON *.* TO keeper@localhost;
GRANT SELECT ON *.* TO dba@'%';
GRANT SELECT ON `other`.* TO other@'%';
GRANT SELECT ON {PATTERN}.* TO shop_role;
GRANT shop_role TO member@'%'
"""
BROUGHT = ["keeper@localhost", "member@%", "o'dd na%me@%", "reader@10.%", "writer@localhost"]


def run(connection: Any, *statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


class House:
    """Both servers: one with accounts, the other as deploy.yml and replicate.yml leave it."""

    def __init__(self, engine: str, credentials: dict[str, dict[str, Any]], folder: Path, patch: Any) -> None:
        self.engine = engine
        self.credentials = credentials
        self.patch = patch
        self.path = folder / "credentials.json"
        self.root = {side: mariadb.connect(settings, 30.0) for side, settings in credentials.items()}
        for connection in self.root.values():
            run(connection, "SET sql_log_bin = 0", f"DROP DATABASE IF EXISTS {D}", "DROP DATABASE IF EXISTS other")
            run(connection, "DROP DATABASE IF EXISTS cutover_rights", *self.nobody())
            run(connection, f"CREATE DATABASE {D}", "CREATE DATABASE other", *TABLES.split(";\n"))
        source = self.root["source"]
        password = source.escape(SECRET)
        for user in (*USERS, "dba@'%'", "other@'%'"):
            run(source, f"CREATE USER {user} IDENTIFIED BY {password}")
        run(source, "CREATE ROLE shop_role", *GRANTS.split(";\n"), "ALTER USER keeper@localhost ACCOUNT LOCK")
        run(source, self.default_role(), "ALTER USER writer@localhost REQUIRE SSL WITH MAX_USER_CONNECTIONS 7")
        run(source, f"CREATE DEFINER=writer@localhost VIEW {D}.seen AS SELECT a FROM {D}.t")
        target = self.root["target"]
        run(
            target,
            f"CREATE USER app@'10.0.0.5' IDENTIFIED BY {password}",
            f"CREATE USER agent@'%' IDENTIFIED BY {password}",
        )
        run(target, f"GRANT SELECT, INSERT ON {PATTERN}.* TO app@'10.0.0.5'", *self.agent())
        own = dict(credentials["target"], user=AGENT, password=SECRET)
        self.path.write_text(json.dumps({"source": {engine: credentials["source"]}, "target": {engine: own}}))

    def nobody(self) -> list[str]:
        role = "shop_role" if self.engine == "mariadb" else "shop_role@'%'"
        return [f"DROP USER IF EXISTS {name}" for name in (*USERS, *GONE)] + [f"DROP ROLE IF EXISTS {role}"]

    def default_role(self) -> str:
        return {
            "mariadb": "SET DEFAULT ROLE shop_role FOR member@'%'",
            "mysql": "ALTER USER member@'%' DEFAULT ROLE shop_role",
        }[self.engine]

    def agent(self) -> list[str]:
        """What the role gives the agent on the target, and nothing else."""
        found = yaml.safe_load((ROLES / f"{self.engine}.yml").read_text(encoding="utf-8"))
        rights = {"*.*": found["__replication_admin_rights"], "mysql.*": "SELECT", **found["__replication_more_rights"]}
        statements = [f"GRANT {privileges} ON {level} TO agent@'%'" for level, privileges in rights.items()]
        return [
            *statements,
            "GRANT ALL ON cutover_rights.* TO agent@'%'",
            f"GRANT ALL ON {D}.* TO agent@'%' WITH GRANT OPTION",
        ]

    def ask(self, state: str, check: bool = False, **more: Any) -> dict[str, Any]:
        result = run_module(
            database_rights,
            self.patch,
            check,
            credentials=str(self.path),
            engine=self.engine,
            site=SITE,
            databases=[NAME],
            state=state,
            **{"left": [AGENT], **more},
        )
        assert SECRET not in str(result)
        assert "$A$" not in str(result)
        return result

    def server(self) -> Any:
        kind = database_rights.engines.server(self.engine).SERVER
        return kind.open_server(self.credentials["target"], SITE, [NAME], "target", 30.0)

    def login(self, user: str) -> Any:
        return mariadb.connect(dict(self.credentials["target"], user=user, password=SECRET), 10.0)

    def close(self) -> None:
        for connection in self.root.values():
            run(connection, *self.nobody(), f"DROP DATABASE {D}", "DROP DATABASE other")
            run(connection, "DROP DATABASE IF EXISTS cutover_rights")
            connection.close()


def brought(house: House) -> list[str]:
    role = "shop_role" if house.engine == "mariadb" else "shop_role@%"
    return sorted([*BROUGHT, role])


def accounts_come_and_go(house: House) -> None:
    """Brought in four steps, locked until the switchover, equal to the source's, and away again."""
    wanted = brought(house)
    first = house.ask("present", check=True)
    assert (first["changed"], first["missing"], first["brought"]) == (True, wanted, [])
    assert house.ask("compared")["missing"] == wanted
    done = house.ask("present")
    assert done["changed"] is True
    assert (done["brought"], done["missing"], done["differing"]) == (wanted, [], [])
    (remark,) = done["remarks"]
    assert remark.startswith("app@10.0.0.5 (app@localhost on the source) lacks ALTER, ")
    for check in (True, False):
        assert house.ask("present", check)["changed"] is False
    # Nobody of them writes on the target before the switchover.
    user = "o'dd na%me"
    with pytest.raises(pymysql.MySQLError, match="locked"):
        house.login(user)
    server = house.server()
    kept_locked = "keeper@localhost"
    assert kept_locked in {"{user}@{host}".format(**row) for row in server.locked_accounts()}
    assert server.lock_accounts(False) == 4
    with house.login(user) as client:
        run(client, f"INSERT INTO {D}.t VALUES (2, 2)")
        with pytest.raises(pymysql.MySQLError, match="denied"):
            run(client, "SELECT 1 FROM other.t")
    with house.login("member") as client:
        run(client, f"SELECT * FROM {D}.t")
    # Who was locked by the source's keeper stays so, and rights on everything did not come.
    assert kept_locked in {"{user}@{host}".format(**row) for row in server.locked_accounts()}
    with house.root["target"].cursor() as cursor:
        cursor.execute("SELECT privilege_type FROM information_schema.user_privileges WHERE grantee LIKE '%keeper%'")
        assert [row[0] for row in cursor.fetchall()] == ["USAGE"]
    source_changes_are_followed(house)
    assert house.ask("absent", check=True)["brought"] == wanted
    assert house.ask("absent")["changed"] is True
    assert house.ask("absent")["changed"] is False
    with house.root["target"].cursor() as cursor:
        cursor.execute(
            "SELECT user FROM mysql.user WHERE user IN ('writer', 'reader', 'member', 'keeper', 'shop_role', 'app')"
        )
        assert [row[0] for row in cursor.fetchall()] == ["app"]


def source_changes_are_followed(house: House) -> None:
    """A planted difference is named; the next run brings it."""
    source = house.root["source"]
    run(
        source,
        f"SET PASSWORD FOR reader@'10.%' = {'PASSWORD' if house.engine == 'mariadb' else ''}('another')"
        if house.engine == "mariadb"
        else "ALTER USER reader@'10.%' IDENTIFIED BY 'another'",
    )
    run(
        source, f"REVOKE DELETE ON {PATTERN}.* FROM writer@localhost", f"GRANT ALTER ON {PATTERN}.* TO writer@localhost"
    )
    differing = house.ask("compared")["differing"]
    assert [text.partition(" (")[0] for text in differing] == ["reader@10.%", "writer@localhost"]
    assert differing[0].endswith("logs in with another password, plugin or condition")
    place = f"database {NAME} with grant option"
    assert differing[1].endswith(f"lacks ALTER on {place}; has beyond it DELETE on {place}")
    assert house.ask("present")["differing"] == []
    assert house.ask("compared")["differing"] == []


def hosts_and_those_left(house: House) -> None:
    """A host of the source may be others on the target, and who is left stays."""
    more = {
        "hosts": {"localhost": ["10.0.0.7"]},
        "left": [AGENT, "keeper", "o'dd na%me@%", "member", "shop_role", "app"],
    }
    assert house.ask("present", check=True, **more)["missing"] == ["reader@10.%", "writer@10.0.0.7"]


def a_plugin_that_is_not_there(house: House, plugin: str, *statements: str) -> None:
    """An account that could not log in is refused before anything is made."""
    run(house.root["source"], *statements, f"GRANT SELECT ON {PATTERN}.* TO weird@'%'")
    with pytest.raises(
        ModuleFailedError, match=rf"weird@% could not log in on the target, .* plugin {plugin}\. Install"
    ):
        house.ask("present")
    assert house.ask("compared")["brought"] == []
    run(house.root["source"], "DROP USER weird@'%'")
