"""The agent's archive: the same bytes each time, and everything in it."""

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import agent_archive

OURS = os.path.dirname(agent_archive.__file__)


@pytest.fixture(scope="module")
def archive() -> bytes:
    return agent_archive.build(OURS)


def test_the_same_content_gives_the_same_bytes(archive: bytes) -> None:
    assert agent_archive.build(OURS) == archive


def test_it_brings_the_drivers_along(archive: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        names = opened.namelist()
    assert names == sorted(names)
    for wanted in (
        "__main__.py",
        "ansible_collections/__init__.py",
        agent_archive.PACKAGE + "/__init__.py",
        agent_archive.PACKAGE + "/agent.py",
        agent_archive.PACKAGE + "/switchover.py",
        "pymysql/__init__.py",
        "pymysqlreplication/__init__.py",
        "packaging/__init__.py",
        "pg8000/core.py",
        "scramp/core.py",
        "dateutil/parser/__init__.py",
        "six.py",
    ):
        assert wanted in names
    assert not [
        name for name in names if "__pycache__" in name or "/tests/" in name or not name.endswith((".py", "METADATA"))
    ]


def test_it_runs_without_anything_installed(archive: bytes, tmp_path: Path) -> None:
    path = tmp_path / "agent.pyz"
    path.write_bytes(archive)
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(path), "--help"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: agent.pyz")


def test_the_driver_of_postgresql_is_imported_from_it(archive: bytes, tmp_path: Path) -> None:
    path = tmp_path / "agent.pyz"
    path.write_bytes(archive)
    code = f"import sys; sys.path.insert(0, {str(path)!r}); import pg8000.core, scramp; print(pg8000.core.__file__)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == str(path / "pg8000" / "core.py")


def test_a_driver_too_new_for_the_old_server_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_archive.importlib_metadata, "version", lambda _name: "1.31.6")
    with pytest.raises(RuntimeError, match=r"pg8000 1.31.6 does not run on Python 3.9, .* pg8000==1.31.2'"):
        agent_archive.build(OURS)


def test_a_missing_driver_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_archive, "DRIVERS", ("no_such_driver",))
    with pytest.raises(RuntimeError, match=r"no_such_driver is not installed .* run 'pip install PyMySQL"):
        agent_archive.build(OURS)


def test_only_python_outside_of_tests_is_taken(tmp_path: Path) -> None:
    for name in ("b.py", "a/x.py", "a/tests/y.py", "__pycache__/b.py", "c.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert agent_archive.python_files(str(tmp_path)) == ["a/x.py", "b.py"]


def test_the_backups_program_starts_without_drivers(tmp_path: Path) -> None:
    path = tmp_path / "backup.pyz"
    path.write_bytes(agent_archive.build(OURS, "backup_program"))
    done = subprocess.run([sys.executable, "-I", path, "--help"], capture_output=True, text=True, check=True)
    assert "bring back a table" in done.stdout
    with zipfile.ZipFile(path) as opened:
        assert [name for name in opened.namelist() if name.startswith("pymysql")] == []
