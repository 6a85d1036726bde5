# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles of PostgreSQL's databases on two real servers: brought, compared, taken away."""

# ruff: noqa: S608 - the statements are constants of this file

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import engines
from ansible_collections.ocpizza.cutover.plugins.module_utils.postgresql_wire import ask, connect
from ansible_collections.ocpizza.cutover.plugins.modules import database_rights
from tests.unit.plugins.fakes import run_module

NAME = "ri\"ghts 'é' 100%"
D = '"ri""ghts \'é\' 100%"'
SITE = "rights"
SECRET = "it's \\ \"se;cret%"
ODD = '"o\'dd ""na%me"'
ROLES = ("owner_of_it", "rights_reader", "rights_readers", ODD, "old_hash", "everywhere", "stranger", "app_here")
SOURCE = f"""
CREATE ROLE owner_of_it LOGIN PASSWORD 'x';
CREATE ROLE rights_readers;
CREATE ROLE rights_reader LOGIN PASSWORD 'x' IN ROLE rights_readers CONNECTION LIMIT 3 VALID UNTIL '2031-01-01';
CREATE ROLE {ODD} LOGIN NOINHERIT PASSWORD {{secret}};
CREATE ROLE everywhere LOGIN CREATEDB PASSWORD 'x';
CREATE ROLE stranger LOGIN PASSWORD 'x';
CREATE ROLE app_here LOGIN PASSWORD 'x';
SET password_encryption = 'md5';
CREATE ROLE old_hash LOGIN PASSWORD 'x';
SET password_encryption = 'scram-sha-256';
ALTER ROLE rights_reader SET search_path TO "$user", shop, public;
ALTER ROLE rights_reader IN DATABASE {D} SET work_mem TO '5MB';
GRANT pg_monitor TO everywhere;
GRANT CREATE ON DATABASE {D} TO old_hash;
REVOKE ALL ON DATABASE {D} FROM PUBLIC;
GRANT CONNECT ON DATABASE {D} TO {ODD}, everywhere, app_here, rights_readers
"""
INSIDE = f"""
CREATE SCHEMA shop AUTHORIZATION owner_of_it;
CREATE TABLE shop.t (id int PRIMARY KEY);
INSERT INTO shop.t VALUES (1);
ALTER TABLE shop.t OWNER TO owner_of_it;
GRANT USAGE ON SCHEMA shop TO rights_readers, {ODD};
GRANT SELECT ON shop.t TO rights_readers;
GRANT SELECT, INSERT ON shop.t TO {ODD}
"""
BROUGHT = ["everywhere", "o'dd \"na%me", "old_hash", "owner_of_it", "rights_reader", "rights_readers"]


def run(connection: Any, text: str) -> None:
    for statement in text.split(";\n"):
        ask(connection, statement)


class House:
    """Both servers: one with roles, the other as deploy.yml leaves it."""

    def __init__(self, credentials: dict[str, dict[str, Any]], folder: Path, patch: Any) -> None:
        self.credentials = credentials
        self.patch = patch
        self.path = folder / "credentials.json"
        self.path.write_text(json.dumps({side: {"postgresql": one} for side, one in credentials.items()}))
        self.root = {side: connect(settings, 30.0) for side, settings in credentials.items()}
        self.clean()
        secret = "'" + SECRET.replace("'", "''") + "'"
        for connection in self.root.values():
            ask(connection, f"CREATE DATABASE {D}")
        ask(self.root["target"], "CREATE ROLE app_here LOGIN PASSWORD 'y'")
        run(self.root["source"], SOURCE.replace("{secret}", secret))
        for side in self.root:
            ask(self.root[side], f"REVOKE ALL ON DATABASE {D} FROM PUBLIC")
        with connect(credentials["source"], 30.0, NAME) as connection:
            run(connection, INSIDE)

    def clean(self) -> None:
        for connection in self.root.values():
            ask(connection, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [NAME])
            ask(connection, f"DROP DATABASE IF EXISTS {D}")
            for role in ROLES:
                ask(connection, f"DROP ROLE IF EXISTS {role}")

    def ask(self, state: str, check: bool = False, **more: Any) -> dict[str, Any]:
        result = run_module(
            database_rights,
            self.patch,
            check,
            credentials=str(self.path),
            engine="postgresql",
            site=SITE,
            databases=[NAME],
            state=state,
            **more,
        )
        assert "SCRAM-SHA" not in str(result)
        return result

    def server(self, side: str) -> Any:
        return engines.server("postgresql").SERVER.open_server(self.credentials[side], SITE, [NAME], side, 30.0)

    def login(self, user: str) -> Any:
        return connect(dict(self.credentials["target"], user=user, password=SECRET), 10.0, NAME)

    def close(self) -> None:
        self.clean()
        for connection in self.root.values():
            connection.close()


def roles_come_and_go(house: House) -> None:
    """Brought in four steps, without login until the switchover, equal to the source's, and away again."""
    first = house.ask("present", check=True)
    assert (first["changed"], first["missing"], first["brought"]) == (True, BROUGHT, [])
    done = house.ask("present")
    assert (done["changed"], done["brought"], done["missing"], done["differing"]) == (True, BROUGHT, [], [])
    assert done["remarks"] == [f"app_here (app_here on the source) lacks CONNECT on database {NAME}"]
    for check in (True, False):
        assert house.ask("present", check)["changed"] is False
    with pytest.raises(Exception, match="not permitted to log in"):
        house.login("o'dd \"na%me")
    target = house.server("target")
    assert target.lock_accounts(False) == 5
    house.login("o'dd \"na%me").close()
    rows = ask(
        house.root["target"],
        "SELECT rolname, rolcreatedb, rolconnlimit, rolinherit, rolvaliduntil::date FROM pg_roles "
        "WHERE rolname IN ('rights_reader', 'everywhere', %s) ORDER BY rolname",
        ["o'dd \"na%me"],
    )
    assert [tuple(row) for row in rows] == [
        ("everywhere", "f", "-1", "t", "infinity"),
        ("o'dd \"na%me", "f", "-1", "f", "infinity"),
        ("rights_reader", "f", "3", "t", "2031-01-01"),
    ]
    for side in ("source", "target"):
        rows = ask(
            house.root[side],
            "SELECT setconfig FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole "
            "WHERE rolname = 'rights_reader' ORDER BY setdatabase = 0",
        )
        assert [row[0] for row in rows] == ["{work_mem=5MB}", '{"search_path=\\"$user\\", shop, public"}']
    source_changes_are_followed(house)
    for connection in target.connections.values():
        connection.close()
    assert house.ask("absent", check=True)["brought"] == BROUGHT
    assert house.ask("absent")["changed"] is True
    assert house.ask("absent")["changed"] is False
    left = ask(
        house.root["target"], "SELECT rolname FROM pg_roles WHERE rolname ~ '^(rights_|o.dd|owner_|app_here|every)'"
    )
    assert left == [["app_here"]]


def source_changes_are_followed(house: House) -> None:
    """A planted difference is named; the next run brings it."""
    source = house.root["source"]
    ask(source, "ALTER ROLE rights_reader PASSWORD 'another'")
    ask(source, f"ALTER ROLE rights_reader IN DATABASE {D} RESET work_mem")
    ask(source, f"REVOKE CONNECT ON DATABASE {D} FROM {ODD}")
    ask(source, f"GRANT TEMPORARY ON DATABASE {D} TO {ODD}")
    differing = house.ask("compared")["differing"]
    place = f"database {NAME}"
    assert differing == [
        f"o'dd \"na%me (o'dd \"na%me on the source) lacks TEMPORARY on {place}; has beyond it CONNECT on {place}",
        f"rights_reader (rights_reader on the source) has beyond it work_mem=5MB on setting {NAME}; logs in with "
        "another password, plugin or condition",
    ]
    assert house.ask("present")["differing"] == []
    assert house.ask("compared")["differing"] == []
