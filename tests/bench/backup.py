# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup and a restore drill cost the site's requests, and that every row of a large table comes back.

``python -m tests.bench.backup [--rows 1000000] [--rounds 3] [--rate 100]`` with ENGINE as for the demo:
build/bench/ENGINE/backup.json. Fails where p99 with a backup is over 1.5 times what it is without, or a row differs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench.pauses import archive
from tests.integration.site import Site
from tests.lab import machines, operated
from tests.lab.docker import execute
from tests.lab.engines import client
from tests.lab.hosts import CHECKOUT, Lab
from tests.lab.traffic.__main__ import add_windows
from tests.lab.traffic.timeline import Window

CALM_S = 20
MOST = 1.5
SUM = "SELECT COUNT(*), SUM(id), SUM(customer), SUM(total) FROM archive;"


def fill(lab: Lab, rows: int) -> None:
    """A large table beside the site's own."""
    command = machines.ssh_command(lab, "db", client(lab.engines[0], "ocpizza"))
    subprocess.run(command, input=archive(lab.engines[0], rows), text=True, check=True)


def spans(lab: Lab, rounds: int) -> list[Window]:
    """Calm, a backup, calm, a drill, again and again; by the units that the timers start."""
    found = []
    for number in range(rounds):
        for name, unit in (("backup", "cutover-backup-ocpizza"), ("drill", "cutover-backup-drill-ocpizza")):
            began = time.time()
            time.sleep(CALM_S)
            found.append(Window(f"calm-{name}-{number}", began + 5, time.time()))
            began = time.time()
            execute(f"{lab.name}-db", "systemctl", "start", f"{unit}.service")
            found.append(Window(f"{name}-{number}", began, time.time()))
            print(f"{name} {number}: {time.time() - began:.1f} s", flush=True)
    return found


def judge(windows: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Each round beside the calm before it."""
    p99 = {one["name"]: one["p99_ms"] for one in windows}
    ratios = [p99[name] / p99[f"calm-{name}"] for name in p99 if name.startswith(f"{kind}-")]
    return {
        "p99_ms": [p99[name] for name in p99 if name.startswith(f"{kind}-")],
        "p99_ms_before": [p99[name] for name in p99 if name.startswith(f"calm-{kind}-")],
        "ratio": round(statistics.median(ratios), 2),
    }


def bring_back(lab: Lab, rows: int) -> dict[str, Any]:
    """The large table lost and brought back, and the whole database beside the site; each proven row by row."""
    command = machines.ssh_command(lab, "db", client(lab.engines[0], "ocpizza"))
    whole = str(json.loads(execute(f"{lab.name}-db", "cat", f"{operated.STORE}/status.json"))["run"]["backup"])

    def ask(statement: str) -> str:
        done = subprocess.run(command, input=statement, text=True, check=True, capture_output=True)
        return done.stdout.strip()

    before = ask(SUM)
    ask("UPDATE archive SET note = 'lost' WHERE id % 3 = 0; DELETE FROM archive WHERE id % 7 = 0;")
    table = "public.archive" if lab.engines[0] == "postgresql" else "archive"
    back = operated.backup(lab, "restore --backup", whole, "--database ocpizza --table", table)
    assert ask(SUM) == before, ask(SUM)
    assert ask("SELECT COUNT(*) FROM archive WHERE note = 'lost';") == "0"
    beside = operated.backup(lab, "restore --backup", whole, "--database ocpizza --into beside")
    assert int(str(beside["rows"])) >= rows
    return {"table_seconds": back["seconds"], "beside_seconds": beside["seconds"], "rows": beside["rows"]}


def measure(lab: Lab, out: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """All of it, on a lab from nothing."""
    site = Site(lab, out)
    operated.bring_up(lab, lambda path: site.run(str(path), cwd=CHECKOUT))
    fill(lab, asked.rows)
    site.run("-i", str(operated.inventory(lab, out)), "schedule_backup.yml", "-e", "backup_now=true")
    with operated.running_traffic(lab, out, asked.rate):
        windows = spans(lab, asked.rounds)
    counted = add_windows(out / "traffic.json", windows)
    status = json.loads(execute(f"{lab.name}-db", "cat", f"{operated.STORE}/status.json"))
    return {
        "rows": asked.rows,
        "traffic": {name: counted[name] for name in ("requests", "failed", "lost_writes", "duplicated_writes")},
        "rate": [one["rate"] for one in counted["windows"]],
        "backup": judge(counted["windows"], "backup"),
        "drill": judge(counted["windows"], "drill"),
        "seconds": {"backup": status["run"]["seconds"], "drill": status["drill"]["seconds"]},
        "drill_rows": status["drill"]["rows"],
        "restore": bring_back(lab, asked.rows),
    }


def main() -> int:
    """Measure, print, and take the lab away unless KEEP=1."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.backup", description=__doc__)
    parser.add_argument("--rows", type=int, default=1000000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=100)
    asked = parser.parse_args()
    lab = Lab.from_environment()
    out = CHECKOUT / "build" / "bench" / os.environ.get("ENGINE", "mariadb") / "backup"
    out.mkdir(parents=True, exist_ok=True)
    try:
        result = measure(lab, out, asked)
    finally:
        if not os.environ.get("KEEP"):
            machines.down(lab)
    out.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    fine = result["backup"]["ratio"] <= MOST and result["traffic"]["failed"] == 0
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
