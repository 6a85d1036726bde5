# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The old server with its sites: provisioned once, and from then on an image, until what made it changes."""

from __future__ import annotations

import hashlib
import http.client
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from tests.lab import machines
from tests.lab.artefacts import build_artefacts
from tests.lab.docker import LabError, docker, execute, image_label
from tests.lab.hosts import ADDRESS, CHECKOUT, HOSTS, LABEL, OLD, Host, Lab

# Whatever could make the old server another one.
SOURCES = ("roles", "plugins", "examples", "inventories/lab", "tests/lab", "requirements.txt")
KEY_LABEL = f"{LABEL.partition('=')[0]}.provisioned"
SECRETS = "/var/lib/lab-secrets"
SITES = ("ocpizza.test", "annex.test")
ANSWER_SECONDS = 30


def bring_up(lab: Lab, provision: Callable[[], object]) -> None:
    """A lab from nothing, its old server serving both sites; ``provision`` runs where no image has it."""
    machines.down(lab)
    machines.prepare(lab)
    build_artefacts()
    (old,) = (host for host in HOSTS if host.name == OLD)
    tag = f"cutover-lab:{'-'.join((OLD, *lab.engines, lab.web))}"
    key = key_of(lab, old)
    if image_label(tag, KEY_LABEL) == key:
        machines.up(lab, old_image=tag)
        _take_secrets(lab, old)
    else:
        machines.up(lab)
        provision()
        _keep(lab, old, tag, key)
    for domain in SITES:
        _await_answer(lab, domain)


def key_of(lab: Lab, old: Host) -> str:
    """A checksum of all that the old server is made from."""
    digest = hashlib.sha256(" ".join((*lab.engines, lab.web)).encode())
    digest.update(docker("image", "inspect", "--format", "{{.Id}}", lab.image(old)).encode())
    for source in SOURCES:
        for path in files(CHECKOUT / source):
            digest.update(str(path.relative_to(CHECKOUT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def files(where: Path) -> list[Path]:
    """Every file at or below a path, but for what Python leaves there."""
    found = [where] if where.is_file() else sorted(where.rglob("*"))
    return [path for path in found if path.is_file() and "__pycache__" not in path.parts]


def _keep(lab: Lab, old: Host, tag: str, key: str) -> None:
    """Make the image of a running machine, which is what a power cut would leave; its secrets go with it."""
    container = lab.container(old)
    docker("cp", str(lab.directory / "secrets"), f"{container}:{SECRETS}")
    execute(container, "sync")
    docker("commit", "--change", f"LABEL {KEY_LABEL}={key}", container, tag)
    docker("image", "prune", "--force", "--filter", f"label={KEY_LABEL}")
    execute(container, "rm", "-r", SECRETS)


def _take_secrets(lab: Lab, old: Host) -> None:
    """What the roles' passwords were when the image was made, for whoever logs in with them now."""
    container = lab.container(old)
    shutil.rmtree(lab.directory / "secrets", ignore_errors=True)
    docker("cp", f"{container}:{SECRETS}", str(lab.directory / "secrets"))
    (lab.directory / "secrets").chmod(0o700)
    execute(container, "rm", "-r", SECRETS)


def _await_answer(lab: Lab, domain: str) -> None:
    deadline = time.monotonic() + ANSWER_SECONDS
    while (status := _status(lab, domain)) != http.HTTPStatus.OK:
        if time.monotonic() > deadline:
            raise LabError(f"{domain} on the old server answers {status}; see 'make clean', then again")
        time.sleep(0.2)


def _status(lab: Lab, domain: str) -> int | str:
    """The status of a site's first page, or what stood in its way."""
    connection = http.client.HTTPConnection(ADDRESS, lab.port + 80, timeout=5)
    try:
        connection.request("GET", "/", headers={"Host": domain})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as problem:
        return f"nothing ({problem})"
    finally:
        connection.close()
