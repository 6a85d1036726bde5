# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook as a user starts it, in a process group of its own so that its controller can be killed whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.lab.hosts import CHECKOUT, Lab


def environment(lab: Lab, out: Path) -> dict[str, str]:
    """What the lab's inventory reads; run data goes to ``out``."""
    return {
        **os.environ,
        "LAB": lab.name,
        "LAB_PORT": str(lab.port),
        "CUTOVER_RUN_DIR": str(out),
        "ANSIBLE_NOCOLOR": "1",
    }


def start(lab: Lab, out: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start one of playbooks/, or one by its path, with arguments; its output is added to ansible.log in ``out``."""
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "../inventories/lab", *arguments]
    with (out / "ansible.log").open("ab") as log:
        return subprocess.Popen(
            command,
            cwd=CHECKOUT / "playbooks",
            env=environment(lab, out),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
