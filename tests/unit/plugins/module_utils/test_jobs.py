"""A site's jobs on a host: which of them run, are due, and what turns them."""

import datetime
from pathlib import Path

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import jobs
from ansible_collections.ocpizza.cutover.plugins.module_utils.jobs import Job, Process

NOW = datetime.datetime(2026, 11, 30, 12, 0, 30)
TABLE = "MAILTO=root\n*/5 * * * * shop /opt/shop/bin/send --all >> /var/log/shop.log 2>&1\n0 3 * * * shop true\n"


@pytest.fixture
def table(tmp_path: Path) -> Job:
    (tmp_path / "cron.d").mkdir()
    (tmp_path / "cron.d" / "shop").write_text(TABLE)
    (tmp_path / "cron.d" / "shop").chmod(0o600)
    return Job("cron", str(tmp_path / "cron.d" / "shop"))


@pytest.fixture
def state(tmp_path: Path) -> str:
    (tmp_path / "state").mkdir()
    return str(tmp_path / "state")


def test_what_is_named() -> None:
    given = [{"timer": "a.timer", "cron": None}, {"cron": "/etc/cron.d/shop"}, {"crontab": "shop"}]
    found = jobs.wanted(given)
    assert found == [Job("timer", "a.timer"), Job("cron", "/etc/cron.d/shop"), Job("crontab", "shop")]
    assert [job.text() for job in found] == ["a.timer", "/etc/cron.d/shop", "the crontab of shop"]


@pytest.mark.parametrize("entry", [{}, {"timer": "a.timer", "cron": "/x"}])
def test_an_entry_that_names_no_job_or_two(entry: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="an entry of site_jobs names one of timer, cron and crontab; this one has"):
        jobs.wanted([entry])


def test_a_table_goes_and_comes_back_as_it_was(table: Job, state: str) -> None:
    assert not jobs.is_off(table, state)
    jobs.turn_off(table, state)
    assert jobs.is_off(table, state)
    assert not jobs.is_missing(table, state)
    assert not Path(table.name).exists()
    # What it would do is known all the same.
    assert len(jobs.lines_of(table, state, NOW)) == 2
    jobs.turn_on(table, state)
    assert Path(table.name).read_text() == TABLE
    assert Path(table.name).stat().st_mode & 0o777 == 0o600
    assert list(Path(state, "jobs").iterdir()) == []


def test_a_table_that_is_nowhere(state: str) -> None:
    assert jobs.is_missing(Job("cron", state + "/absent"), state)


def test_when_it_is_due_and_what_was_missed(table: Job, state: str) -> None:
    assert jobs.next_due(table, state, NOW, 0.0) == datetime.datetime(2026, 11, 30, 12, 5)
    assert jobs.missed(table, state, NOW, NOW.replace(minute=4)) == []
    (text,) = jobs.missed(table, state, NOW, NOW.replace(minute=5))
    assert text == "/opt/shop/bin/send --all >> /var/log/shop.log 2>&1 (2026-11-30T12:05:00)"


@pytest.mark.parametrize(
    ("command", "runs"),
    [
        (["/bin/sh", "-c", "/opt/shop/bin/send --all >> /var/log/shop.log 2>&1"], True),
        (["/opt/shop/bin/send", "--all"], True),
        (["/usr/bin/python3", "-u", "/opt/shop/bin/send", "--all"], True),
        (["/opt/shop/bin/send", "--some"], False),
        (["/usr/bin/python3", "/opt/shop/bin/other"], False),
        (["true"], True),
        ([""], False),
    ],
)
def test_a_job_that_runs(table: Job, state: str, command: list[str], runs: bool) -> None:
    assert bool(jobs.running(table, state, NOW, [Process(command, True)])) is runs
    # Somebody's own shell with the same words is no job.
    assert jobs.running(table, state, NOW, [Process(command, False)]) == []


def test_what_a_shell_has_become(tmp_path: Path) -> None:
    assert jobs.is_of(["/usr/bin/backup", "--all"], "/usr/bin/backup --all")
    assert not jobs.is_of(["/usr/bin/backup", "--some"], "/usr/bin/backup --all")
    assert jobs.is_of(["mail", "-s", "x"], "mail -s x%text of it")
    assert not jobs.is_of(["x"], "it's never closed")


def test_processes_that_cron_has_started(tmp_path: Path) -> None:
    for number, parent, name, command in (
        (1, 0, "systemd", b"/sbin/init"),
        (10, 1, "cron", b"/usr/sbin/cron\0-f"),
        (20, 10, "cron", b"/usr/sbin/CRON\0-f"),
        (21, 20, "sh (x)", b"/bin/sh\0-c\0send\0"),
        (30, 1, "sh", b"/bin/sh\0-c\0send\0"),
    ):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "status").write_text(f"Name:\t{name}\nPPid:\t{parent}\nUid:\t0\t0\t0\t0\n")
        (tmp_path / str(number) / "cmdline").write_bytes(command)
    (tmp_path / "99").mkdir()
    found = {tuple(process.command): process.by_cron for process in jobs.processes(str(tmp_path)) if process.by_cron}
    assert found == {("/bin/sh", "-c", "send"): True, ("/usr/sbin/CRON", "-f"): True}


class Systemd:
    """What systemctl would say."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.properties = {
            ("shop.timer", "Unit"): "shop.service",
            ("shop.timer", "ActiveState"): "active",
            ("shop.timer", "LoadState"): "loaded",
            ("shop.service", "ActiveState"): "activating",
            ("shop.service", "Type"): "oneshot",
        }

    def __call__(self, *arguments: str) -> str:
        self.asked.append(arguments)
        if arguments[0] == "show":
            name = arguments[2].partition("=")[2]
            return f"{name}={self.properties.get((arguments[1], name), 'not-found')}\n"
        if arguments[:2] in {("stop", "shop.timer"), ("start", "shop.timer")}:
            self.properties["shop.timer", "ActiveState"] = "active" if arguments[0] == "start" else "inactive"
        return ""


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    made = Systemd()
    monkeypatch.setattr(jobs, "systemctl", made)
    monkeypatch.setattr(jobs, "SYSTEM", str(tmp_path / "system"))
    return made


def test_a_timer_stays_off_after_a_restart(systemd: Systemd, tmp_path: Path, state: str) -> None:
    job = Job("timer", "shop.timer")
    jobs.turn_off(job, state)
    drop_in = tmp_path / "system" / "shop.timer.d" / "cutover-off.conf"
    assert "ConditionPathExists=/nonexistent" in drop_in.read_text()
    assert systemd.asked == [("daemon-reload",), ("stop", "shop.timer")]
    assert jobs.is_off(job, state)
    jobs.turn_on(job, state)
    assert systemd.asked[-2:] == [("daemon-reload",), ("start", "shop.timer")]
    assert not drop_in.parent.exists()
    assert not jobs.is_off(job, state)


def test_a_timer_that_somebody_started_again_is_not_off(systemd: Systemd, state: str) -> None:
    job = Job("timer", "shop.timer")
    jobs.turn_off(job, state)
    systemd.properties["shop.timer", "ActiveState"] = "active"
    assert not jobs.is_off(job, state)


@pytest.mark.parametrize(
    ("active", "kind", "runs"),
    [
        ("activating", "oneshot", True),
        ("inactive", "oneshot", False),
        ("active", "oneshot", False),
        ("active", "simple", True),
        ("deactivating", "simple", True),
    ],
)
def test_what_a_timer_starts_runs(systemd: Systemd, state: str, active: str, kind: str, runs: bool) -> None:
    systemd.properties.update({("shop.service", "ActiveState"): active, ("shop.service", "Type"): kind})
    assert jobs.running(Job("timer", "shop.timer"), state, NOW, []) == (["shop.service"] if runs else [])


def test_a_timer_that_is_nowhere(systemd: Systemd, state: str) -> None:
    assert jobs.is_missing(Job("timer", "other.timer"), state)
    assert not jobs.is_missing(Job("timer", "shop.timer"), state)
