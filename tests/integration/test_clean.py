# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""make clean, on images with a label of this test's own: other labs are left alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.lab import machines
from tests.lab.docker import CLIENT, LabError, docker, names

LABEL = f"ocpizza.cutover=clean-{os.getpid()}"
NAME = f"cutover-clean-{os.getpid()}"


def make_image(folder: Path, content: str) -> None:
    """A base by import and an image on it, as tests/lab/images.sh makes them without a registry."""
    (folder / "content").write_text(content)
    archive = subprocess.run(["tar", "-c", "content"], cwd=folder, capture_output=True, check=True).stdout
    subprocess.run([CLIENT, "import", "--change", f"LABEL {LABEL}", "-", f"{NAME}-base"], input=archive, check=True)
    docker("build", "--quiet", "--tag", NAME, "-", stdin=f"FROM {NAME}-base\nENV A=1\nENV B={content}\n")


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machines, "LABEL", LABEL)
    monkeypatch.setattr(machines, "CHECKOUT", tmp_path)


@pytest.mark.usefixtures("elsewhere")
def test_images_that_were_made_again_go_too(tmp_path: Path) -> None:
    for content in ("one", "two"):
        make_image(tmp_path, content)
    assert len(names("image", f"label={LABEL}")) > 4

    machines.clean()

    assert names("image", f"label={LABEL}") == []


@pytest.mark.usefixtures("elsewhere")
def test_what_cannot_go_is_named() -> None:
    docker("build", "--quiet", "--tag", NAME, "-", stdin=f"FROM cutover-lab:trixie\nLABEL {LABEL}\n")
    # Not ours by its label, so it goes on, and the image under it stays.
    docker("run", "--detach", "--name", NAME, "--label", "ocpizza.cutover=other", NAME, "sleep", "60")
    try:
        with pytest.raises(LabError, match="could not remove image sha256:"):
            machines.clean()
    finally:
        docker("rm", "--force", NAME)
        machines.clean()
