# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a large server takes to be read: build/bench/survey/survey.json.

``python -m tests.bench.survey [--vhosts 500] [--databases 200]``. Half of the virtual hosts are Apache's, half nginx's,
each with a certificate, a log, a pool of PHP with its settings, and a job; half of the databases are MariaDB's, half
PostgreSQL's. KEEP=1 leaves the container up.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.integration.mysql_servers import FLAGS
from tests.lab.docker import docker, execute, state
from tests.lab.hosts import CHECKOUT

CONTAINER = os.environ.get("LAB", "cutover-lab") + "-bench-survey"
RESULT = CHECKOUT / "build" / "bench" / "survey"
LIMIT = 60
IMAGES = CHECKOUT / "tests" / "lab" / "images.sh"
MAKE = Path(__file__).with_name("survey_server.sh")


def read() -> float:
    """Run the playbook; how long it took on the clock."""
    begun = time.monotonic()
    command = ["ansible-playbook", "-i", f"{CONTAINER},", "-c", "community.docker.docker", "playbooks/survey.yml", "-e"]
    variables = {"survey_dir": str(RESULT), "ansible_become": False, "ansible_python_interpreter": "/usr/bin/python3"}
    environment = os.environ | {"ANSIBLE_COLLECTIONS_PATH": "build/collections"}
    subprocess.run([*command, json.dumps(variables)], cwd=CHECKOUT, env=environment, check=True)
    return time.monotonic() - begun


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--vhosts", type=int, default=500)
    parser.add_argument("--databases", type=int, default=200)
    parser.add_argument("--rows", help="not used here")
    asked = parser.parse_args()
    if not state(CONTAINER):
        subprocess.run(["sh", str(IMAGES), "bullseye"], check=True)
        flags = [*FLAGS.split(), "--cap-add", "SYS_PTRACE"]
        docker("run", "--detach", "--name", CONTAINER, *flags, "cutover-lab:bullseye")
        execute(CONTAINER, "sh", "-c", "until systemctl is-system-running | grep -Eq 'run|degr'; do sleep 0.2; done")
        script = MAKE.read_text(encoding="utf-8")
        execute(CONTAINER, "sh", "-s", str(asked.vhosts), str(asked.databases), stdin=script)
    seconds = read()
    report = json.loads((RESULT / "report.json").read_text(encoding="utf-8"))
    found = {
        "vhosts": len(report["vhosts"]),
        "databases": sum(len(one["databases"]) for one in report["databases"]),
        "linked": sum(bool(one["databases"]) for one in report["sites"]),
        "module_seconds": report["seconds"],
        "playbook_seconds": round(seconds, 1),
    }
    (RESULT / "survey.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found))
    if os.environ.get("KEEP") != "1":
        docker("rm", "--force", "--volumes", CONTAINER)
    complete = (found["vhosts"], found["databases"]) == (asked.vhosts, asked.databases)
    return 0 if complete and seconds < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
