# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup: made when one is due, kept when it is complete, never half."""

import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.ocpizza.cutover.plugins.module_utils import backup_engines
from ansible_collections.ocpizza.cutover.plugins.module_utils.table_counts import RefusedError
from ansible_collections.ocpizza.cutover.plugins.modules import site_backup
from tests.unit.plugins.fakes import ModuleFailedError, run_module

DUMP = """#!/bin/sh
for word in "$@"; do last=$word; done
[ "$last" = broken ] && { echo "Table is damaged" >&2; exit 3; }
echo "-- dump of $last"
echo "-- Dump completed on 2026-11-22"
"""


class House:
    """A host with a client that dumps, and a clock that is set by hand."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.directory = folder / "backup"
        self.clock = 1000.0
        self.counts: list[Any] = [{"orders": 5}]
        self.client = folder / "mariadb-dump"
        self.client.write_text(DUMP)
        self.client.chmod(0o755)
        self.conf = folder / "site.conf"
        self.conf.write_text("conf\n")
        monkeypatch.setattr(AnsibleModule, "get_bin_path", lambda _self, _name, required=False: str(self.client))
        monkeypatch.setattr(backup_engines.table_counts, "count", self.count)
        monkeypatch.setattr(site_backup.time, "time", lambda: self.clock)

    def count(self, _module: Any, _database: str, _socket: str | None) -> Any:
        answer = self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def run(self, check: bool = False, **more: Any) -> dict[str, Any]:
        engines = {"mariadb": more.pop("databases", ["shop"])}
        arguments: dict[str, Any] = {"directory": str(self.directory), "engines": engines, "max_age": 100}
        arguments["paths"] = [str(self.conf), "/none/at/all"]
        return run_module(site_backup, self.monkeypatch, check, **{**arguments, **more})

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.directory.iterdir()}


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(tmp_path, monkeypatch)


def test_a_backup_is_made_once(house: House) -> None:
    first = house.run(check=True)
    assert first == {"changed": True, "manifest": {}, "reason": "there is no backup yet"}
    assert not house.directory.exists()
    real = house.run()
    assert (real["changed"], real["reason"]) == (True, "there is no backup yet")
    files = house.files()
    house.clock += 100
    kept = {"changed": False, "manifest": real["manifest"], "reason": "a complete backup is 100 s old"}
    assert [house.run(check=True), house.run()] == [kept, kept]
    assert house.files() == files


def test_what_a_backup_holds(house: House) -> None:
    house.counts = [{"orders": 5, "gone": 1}, {"orders": 7, "new": 2}, {"guests": 1}]
    manifest = house.run(databases=["shop", "annex"])["manifest"]
    assert manifest["created"] == 1000.0
    assert [(one["engine"], one["database"], Path(one["path"]).name, one["rows"]) for one in manifest["databases"]] == [
        ("mariadb", "shop", "database-0.sql.gz", {"orders": [5, 7], "new": [0, 2]}),
        ("mariadb", "annex", "database-1.sql.gz", {"guests": [1, 1]}),
    ]
    with tarfile.open(manifest["configuration"]["path"]) as archive:
        assert archive.getnames() == [str(house.conf).lstrip("/")]
    assert json.loads((house.directory / "manifest.json").read_text()) == manifest


def test_nobody_else_may_read_it(house: House) -> None:
    house.directory.mkdir(mode=0o755)
    house.run()
    assert house.directory.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in house.directory.iterdir()} == dict.fromkeys(
        ("configuration.tar.gz", "database-0.sql.gz", "manifest.json"), 0o600
    )


def test_a_backup_that_is_too_old_is_made_anew(house: House) -> None:
    house.run()
    house.clock += 101
    assert house.run(check=True)["reason"] == "the backup is 101 s old"
    result = house.run()
    assert (result["changed"], result["manifest"]["created"]) == (True, 1101.0)


def test_a_backup_of_other_databases_does_not_count(house: House) -> None:
    house.run()
    assert house.run(check=True, databases=["annex"])["reason"] == "the backup is of other databases"
    assert house.run(databases=["annex"])["manifest"]["databases"][0]["database"] == "annex"


@pytest.mark.parametrize("name", ["database-0.sql.gz", "configuration.tar.gz"])
@pytest.mark.parametrize("gone", [True, False])
def test_a_file_that_is_gone_or_cut_short_is_made_anew(house: House, name: str, gone: bool) -> None:
    house.run()
    path = house.directory / name
    if gone:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    result = house.run()
    assert (result["changed"], result["reason"]) == (True, f"{path} is not what was written")
    assert house.run()["changed"] is False


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"created": 1000}', '{"created": 1000, "databases": [{}]}'])
def test_a_manifest_that_is_none_is_no_backup(house: House, text: str) -> None:
    house.directory.mkdir()
    (house.directory / "manifest.json").write_text(text)
    assert house.run(check=True)["reason"] == "there is no backup yet"
    assert house.run()["changed"] is True
    assert house.run()["changed"] is False


def test_a_dump_that_breaks_fails_and_leaves_no_manifest(house: House) -> None:
    with pytest.raises(ModuleFailedError) as raised:
        house.run(databases=["shop", "broken"])
    assert str(raised.value) == (
        f"The backup into {house.directory} failed: the dump ended with 3: Table is damaged. "
        "Nothing that was there was replaced by something incomplete."
    )
    assert list(house.files()) == ["database-0.sql.gz"]
    assert house.run(check=True, databases=["shop", "broken"])["reason"] == "there is no backup yet"


def test_a_refused_count_fails_before_anything_is_written(house: House) -> None:
    house.counts = [RefusedError("ERROR 1045: Access denied")]
    with pytest.raises(ModuleFailedError, match=r"failed: ERROR 1045: Access denied\. Nothing"):
        house.run()
    assert house.files() == {}


def test_a_folder_that_cannot_be_made_is_a_failure_of_words(house: House) -> None:
    house.directory.write_text("a file is in the way")
    with pytest.raises(ModuleFailedError, match=r"^The backup into .*/backup failed: .*File exists"):
        house.run()


class FakePostgreSQL:
    """Dumps what it was told, on the port that it was told."""

    form = backup_engines.PostgreSQL.form

    def __init__(self, _module: Any, port: int, socket: str | None) -> None:
        self.where = f"{port} {socket}"

    def count(self, _database: str) -> dict[str, int]:
        return {"public.item": 3}

    def charset(self, _database: str) -> str:
        return "LATIN1"

    def dump(self, database: str, path: str) -> Any:
        command = [sys.executable, "-c", f"print({database!r}, {self.where!r})"]
        return backup_engines.backup_files.write_dump(command, path, self.form)


def test_all_engines_are_one_backup(house: House) -> None:
    house.monkeypatch.setattr(backup_engines, "PostgreSQL", FakePostgreSQL)
    engines = {"postgresql": ["stock"], "mariadb": ["shop"]}
    result = house.run(engines=engines, ports={"postgresql": 5433}, sockets={"mariadb": "/run/m.sock"})
    assert [(one["engine"], Path(one["path"]).name, one["charset"]) for one in result["manifest"]["databases"]] == [
        ("mariadb", "database-0.sql.gz", ""),
        ("postgresql", "database-1.dump", "LATIN1"),
    ]
    assert house.files()["database-1.dump"] == b"stock 5433 None\n"
    assert house.run(engines=dict(reversed(list(engines.items()))))["changed"] is False
    assert house.run(check=True)["reason"] == "the backup is of other databases"


def test_an_engine_that_there_is_not(house: House) -> None:
    with pytest.raises(ModuleFailedError, match=r"^engines has oracle; there are mariadb, mysql, postgresql\.$"):
        house.run(engines={"oracle": ["x"]})


def test_a_server_that_is_not_there_is_a_failure_of_words(house: House) -> None:
    def refuse(*_arguments: Any) -> None:
        raise RefusedError("no cluster uses port 5433; there is 13/main on 5432")

    house.monkeypatch.setattr(backup_engines, "PostgreSQL", refuse)
    with pytest.raises(ModuleFailedError) as raised:
        house.run(engines={"postgresql": ["stock"]}, ports={"postgresql": "5433"})
    assert str(raised.value) == (
        f"The backup into {house.directory} failed: no cluster uses port 5433; there is 13/main on 5432. "
        "Nothing that was there was replaced by something incomplete."
    )
