# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""python -m tests.lab up|provision|status|down|clean|ssh HOST COMMAND…"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from tests.lab import machines
from tests.lab.artefacts import build_artefacts
from tests.lab.docker import LabError
from tests.lab.hosts import CHECKOUT, Lab


def main(arguments: list[str]) -> int:
    """Do what the command line says; the exit status is 0 when it was done."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("up", "provision", "status", "down", "clean"):
        verbs.add_parser(verb)
    ssh = verbs.add_parser("ssh")
    ssh.add_argument("host")
    ssh.add_argument("command", nargs=argparse.REMAINDER)
    chosen = parser.parse_args(arguments)
    try:
        lab = Lab.from_environment()
        if chosen.verb == "ssh":
            return machines.connect(lab, chosen.host, *chosen.command)
        return VERBS[chosen.verb](lab)
    except LabError as problem:
        print(f"lab: {problem}", file=sys.stderr)
        return 1


def up(lab: Lab) -> int:
    """Machines up, and how long that took."""
    started = time.monotonic()
    machines.up(lab)
    print(f"lab: {lab.name} is up after {time.monotonic() - started:.0f} s")
    return 0


def provision(lab: Lab) -> int:
    """The old server as it stood before anybody thought of moving."""
    machines.up(lab)
    build_artefacts()
    playbook = Path(sys.executable).with_name("ansible-playbook")
    command = [str(playbook), "-i", "inventories/lab", "tests/lab/provision.yml"]
    return subprocess.run(command, cwd=CHECKOUT, check=False).returncode


def status(lab: Lab) -> int:
    """One line a machine; fails when one is not running."""
    rows = machines.status(lab)
    for name, state, address in rows:
        print(f"{name:6} {state:10} {address}")
    return 0 if all(state == "running" for _, state, _ in rows) else 1


def down(lab: Lab) -> int:
    """Nothing of this lab is left but the images."""
    machines.down(lab)
    return 0


def clean(_lab: Lab) -> int:
    """Nothing of any lab is left."""
    machines.clean()
    return 0


VERBS = {"up": up, "provision": provision, "status": status, "down": down, "clean": clean}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
