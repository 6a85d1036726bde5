# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL's own programs: which server is asked, how names get there, and what is said when it does not go."""

from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import client_postgresql as client
from ansible_collections.ocpizza.cutover.plugins.module_utils.table_counts import RefusedError

ONE = "13  main    5432 online postgres /var/lib/postgresql/13/main /var/log/postgresql/postgresql-13-main.log\n"
DOWN = "15  old     5433 down   postgres /var/lib/postgresql/15/old /var/log/postgresql/postgresql-15-old.log\n"


class FakeModule:
    """A host with PostgreSQL's programs; psql gives one answer."""

    def __init__(self, programs: tuple[str, ...] = ("psql", "pg_lsclusters", "pg_dump"), clusters: str = ONE) -> None:
        self.programs = programs
        self.clusters = clusters
        self.answer: tuple[int, str, str] = (0, "", "")
        self.commands: list[list[str]] = []
        self.asked: list[str] = []
        self.more: dict[str, Any] = {}

    def get_bin_path(self, name: str) -> str | None:
        return "/usr/bin/" + name if name in self.programs else None

    def run_command(self, command: list[str], data: str = "", **more: Any) -> tuple[int, str, str]:
        if command[0].endswith("pg_lsclusters"):
            return (0, self.clusters, "") if self.clusters else (2, "", "Error: no configuration\n")
        self.commands.append(command)
        self.asked.append(data)
        self.more = more
        return self.answer


def refusal(*arguments: Any) -> str:
    with pytest.raises(RefusedError) as raised:
        client.Client(*arguments)
    return str(raised.value)


def test_the_server_is_found_by_its_port_and_asked_as_its_superuser() -> None:
    module = FakeModule(clusters=DOWN + ONE)
    client.Client(module).ask("SELECT 1;")
    assert module.commands[0][:6] == ["runuser", "-u", "postgres", "--", "/usr/bin/psql", "--cluster=13/main"]
    assert "--dbname=dbname='postgres'" in module.commands[0]
    assert module.asked == ["SELECT 1;"]
    assert module.more == {"cwd": "/", "environ_update": {"PGCLIENTENCODING": "UTF8", "LC_MESSAGES": "C"}}


def test_where_debians_tools_are_not_the_port_is_enough() -> None:
    module = FakeModule(("psql",))
    assert client.Client(module, 5433).where == ["--port=5433"]
    assert client.Client(module, 5433, "/run/pg").where == ["--host=/run/pg", "--port=5433"]
    # A socket that is named is the one.
    assert client.Client(FakeModule(), 5432, "/run/pg").where == ["--host=/run/pg", "--port=5432"]


def test_what_is_said_when_no_server_can_be_asked() -> None:
    assert refusal(FakeModule(())) == (
        "there is no psql on this host; install PostgreSQL, or correct the site's engine"
    )
    assert refusal(FakeModule(), 5434) == "no cluster uses port 5434; there is 13/main on 5432"
    assert refusal(FakeModule(clusters="\n")) == "no cluster uses port 5432; there is none"
    assert refusal(FakeModule(clusters=DOWN + ONE), 5433) == (
        "cluster 15/old on port 5433 is down; start it: systemctl start postgresql@15-old"
    )
    assert refusal(FakeModule(clusters="")) == "Error: no configuration"


def test_a_program_that_is_missing_is_named() -> None:
    with pytest.raises(RefusedError, match=r"^there is no pg_restore on this host$"):
        client.Client(FakeModule()).command("pg_restore")


@pytest.mark.parametrize(
    ("name", "string"),
    [("shop", "dbname='shop'"), ("a=b", "dbname='a=b'"), ("o'da \\ 🍕", "dbname='o\\'da \\\\ 🍕'")],
)
def test_a_database_is_a_name_whatever_is_in_it(name: str, string: str) -> None:
    assert client.connection_string(name) == string


def test_names_as_sql() -> None:
    assert client.literal("o'da \\") == "E'o\\'da \\\\'"
    assert client.identifier('a"b') == '"a""b"'


def test_answers_are_rows_of_json_and_nothing_else() -> None:
    module = FakeModule()
    module.answer = (0, 'NOTICE: hello\n["public.a\u2028b", 3]\n["\\"Zwei B\\".\\"x\\"", 0]\n\n', "")
    assert client.Client(module).count("shop") == {"public.a\u2028b": 3, '"Zwei B"."x"': 0}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            'psql: error: FATAL:  database "nope" does not exist\n',
            'psql: error: FATAL:  database "nope" does not exist',
        ),
        ("psql:<stdin>:3: ERROR:  permission denied for table x\n", "permission denied for table x"),
        ("runuser: user postgres does not exist\n", "runuser: user postgres does not exist"),
    ],
)
def test_a_refusal_is_told_in_the_servers_words(said: str, words: str) -> None:
    module = FakeModule()
    module.answer = (2, "", said)
    with pytest.raises(RefusedError) as raised:
        client.Client(module).ask("SELECT 1")
    assert str(raised.value) == words
