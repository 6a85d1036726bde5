# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loading into an empty database, with clients that keep their database in a file."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.modules import sql_load
from tests.unit.plugins.fakes import ModuleFailedError, run_module

# A question comes by -e; a load comes over stdin, one line a table, until one that is BROKEN.
MARIADB = """#!/bin/sh
cd {folder}
for word in "$@"; do
    case "$asked$word" in
        -e*schemata*) [ -e tables ] && echo "utf8mb4 utf8mb4_bin"; exit 0 ;;
        -e*COUNT*) [ -e refuse ] && {{ echo "ERROR 1045: Access denied" >&2; exit 1; }}; wc -l < tables; exit 0 ;;
        -eDROP*) echo "$word" >> log; : > tables; exit 0 ;;
    esac
    asked=""; [ "$word" = -e ] && asked=-e
done
echo "load $*" >> log
number=0
while read -r line; do
    number=$((number + 1))
    [ "$line" = BROKEN ] && {{ echo "ERROR 1064 (42000) at line $number: syntax" >&2; exit 1; }}
    echo "$line" >> tables
done
"""
# One transaction: the lines are kept aside until the end.
PSQL = """#!/bin/sh
cd {folder}
for word in "$@"; do
    case "$word" in
        *pg_database*) [ -e tables ] && echo 1 || echo 0; exit 0 ;;
        *pg_class*) wc -l < tables; exit 0 ;;
    esac
done
echo "load $*" >> log
number=0
: > aside
while read -r line; do
    number=$((number + 1))
    [ "$line" = BROKEN ] && {{ echo "psql:<stdin>:$number: ERROR:  syntax" >&2; exit 3; }}
    echo "$line" >> aside
done
cat aside >> tables
"""


class House:
    """A host with an empty database and both kinds of client."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.folder = folder
        self.archive = folder / "BDD.zip"
        self.marker = folder / "shop.load"
        self.tables = folder / "tables"
        self.log = folder / "log"
        self.tables.write_text("")
        programs = folder / "bin"
        programs.mkdir()
        for name, text in (("mariadb", MARIADB), ("psql", PSQL)):
            (programs / name).write_text(text.format(folder=folder))
            (programs / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
        self.pack("a\nb\n", "c\n")

    def pack(self, schema: str, base: str) -> None:
        with zipfile.ZipFile(self.archive, "w") as made:
            made.writestr("schema.sql", schema)
            made.writestr("base.sql", base)

    def run(self, check: bool = False, **more: Any) -> dict[str, Any]:
        arguments: dict[str, Any] = {"engine": "mysql", "database": "shop", "archive": str(self.archive)}
        arguments.update(members=["schema.sql", "base.sql"], marker=str(self.marker))
        given = {name: value for name, value in {**arguments, **more}.items() if value is not None}
        return run_module(sql_load, self.monkeypatch, check, **given)

    def failure(self, **more: Any) -> str:
        with pytest.raises(ModuleFailedError) as raised:
            self.run(**more)
        return str(raised.value)

    def logged(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(tmp_path, monkeypatch)


@pytest.mark.parametrize("engine", ["mysql", "postgresql"])
def test_an_empty_database_is_loaded_once(house: House, engine: str) -> None:
    due = {"changed": True, "reason": "it was empty", "objects": 0}
    done = {"changed": False, "reason": "it holds 3 tables", "objects": 3}
    assert house.run(check=True, engine=engine) == due
    assert (house.tables.read_text(), house.logged(), house.marker.exists()) == ("", [], False)
    assert house.run(engine=engine) == due
    assert house.tables.read_text() == "a\nb\nc\n"
    log = house.logged()
    assert [house.run(check=True, engine=engine), house.run(engine=engine)] == [done, done]
    assert house.logged() == log


@pytest.mark.parametrize("engine", ["mysql", "postgresql"])
def test_nothing_is_ever_loaded_over_data(house: House, engine: str) -> None:
    house.tables.write_text("orders\n")
    assert house.run(engine=engine) == {"changed": False, "reason": "it holds 1 tables", "objects": 1}
    assert (house.tables.read_text(), house.logged()) == ("orders\n", [])


def test_a_load_of_mariadb_that_is_done_says_so_beside(house: House) -> None:
    house.run(socket="/run/x.sock")
    assert json.loads(house.marker.read_text())["state"] == "loaded"
    assert house.logged() == [
        "load --no-defaults --user=root --batch --skip-column-names --socket=/run/x.sock "
        "--default-character-set=utf8mb4 shop"
    ] * 2  # fmt: skip


def test_a_load_that_was_interrupted_is_done_anew(house: House) -> None:
    house.tables.write_text("half\n")
    house.marker.write_text('{"state": "loading"}')
    expected = {"changed": True, "reason": "an earlier load was interrupted", "objects": 1}
    assert house.run(check=True) == expected
    assert house.tables.read_text() == "half\n"
    assert house.run() == expected
    assert house.tables.read_text() == "a\nb\nc\n"
    assert house.logged()[0] == "DROP DATABASE `shop`; CREATE DATABASE `shop` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    assert house.run()["changed"] is False


def test_a_marker_that_cannot_be_read_never_costs_data(house: House) -> None:
    house.tables.write_text("orders\n")
    for text in ("{", "{}", "[]", ""):
        house.marker.write_text(text)
        assert house.run()["changed"] is False
    assert house.logged() == []


def test_a_load_of_mariadb_that_breaks_is_taken_back(house: House) -> None:
    house.pack("a\n", "b\nBROKEN\nc\n")
    assert house.failure() == (
        "base.sql, line 2: syntax (error 1064). The load into shop was taken back: the database is empty again. "
        "Correct the file, build the archive again and run once more."
    )
    assert (house.tables.read_text(), house.marker.exists()) == ("", False)
    house.pack("a\n", "b\n")
    assert house.run()["reason"] == "it was empty"
    assert house.tables.read_text() == "a\nb\n"


def test_a_load_of_postgresql_that_breaks_names_its_file(house: House) -> None:
    # The first file's last line does not end: the second one's first line is one of its own all the same.
    house.pack("a\nb", "c\nBROKEN\n")
    assert house.failure(engine="postgresql").startswith("base.sql, line 2: syntax. The load into shop was taken back")
    assert house.tables.read_text() == ""


def test_postgresql_is_told_one_transaction_and_the_owner(house: House) -> None:
    house.run(engine="postgresql", marker=None, owner='o"wner', socket="/run/pg", port=5433)
    (load,) = house.logged()
    for word in ("--host=/run/pg", "--port=5433", "--dbname=shop", "--single-transaction", "--set=ON_ERROR_STOP=1"):
        assert word in load.split()
    assert '--command=SET ROLE "o""wner" --file=-' in load


@pytest.mark.parametrize("engine", ["mysql", "postgresql"])
@pytest.mark.parametrize("check", [True, False])
def test_a_file_that_acts_outside_is_refused_before_the_server_is_asked(house: House, engine: str, check: bool) -> None:
    house.pack("a\n", "b\nDROP DATABASE other;\n")
    house.tables.unlink()
    assert house.failure(engine=engine, check=check) == (
        "base.sql, line 2: 'DROP DATABASE' is refused in a file to be loaded into shop; nothing was loaded. Make the "
        "dump of this one database only, without statements for databases, accounts or transactions."
    )


@pytest.mark.parametrize("engine", ["mysql", "postgresql"])
def test_a_database_that_is_not_there_yet(house: House, engine: str) -> None:
    house.tables.unlink()
    assert house.run(check=True, engine=engine) == {"changed": True, "reason": "it does not exist yet", "objects": 0}
    assert house.failure(engine=engine) == "There is no database shop. Create it first."


def test_a_server_that_does_not_let_root_in(house: House) -> None:
    (house.folder / "refuse").write_text("")
    failure = house.failure()
    assert "ERROR 1045: Access denied. Start it, or let root in over its socket." in failure
    assert failure.startswith("The server does not answer ")


@pytest.mark.parametrize(("engine", "client"), [("mysql", "mysql"), ("postgresql", "psql")])
def test_without_a_client_it_says_what_to_install(house: House, engine: str, client: str) -> None:
    house.monkeypatch.setenv("PATH", str(house.folder / "none"))
    assert house.failure(engine=engine) == (
        f"The client {client} cannot be run: [Errno 2] No such file or directory: '{client}'. Install it on this host."
    )


def test_an_archive_that_is_not_fit_is_not_used(house: House) -> None:
    assert "has no other.sql; it has schema.sql, base.sql" in house.failure(members=["other.sql"])
    house.archive.unlink()
    assert house.failure().startswith("There is no archive ")


def test_mariadb_needs_a_marker(house: House) -> None:
    assert house.failure(marker=None) == "engine is mysql but all of the following are missing: marker"
