"""Archives that may be used, and the words about those that may not."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils.archive import ArchiveError, check_zip, outside


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "BDD.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("ocpizza_dump.sql", "CREATE TABLE rank (id INT);")
        made.writestr("base_data.sql", "INSERT INTO rank VALUES (1);")
    return path


def test_names_of_a_whole_archive(archive: Path) -> None:
    assert check_zip(str(archive), ["base_data.sql"]) == ["ocpizza_dump.sql", "base_data.sql"]


def test_missing_archive(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"There is no archive .*/none.zip. Give the path"):
        check_zip(str(tmp_path / "none.zip"))


def test_no_zip_at_all(tmp_path: Path) -> None:
    path = tmp_path / "text.zip"
    path.write_text("not a zip")
    with pytest.raises(ArchiveError, match=r"is corrupt: .*Build it again"):
        check_zip(str(path))


def test_changed_byte(archive: Path) -> None:
    data = archive.read_bytes().replace(b"INSERT INTO", b"insert into")
    archive.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"corrupt at its member base_data.sql"):
        check_zip(str(archive))


def test_cut_short(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(ArchiveError, match="is corrupt"):
        check_zip(str(archive))


def test_missing_member(archive: Path) -> None:
    with pytest.raises(ArchiveError, match=r"has no presets.sql; it has ocpizza_dump.sql, base_data.sql"):
        check_zip(str(archive), ["presets.sql"])


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "..\\evil", "C:\\evil", "c:/evil"])
def test_paths_outside(archive: Path, name: str) -> None:
    assert outside(name)
    with zipfile.ZipFile(archive, "a") as made:
        made.writestr(zipfile.ZipInfo(name), "x")
    with pytest.raises(ArchiveError, match="paths outside its folder"):
        check_zip(str(archive))


@pytest.mark.parametrize("name", ["a/b.sql", "a..b/c", "..a", "static/"])
def test_paths_inside(name: str) -> None:
    assert not outside(name)


def test_link(archive: Path) -> None:
    link = zipfile.ZipInfo("innocent")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as made:
        made.writestr(link, "/etc/passwd")
    with pytest.raises(ArchiveError, match="innocent"):
        check_zip(str(archive))
