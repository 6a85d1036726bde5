# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site as it is after its move: on the new servers alone, backed up, under traffic."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.lab import machines
from tests.lab.artefacts import build_artefacts
from tests.lab.demo import control_traffic, database
from tests.lab.docker import execute
from tests.lab.hosts import CHECKOUT, Lab

LEDGER = "SELECT SUBSTRING(note, 8), COUNT(*) FROM shop_order WHERE note LIKE 'ledger %' GROUP BY note"
STORE = "/var/backups/cutover/ocpizza-scheduled"
BACKUP = "python3 /usr/local/lib/cutover/backup.pyz --config /etc/cutover/backup/ocpizza.json"


def bring_up(lab: Lab, playbook: Callable[[Path], object]) -> None:
    """New servers with the site on them; the old one has nothing."""
    machines.down(lab)
    machines.up(lab)
    build_artefacts()
    if "mysql" in lab.engines:
        playbook(CHECKOUT / "tests" / "lab" / "provision.yml")
    playbook(CHECKOUT / "playbooks" / "deploy.yml")


def inventory(lab: Lab, out: Path) -> Path:
    """What the inventory of the lab lacks: the backups of its database server, with a pair of keys of their own."""
    machine = f"{lab.name}-db"
    execute(machine, "apt-get", "install", "--yes", "--quiet=2", "--no-install-recommends", "age")
    key = out / "backup.key"
    key.write_text(execute(machine, "age-keygen"))
    key.chmod(0o600)
    (public,) = [line.split()[-1] for line in key.read_text().splitlines() if "public key" in line]
    variables = {
        "scheduled_backup_engines": {lab.engines[0]: ["ocpizza"]},
        "scheduled_backup_recipients": [public],
        "scheduled_backup_identity": str(key),
    }
    path = out / "backups.yml"
    path.write_text(json.dumps({"database": {"vars": variables}}))
    return path


def backup(lab: Lab, *words: str) -> dict[str, object]:
    """A verb of the program that keeps the backups, and what it says."""
    return dict(json.loads(execute(f"{lab.name}-db", "sh", "-c", " ".join((BACKUP, *words)))))


@contextlib.contextmanager
def running_traffic(lab: Lab, out: Path, rate: float, at_most_s: float = 1800) -> Iterator[subprocess.Popen[bytes]]:
    """Traffic to the new web server; with the block it ends, and its writes have been read back."""
    control_traffic(out, rate)
    command = [
        *(sys.executable, "-m", "tests.lab.traffic", f"--url={lab.url(43, 'https')}", "--host=ocpizza.test"),
        *(f"--ca={lab.directory / 'ca' / 'ca.pem'}", f"--rate={rate}", f"--seconds={at_most_s}"),
        *(f"--staff-token-file={lab.directory / 'secrets' / 'ocpizza_staff_token'}", f"--out={out / 'traffic.json'}"),
        *(f"--database={database(lab, 'db', 'ocpizza')}", f"--query={LEDGER}"),
    ]
    with (out / "traffic.log").open("wb") as log:
        traffic = subprocess.Popen(command, cwd=CHECKOUT, stdout=log, stderr=log, start_new_session=True)
    try:
        yield traffic
        control_traffic(out, rate, stop=True)
        traffic.wait(timeout=600)
    finally:
        if traffic.poll() is None:
            traffic.terminate()
            traffic.wait()
