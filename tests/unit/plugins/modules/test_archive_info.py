# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a zip is fit to be unpacked, as a task tells it."""

import zipfile
from pathlib import Path

import pytest

from ansible_collections.ocpizza.cutover.plugins.modules import archive_info
from tests.unit.plugins.fakes import ModuleFailedError, run_module


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "BDD.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("schema.sql", "CREATE TABLE a (id INT);")
        made.writestr("base.sql", "")
    return path


def test_the_names_come_in_their_order_check_mode_or_not(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = archive.read_bytes()
    for check in (True, False, True, False):
        result = run_module(archive_info, monkeypatch, check, path=str(archive), members=["base.sql"])
        assert result == {"changed": False, "members": ["schema.sql", "base.sql"]}
    assert archive.read_bytes() == before


@pytest.mark.parametrize("check", [True, False])
def test_a_member_that_is_missing_fails(archive: Path, monkeypatch: pytest.MonkeyPatch, check: bool) -> None:
    with pytest.raises(ModuleFailedError) as raised:
        run_module(archive_info, monkeypatch, check, path=str(archive), members=["base.sql", "other.sql"])
    assert str(raised.value) == (
        f"The archive {archive} has no other.sql; it has schema.sql, base.sql. "
        "Name the right member or the right archive."
    )


def test_an_archive_that_is_missing_or_corrupt_fails(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.write_bytes(archive.read_bytes()[:-10])
    with pytest.raises(ModuleFailedError, match=r"BDD.zip is corrupt: .*copy it again"):
        run_module(archive_info, monkeypatch, path=str(archive))
    archive.unlink()
    with pytest.raises(ModuleFailedError, match=r"There is no archive .*BDD.zip"):
        run_module(archive_info, monkeypatch, path=str(archive))
