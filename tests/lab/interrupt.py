# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""make interrupt: the controller is killed in every phase of a migration under traffic, and the same command goes on.

Nothing is cleaned up in between, and nothing is asked of a person: build/interrupt/report.json says what was killed
when, and what the traffic saw of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

from tests.lab import machines, playbook, provisioned
from tests.lab.demo import control_traffic, databases, running_traffic
from tests.lab.docker import LabError
from tests.lab.hosts import CHECKOUT, Lab

OUT = CHECKOUT / "build" / "interrupt"
RATE = 30.0
PATIENCE_S = 900
# Seconds after a phase has begun; long phases are killed twice, early and in the middle of their work.
BLOWS = (
    ("discover", 1.0),
    ("check", 1.5),
    ("backup", 8.0),
    ("prepare", 15.0),
    ("prepare", 60.0),
    ("replicate", 6.0),
    ("replicate", 18.0),
    ("replicate", 24.0),
    ("verify", 1.5),
    ("cutover", 2.0),
    ("cutover", 5.0),
)


class Interruptions:
    """One lab, one migration, killed again and again."""

    def __init__(self, lab: Lab) -> None:
        """Nothing is started yet."""
        self.lab = lab

    def through(self, path: str) -> float:
        """Run a playbook to its end: seconds."""
        began = time.monotonic()
        if playbook.start(self.lab, OUT, path).wait(timeout=PATIENCE_S):
            raise LabError(f"{path} failed; see {OUT}/ansible.log")
        return round(time.monotonic() - began, 1)

    def kill_in(self, phase: str, after: float) -> str:
        """Start the migration and kill its controller in a phase: what it was doing."""
        seen = len(_events())
        running = playbook.start(self.lab, OUT, "migrate.yml")
        until = time.monotonic() + PATIENCE_S
        while not any(
            (event["phase"], event["step"], event["status"]) == (phase, "", "started") for event in _events()[seen:]
        ):
            if running.poll() is not None or time.monotonic() > until:
                raise LabError(f"the migration ended before {phase}; see {OUT}/ansible.log")
            time.sleep(0.1)
        time.sleep(after)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        ended = running.wait() != -signal.SIGKILL
        tasks = [line for line in (OUT / "ansible.log").read_text(errors="replace").splitlines() if "TASK [" in line]
        where = tasks[-1].split("[", 1)[1].split("]", 1)[0] if tasks else ""
        return "was over already" if ended else where

    def run(self) -> dict[str, Any]:
        """Kill, go on, and read every acknowledged write back."""
        provisioned.bring_up(self.lab, lambda: self.through("../tests/lab/provision.yml"))
        blows = []
        with running_traffic(self.lab, OUT, RATE, at_most_s=3600) as traffic:
            time.sleep(3)
            for phase, after in BLOWS:
                if _moved():
                    break
                where = self.kill_in(phase, after)
                print(f"killed in {phase:9} after {after:4.1f} s: {where}", flush=True)
                blows.append({"phase": phase, "after_s": after, "task": where})
            seconds = self.through("migrate.yml")
            print(f"the same command went on to the end in {seconds} s", flush=True)
            again = self.through("migrate.yml")
            time.sleep(3)
            if traffic.poll() is not None:
                raise LabError(f"the traffic ended before the migration did; see {OUT}/traffic.log")
            control_traffic(OUT, RATE, stop=True, **databases(self.lab, "db"))
            traffic.wait(timeout=300)
        counted = json.loads((OUT / "traffic.json").read_text())
        names = ("requests", "failed", "acknowledged_writes", "lost_writes", "duplicated_writes", "longest_ms")
        return {
            "blows": blows,
            "last_run_s": seconds,
            "second_run_s": again,
            "switchover": json.loads((OUT / "switchover.json").read_text())["outcome"]
            if (OUT / "switchover.json").exists()
            else "ended without its controller",
            "traffic": {name: counted.get(name) for name in names},
        }


def _events() -> list[dict[str, Any]]:
    events = []
    with contextlib.suppress(OSError):
        for line in (OUT / "journal.jsonl").read_text().splitlines():
            with contextlib.suppress(ValueError):
                events.append(json.loads(line))
    return events


def _moved() -> bool:
    return any((event["phase"], event["step"], event["status"]) == ("cutover", "", "passed") for event in _events())


def main() -> int:
    """The interruptions, and the lab away again unless KEEP=1."""
    lab = Lab.from_environment()
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    try:
        result = Interruptions(lab).run()
    except LabError as problem:
        print(f"interrupt: {problem}", file=sys.stderr)
        return 1
    finally:
        if not os.environ.get("KEEP"):
            machines.down(lab)
    Path(OUT / "report.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps({name: value for name, value in result.items() if name != "blows"}, indent=2))
    traffic = result["traffic"]
    # None is a number that nobody knows.
    return 0 if [traffic[name] for name in ("failed", "lost_writes", "duplicated_writes")] == [0, 0, 0] else 1


if __name__ == "__main__":
    sys.exit(main())
