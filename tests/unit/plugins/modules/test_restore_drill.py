# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drill: what is restored where, what is dropped again, and when it fails."""

from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.ocpizza.cutover.plugins.module_utils import backup_engines
from ansible_collections.ocpizza.cutover.plugins.module_utils.backup_files import IncompleteError
from ansible_collections.ocpizza.cutover.plugins.module_utils.table_counts import RefusedError
from ansible_collections.ocpizza.cutover.plugins.modules import restore_drill
from tests.unit.plugins.fakes import ModuleFailedError, run_module

DROP = "DROP DATABASE IF EXISTS `shop_restore_drill`;\n"
CREATE = "CREATE DATABASE `shop_restore_drill` CHARACTER SET utf8mb4;\n"


class Server:
    """Restores what it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.asked: list[str] = []
        self.commands: list[list[str]] = []
        self.loaded: list[tuple[Any, ...]] = []
        self.restored: Any = {"orders": 12, "menu": 3}
        self.load_error: Exception | None = None
        self.refuses = ""
        monkeypatch.setattr(AnsibleModule, "get_bin_path", lambda _self, name, required=False: "/usr/bin/" + name)
        monkeypatch.setattr(AnsibleModule, "run_command", self.answer)
        monkeypatch.setattr(backup_engines.backup_files, "load_dump", self.load)
        monkeypatch.setattr(backup_engines.table_counts, "count", self.count)

    def answer(self, command: list[str], data: str) -> tuple[int, str, str]:
        self.commands.append(command)
        self.asked.append(data)
        return (1, "", "ERROR 1044: Access denied\n") if self.refuses and self.refuses in data else (0, "", "")

    def load(self, command: list[str], path: str, sha256: str, _form: Any = None) -> None:
        self.loaded.append((command, path, sha256))
        if self.load_error:
            raise self.load_error

    def count(self, _module: Any, database: str, socket: str | None) -> Any:
        self.asked.append(f"count {database} {socket}")
        if isinstance(self.restored, Exception):
            raise self.restored
        return self.restored

    def run(self, check: bool = False, **more: Any) -> dict[str, Any]:
        arguments: dict[str, Any] = {"path": "/b/database-0.sql.gz", "sha256": "abc", "database": "shop"}
        arguments["rows"] = {"orders": [12, 12], "menu": [3, 3]}
        return run_module(restore_drill, self.monkeypatch, check, **{**arguments, **more})

    def failure(self, **more: Any) -> str:
        with pytest.raises(ModuleFailedError) as raised:
            self.run(**more)
        return str(raised.value)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    return Server(monkeypatch)


def test_a_backup_is_restored_counted_and_dropped_each_time(server: Server) -> None:
    server.monkeypatch.setattr(restore_drill.time, "time", lambda: 1.0)
    nothing = {"changed": False, "tables": 0, "rows": 0, "seconds": 0.0}
    restored = {"changed": False, "tables": 2, "rows": 15, "seconds": 0.0}
    assert server.run(check=True) == nothing
    assert server.asked == server.loaded == []
    assert server.run(socket="/run/x.sock") == restored
    assert server.asked == [DROP, CREATE, "count shop_restore_drill /run/x.sock", DROP]
    assert server.run(check=True) == nothing
    assert server.run() == restored
    assert len(server.loaded) == 2


def test_nothing_of_it_gets_into_the_binary_log_nor_into_the_site(server: Server) -> None:
    server.run(socket="/run/x.sock")
    ((command, path, sha256),) = server.loaded
    assert (path, sha256) == ("/b/database-0.sql.gz", "abc")
    assert command[-1] == "--database=shop_restore_drill"
    for each in (command, *server.commands):
        assert "--init-command=SET sql_log_bin=0" in each
        assert "--socket=/run/x.sock" in each


def test_the_scratch_database_of_a_long_name_fits(server: Server) -> None:
    server.run(database="d" * 64)
    name = "d" * 50 + "_restore_drill"
    assert len(name) == 64
    assert f"CREATE DATABASE `{name}` " in server.asked[1]
    assert server.asked[-1] == f"DROP DATABASE IF EXISTS `{name}`;\n"


@pytest.mark.parametrize(
    "error", [IncompleteError("x has checksum 1 instead of 2"), OSError("cut short"), EOFError("ended early")]
)
def test_a_dump_that_cannot_be_loaded_leaves_nothing_behind(server: Server, error: Exception) -> None:
    server.load_error = error
    assert server.failure() == f"The backup of shop could not be restored: {error}"
    assert server.asked == [DROP, CREATE, DROP]


def test_a_restore_that_cannot_be_counted_leaves_nothing_behind(server: Server) -> None:
    server.restored = RefusedError("ERROR 1146: no table")
    assert server.failure() == "The backup of shop could not be restored: ERROR 1146: no table"
    assert server.asked[-1] == DROP


def test_without_the_right_to_make_a_database_nothing_is_loaded(server: Server) -> None:
    server.refuses = "CREATE"
    assert server.failure() == "The backup of shop could not be restored: ERROR 1044: Access denied"
    assert server.loaded == []


def test_a_scratch_database_that_stays_is_a_failure(server: Server) -> None:
    server.monkeypatch.setattr(
        AnsibleModule, "run_command", lambda _self, _command, data: (int(data == DROP), "", "ERROR 3: still in use")
    )
    assert server.failure() == "The backup of shop could not be restored: ERROR 3: still in use"


def test_a_backup_that_lacks_something_says_what_and_how_to_go_on(server: Server) -> None:
    server.restored = {"orders": 11}
    assert server.failure() == (
        "The backup of shop is not what was backed up: tables are missing: menu; "
        "table orders has 11 rows, 12 to 12 were expected. Make another with a new backup_directory, or "
        "remove manifest.json on the source."
    )
    assert server.asked[-1] == DROP


class Elephant(Server):
    """PostgreSQL: every statement is a script for psql, and the rows come back as JSON."""

    def answer(self, command: list[str], data: str = "", **_more: Any) -> tuple[int, str, str]:
        if command[0].endswith("pg_lsclusters"):
            return 0, "17 main 5432 online postgres /var/lib/postgresql/17/main /var/log/x.log\n", ""
        self.commands.append(command)
        self.asked.append("count" if "gexec" in data else data)
        if self.refuses and self.refuses in data:
            return 3, "", "psql:<stdin>:1: ERROR:  permission denied to create database\n"
        return 0, '["public.item", 5]\n' if "gexec" in data else "", ""

    def run(self, check: bool = False, **more: Any) -> dict[str, Any]:
        arguments = {"engine": "postgresql", "database": "stock", "rows": {"public.item": [5, 5]}, **more}
        return super().run(check, **arguments)


SCRATCH = '"stock_restore_drill"'


def test_postgresql_is_restored_counted_and_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Elephant(monkeypatch)
    result = server.run(charset="LATIN1")
    assert (result["tables"], result["rows"], result["changed"]) == (1, 5, False)
    assert server.asked == [
        f"DROP DATABASE IF EXISTS {SCRATCH};",
        f"CREATE DATABASE {SCRATCH} TEMPLATE template0 ENCODING E'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C';",
        "count",
        f"DROP DATABASE IF EXISTS {SCRATCH};",
    ]
    ((command, path, sha256),) = server.loaded
    assert (path, sha256, command[-1]) == ("/b/database-0.sql.gz", "abc", "--dbname=dbname='stock_restore_drill'")
    assert {"--exit-on-error", "--no-owner", "--no-privileges", "--no-subscriptions"} <= set(command)


def test_the_scratch_database_of_a_long_name_fits_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Elephant(monkeypatch)
    server.run(database="ü" * 31)
    name = "ü" * 24 + "_restore_drill"
    assert len(name.encode()) <= 63
    assert f'CREATE DATABASE "{name}" ' in server.asked[1]


def test_postgresql_says_why_it_cannot_restore(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Elephant(monkeypatch)
    server.refuses = "CREATE"
    assert server.failure() == "The backup of stock could not be restored: permission denied to create database"
    assert server.failure(port=5433) == (
        "The backup of stock could not be restored: no cluster uses port 5433; there is 17/main on 5432"
    )
    server.refuses, server.load_error = "", IncompleteError("the server refused the dump: no extension postgis")
    assert server.failure().endswith("the server refused the dump: no extension postgis")
    assert server.asked[-1] == f"DROP DATABASE IF EXISTS {SCRATCH};"
