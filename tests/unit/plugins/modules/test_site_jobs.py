"""A site's jobs turned off and on, in four steps each, and what makes it wait."""

import datetime
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import jobs
from ansible_collections.ocpizza.cutover.plugins.module_utils.jobs import Process
from ansible_collections.ocpizza.cutover.plugins.modules import site_jobs
from tests.unit.plugins.fakes import ModuleFailedError, run_module


class Host:
    """A host with one table of cron's."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.table = folder / "shop"
        self.table.write_text("0 3 1 1 * shop /opt/shop/nightly\n")
        self.state = folder / "state"
        self.looks: list[list[Process]] = []
        monkeypatch.setattr(site_jobs, "POLL", 0.01)
        monkeypatch.setattr(jobs, "processes", lambda: self.looks.pop(0) if self.looks else [])

    def turn(self, state: str, check: bool = False, **more: Any) -> dict[str, Any]:
        named = {"jobs": [{"cron": str(self.table)}], "state": state, "folder": str(self.state), **more}
        return run_module(site_jobs, self.monkeypatch, check, **named)

    def fails(self, state: str, **more: Any) -> str:
        with pytest.raises(ModuleFailedError) as raised:
            self.turn(state, **more)
        return str(raised.value)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def test_off_and_on_in_four_steps_each(host: Host) -> None:
    name = str(host.table)
    for state, there in (("off", False), ("on", True)):
        seen = host.turn(state, check=True)
        assert (seen["changed"], seen["turned"], host.table.exists()) == (True, [name], not there)
        done = host.turn(state)
        assert (done["changed"], done["turned"], host.table.exists()) == (True, [name], there)
        assert bool(done["since"]) is not there
        for check in (True, False):
            assert host.turn(state, check=check)["changed"] is False


def test_a_job_that_runs_is_waited_for(host: Host) -> None:
    running = [Process(["/bin/sh", "-c", "/opt/shop/nightly"], True)]
    host.looks = [running, running]
    assert host.turn("off")["changed"]
    assert host.looks == []


def test_a_job_that_does_not_end_is_a_refusal_that_changes_nothing(host: Host) -> None:
    host.looks = [[Process(["/bin/sh", "-c", "/opt/shop/nightly"], True)]] * 200
    assert host.fails("off", wait=0.05) == (
        f"The site's jobs cannot be turned off within 0.05 s: {host.table} runs (/opt/shop/nightly). Wait until it is "
        "over, or choose another minute, and run the same command again."
    )
    assert host.table.exists()


def test_a_job_that_begins_as_it_is_turned_off_is_waited_for(host: Host) -> None:
    host.looks = [[], [Process(["/opt/shop/nightly"], True)]]
    assert host.turn("off")["changed"]
    assert host.looks == []


def test_a_job_that_is_due_soon_is_waited_for(host: Host) -> None:
    host.table.write_text("* * * * * shop /opt/shop/each-minute\n")
    assert "is due at" in host.fails("off", wait=0.05, quiet=61)
    assert host.table.exists()


def test_what_was_due_while_both_sides_were_off_is_named(host: Host) -> None:
    host.table.write_text("* * * * * shop /opt/shop/each-minute\n")
    host.turn("off", quiet=0)
    (text,) = host.turn("on", since=time.time() - 60)["missed"]
    due = datetime.datetime.now().replace(second=0, microsecond=0).isoformat()
    assert text == f"/opt/shop/each-minute ({due})"
    host.turn("off", quiet=0)
    assert host.turn("on")["missed"] == []


def test_a_job_that_is_nowhere_is_named(host: Host) -> None:
    host.table.unlink()
    assert host.fails("off") == f"There is no {host.table} on this host. Correct site_jobs in the inventory."


def test_an_entry_that_names_nothing(host: Host) -> None:
    assert "an entry of site_jobs names one of timer, cron and crontab" in host.fails("off", jobs=[{"timer": None}])
