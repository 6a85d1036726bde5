# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the command line asked for, checked before anything runs."""

import contextlib
import datetime
import fcntl
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.parsing.splitter import parse_kv

from cutover import collection

FQCN = re.compile(r"[a-z_]\w*\.[a-z_]\w*(\.[a-z_]\w*)+")
SITE_NAME = re.compile(r"[a-z][a-z0-9-]*")


class WrongInputError(Exception):
    """Something that the caller can put right; its text is the one line to show."""


@dataclass(frozen=True)
class Job:
    """One run of one playbook."""

    playbook: str
    inventories: list[str]
    run_dir: Path
    extra: list["Extra"] = field(default_factory=list)
    config: Path | None = None
    limit: str | None = None
    tags: str | None = None
    check: bool = False
    diff: bool = False
    verbosity: int = 0
    vault_password_file: Path | None = None

    @property
    def name(self) -> str:
        return Path(self.playbook).stem if os.sep in self.playbook else self.playbook.split(".")[-1]


@dataclass(frozen=True)
class Extra:
    """One ``-e``: a file of the user's, or values that go into a private file, so that no argv shows them."""

    path: Path | None = None
    values: dict[str, Any] = field(default_factory=dict)


def parse_extra(text: str) -> Extra:
    """What Ansible would make of one ``-e``."""
    if text.startswith("@"):
        path = Path(text[1:]).expanduser()
        if not path.is_file():
            raise WrongInputError(f"file of variables not found: {path}. Check the path after '-e @'.")
        return Extra(path=path.resolve())
    if text.lstrip().startswith("{"):
        try:
            values = json.loads(text)
        except ValueError as error:
            raise WrongInputError(f"the value of -e begins as JSON but is none: {error}.") from None
        return Extra(values=values)
    try:
        parsed = parse_kv(text)
    except AnsibleError:
        parsed = {"_raw_params": text}
    if not parsed or "_raw_params" in parsed:
        # The text may be half of a secret: it is not repeated.
        raise WrongInputError("a value of -e is neither name=value nor JSON nor @file. Quote values that hold spaces.")
    return Extra(values={str(key): str(value) for key, value in parsed.items()})


def resolve_playbook(name: str) -> tuple[str, Path | None]:
    """The playbook as ansible-playbook takes it, and the ansible.cfg to use."""
    path = Path(name).expanduser()
    if path.is_file():
        path = path.resolve()
        return str(path), collection.config_file(path)
    config = collection.config_file()
    if FQCN.fullmatch(name):
        if collection.find_playbook(name, config):
            return name, config
        where = ":".join(str(path) for path in collection.paths(config))
        raise WrongInputError(f"playbook {name} not found in the collections of {where}. Is the collection installed?")
    raise WrongInputError(f"playbook not found: {name}. Give a path, or a name such as {collection.NAME}.migrate.")


def resolve_inventory(text: str) -> str:
    """A host list (with a comma) as it is, anything else as an absolute path."""
    if "," in text:
        return text
    path = Path(text).expanduser()
    if not path.exists():
        raise WrongInputError(f"inventory not found: {path}. Copy inventories/example and describe your hosts in it.")
    return str(path.resolve())


def default_run_dir(inventories: list[str], config: Path | None) -> Path:
    """Where plain ansible-playbook would put the journal, as far as the inventory says it literally."""
    if os.environ.get("CUTOVER_RUN_DIR"):
        return Path(os.environ["CUTOVER_RUN_DIR"])
    base = Path(inventories[0])
    base = base if base.is_dir() else base.parent
    variables = _inventory_variables(inventories, config)
    given = variables.get("site_run_dir")
    if isinstance(given, str) and "{{" not in given:
        return Path(given)
    site = variables.get("site_name")
    if given is None and isinstance(site, str) and SITE_NAME.fullmatch(site) and base.is_dir():
        return base / "run" / site
    raise WrongInputError(
        "the inventory does not say where the journal and the report go. Give --run-dir DIR, or set site_name in it."
    )


def _inventory_variables(inventories: list[str], config: Path | None) -> dict[str, Any]:
    command = [str(Path(sys.executable).parent / "ansible-inventory"), "--list"]
    for inventory in inventories:
        command += ["-i", inventory]
    env = {**os.environ, **({"ANSIBLE_CONFIG": str(config)} if config else {})}
    answer = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    try:
        hosts = json.loads(answer.stdout)["_meta"]["hostvars"].values()
    except (ValueError, KeyError):
        return {}
    merged: dict[str, Any] = {}
    for variables in hosts:
        merged.update({key: variables[key] for key in ("site_run_dir", "site_name") if key in variables})
    return merged


def make_run_dir(path: Path) -> Path:
    """The run directory, made if missing and known to be writable."""
    path = path.expanduser().absolute()
    try:
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise WrongInputError(f"run directory {path} cannot be made: {error.strerror}. Choose another.") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise WrongInputError(f"run directory {path} is not writable. Choose another, or change its owner.")
    return path


@contextlib.contextmanager
def sole_user(run_dir: Path) -> Iterator[None]:
    """Keeps a second run out of the directory; the lock ends with its owner, however that ends."""
    with (run_dir / ".lock").open("a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            stream.seek(0)
            owner = stream.read().strip() or "an unknown process"
            raise WrongInputError(
                f"run directory {run_dir} is in use by {owner}. Wait for it, or end that process."
            ) from None
        stream.truncate(0)
        since = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        stream.write(f"process {os.getpid()} since {since}\n")
        stream.flush()
        yield
