"""The command itself, with a small playbook through the real ansible-runner."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from cutover import __version__

ROOT = Path(__file__).parents[3]
Cutover = Callable[..., subprocess.CompletedProcess[str]]
JOURNAL = {"path": "{{ site_run_dir }}/journal.jsonl", "phase": "{{ item.0 }}", "status": "{{ item.1 }}"}


def playbook(path: Path, *tasks: dict[str, object]) -> str:
    play = {"name": "Try", "hosts": "all", "gather_facts": False, "connection": "local", "tasks": list(tasks)}
    play["vars"] = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    path.write_text(yaml.safe_dump([play]))
    return str(path)


def journal(*events: tuple[str, str]) -> dict[str, object]:
    return {"name": "Tell", "ocpizza.cutover.journal": JOURNAL, "loop": [list(event) for event in events]}


def environment() -> dict[str, str]:
    paths = f"{ROOT}/build/collections:{ROOT}/src"
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "CUTOVER_"))}
    return {**kept, "PYTHONPATH": paths, "ANSIBLE_COLLECTIONS_PATH": f"{ROOT}/build/collections"}


@pytest.fixture
def cutover(tmp_path: Path) -> Cutover:
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cutover", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False, timeout=120
        )

    return call


def test_version(cutover: Cutover) -> None:
    assert cutover("--version").stdout == f"cutover {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["run", "nothing.yml", "-i", "localhost,"], "cutover: playbook not found: nothing.yml. Give a path, or"),
        (["run", "p.yml", "-i", "nowhere"], "cutover: inventory not found: nowhere. Copy inventories/example"),
        (["run", "p.yml", "-i", "localhost,", "-e", "x"], "cutover: a value of -e is neither name=value nor JSON"),
        (["run", "p.yml", "-i", "localhost,", "--run-dir", "p.yml/x"], "cutover: run directory "),
        (["report", "."], "cutover: there is no journal.jsonl in .. Give the run directory of a run."),
    ],
)
def test_wrong_input_is_one_line(cutover: Cutover, tmp_path: Path, arguments: list[str], line: str) -> None:
    playbook(tmp_path / "p.yml")
    result = cutover(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(line)
    assert result.stderr.count("\n") == 1


def test_a_playbook_without_a_migration(cutover: Cutover, tmp_path: Path) -> None:
    (tmp_path / "secrets.yml").write_text("password: hunter2\n")
    assertion = {"that": ["password == 'hunter2'", "number == 3", "site_run_dir is abs"]}
    play = playbook(
        tmp_path / "p.yml",
        journal(("discover", "started"), ("discover", "passed")),
        {"name": "See the values", "ansible.builtin.assert": assertion},
        {"name": "Change a file", "ansible.builtin.copy": {"content": "x", "dest": f"{tmp_path}/new", "mode": "0600"}},
    )
    options = ("-i", "localhost,", "-e", "@secrets.yml", "-e", '{"number": 3}', "--run-dir", "out")
    result = cutover("run", play, *options)
    assert (result.returncode, result.stderr) == (0, "")
    lines = [line.partition(" ")[2] if line[2:3] == ":" else line for line in result.stdout.splitlines()]
    assert lines[0] == f"{play} → {tmp_path}/out"
    # On a slow machine there are others between, which say that it still works.
    started, passed = [line for line in lines if line.startswith("discover ")]
    assert started == "discover started, planned 20 s"
    assert passed.startswith("discover passed after ")
    assert lines[-1] == "changed: 1 (localhost 1)"
    assert not (tmp_path / "out" / "report.json").exists()
    assert not (tmp_path / "out" / "runner").exists()
    (log,) = (tmp_path / "out" / "logs").iterdir()
    assert "See the values" in log.read_text()
    assert "hunter2" not in log.read_text() + result.stdout


def test_the_private_directory_can_be_kept_without_the_environment(cutover: Cutover, tmp_path: Path) -> None:
    play = playbook(tmp_path / "p.yml")
    assert cutover("run", play, "-i", "localhost,", "--run-dir", "out", "--keep", "-e", "a=b").returncode == 0
    (kept,) = (tmp_path / "out" / "runner").iterdir()
    assert kept.stat().st_mode & 0o077 == 0
    assert json.loads((kept / "extra" / "0.json").read_text()) == {"a": "b"}
    assert not list(kept.glob("artifacts/*/command"))


def test_a_failing_task_is_named_with_its_host_its_message_and_the_log(cutover: Cutover, tmp_path: Path) -> None:
    fail: dict[str, object] = {
        "name": "Check the disk",
        "ansible.builtin.fail": {"msg": "12 GB free\non /srv, 40 needed."},
    }
    calm: dict[str, object] = {"name": "Shrug", "ansible.builtin.fail": {"msg": "no matter"}, "ignore_errors": True}
    result = cutover("run", playbook(tmp_path / "p.yml", calm, fail), "-i", "localhost,", "--run-dir", "out")
    assert result.returncode == 1
    (log,) = (tmp_path / "out" / "logs").iterdir()
    assert result.stderr == f"Failed on localhost: Check the disk\n  12 GB free on /srv, 40 needed.\nLog: {log}\n"


def test_a_rescue_that_stops_with_the_same_words_is_not_the_cause(cutover: Cutover, tmp_path: Path) -> None:
    stop = {"name": "Stop", "ansible.builtin.fail": {"msg": "check failed: {{ ansible_failed_result.msg }}"}}
    block: dict[str, object] = {
        "block": [{"name": "Look", "ansible.builtin.fail": {"msg": "no room"}}],
        "rescue": [stop],
    }
    result = cutover("run", playbook(tmp_path / "p.yml", block), "-i", "localhost,", "--run-dir", "out")
    assert result.stderr.startswith("Failed on localhost: Look\n  no room\n")


def test_a_hidden_result_stays_hidden(cutover: Cutover, tmp_path: Path) -> None:
    fail = {"name": "Set the password", "ansible.builtin.fail": {"msg": "hunter2 is weak"}, "no_log": True}
    result = cutover("run", playbook(tmp_path / "p.yml", fail), "-i", "localhost,", "--run-dir", "out")
    assert "  hidden, because it may hold a secret (no_log)\n" in result.stderr
    assert "hunter2" not in result.stderr + result.stdout


def test_a_playbook_that_does_not_parse(cutover: Cutover, tmp_path: Path) -> None:
    (tmp_path / "p.yml").write_text("- name: Try\n  hosts: all\n  tasks: [{no.such.module: }]\n")
    result = cutover("run", "p.yml", "-i", "localhost,", "--run-dir", "out")
    assert result.returncode == 1
    assert "ansible-playbook ended with status 4" in result.stderr
    assert "no.such.module" in result.stderr


def migration(tmp_path: Path, *without: str) -> str:
    names = ["discover", "check", "backup", "prepare", "replicate", "verify", "cutover"]
    events = [(name, status) for name in names if name not in without for status in ("started", "passed")]
    out = tmp_path / "out"
    out.mkdir()
    proof = {"database": "d", "engine": "mariadb", "tables": 1, "rows": 1, "equal": True}
    proof |= {"position": "p", "coverage": 1}
    switchover = {"outcome": "open", "deadline": 5, "pause_ms": 100, "position": "p", "refused_write": "1290"}
    (out / "switchover.json").write_text(json.dumps({**switchover, "steps": [{"name": "hold", "ms": 3}]}))
    (out / "proof.json").write_text(json.dumps([proof]))
    return playbook(tmp_path / "migrate.yml", journal(*events, *((name, "skipped") for name in without)))


@pytest.mark.parametrize(
    ("without", "status", "verdict"), [((), 0, "PASSED"), (("verify",), 3, "PARTIAL"), (("prepare",), 1, "FAILED")]
)
def test_the_verdict_of_a_migration_is_the_exit_status(
    cutover: Cutover, tmp_path: Path, without: tuple[str, ...], status: int, verdict: str
) -> None:
    result = cutover("run", migration(tmp_path, *without), "-i", "localhost,", "--run-dir", "out")
    assert (result.returncode, result.stderr) == (status, "")
    assert f"{verdict}  out" in result.stdout
    assert result.stdout.endswith(f"report: {tmp_path}/out/report.json\n")
    assert json.loads((tmp_path / "out" / "report.json").read_text())["verdict"] == verdict
    again = cutover("report", "out", "--svg", "picture.svg")
    assert again.returncode == status
    assert "100 ms, deadline 5 s" in again.stdout
    assert verdict in (tmp_path / "picture.svg").read_text()
    assert json.loads(cutover("report", "out", "--json").stdout)["verdict"] == verdict


def test_an_interrupted_run_says_what_it_leaves_and_how_to_go_on(tmp_path: Path) -> None:
    wait = {"name": "Wait", "ansible.builtin.command": "sleep 60", "changed_when": False}
    play = playbook(tmp_path / "p.yml", journal(("cutover", "started")), wait)
    command = [sys.executable, "-m", "cutover", "run", play, "-i", "localhost,", "--run-dir", "out"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if "cutover started" in line:
                break
        process.send_signal(signal.SIGINT)
        output, errors = process.stdout.read(), process.stderr.read()
        assert process.wait(timeout=60) == 130
    assert "stopping: the run was asked to end" in output
    assert "Phase cutover was under way. A switchover that has begun runs on the source by itself" in errors
    assert "give the same command again" in errors
