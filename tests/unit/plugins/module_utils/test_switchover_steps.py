"""What a switchover tells of its steps and its outcome."""

import json
from pathlib import Path

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import journal
from ansible_collections.ocpizza.cutover.plugins.module_utils.switchover_sides import Refused
from ansible_collections.ocpizza.cutover.plugins.module_utils.switchover_steps import Steps, write_json


def test_a_failed_step_is_told_and_not_counted(tmp_path: Path) -> None:
    steps = Steps(str(tmp_path / "journal.jsonl"), "cutover", "old")

    def fail() -> None:
        raise Refused("no")

    with pytest.raises(Refused, match="no"):
        steps.run("gate", fail)
    assert steps.taken == []
    (event,) = journal.read_events(str(tmp_path / "journal.jsonl"))
    assert (event["step"], event["status"], event["text"], event["host"]) == ("gate", "failed", "no", "old")


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "switchover.json"
    path.write_text("old")
    write_json(str(path), {"b": 1, "a": "é"})
    assert json.loads(path.read_text()) == {"a": "é", "b": 1}
    assert [item.name for item in tmp_path.iterdir()] == ["switchover.json"]


def test_a_journal_that_cannot_be_written_changes_nothing_after_the_release(tmp_path: Path) -> None:
    steps = Steps(str(tmp_path / "gone" / "journal.jsonl"), "cutover", "old")
    steps.holding = True
    steps.run("release", lambda: None)
    steps.flush()
    assert steps.taken[0]["name"] == "release"
