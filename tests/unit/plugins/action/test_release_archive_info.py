# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import hashlib
import zipfile
from unittest import mock

import pytest

from ansible_collections.ocpizza.cutover.plugins.action.release_archive_info import ActionModule


@pytest.fixture
def run():
    def run_(**args):
        task = mock.MagicMock(args=args, async_val=0, diff=False, check_mode=True)
        loader = mock.MagicMock(path_dwim=lambda path: path)
        return ActionModule(task, mock.MagicMock(), mock.MagicMock(), loader, mock.MagicMock(), None).run(task_vars={})

    return run_


def test_good_archive_is_described(run, tmp_path):
    path = tmp_path / "shop.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("shop-1/manage.py", "abc")
    assert run(path=str(path)) == {
        "changed": False,
        "kind": "zip",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "root": "shop-1",
        "members": 1,
        "unpacked_bytes": 3,
    }


def test_bad_archive_fails_with_its_name_and_changes_nothing(run, tmp_path):
    path = tmp_path / "shop.zip"
    path.write_bytes(b"no zip at all")
    result = run(path=str(path))
    assert (result["failed"], result["changed"]) == (True, False)
    assert result["msg"].startswith("Refused archive {}: it is damaged or no zip, tar or wheel".format(path))


def test_required_members_and_limit_are_passed_on(run, tmp_path):
    path = tmp_path / "BDD.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.sql", "abc")
    assert "it lacks b.sql" in run(path=str(path), required_members=["b.sql"])["msg"]
    assert "more than 2" in run(path=str(path), max_bytes=2)["msg"]
