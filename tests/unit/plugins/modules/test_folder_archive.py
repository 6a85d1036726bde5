# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder that is read as an archive, and kept on the controller."""

from __future__ import annotations

import base64
import io
import os
import tarfile
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.task import Task

from ansible_collections.ocpizza.cutover.plugins.action.folder_archive import ActionModule
from ansible_collections.ocpizza.cutover.plugins.module_utils import folder_archive as packing
from ansible_collections.ocpizza.cutover.plugins.module_utils import release_archive
from ansible_collections.ocpizza.cutover.plugins.modules import folder_archive
from tests.unit.plugins.fakes import run_module


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    files = {
        "manage.py": "run()",
        "shop/wsgi.py": "application = 1",
        "shop/__pycache__/wsgi.pyc": "x",
        ".git/config": "x",
        ".env": "SECRET_KEY=Secret-1",
        "media/upload.jpg": "x",
        "venv/pyvenv.cfg": "home = /usr/bin",
        "venv/bin/gunicorn": "x",
        "venv/lib/python3.9/site-packages/Django-4.2.30.dist-info/METADATA": "A: 2\nName: Django\nVersion: 4.2.30\n",
        "venv/lib/python3.9/site-packages/pip-20.3.dist-info/METADATA": "Name: pip\nVersion: 20.3\n",
        "venv/lib/python3.9/site-packages/gunicorn.egg-info/PKG-INFO": "Name: gunicorn\nVersion: 23.0.0\n",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "current.py").symlink_to("manage.py")
    (folder / "logs").symlink_to("/var/log")
    os.mkfifo(folder / "pipe")
    return folder


def read(monkeypatch: pytest.MonkeyPatch, folder: Path, check: bool = False, **more: Any) -> dict[str, Any]:
    return run_module(folder_archive, monkeypatch, check, folder=str(folder), dest="x", **more)


def opened(found: dict[str, Any]) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(base64.b64decode(found["content"])))


def test_the_code_comes_along_and_nothing_that_is_made_or_unwanted(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted((path, path.lstat().st_mtime_ns) for path in shop.rglob("*"))
    without = [str(shop / ".env"), str(shop / "media")]
    results = [read(monkeypatch, shop, check, without=without) for check in (True, False, True, False)]
    assert results[1:] == results[:-1]
    found = results[0]
    assert sorted(opened(found).getnames()) == ["current.py", "manage.py", "shop/wsgi.py"]
    assert (found["changed"], found["files"], found["problem"], found["requirements"]) == (False, 3, "", "")
    assert found["left_out"] == [
        f"{shop}/media: it is not wanted",
        f"{shop}/.env: it is not wanted",
        f"{shop}/logs: it is a link out of the folder",
        f"{shop}/pipe: it is no file",
    ]
    assert sorted((path, path.lstat().st_mtime_ns) for path in shop.rglob("*")) == before


def test_what_the_process_runs_in_says_what_is_required(
    shop: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (shop / "pipe").unlink()
    monkeypatch.setattr(folder_archive, "command_of", lambda pid: [str(shop / "venv/bin/gunicorn"), "-w", str(pid)])
    found = read(monkeypatch, shop, pid=7)
    required = opened(found).extractfile("requirements.txt")
    assert required is not None
    assert required.read().decode() == "Django==4.2.30\ngunicorn==23.0.0\n"
    assert found["requirements"] == "environment"
    (shop / "requirements.txt").write_text("Django>4\n")
    assert read(monkeypatch, shop, pid=7)["requirements"] == "folder"


def test_a_command_without_a_virtual_environment_requires_nothing_that_is_known(shop: Path) -> None:
    assert packing.requirements(["/usr/bin/python3", "/usr/bin/gunicorn"]) == ""
    assert packing.installed(str(shop / "venv")) == [("Django", "4.2.30"), ("gunicorn", "23.0.0")]


def test_the_role_that_deploys_it_takes_the_archive(
    shop: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    archive = tmp_path / "shop.tar.gz"
    archive.write_bytes(base64.b64decode(read(monkeypatch, shop)["content"]))
    judged = release_archive.inspect(str(archive))
    assert (judged.kind, release_archive.application_root(member.name for member in judged.members)) == ("tar", "")


def test_a_folder_in_the_archive(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = opened(read(monkeypatch, shop / "shop", below="static")).getnames()
    assert names == ["static/wsgi.py"]


@pytest.mark.parametrize(
    ("name", "most", "problem"),
    [
        ("absent", 1, "absent is no folder"),
        ("manage.py", 1, "manage.py is no folder"),
        ("shop", 0, "shop has more than 0 MB"),
        ("venv/bin/..", 1, "venv has no file that can be read"),
    ],
)
def test_why_there_is_none(shop: Path, monkeypatch: pytest.MonkeyPatch, name: str, most: int, problem: str) -> None:
    without = [str(shop / "venv/*")]
    found = read(monkeypatch, shop / name, most=most, without=without)
    assert (found["content"], found["problem"].endswith(problem)) == ("", True), found["problem"]


class Action:
    """The action, with a host that answers with what the module returned."""

    def __init__(self, answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ActionModule, "_execute_module", lambda _self, **_more: dict(answer))

    def run(self, dest: Path, check: bool = False, **more: Any) -> dict[str, Any]:
        task = Task()
        task.args, task.action = {"folder": "/srv/shop", "dest": str(dest), **more}, "ocpizza.cutover.folder_archive"
        task.check_mode = check
        parts = {name: mock.MagicMock() for name in ("connection", "play_context", "templar")}
        plugin = ActionModule(task=task, loader=DataLoader(), shared_loader_obj=None, **parts)
        result: dict[str, Any] = plugin.run(task_vars={})
        return result


def test_it_is_kept_on_the_controller_in_four_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    action = Action({"changed": False, "content": base64.b64encode(b"archive").decode(), "files": 1}, monkeypatch)
    dest = tmp_path / "shop.tar.gz"
    results = [action.run(dest, check) for check in (True, False, True, False)]
    assert [one["changed"] for one in results] == [False, True, False, False]
    assert (dest.read_bytes(), dest.stat().st_mode & 0o777) == (b"archive", 0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["shop.tar.gz"]
    # It would be in every log.
    assert all("content" not in one for one in results)


def test_an_archive_that_was_completed_by_hand_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {"changed": False, "content": base64.b64encode(b"archive").decode(), "requirements": ""}
    dest = tmp_path / "shop.tar.gz"
    dest.write_bytes(b"completed")
    result = Action(answer, monkeypatch).run(dest, force=False)
    assert (result["changed"], result["requirements"], dest.read_bytes()) == (False, "", b"completed")
    assert Action(answer, monkeypatch).run(dest)["changed"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    action = Action({"content": base64.b64encode(b"archive").decode()}, monkeypatch)
    result = action.run(tmp_path / "absent" / "shop.tar.gz")
    assert result["failed"]
    assert result["msg"] == f"There is no folder {tmp_path}/absent on this machine. Make it first."


def test_nothing_is_kept_where_there_is_no_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    action = Action({"changed": False, "content": "", "problem": "/srv/shop is no folder"}, monkeypatch)
    assert action.run(tmp_path / "shop.tar.gz")["problem"] == "/srv/shop is no folder"
    assert list(tmp_path.iterdir()) == []
