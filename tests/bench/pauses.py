# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the switchover holds requests, forward and back, several times in a row under traffic.

``python -m tests.bench.pauses [--rounds 5] [--rate 101] [--rows N]`` with ENGINE as for the demo. With --rows the
site's database has a table of so many rows beside its own. build/bench/ENGINE/pauses.json, or pauses-N.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.lab import machines, provisioned
from tests.lab.demo import NORMAL, control_traffic, databases, running_traffic
from tests.lab.engines import client
from tests.lab.hosts import CHECKOUT, Lab

PLAYBOOKS = CHECKOUT / "playbooks"
COLUMNS = "customer integer NOT NULL, total decimal(10, 2) NOT NULL, note varchar(120) NOT NULL, placed timestamp NULL"


class Bench:
    """One lab, moved to and fro."""

    def __init__(self, lab: Lab, out: Path, rate: float, rows: int) -> None:
        """Nothing is started yet."""
        self.lab = lab
        self.rows = rows
        self.out = out
        self.rate = rate
        self.environment = {
            **os.environ,
            "LAB": lab.name,
            "LAB_PORT": str(lab.port),
            "CUTOVER_RUN_DIR": str(out),
        }

    def playbook(self, path: Path) -> None:
        """Run a playbook; its output goes to a file, and to the terminal where it fails."""
        # The controller is a machine of its own elsewhere; here it must not take the processors from who serves.
        command = ["nice", "-n", "10", "ansible-playbook", "-i", str(CHECKOUT / "inventories" / "lab"), str(path)]
        with (self.out / "ansible.log").open("a") as log:
            done = subprocess.run(command, cwd=PLAYBOOKS, env=self.environment, stdout=log, stderr=log, check=False)
        if done.returncode:
            print((self.out / "ansible.log").read_text()[-3000:], file=sys.stderr)
            raise SystemExit(f"{path.name} failed")

    def move(self, name: str) -> dict[str, Any]:
        """One switchover: its pause and its steps."""
        self.playbook(PLAYBOOKS / f"{name}.yml")
        evidence = json.loads((self.out / ("rollback.json" if name == "rollback" else "switchover.json")).read_text())
        steps = {step["name"]: step["ms"] for step in evidence["steps"]}
        print(f"{name:9} pause {evidence['pause_ms']:7.1f} ms  {steps}", flush=True)
        return {"way": name, "pause_ms": evidence["pause_ms"], "steps": steps, "proven": evidence["proven_keys"]}

    def run(self, rounds: int) -> dict[str, Any]:
        """Provision, migrate, and go to and fro."""
        provisioned.bring_up(self.lab, lambda: self.playbook(CHECKOUT / "tests" / "lab" / "provision.yml"))
        if self.rows:
            command = machines.ssh_command(self.lab, "old", client(self.lab.engines[0], "ocpizza"))
            subprocess.run(command, input=archive(self.lab.engines[0], self.rows), text=True, check=True)
        # The new servers are deployed on the processors that the old one serves with: less is asked of it until then.
        with running_traffic(self.lab, self.out, min(NORMAL, self.rate), at_most_s=3600) as traffic:
            time.sleep(5)
            began = time.monotonic()
            self.playbook(PLAYBOOKS / "migrate.yml")
            migration = time.monotonic() - began
            control_traffic(self.out, self.rate)
            moves = [self.move(way) for _round in range(rounds) for way in ("rollback", "cutover")]
            time.sleep(3)
            control_traffic(self.out, self.rate, stop=True, **databases(self.lab, "db"))
            traffic.wait(timeout=600)
        counted = json.loads((self.out / "traffic.json").read_text())
        return {
            "rows": self.rows,
            "migration_s": round(migration, 1),
            "forward_ms": statistics.median(move["pause_ms"] for move in moves if move["way"] == "cutover"),
            "back_ms": statistics.median(move["pause_ms"] for move in moves if move["way"] == "rollback"),
            "longest_ms": max(move["pause_ms"] for move in moves),
            "traffic": {
                name: counted[name]
                for name in ("requests", "failed", "acknowledged_writes", "lost_writes", "duplicated_writes")
            },
            "moves": moves,
        }


def archive(engine: str, rows: int) -> str:
    """The SQL of a table with so many rows, of which the site itself knows nothing."""
    into = "INSERT INTO archive (customer, total, note, placed) SELECT"
    if engine == "postgresql":
        return f"""
            CREATE TABLE archive (id bigserial PRIMARY KEY, {COLUMNS});
            ALTER TABLE archive OWNER TO ocpizza;
            {into} n, n / 100.0, 'left at the back door, parcel ' || n, '2019-05-01 12:00:00'
            FROM generate_series(1, {rows}) n;
        """
    doubled = [min(2**power, rows - 2**power) for power in range(rows.bit_length()) if 2**power < rows]
    return f"""
        CREATE TABLE archive (id bigint AUTO_INCREMENT PRIMARY KEY, {COLUMNS});
        {into} 1, 0.01, 'left at the back door, parcel 1', '2019-05-01 12:00:00';
        SET @n = 1;
    """ + "".join(
        f"""{into} @n := @n + 1, @n / 100.0, CONCAT('left at the back door, parcel ', @n), placed
        FROM archive LIMIT {count};"""
        for count in doubled
    )


def main() -> int:
    """Measure, print, and take the lab away unless KEEP=1."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pauses", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=float, default=101)
    parser.add_argument("--rows", type=int, default=0)
    options = parser.parse_args()
    lab = Lab.from_environment()
    out = CHECKOUT / "build" / "bench" / os.environ.get("ENGINE", "mariadb")
    result_file = out / (f"pauses-{options.rows}.json" if options.rows else "pauses.json")
    # What earlier runs found stays; the journal must not.
    for left in out.glob("*") if out.exists() else ():
        if not left.name.startswith("pauses"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    out.mkdir(parents=True, exist_ok=True)
    bench = Bench(lab, out, options.rate, options.rows)
    try:
        result = bench.run(options.rounds)
    finally:
        if not os.environ.get("KEEP"):
            machines.down(lab)
    result_file.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps({name: value for name, value in result.items() if name != "moves"}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
