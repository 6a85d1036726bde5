# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drives ansible-runner: a private directory per run, events that are only looked at, an end that can be asked for."""

import json
import os
import re
import shlex
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ansible_runner

from cutover import collection
from cutover.job import Job

# How long ansible-playbook may take to end by itself after it was asked to.
GRACE_S = 15.0
ERROR_LINE = re.compile(r"^(\[ERROR\]:|ERROR!)\s*(.+)")


@dataclass(frozen=True)
class Failure:
    """The task that ended a run."""

    task: str
    host: str
    message: str


class Engine:
    """One run of ansible-playbook. ``start`` returns at once; ``wait`` tells whether it has ended."""

    def __init__(self, job: Job, keep: bool = False) -> None:
        self.job = job
        self.play = ""
        self.task = ""
        self.failure: Failure | None = None
        self.stats: dict[str, dict[str, int]] = {}
        self._keep = keep
        self._item_message = ""
        self._kill = False
        self._stop_asked: float | None = None
        ident = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) + f"-{os.getpid()}"
        self._private = job.run_dir / "runner" / ident
        self.log = job.run_dir / "logs" / f"{ident}-{job.name}.log"
        self._ident = ident

    def start(self) -> None:
        """Start the playbook in the background."""
        self._private.mkdir(mode=0o700, parents=True)
        self.log.parent.mkdir(mode=0o700, exist_ok=True)
        self._thread, self._runner = ansible_runner.run_async(
            private_data_dir=str(self._private),
            project_dir=os.getcwd(),
            ident=self._ident,
            playbook=self.job.playbook,
            inventory=self.job.inventories,
            cmdline=shlex.join(self._options()),
            envvars=self._environment(),
            settings={"pexpect_timeout": 1, "suppress_ansible_output": True},
            quiet=True,
            event_handler=self._look,
            cancel_callback=self._cancelled,
        )

    def wait(self, seconds: float) -> bool:
        """Wait at most that long; True once the run has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def rc(self) -> int:
        """The exit status of ansible-playbook, once it has ended."""
        return self._runner.rc if isinstance(self._runner.rc, int) else 254

    def stop(self) -> None:
        """Ask the run to end; asked a second time, or not heard, it is ended."""
        if self._stop_asked is not None:
            self._kill = True
            return
        self._stop_asked = time.monotonic()
        for pid in _children():
            try:
                os.kill(pid, signal.SIGINT)
            except ProcessLookupError:
                continue

    def finish(self) -> None:
        """Keep the log, and remove the private directory unless it is wanted."""
        stdout = self._private / "artifacts" / self._ident / "stdout"
        if stdout.exists():
            shutil.copyfile(stdout, self.log)
            self.log.chmod(0o600)
        if self.rc != 0 and self.failure is None:
            self.failure = self._failure_from_log()
        if self._keep:
            # It holds the whole environment of the caller.
            (self._private / "artifacts" / self._ident / "command").unlink(missing_ok=True)
            return
        shutil.rmtree(self._private, ignore_errors=True)
        if not any(self._private.parent.iterdir()):
            self._private.parent.rmdir()

    def _options(self) -> list[str]:
        job = self.job
        options = []
        folder = self._private / "extra"
        folder.mkdir(mode=0o700)
        for place, extra in enumerate(job.extra):
            path = extra.path
            if path is None:
                path = folder / f"{place}.json"
                path.touch(mode=0o600)
                path.write_text(json.dumps(extra.values), encoding="utf-8")
            options += ["-e", f"@{path}"]
        for option, value in (
            ("--limit", job.limit),
            ("--tags", job.tags),
            ("--vault-password-file", job.vault_password_file),
        ):
            options += [option, str(value)] if value else []
        options += ["--check"] if job.check else []
        options += ["--diff"] if job.diff else []
        options += ["-" + "v" * job.verbosity] if job.verbosity else []
        return options

    def _environment(self) -> dict[str, str]:
        folder = str(Path(sys.executable).parent)
        environment = {"PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}", "ANSIBLE_NOCOLOR": "1"}
        if self.job.config:
            environment["ANSIBLE_CONFIG"] = str(self.job.config)
        search_path = collection.search_path(self.job.config)
        if search_path:
            environment["ANSIBLE_COLLECTIONS_PATH"] = search_path
        return environment

    def _cancelled(self) -> bool:
        late = self._stop_asked is not None and time.monotonic() - self._stop_asked > GRACE_S
        return self._kill or late

    def _look(self, event: dict[str, Any]) -> bool:
        """Called for each event in the runner's thread: one that raises would stop the run, one that waits slow it."""
        try:
            self._take(event.get("event", ""), event.get("event_data") or {})
        except Exception:  # whatever an event holds, the run goes on
            return False
        return False

    def _take(self, kind: str, data: dict[str, Any]) -> None:
        if kind == "playbook_on_play_start":
            self.play, self.task = str(data.get("name") or data.get("play") or ""), ""
        elif kind == "playbook_on_task_start":
            self.task, self._item_message = str(data.get("task") or ""), ""
        elif kind == "runner_item_on_failed":
            self._item_message = _message(data.get("res"))
        elif kind == "runner_on_unreachable" or (kind == "runner_on_failed" and not data.get("ignore_errors")):
            message = self._item_message or _message(data.get("res"))
            if self.failure and self.failure.message and self.failure.message in message:
                # A rescue that told the journal and stops with the words of what it rescued.
                return
            self.failure = Failure(str(data.get("task") or ""), str(data.get("host") or ""), message)
        elif kind == "playbook_on_stats":
            names = ("ok", "changed", "failures", "dark")
            self.stats = {name: dict(data.get(name) or {}) for name in names}

    def _failure_from_log(self) -> Failure | None:
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return None
        found = [match for match in map(ERROR_LINE.match, lines) if match]
        return Failure("", "", found[0].group(2)) if found else None


def _message(result: object) -> str:
    if not isinstance(result, dict):
        return ""
    if "censored" in result:
        return "hidden, because it may hold a secret (no_log)"
    text = str(result.get("msg") or result.get("stderr") or result.get("exception") or "no message")
    line = " ".join(text.split())
    return line if len(line) <= 600 else line[:597] + "..."


def _children() -> list[int]:
    """The processes that the runner started for us: ansible-playbook has no terminal that could pass Ctrl-C on."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            found.append(int(status.parent.name))
    return found
