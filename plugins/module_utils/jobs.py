# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site's jobs on one host, turned off so that they run on one side alone: systemd's timers and cron's tables.

A timer that is off has a drop-in with a condition that never holds, so that a restart of the host does not start it. A
table of cron's is kept in the site's own folder meanwhile: cron knows it no more by its next minute.
"""

import contextlib
import datetime
import itertools
import os
import re
import shlex
import shutil
import subprocess
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence

from ansible_collections.ocpizza.cutover.plugins.module_utils import proc, schedules

SYSTEM = "/etc/systemd/system"
SPOOLS = ("/var/spool/cron/crontabs", "/var/spool/cron")
DROP_IN = (
    "# ocpizza.cutover: the site's jobs run on its other side; removed again when they run here.\n"
    "[Unit]\nConditionPathExists=/nonexistent\n"
)


class Job(NamedTuple):
    """One timer, or one table of cron's."""

    kind: str
    name: str

    def text(self) -> str:
        """What people call it."""
        return {"timer": "{0}", "cron": "{0}", "crontab": "the crontab of {0}"}[self.kind].format(self.name)


class Process(NamedTuple):
    """One process, and whether cron has started it."""

    command: Sequence[str]
    by_cron: bool


def wanted(given: Iterable[Dict[str, Any]]) -> List[Job]:
    """The jobs that are named; ValueError where an entry names none, or two."""
    found = []
    for one in given:
        named = [(kind, str(one[kind])) for kind in ("timer", "cron", "crontab") if one.get(kind)]
        if len(named) != 1:
            raise ValueError("an entry of site_jobs names one of timer, cron and crontab; this one has {0}".format(one))
        found.append(Job(*named[0]))
    return found


def table_of(job: Job) -> str:
    """Where cron looks for a table."""
    if job.kind == "cron":
        return job.name
    spool = next((folder for folder in SPOOLS if os.path.isdir(folder)), SPOOLS[0])
    return os.path.join(spool, job.name)


def kept_of(job: Job, folder: str) -> str:
    """Where a table is while it is off."""
    return os.path.join(folder, "jobs", job.name.strip("/").replace("/", "-"))


def drop_in_of(job: Job) -> str:
    """The file that keeps a timer from starting."""
    return os.path.join(SYSTEM, job.name + ".d", "cutover-off.conf")


def is_off(job: Job, folder: str) -> bool:
    """Whether a job cannot start."""
    if job.kind == "timer":
        return os.path.exists(drop_in_of(job)) and shown(job.name, "ActiveState") not in ("active", "activating")
    return not os.path.exists(table_of(job))


def is_missing(job: Job, folder: str) -> bool:
    """Whether there is no such job, on or off."""
    if job.kind == "timer":
        return shown(job.name, "LoadState") == "not-found"
    return not os.path.exists(table_of(job)) and not os.path.exists(kept_of(job, folder))


def turn_off(job: Job, folder: str) -> None:
    """Have a job not start any more; what runs goes on."""
    if job.kind == "timer":
        os.makedirs(os.path.dirname(drop_in_of(job)), exist_ok=True)
        with open(drop_in_of(job), "w", encoding="ascii") as stream:
            stream.write(DROP_IN)
        systemctl("daemon-reload")
        systemctl("stop", job.name)
        return
    os.makedirs(os.path.join(folder, "jobs"), mode=0o700, exist_ok=True)
    move(table_of(job), kept_of(job, folder))


def turn_on(job: Job, folder: str) -> None:
    """Have a job start when it is due."""
    if job.kind == "timer":
        os.unlink(drop_in_of(job))
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(drop_in_of(job)))
        systemctl("daemon-reload")
        systemctl("start", job.name)
        return
    move(kept_of(job, folder), table_of(job))


def move(here: str, there: str) -> None:
    """Move a table with its owner and mode; cron looks again where a folder has changed."""
    status = os.stat(here)
    shutil.copy2(here, there + ".new")
    os.chown(there + ".new", status.st_uid, status.st_gid)
    os.rename(there + ".new", there)
    os.unlink(here)


def lines_of(job: Job, folder: str, now: datetime.datetime) -> List[Dict[str, Any]]:
    """What a table says, on or off."""
    path = next((path for path in (table_of(job), kept_of(job, folder)) if os.path.exists(path)), "")
    if not path:
        return []
    with open(path, encoding="utf-8", errors="replace") as stream:
        found, _broken = schedules.parse_crontab(stream.read(), path, job.name if job.kind == "crontab" else "", now)
    return found


def next_due(job: Job, folder: str, now: datetime.datetime, uptime: float) -> Optional[datetime.datetime]:
    """When a job starts next."""
    if job.kind == "timer":
        text = show(job.name, "Id", "LoadState", "NextElapseUSecRealtime", "NextElapseUSecMonotonic")
        dues = [one["next"] for one in schedules.parse_timers(text, now, uptime)]
    else:
        dues = [one["next"] for one in lines_of(job, folder, now)]
    times = [datetime.datetime.strptime(due, "%Y-%m-%dT%H:%M:%S") for due in dues if due]
    return min(times) if times else None


def missed(job: Job, folder: str, off: datetime.datetime, on: datetime.datetime) -> List[str]:
    """What of a table was due between two instants. Timers that must not miss a run have Persistent=true."""
    if job.kind == "timer":
        return []
    return [
        "{0} ({1})".format(one["command"], one["next"])
        for one in lines_of(job, folder, off)
        if one["next"] and one["next"] <= on.strftime("%Y-%m-%dT%H:%M:%S")
    ]


def running(job: Job, folder: str, now: datetime.datetime, processes: Sequence[Process]) -> List[str]:
    """What of a job runs now."""
    if job.kind == "timer":
        unit = shown(job.name, "Unit")
        state = shown(unit, "ActiveState") if unit else ""
        kind = shown(unit, "Type") if unit else ""
        # A oneshot that has ended may stay active (RemainAfterExit).
        busy = state in ("activating", "deactivating") or (state == "active" and kind != "oneshot")
        return [unit] if busy else []
    return [
        line["command"]
        for line in lines_of(job, folder, now)
        if any(process.by_cron and is_of(process.command, line["command"]) for process in processes)
    ]


def is_of(command: Sequence[str], line: str) -> bool:
    """Whether a process is that of a line: the shell that cron started, or what the shell has become."""
    line = line.partition("%")[0].strip()
    if len(command) > 2 and command[1] == "-c" and command[2].strip() == line:
        return True
    try:
        words = shlex.split(line)
    except ValueError:
        return False
    # One with an operator stays a shell, but for where its output goes.
    plain = list(itertools.takewhile(lambda word: not re.match(r"\d?[<>]|[|;&]", word), words))
    # A script's interpreter stands before it, with an option perhaps.
    return bool(plain) and any(list(command[skip : skip + len(plain)]) == plain for skip in range(3))


def processes(root: str = "/proc") -> List[Process]:
    """What runs on this host."""
    found = proc.Processes(root).by_pid
    return [Process(one["command"], any(cron(name) for name in ancestors(found, pid))) for pid, one in found.items()]


def cron(name: str) -> bool:
    """Whether a process of this name is cron, or what it becomes to start a job."""
    return name.lower() in ("cron", "crond")


def ancestors(found: Dict[int, Dict[str, Any]], pid: int) -> Iterator[str]:
    """The names of the processes above one."""
    while pid in found:
        pid = found[pid]["parent"]
        if pid in found:
            yield found[pid]["name"]


def show(unit: str, *names: str) -> str:
    """Properties of a unit, as systemctl shows them."""
    return systemctl("show", unit, *["--property=" + name for name in names])


def shown(unit: str, name: str) -> str:
    """One property of a unit."""
    return show(unit, name).strip().partition("=")[2]


def systemctl(*arguments: str) -> str:
    """Ask systemd; OSError with its words where it refuses."""
    done = subprocess.run(
        ["systemctl", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        check=False,
        env=dict(os.environ, LC_ALL="C"),
    )
    if done.returncode:
        raise OSError("systemctl {0}: {1}".format(" ".join(arguments), done.stderr.strip()))
    return done.stdout
