# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The zips that the roles are given: built once, and again when their sources are newer."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

from tests.lab.docker import LabError
from tests.lab.hosts import CHECKOUT

EXAMPLES = CHECKOUT / "examples"
ARTEFACTS = CHECKOUT / "build" / "artefacts"
RELEASES = ("1.0", "1.1")


def build_artefacts() -> None:
    """Both releases of the pizzerias' site, and the guestbook; who comes at the same time waits."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    with (ARTEFACTS / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _build_all(ARTEFACTS / ".built")


def _build_all(built: Path) -> None:
    sources = [path for path in EXAMPLES.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    newest = max(path.stat().st_mtime for path in sources)
    if built.exists() and built.stat().st_mtime >= newest:
        return
    for release in RELEASES:
        _build(EXAMPLES / "ocpizza" / "build.py", "--release", release)
    _build(EXAMPLES / "annex" / "build.py")
    built.touch()


def _build(script: Path, *arguments: str) -> None:
    command = [sys.executable, str(script), *arguments, "--out", str(ARTEFACTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"{script.relative_to(CHECKOUT)}: {done.stderr.strip().splitlines()[-1]}")
