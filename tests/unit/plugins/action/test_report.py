"""The task that writes the report: check, real, check again, again."""

import json
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.task import Task

from ansible_collections.ocpizza.cutover.plugins.action.report import ActionModule


def run(check: bool = False, diff: bool = False, **args: Any) -> dict[str, Any]:
    task = mock.MagicMock(Task, check_mode=check, diff=diff, async_val=0, args=args, action="ocpizza.cutover.report")
    plugin = ActionModule(
        task=task,
        connection=mock.MagicMock(),
        play_context=mock.MagicMock(),
        loader=DataLoader(),
        templar=mock.MagicMock(),
        shared_loader_obj=None,
    )
    result: dict[str, Any] = plugin.run(task_vars={})
    return result


def test_check_real_check_again_again(tmp_path: Path) -> None:
    args = {"run_dir": str(tmp_path), "site": "ocpizza"}
    path = tmp_path / "report.json"
    assert run(check=True, **args)["verdict"] == "FAILED"
    assert not path.exists()
    result = run(**args)
    assert (result["changed"], result["verdict"], result["path"]) == (False, "FAILED", str(path))
    written = path.read_text()
    assert json.loads(written)["site"] == "ocpizza"
    run(check=True, **args)
    run(**args)
    assert path.read_text() == written


def test_diff_shows_before_and_after(tmp_path: Path) -> None:
    diff = run(diff=True, run_dir=str(tmp_path))["diff"]
    assert diff["before"] == ""
    assert '"verdict": "FAILED"' in diff["after"]


def test_a_verdict_that_is_not_accepted_fails_and_says_why(tmp_path: Path) -> None:
    result = run(run_dir=str(tmp_path), verdict=["PASSED", "PARTIAL"])
    assert result["failed"] is True
    assert result["msg"].startswith("The verdict is FAILED, not PASSED or PARTIAL: phase discover never ran;")
    assert (tmp_path / "report.json").exists()


def test_an_accepted_verdict_does_not(tmp_path: Path) -> None:
    assert "failed" not in run(run_dir=str(tmp_path), verdict=["FAILED"])


def test_no_run_directory(tmp_path: Path) -> None:
    with pytest.raises(AnsibleActionFail, match=r"does not exist on the controller. Set run_dir to the site_run_dir"):
        run(run_dir=str(tmp_path / "nowhere"))


def test_a_report_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "report.json").mkdir()
    with pytest.raises(AnsibleActionFail, match=r"cannot be made: .* Give yourself access to the run directory"):
        run(run_dir=str(tmp_path))
