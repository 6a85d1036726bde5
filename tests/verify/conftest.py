# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of servers that are in use: they look and change nothing. make verify INVENTORY=... LIMIT=...

Each test asks for what a role should have made of a host (``gunicorn``, ``web``, ``mysql`` ...) and runs on every host
of which the inventory says so.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import testinfra
from testinfra.host import Host

HERE = Path(__file__).resolve().parent
KINDS = ("gunicorn", "web", "static", "mysql", "postgresql", "firewall", "backup", "monitoring", "source")


@cache
def known() -> dict[str, dict[str, Any]]:
    """What Ansible knows of each host, by name."""
    inventory = os.environ.get("INVENTORY")
    if not inventory:
        raise pytest.UsageError("name an inventory: make verify INVENTORY=inventories/shop/hosts.yml")
    if not Path(inventory).exists():
        raise pytest.UsageError(f"there is no inventory {inventory}")
    with tempfile.TemporaryDirectory() as folder:
        command = ["ansible-playbook", "-i", inventory, str(HERE / "variables.yml"), "-e", f"verify_folder={folder}"]
        if limit := os.environ.get("LIMIT"):
            command += ["--limit", limit]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise pytest.UsageError(f"not every host could be asked:\n{(done.stdout + done.stderr)[-2000:]}")
        return {path.stem: json.loads(path.read_text()) for path in sorted(Path(folder).glob("*.json"))}


def reached(host: dict[str, Any]) -> Host:
    """A host as testinfra reaches it, which is as Ansible does."""
    options = ["-o", "BatchMode=yes", "-o", "ControlMaster=auto", "-o", "ControlPersist=60s"]
    options += ["-o", f"ControlPath={tempfile.gettempdir()}/cutover-verify-%C", *shlex.split(host["arguments"])]
    return testinfra.get_host(
        f"ssh://{host['user']}{'@' if host['user'] else ''}{host['address']}:{host['port']}",
        ssh_identity_file=host["key"] or None,
        ssh_extra_args=shlex.join(options),
        sudo=host["become"],
    )


def pytest_configure() -> None:
    """Ask all hosts before the first test: bad input is one error."""
    known()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each host that the test is about."""
    kind = next((name for name in KINDS if name in metafunc.fixturenames), None)
    if kind:
        about = {name: host for name, host in known().items() if host[kind]}
        each = [(reached(host), host[kind]) for host in about.values()]
        metafunc.parametrize(("server", kind), each, ids=list(about))
