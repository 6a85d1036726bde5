"""The task that tells the journal."""

from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.task import Task

from ansible_collections.ocpizza.cutover.plugins.action.journal import ActionModule
from ansible_collections.ocpizza.cutover.plugins.module_utils import journal


def run(check: bool = False, **args: Any) -> dict[str, Any]:
    task = mock.MagicMock(Task, check_mode=check, diff=False, async_val=0, args=args, action="ocpizza.cutover.journal")
    plugin = ActionModule(
        task=task,
        connection=mock.MagicMock(),
        play_context=mock.MagicMock(),
        loader=DataLoader(),
        templar=mock.MagicMock(),
        shared_loader_obj=None,
    )
    result: dict[str, Any] = plugin.run(task_vars={"inventory_hostname": "old"})
    return result


def test_check_real_check_again_again(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.jsonl")
    args = {"path": path, "phase": "cutover", "status": "passed", "step": "", "text": "moved", "done": 1, "total": 2}
    assert run(check=True, **args) == {"changed": False, "phase_status": "", "side": "source", "run": ""}
    assert journal.read_events(path) == []
    real = run(**args)
    (event,) = journal.read_events(path)
    assert real == {"changed": False, "phase_status": "passed", "side": "target", "run": event["run"]}
    assert (event["host"], event["text"], event["done"], event["total"]) == ("old", "moved", 1, 2)
    assert run(check=True, **args) == real
    assert run(**args) == real
    assert len(journal.read_events(path)) == 2


def test_a_query_only_reads(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    assert run(path=str(path), phase="check", status="query")["phase_status"] == ""
    assert not path.exists()
    run(path=str(path), phase="check", status="started", time="2026-05-01T10:00:00.000+00:00")
    assert run(path=str(path), phase="check", status="query")["phase_status"] == "started"
    (event,) = journal.read_events(str(path))
    assert event["time"] == "2026-05-01T10:00:00.000+00:00"


def test_a_journal_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(AnsibleActionFail) as raised:
        run(path=str(tmp_path), phase="check", status="started")
    assert str(raised.value).startswith(f"The journal {tmp_path} on the controller cannot be written: ")
    assert "Set site_run_dir to a folder that you can write" in str(raised.value)


def test_an_unknown_phase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnsibleActionFail, match="value of phase must be one of: discover, check"):
        run(path=str(tmp_path / "journal.jsonl"), phase="dance")
