# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker client as functions; every command is a list."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

# An older client may stand before Debian's on PATH and speak an API that the engine no longer has.
CLIENT = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else "docker"


class LabError(Exception):
    """What went wrong, where, and what to do; shown as one line."""


def docker(*arguments: str, stdin: str | None = None, check: bool = True) -> str:
    """Run the client and return what it printed."""
    done = subprocess.run([CLIENT, *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=300)
    if check and done.returncode != 0:
        raise LabError(f"docker {' '.join(arguments[:3])}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def answers() -> bool:
    """Whether there is a client and an engine behind it."""
    if not Path(CLIENT).exists() and shutil.which(CLIENT) is None:
        return False
    return subprocess.run([CLIENT, "info"], capture_output=True, check=False).returncode == 0


def names(kind: str, *filters: str) -> list[str]:
    """Names of the containers, networks, volumes or images that fit the filters."""
    flags = [flag for each in filters for flag in ("--filter", each)]
    commands = {
        "container": ["ps", "--all", "--format", "{{.Names}}"],
        "network": ["network", "ls", "--format", "{{.Name}}"],
        "volume": ["volume", "ls", "--format", "{{.Name}}"],
        "image": ["images", "--all", "--quiet", "--no-trunc"],
    }
    return sorted(set(docker(*commands[kind], *flags).split()))


def state(container: str) -> str:
    """`running`, `exited` and so on; empty when there is no such container."""
    return docker("container", "inspect", "--format", "{{.State.Status}}", container, check=False).strip()


def image_label(image: str, label: str) -> str:
    """A label's value; empty when there is no such image or label."""
    form = f'{{{{ index .Config.Labels "{label}" }}}}'
    return docker("image", "inspect", "--format", form, image, check=False).strip()


def execute(container: str, *command: str, stdin: str | None = None, check: bool = True) -> str:
    """Run a command inside a container."""
    flags = ["-i"] if stdin is not None else []
    return docker("exec", *flags, container, *command, stdin=stdin, check=check)
