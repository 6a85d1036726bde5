# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How each engine dumps: which program, with what, and what is looked at afterwards."""

import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import backup_engines, backup_files
from ansible_collections.ocpizza.cutover.plugins.module_utils.client_postgresql import Client


class FakeModule:
    """A host with every program and no server."""

    def get_bin_path(self, name: str, required: bool = False) -> str | None:
        return None if name == "pg_lsclusters" else "/usr/bin/" + name

    def run_command(self, _command: list[str], data: str = "", **_more: Any) -> tuple[int, str, str]:
        return 0, '["LATIN1"]\n' if "encoding" in data else "", ""


@pytest.fixture
def dumped(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    seen: list[Any] = []
    monkeypatch.setattr(backup_files, "write_dump", lambda *arguments: seen.append(arguments))
    return seen


@pytest.mark.parametrize(("engine", "purged"), [("mariadb", False), ("mysql", True)])
def test_a_position_stays_with_the_server_that_it_is_of(dumped: list[Any], engine: str, purged: bool) -> None:
    backup_engines.provider(FakeModule(), engine, socket="/run/x.sock").dump("-x", "/b/d.sql.gz")
    ((command, path),) = dumped
    assert path == "/b/d.sql.gz"
    assert ("--set-gtid-purged=OFF" in command) is purged
    assert command[-3:] == ["--socket=/run/x.sock", "--", "-x"]


def test_postgresql_is_dumped_packed_and_looked_at(dumped: list[Any]) -> None:
    server = backup_engines.provider(FakeModule(), "postgresql", 5433)
    server.dump("a=b", "/b/d.dump")
    ((command, _path, form, examine),) = dumped
    assert command[:6] == ["runuser", "-u", "postgres", "--", "/usr/bin/pg_dump", "--port=5433"]
    assert command[-3:] == ["--format=custom", "--lock-wait-timeout=60s", "--dbname=dbname='a=b'"]
    assert (form, examine) == (backup_files.CUSTOM, server._examine)
    assert server.charset("a=b") == "LATIN1"


@pytest.mark.parametrize(
    ("code", "said"), [("", ""), ("import sys; sys.exit('input file is too short')", "input file is too short")]
)
def test_a_dump_that_pg_restore_cannot_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str, said: str
) -> None:
    path = tmp_path / "d.dump"
    path.write_bytes(b"PGDMP")
    monkeypatch.setattr(Client, "offline", lambda *_arguments: [sys.executable, "-c", code])
    server = backup_engines.provider(FakeModule(), "postgresql")
    if not said:
        server._examine(str(path))
        return
    with pytest.raises(backup_files.IncompleteError) as raised:
        server._examine(str(path))
    assert str(raised.value) == f"pg_restore cannot read the dump: {said}"


def test_a_program_that_asks_no_server_needs_no_other_user() -> None:
    assert Client(FakeModule(), 5433).offline("pg_restore", "--list") == [
        "/usr/bin/pg_restore", "--port=5433", "--list",
    ]  # fmt: skip
