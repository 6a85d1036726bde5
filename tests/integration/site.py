# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab as its user sees it: the commands that are typed, and what they leave."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.lab import machines
from tests.lab.demo import database
from tests.lab.hosts import CHECKOUT, Lab

BIN = Path(sys.executable).parent
RECAP = re.compile(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)\s+unreachable=0\s+failed=0", re.MULTILINE)


class Site:
    """The lab, and the commands that a user types."""

    def __init__(self, lab: Lab, out: Path) -> None:
        self.lab = lab
        self.out = out
        self.environment = {
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "LAB": lab.name,
            "LAB_PORT": str(lab.port),
            "CUTOVER_RUN_DIR": str(out),
            "ANSIBLE_NOCOLOR": "1",
        }

    def playbook(self, *arguments: str, cwd: Path = CHECKOUT / "playbooks", **environment: str) -> tuple[int, str]:
        """Exit status and output of ansible-playbook; its warnings are failures."""
        inventory = str(CHECKOUT / "inventories" / "lab")
        done = subprocess.run(
            ["ansible-playbook", "-i", inventory, *arguments],
            cwd=cwd,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        output = done.stdout + done.stderr
        (self.out / "last.log").write_text(output)
        assert "[WARNING]" not in output, output[-3000:]
        assert "[DEPRECATION" not in output, output[-3000:]
        return done.returncode, output

    def run(self, *arguments: str, **environment: str) -> dict[str, int]:
        """Changes a host, of a playbook that must pass."""
        status, output = self.playbook(*arguments, **environment)
        assert status == 0, output[-4000:]
        return {host: int(changed) for host, changed in RECAP.findall(output)}

    def sql(self, host: str, statement: str) -> subprocess.CompletedProcess[str]:
        """A statement as root on a machine's database."""
        command = database(self.lab, host, "ocpizza")
        return subprocess.run(["sh", "-c", command], input=statement, capture_output=True, text=True, check=False)

    def shell(self, host: str, command: str) -> str:
        """What a command prints on a machine."""
        done = subprocess.run(
            machines.ssh_command(self.lab, host, command), capture_output=True, text=True, check=False
        )
        return done.stdout

    def failures(self) -> list[tuple[str, str]]:
        """What failed: (outcome, when)."""
        requests = map(json.loads, (self.out / "requests.jsonl").read_text().splitlines())
        return [(each["outcome"], each["due"]) for each in requests if each["outcome"] not in {"ok", "reconnected"}]

    def evidence(self, name: str) -> dict[str, object]:
        """A file of the run directory."""
        return dict(json.loads((self.out / f"{name}.json").read_text()))
