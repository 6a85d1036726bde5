# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A running web server seen from outside: its parent, its workers, a reload that is watched."""

import os
import signal
import time
from typing import Callable, Dict, Iterable, List, Optional, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.web_tree import Server

Run = Callable[..., Tuple[int, str, str]]

POLL = 0.05


class Process:
    """The server's processes, as /proc tells them; everything here is read anew at each call."""

    def __init__(self, server: Server, service: str, run: Run, timeout: float, proc: str = "/proc") -> None:
        self.server = server
        self.service = service
        self.run = run
        self.timeout = timeout
        self.proc = proc
        self.name = os.path.basename(server.binary)

    def parent(self) -> int:
        """The parent's process id, 0 when it does not run."""
        pid = _read(self.server.pid_file).strip()
        if pid.isdigit() and _read(os.path.join(self.proc, pid, "comm")).strip() == self.name:
            return int(pid)
        return 0

    def running(self) -> bool:
        return self.parent() != 0

    def workers(self) -> Dict[int, float]:
        """The parent's children and when each started (seconds since boot), without those on their way out."""
        parent = self.parent()
        ticks = os.sysconf("SC_CLK_TCK")
        found: Dict[int, float] = {}
        if not parent:
            return found
        for pid in os.listdir(self.proc):
            if not pid.isdigit():
                continue
            # The name stands in brackets and may hold spaces: the fields are counted from behind it.
            head, _, tail = _read(os.path.join(self.proc, pid, "stat")).rpartition(")")
            fields = tail.split()
            if len(fields) < 20 or int(fields[1]) != parent or not head.endswith("(" + self.name):
                continue
            if fields[0] == "Z" or "shutting down" in _read(os.path.join(self.proc, pid, "cmdline")):
                continue
            found[int(pid)] = int(fields[19]) / float(ticks)
        return found

    def newer_than_workers(self, paths: Iterable[str]) -> List[str]:
        """Files that were written after the oldest worker began: a reload was missed."""
        workers = self.workers()
        uptime = _read(os.path.join(self.proc, "uptime")).split()
        if not workers or not uptime:
            return []
        began = time.time() - float(uptime[0]) + min(workers.values())
        return [path for path in paths if os.path.lexists(path) and os.lstat(path).st_mtime > began]

    def managed(self) -> bool:
        """Whether systemd runs it; a server started by hand gets the signal itself."""
        if not os.path.isdir("/run/systemd/system"):
            return False
        return self.run(["systemctl", "is-active", "--quiet", self.service])[0] == 0

    def reload(self) -> Optional[str]:
        """Reload gracefully; None once workers with the new configuration run, else what the server said."""
        parent, before = self.parent(), self.workers()
        log = _size(self.server.error_log)
        managed = self.managed()
        if managed:
            code, out, err = self.run(["systemctl", "reload", self.service])
            if code != 0:
                return (out + err + "\n" + self._log_since(log)).strip()
        else:
            os.kill(parent, signal.SIGHUP if self.name == "nginx" else signal.SIGUSR1)
        deadline = time.monotonic() + self.timeout
        while time.monotonic() < deadline:
            said = self._log_since(log)
            if self.parent() != parent or "still could not bind" in said or _gave_up(said):
                return said or "its parent process ended and said nothing in %s" % self.server.error_log
            if set(self.workers()) - set(before) and (not managed or self.managed()):
                return None
            time.sleep(POLL)
        return self._log_since(log) or "no new worker within %d s, and nothing in %s" % (
            self.timeout,
            self.server.error_log,
        )

    def recover(self) -> str:
        """Serve the old files again after they were put back; says how that went."""
        if self.running():
            said = self.reload()
            if said is None:
                return "%s serves with them." % self.service
            return "but %s did not reload with them either: %s." % (self.service, said)
        code, out, err = self.run(["systemctl", "restart", self.service])
        deadline = time.monotonic() + self.timeout
        while code == 0 and time.monotonic() < deadline:
            if self.workers():
                return "%s had ended and was started again with them." % self.service
            time.sleep(POLL)
        return "but %s had ended and does not start: %s. Run: journalctl -u %s" % (
            self.service,
            (out + err).strip().rstrip(".") or "no worker came up",
            self.service,
        )

    def _log_since(self, offset: int) -> str:
        try:
            with open(self.server.error_log, "rb") as stream:
                stream.seek(offset)
                text = stream.read(65536).decode("utf-8", "replace")
        except OSError:
            return ""
        lines = [line for line in text.splitlines() if "[emerg]" in line or "AH" in line or ":error" in line]
        return "\n".join(line for line in lines if ":notice]" not in line and "AH00558" not in line)


def _gave_up(said: str) -> bool:
    return any("[emerg]" in line and "bind()" not in line for line in said.splitlines())


def _read(path: str) -> str:
    try:
        with open(path, "rb") as stream:
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
