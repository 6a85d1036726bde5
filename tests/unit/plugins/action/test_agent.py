"""The task that puts the agent on a host."""

import os
import stat
from typing import Any
from unittest import mock

import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.task import Task

from ansible_collections.ocpizza.cutover.plugins.action.agent import ActionModule
from ansible_collections.ocpizza.cutover.plugins.module_utils import agent_archive


class FakeCopy:
    """The copy action: keeps what it would have copied."""

    def __init__(self) -> None:
        self.content = b""
        self.args: dict[str, Any] = {}
        self.diff = True
        self.result: dict[str, Any] = {"changed": True, "checksum": "c0ffee", "src": "/tmp/x", "diff": []}

    def get(self, name: str, task: Any, **_context: Any) -> "FakeCopy":
        assert name == "ansible.legacy.copy"
        self.args, self.diff = task.args, task.diff
        return self

    def run(self, task_vars: Any) -> dict[str, Any]:
        with open(self.args["src"], "rb") as stream:
            self.content = stream.read()
            self.mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
        return self.result


def run(copy: FakeCopy, **args: Any) -> dict[str, Any]:
    task = Task()
    task.args = args
    task.action = "ocpizza.cutover.agent"
    plugin = ActionModule(
        task=task,
        connection=mock.MagicMock(),
        play_context=mock.MagicMock(),
        loader=DataLoader(),
        templar=mock.MagicMock(),
        shared_loader_obj=None,
    )
    plugin._shared_loader_obj = mock.Mock(action_loader=copy)
    result: dict[str, Any] = plugin.run(task_vars={})
    return result


@pytest.fixture
def copy(monkeypatch: pytest.MonkeyPatch) -> FakeCopy:
    monkeypatch.setattr(agent_archive, "build", lambda _folder, _program: b"archive")
    return FakeCopy()


def test_the_archive_is_copied_and_taken_away_here(copy: FakeCopy) -> None:
    assert run(copy, path="/var/lib/cutover/shop/agent.pyz") == {"changed": True, "checksum": "c0ffee"}
    assert (copy.content, copy.args["dest"], copy.args["mode"]) == (
        b"archive",
        "/var/lib/cutover/shop/agent.pyz",
        "0644",
    )
    assert copy.diff is False
    assert not os.path.exists(copy.args["src"])


def test_a_copy_that_failed_says_so(copy: FakeCopy) -> None:
    copy.result = {"failed": True, "msg": "Destination directory does not exist", "changed": False}
    assert run(copy, path="/nowhere/agent.pyz") == copy.result


def test_a_missing_driver_fails_in_words(copy: FakeCopy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_archive, "build", mock.Mock(side_effect=RuntimeError("pymysql is not installed")))
    with pytest.raises(AnsibleActionFail, match="pymysql is not installed"):
        run(copy, path="/agent.pyz")
    assert copy.args == {}
