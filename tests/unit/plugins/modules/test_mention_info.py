# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an address is written, as a task tells it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.ocpizza.cutover.plugins.module_utils import mentions
from ansible_collections.ocpizza.cutover.plugins.module_utils.table_counts import RefusedError
from ansible_collections.ocpizza.cutover.plugins.modules import mention_info
from tests.unit.plugins.fakes import ModuleFailedError, run_module

OLD = "10.0.0.1"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    files = {
        "settings.py": f"HOST = 1\nPROXY = 'http://{OLD}:3128/'\n",
        "near.py": "A = '10.0.0.12'\nB = '110.0.0.1'\nC = '10.0.0.1-b'\n",
        "venv/pyvenv.cfg": OLD,
        "node_modules/a.js": OLD,
        "data.bin": f"\0{OLD}",
        "many.txt": f"{OLD}\n" * 25,
        "name.txt": "see OLD.shop.test, not old.shop.testing or cold.shop.test",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "link.py").symlink_to("settings.py")
    return tmp_path


def ask(monkeypatch: pytest.MonkeyPatch, check: bool = False, **arguments: Any) -> dict[str, Any]:
    return run_module(mention_info, monkeypatch, check, **{"texts": [OLD], **arguments})


def test_files_and_lines_check_mode_or_not(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = [ask(monkeypatch, check, paths=[str(shop)]) for check in (True, False, True, False)]
    assert results[1:] == results[:-1]
    places = [*(f"{shop}/many.txt:{number}" for number in range(1, 21)), f"{shop}/many.txt: 5 more lines"]
    places.append(f"{shop}/settings.py:2")
    assert results[0] == {"changed": False, "places": places, "not_read": []}


def test_names_are_found_whole_and_in_any_case(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ask(monkeypatch, texts=["old.shop.test"], paths=[str(shop / "name.txt")])
    assert found["places"] == [f"{shop}/name.txt:1"]
    assert mentions.pattern(["old.shop.test"]).findall("cold.shop.test old.shop.testing www.old.shop.test") == []


def test_what_could_not_be_searched_is_listed(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ask(monkeypatch, paths=[str(shop / "absent")], databases={"mariadb": ["shop"]})
    assert found["not_read"][0] == f"{shop}/absent: No such file or directory"
    assert found["places"] == []
    monkeypatch.setattr(mentions.time, "monotonic", iter(range(0, 10000, 100)).__next__)
    assert ask(monkeypatch, paths=[str(shop)])["not_read"] == [f"{shop}: there was no time for all of it"]


@pytest.fixture
def process() -> Iterator[int]:
    environment = {"PROXY": f"http://{OLD}:3128", "OTHER": "10.0.0.2", "SSH_CLIENT": OLD, "PATH": os.environ["PATH"]}
    with subprocess.Popen(["sleep", "60"], env=environment) as running:
        yield running.pid
        running.kill()


def test_the_environment_of_a_process_by_name(process: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ask(monkeypatch, pids=[process, 2**22 + 1])
    assert found["places"] == [f"environment of process {process}: PROXY"]
    assert found["not_read"] == [f"the environment of process {2**22 + 1}: No such file or directory"]


class Server:
    """A database server's client: tables with the columns that have the text."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
        self.asked: list[str] = []
        self.engine = engine
        monkeypatch.setattr(AnsibleModule, "get_bin_path", lambda _self, name, **_more: f"/bin/{name}")
        monkeypatch.setattr(AnsibleModule, "run_command", lambda _self, command, **more: self.run(command, **more))

    def run(self, command: list[str], data: str = "", **_more: Any) -> tuple[int, str, str]:
        if command[0].endswith("pg_lsclusters"):
            return 0, "13 main 5432 online postgres /x /y\n", ""
        self.asked.append(data)
        if "information_schema.columns" in data or "pg_attribute" in data:
            rows = [["public.log" if self.engine == "postgresql" else "log", "text"]]
            rows += [[row[0].replace("log", "setting"), name] for row in rows for name in ("name", "value")]
            rows.append([rows[0][0].replace("log", "broken"), "x"])
            return 0, "".join(json.dumps(row) + "\n" for row in rows), ""
        if "broken" in data:
            return 1, "", "ERROR:  canceling statement due to statement timeout"
        return 0, "[false, true]\n" if "setting" in data else "[null]\n", ""


@pytest.mark.parametrize("engine", ["mariadb", "mysql", "postgresql"])
def test_columns_of_a_database(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch, engine)
    found = ask(monkeypatch, databases={engine: ["shop"]}, seconds=5)
    prefix = f"{engine} shop." + ("public." if engine == "postgresql" else "")
    assert found["places"] == [f"{prefix}setting.value"]
    assert [text.partition(": ")[0] for text in found["not_read"]] == [f"{prefix}broken"]
    assert "statement timeout" in found["not_read"][0]
    limit = {
        "mariadb": r"SET STATEMENT max_statement_time=\d\.\d FOR SELECT",
        "mysql": r"SELECT /\*\+ MAX_EXECUTION_TIME\(\d+\) \*/",
        "postgresql": r"SET statement_timeout = \d+;",
    }
    assert all(re.match(limit[engine], text) for text in server.asked[1:]), server.asked[1]


def test_a_server_that_refuses_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    Server(monkeypatch, "mariadb")
    monkeypatch.setattr(AnsibleModule, "run_command", lambda *_all, **_more: (1, "", "Access denied for user"))
    found = ask(monkeypatch, databases={"mariadb": ["shop"]})
    assert found["not_read"] == ["mariadb shop: Access denied for user"]


def test_tables_for_which_no_time_is_left_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    def rows(_statement: str, _database: str) -> list[list[Any]]:
        return [["log", "text"]]

    found = mentions.tables("mariadb", "shop", [OLD], rows, 0.0)
    assert found == mentions.Found([], ["mariadb shop.log: there was no time for it"])


def test_a_search_that_is_refused_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_statement: str, _database: str) -> list[list[Any]]:
        raise RefusedError("the server has gone away")

    assert mentions.tables("mysql", "shop", [OLD], refuse, 1.0).not_read == ["mysql shop: the server has gone away"]


def test_nothing_to_look_for_is_nothing_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(monkeypatch, texts=["", " "], paths=["/absent"]) == {"changed": False, "places": [], "not_read": []}


def test_an_engine_that_is_not_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModuleFailedError, match=r"^databases has oracle: it is mariadb, mysql or postgresql$"):
        ask(monkeypatch, databases={"oracle": ["shop"]})
