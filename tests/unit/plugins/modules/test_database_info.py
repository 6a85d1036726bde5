# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database server tells about itself, with clients that are played."""

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.ocpizza.cutover.plugins.modules import database_info
from tests.unit.plugins.fakes import ModuleFailedError, run_module

MARIADB, MYSQL = "10.5.29-MariaDB-0+deb11u1", "8.0.44"
ROWS = [
    ["setting", "log_bin", "OFF"],
    ["schema", "shop", "utf8mb4", "utf8mb4_general_ci"],
    ["table", "shop", "orders", "BASE TABLE", "InnoDB", 5, 16384, 1],
    ["schema", "annex", "utf8mb4", "utf8mb4_general_ci"],
]
RIGHTS = [
    ["method", "mysql_native_password"],
    ["account", "app", "localhost", "", "N"],
    ["account", "root", "localhost", "unix_socket", "N"],
    ["database", "'app'@'localhost'", "shop", "SELECT", "NO"],
]


class Host:
    """A host with clients; the server answers by the first words that it knows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.clients = ["mariadb", "mysql"]
        self.answers: dict[str, Any] = {
            "VERSION()": MARIADB,
            "FROM `cutover_shop`.fence": [[1]],
            "'setting'": ROWS,
            "'method'": RIGHTS,
            "SHOW ": "",
        }
        self.commands: list[list[str]] = []
        self.asked: list[str] = []
        monkeypatch.setattr(AnsibleModule, "get_bin_path", self.find)
        monkeypatch.setattr(AnsibleModule, "run_command", self.answer)

    def find(self, name: str) -> str | None:
        return "/usr/bin/" + name if name in self.clients else None

    def answer(self, command: list[str], data: str) -> tuple[int, str, str]:
        self.commands.append(command)
        self.asked.append(data)
        answer = next(answer for words, answer in self.answers.items() if words in data)
        if answer is None:
            return 1, "", "ERROR 2002 (HY000): Can't connect\n"
        if isinstance(answer, str):
            return 0, answer + "\n", ""
        return 0, "".join(json.dumps(row) + "\n" for row in answer), ""

    def run(self, check: bool = False, **more: Any) -> dict[str, Any]:
        return run_module(database_info, self.monkeypatch, check, **{"databases": ["shop"], **more})


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(monkeypatch)


def test_settings_and_databases_check_mode_or_not(host: Host) -> None:
    results = [host.run(check) for check in (True, False, True, False)]
    assert results[1:] == results[:1] * 3
    result = results[0]
    assert [result[key] for key in ("changed", "installed", "running", "fenced", "error")] == [
        False, True, True, False, "",
    ]  # fmt: skip
    assert result["settings"] == {"log_bin": "OFF"}
    assert result["databases"]["shop"]["tables"] == ["orders"]
    assert result["other_databases"] == ["annex"]
    assert {name: one["rights"] for name, one in result["accounts"].items()} == {
        "app@localhost": [["database", "SELECT", "shop", "", False]]
    }
    assert result["authentication"] == ["mysql_native_password"]
    assert not [text for text in host.asked if text.lstrip().split()[0] not in ("SELECT", "SHOW")]
    assert result["log_filtered"] is False


def test_without_a_client_the_facts_are_empty(host: Host) -> None:
    host.clients = []
    result = host.run()
    assert (result["installed"], result["running"], result["error"]) == (False, False, "")
    assert result["databases"]["shop"]["exists"] is False
    assert host.commands == []


def test_a_server_that_does_not_answer_is_no_failure(host: Host) -> None:
    host.answers["VERSION()"] = None
    result = host.run()
    assert (result["installed"], result["running"]) == (True, False)
    assert result["error"] == "ERROR 2002 (HY000): Can't connect"
    assert len(host.asked) == 1


def test_a_refused_question_fails_with_the_remedy(host: Host) -> None:
    host.answers["'setting'"] = None
    with pytest.raises(ModuleFailedError) as raised:
        host.run()
    assert str(raised.value) == (
        "The database server refused a question: ERROR 2002 (HY000): Can't connect. Run the task as root."
    )


@pytest.mark.parametrize(
    ("version", "variables"),
    [(MARIADB, "information_schema.GLOBAL_VARIABLES"), (MYSQL, "performance_schema.global_variables")],
)
def test_the_variables_are_where_the_flavour_has_them(host: Host, version: str, variables: str) -> None:
    host.answers["VERSION()"] = version
    host.run()
    assert f"FROM {variables} WHERE" in host.asked[1]


def test_the_client_and_the_socket(host: Host) -> None:
    host.clients = ["mysql"]
    host.run(socket="/run/x.sock")
    assert {(command[0], command[-1]) for command in host.commands} == {("/usr/bin/mysql", "--socket=/run/x.sock")}
    host.clients = ["mysql", "mariadb"]
    host.run()
    assert host.commands[-1][0] == "/usr/bin/mariadb"
    assert not [word for word in host.commands[-1] if word.startswith("--socket")]


@pytest.mark.parametrize(("rows", "fenced"), [([[1]], True), ([[0]], False), (None, False)])
def test_the_fence_of_the_site(host: Host, rows: Any, fenced: bool) -> None:
    host.answers["'setting'"] = [*ROWS, ["fence table", "cutover_shop"]]
    host.answers["FROM `cutover_shop`.fence"] = rows
    result = host.run(site="shop")
    assert result["fenced"] is fenced
    assert "fence_schema" not in result


def test_without_a_fence_table_nothing_is_fenced(host: Host) -> None:
    assert host.run(site="shop")["fenced"] is False
    assert len(host.asked) == 5


@pytest.mark.parametrize(
    ("row", "filtered"), [("log.1\t4\t\t\t", False), ("log.1\t4\tshop\t\t", True), ("log.1\t4\t\tx", True)]
)
def test_a_log_that_leaves_databases_out(host: Host, row: str, filtered: bool) -> None:
    host.answers["SHOW "] = row
    assert host.run()["log_filtered"] is filtered


def test_a_server_that_is_too_old_is_not_asked_for_accounts(host: Host) -> None:
    host.answers["VERSION()"] = "5.7.44"
    assert host.run()["accounts"] == {}
    assert not [text for text in host.asked if "'method'" in text]


def test_accounts_that_may_not_be_read_are_no_empty_answer(host: Host) -> None:
    host.answers["'method'"] = None
    with pytest.raises(ModuleFailedError, match="The database server refused a question"):
        host.run()


POSTGRESQL = json.loads((Path(__file__).parents[1] / "answers" / "postgresql-13.json").read_text(encoding="utf-8"))
ODD = 'o\'da "x" 🍕=1'


class PostgreSQLHost(Host):
    """Answers as the real one did."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch)
        self.clients = ["psql", "pg_lsclusters"]
        self.refuses = ""

    def answer(self, command: list[str], data: str = "", **_more: Any) -> tuple[int, str, str]:
        if command[0].endswith("pg_lsclusters"):
            return 0, POSTGRESQL["pg_lsclusters"], ""
        self.commands.append(command)
        name = next(word.partition("--dbname=")[2] for word in command if word.startswith("--dbname="))
        if self.refuses and self.refuses in name:
            return 3, "", "psql:<stdin>:2: ERROR:  permission denied for table pg_authid\n"
        if "postgres" in name:
            return 0, POSTGRESQL["server"], ""
        return 0, POSTGRESQL["stock" if "stock" in name else ODD], ""

    def run(self, check: bool = False, **more: Any) -> dict[str, Any]:
        return super().run(check, **{"engine": "postgresql", "databases": ["stock"], "site": "shop", **more})


@pytest.fixture
def elephant(monkeypatch: pytest.MonkeyPatch) -> PostgreSQLHost:
    return PostgreSQLHost(monkeypatch)


def test_postgresql_gives_the_same_shape(host: Host, elephant: PostgreSQLHost) -> None:
    results = [elephant.run(check) for check in (True, False, True, False)]
    assert results[1:] == results[:1] * 3
    result = results[0]
    assert [result[key] for key in ("changed", "installed", "running", "fenced", "error")] == [
        False, True, True, True, "",
    ]  # fmt: skip
    assert result["settings"]["version"].startswith("13.")
    assert "public.item" in result["databases"]["stock"]["tables"]
    elephant.monkeypatch.setattr(AnsibleModule, "run_command", host.answer)
    host.clients = ["mariadb"]
    elephant.monkeypatch.setattr(AnsibleModule, "get_bin_path", host.find)
    mariadb = Host.run(host)
    assert set(mariadb) <= set(result)
    assert set(mariadb["databases"]["shop"]) <= set(result["databases"]["stock"])


def test_every_database_of_postgresql_must_be_fenced(elephant: PostgreSQLHost) -> None:
    assert elephant.run(databases=["stock", ODD])["fenced"] is False
    assert elephant.run(databases=["nope"])["fenced"] is False


def test_a_database_that_is_not_there_is_not_asked(elephant: PostgreSQLHost) -> None:
    result = elephant.run(databases=["nope", ODD])
    assert [result["databases"][name]["exists"] for name in ("nope", ODD)] == [False, True]
    assert [command[-2] for command in elephant.commands] == [
        "--dbname=dbname='postgres'",
        "--dbname=dbname='o\\'da \"x\" 🍕=1'",
    ]


def test_a_host_without_psql(elephant: PostgreSQLHost) -> None:
    elephant.clients = []
    result = elephant.run()
    assert (result["installed"], result["running"], result["databases"]["stock"]["exists"]) == (False, False, False)


def test_a_port_that_nobody_listens_on(elephant: PostgreSQLHost) -> None:
    result = elephant.run(port=5433)
    assert (result["installed"], result["running"]) == (True, False)
    assert result["error"] == "no cluster uses port 5433; there is 13/main on 5432"


def test_a_refusal_of_postgresql_fails_with_the_remedy(elephant: PostgreSQLHost) -> None:
    elephant.refuses = "stock"
    with pytest.raises(ModuleFailedError) as raised:
        elephant.run()
    assert str(raised.value) == (
        "The database server refused a question: permission denied for table pg_authid. Run the task as root."
    )
