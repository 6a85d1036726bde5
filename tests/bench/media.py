# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What uploaded files add to the pause: to and fro without them, with them, and without them again, under traffic.

``python -m tests.bench.media [--rounds 3] [--rate 60] [--rows FILES]`` with ENGINE as for the demo.
build/bench/ENGINE/media.json has the medians of each and the difference.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import sys
import time
from typing import Any

from tests.bench.pauses import PLAYBOOKS, Bench
from tests.lab import machines, provisioned
from tests.lab.demo import control_traffic, databases, running_traffic
from tests.lab.docker import LabError
from tests.lab.hosts import CHECKOUT, Lab

MEDIA = "/opt/ocpizza/media"
MAKE = """
import os, sys
for number in range(int(sys.argv[2])):
    folder = os.path.join(sys.argv[1], "bench", "%02x" % (number % 256))
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "%d.png" % number), "wb") as stream:
        stream.write(b"%d" % number * 200)
"""


class MediaBench(Bench):
    """A lab whose site has so many files, and then not."""

    def on_old(self, command: str) -> None:
        """Run something as the application's user on the old server."""
        shell = f"sudo -u ocpizza sh -c {shlex.quote(command)}"
        status = machines.connect(self.lab, "old", shell)
        if status:
            raise LabError(f"'{command[:60]}' failed on the old server")

    def rounds(self, count: int, label: str) -> list[dict[str, Any]]:
        """To and fro, beginning and ending on the source."""
        moves = [self.move(way) for _round in range(count) for way in ("cutover", "rollback")]
        return [dict(move, files=label) for move in moves]

    def run_with_and_without(self, files: int, rounds: int) -> dict[str, Any]:
        """Provision, migrate, go back, and measure."""
        provisioned.bring_up(self.lab, lambda: self.playbook(CHECKOUT / "tests" / "lab" / "provision.yml"))
        with running_traffic(self.lab, self.out, self.rate, at_most_s=7200) as traffic:
            time.sleep(5)
            self.playbook(PLAYBOOKS / "migrate.yml")
            self.move("rollback")
            moves = self.rounds(rounds, "without")
            self.on_old(f"python3 -c {shlex.quote(MAKE)} {MEDIA} {files}")
            # The first time brings them over before the hold; what is measured is to have them.
            moves += self.rounds(rounds * 2, "with")
            self.on_old(f"rm -r {MEDIA}/bench")
            moves += self.rounds(rounds, "without")
            control_traffic(self.out, self.rate, stop=True, **databases(self.lab, "old"))
            traffic.wait(timeout=600)
        counted = json.loads((self.out / "traffic.json").read_text())
        return {
            "files": files,
            **figures(moves),
            "traffic": {
                name: counted[name]
                for name in ("requests", "failed", "acknowledged_writes", "lost_writes", "duplicated_writes")
            },
            "moves": moves,
        }


def figures(moves: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians with and without the files, and what they add."""
    found: dict[str, Any] = {}
    for which in ("without", "with"):
        mine = [move for move in moves if move["files"] == which]
        found[f"pause_ms_{which}"] = statistics.median(move["pause_ms"] for move in mine)
        found[f"media_ms_{which}"] = statistics.median(move["steps"]["media"] for move in mine)
        found[f"longest_media_ms_{which}"] = max(move["steps"]["media"] for move in mine)
    found["added_to_the_pause_ms"] = round(found["pause_ms_with"] - found["pause_ms_without"], 1)
    found["added_to_the_step_ms"] = round(found["media_ms_with"] - found["media_ms_without"], 1)
    return found


def main() -> int:
    """Measure, print, and take the lab away unless KEEP=1."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.media", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=60)
    parser.add_argument("--rows", type=int, default=100_000, help="how many files")
    options = parser.parse_args()
    lab = Lab.from_environment()
    out = CHECKOUT / "build" / "bench" / os.environ.get("ENGINE", "mariadb") / "media"
    out.mkdir(parents=True, exist_ok=True)
    for left in ("journal.jsonl", "traffic-control.json", "ansible.log"):
        (out / left).unlink(missing_ok=True)
    bench = MediaBench(lab, out, options.rate, 0)
    try:
        result = bench.run_with_and_without(options.rows, options.rounds)
    finally:
        if not os.environ.get("KEEP"):
            machines.down(lab)
    (out.parent / "media.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps({name: value for name, value in result.items() if name != "moves"}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
