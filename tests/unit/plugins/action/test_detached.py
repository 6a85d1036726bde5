"""The task that starts an operation on the host and watches it: the host is played by a script of answers."""

import json
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.task import Task

from ansible_collections.ocpizza.cutover.plugins.action import detached
from ansible_collections.ocpizza.cutover.plugins.module_utils import journal


def line(text: str, status: str = "progress", **more: Any) -> str:
    event = {"status": status, "step": "hold", "text": text, "time": "2026-05-01T10:00:00.000+00:00", **more}
    return json.dumps(event, ensure_ascii=False) + "\n"


class Host:
    """A host on which the operation runs: ``looks`` are what each look shows, state first."""

    def __init__(self, folder: Path) -> None:
        self.running = False
        self.before = 0
        self.start_error = ""
        self.looks: list[Any] = []
        self.rest = ""
        self.results: list[str | None] = ['{"outcome": "open"}']
        self.asked: list[str] = []
        self.args = {
            "agent": "/lib/agent.pyz",
            "operation": "switchover",
            "plan": "/lib/plan with space.json",
            "unit": "cutover-shop-switchover",
            "journal": "/lib/journal.jsonl",
            "result": "/lib/result.json",
            "journal_here": str(folder / "journal.jsonl"),
            "phase": "cutover",
        }

    def execute(self, command: str, sudoable: bool) -> dict[str, Any]:
        assert sudoable
        self.asked.append(command)
        if command.startswith("systemctl -q is-active"):
            return self.answer("", 0 if self.running else 3)
        if "systemd-run" in command:
            return self.answer("", 1, self.start_error) if self.start_error else self.answer(f"{self.before}\n")
        if command.startswith("wc -l"):
            return self.answer(f"{self.before}\n")
        if command.startswith("tail "):
            return self.answer(self.rest)
        if command.startswith("cat "):
            found = self.results.pop(0)
            return self.answer("", 1) if found is None else self.answer(found)
        look = self.looks.pop(0)
        if isinstance(look, Exception):
            raise look
        return self.answer(look)

    def answer(self, stdout: str, rc: int = 0, stderr: str = "") -> dict[str, Any]:
        return {"rc": rc, "stdout": stdout, "stderr": stderr}

    def run(self, check: bool = False, **more: Any) -> dict[str, Any]:
        args = {**self.args, **more}
        task = mock.MagicMock(Task, check_mode=check, diff=False, async_val=0, args=args, action="detached")
        plugin = detached.ActionModule(
            task=task,
            connection=mock.MagicMock(),
            play_context=mock.MagicMock(),
            loader=DataLoader(),
            templar=mock.MagicMock(),
            shared_loader_obj=None,
        )
        plugin._low_level_execute_command = self.execute
        result: dict[str, Any] = plugin.run(task_vars={"inventory_hostname": "old"})
        return result

    def told(self) -> list[str]:
        return [event["text"] for event in journal.read_events(self.args["journal_here"])]

    def seen(self) -> list[str]:
        """From which line on each look read the journal."""
        return [command.split("tail -n +")[1].split(" ")[0] for command in self.asked if "tail -n +" in command]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(detached.time, "sleep", lambda _seconds: None)
    return Host(tmp_path)


def test_a_check_starts_nothing(host: Host) -> None:
    assert host.run(check=True) == {"changed": True, "msg": "the switchover would be started"}
    assert host.asked == []


def test_it_is_started_watched_and_told(host: Host) -> None:
    host.before = 4
    host.looks = ["active\n" + line("one"), "active\n", "inactive\n" + line("two", "passed") + line("three", "failed")]
    assert host.run() == {"changed": True, "outcome": {"outcome": "open"}}
    assert host.told() == ["one", "two", "three"]
    assert host.seen() == ["5", "6", "6", "8"]
    start = host.asked[1]
    assert start.startswith("rm -f /lib/result.json; touch /lib/journal.jsonl; wc -l </lib/journal.jsonl; ")
    assert start.endswith(
        "systemd-run --quiet --collect --unit=cutover-shop-switchover $p /lib/agent.pyz switchover "
        "'/lib/plan with space.json'"
    )
    (first, *_rest) = journal.read_events(host.args["journal_here"])
    assert (first["phase"], first["step"], first["host"]) == ("cutover", "hold", "old")
    assert first["time"] == "2026-05-01T10:00:00.000+00:00"


def test_one_that_runs_already_is_watched_and_not_started(host: Host) -> None:
    host.running, host.before = True, 7
    host.looks = ["inactive\n" + line("end", "passed")]
    assert host.run()["outcome"] == {"outcome": "open"}
    assert not [command for command in host.asked if "systemd-run" in command]
    assert host.seen()[0] == "8"


def test_lines_that_are_no_events_are_counted_and_told_once(host: Host) -> None:
    torn = '{"status": "pas\n'
    host.looks = ["active\n" + torn + line("one"), "active\n" + line("two")[:20], "inactive\n" + line("two")]
    host.run()
    assert host.told() == ["one", "two"]
    assert host.seen()[:3] == ["1", "3", "3"]


def test_any_text_and_a_terminals_line_ends_pass(host: Host) -> None:
    host.looks = ["active\r\n" + line("a\u2028b").replace("\n", "\r\n"), "inactive\r\n"]
    host.run()
    assert host.told() == ["a\u2028b"]
    assert host.seen()[1] == "2"


def test_what_the_watchdog_tells_at_the_end_is_told_too(host: Host) -> None:
    host.looks = ["inactive\n" + line("open failed", "failed")]
    host.rest = line("the deadline passed", "failed")
    host.results = [None, '{"outcome": "aborted", "reason": "the deadline passed"}']
    result = host.run()
    assert (result["failed"], result["changed"]) == (True, False)
    assert result["msg"] == "switchover aborted: the deadline passed"
    assert host.told() == ["open failed", "the deadline passed"]


def test_a_refusal_fails_with_its_reason(host: Host) -> None:
    host.looks = ["inactive\n"]
    host.results = ['{"outcome": "refused", "reason": "no proof"}']
    result = host.run()
    assert result == {
        "changed": False,
        "failed": True,
        "msg": "switchover refused: no proof",
        "outcome": {"outcome": "refused", "reason": "no proof"},
    }


@pytest.mark.parametrize("changed", [True, False])
def test_an_operation_may_say_that_it_changed_nothing(host: Host, changed: bool) -> None:
    host.looks = ["inactive\n"]
    host.results = [json.dumps({"changed": changed, "position": "0-1-5"})]
    assert host.run(operation="seed")["changed"] is changed


def test_a_connection_may_come_and_go(host: Host) -> None:
    lost = AnsibleConnectionFailure("timed out")
    host.looks = [lost, "active\n" + line("one"), *[lost] * 20, "inactive\n"]
    assert host.run()["outcome"] == {"outcome": "open"}
    assert host.told() == ["one"]


def test_a_connection_that_stays_away(host: Host) -> None:
    host.looks = [AnsibleConnectionFailure("timed out")] * 21
    with pytest.raises(AnsibleActionFail) as raised:
        host.run()
    assert str(raised.value).startswith(
        "The host is not reachable; the switchover goes on there by itself as cutover-shop-switchover. "
        "Run the same command again to watch it: timed out"
    )


def test_an_operation_that_takes_too_long_goes_on(host: Host) -> None:
    host.looks = ["active\n"]
    with pytest.raises(AnsibleActionFail) as raised:
        host.run(timeout=-1)
    assert str(raised.value) == (
        "The switchover has not ended within -1 s; it goes on as cutover-shop-switchover, "
        "see 'journalctl -u cutover-shop-switchover'"
    )


def test_one_that_cannot_be_started(host: Host) -> None:
    host.start_error = "Failed to start transient service unit\n"
    with pytest.raises(AnsibleActionFail) as raised:
        host.run()
    assert str(raised.value) == (
        "The switchover could not be started as cutover-shop-switchover: Failed to start transient service unit"
    )


def test_one_that_ends_without_a_result(host: Host) -> None:
    host.looks = ["inactive\n"]
    host.results = [None] * 20
    with pytest.raises(AnsibleActionFail) as raised:
        host.run()
    assert str(raised.value) == (
        "The switchover ended without a result; see 'journalctl -u cutover-shop-switchover' on the host"
    )
