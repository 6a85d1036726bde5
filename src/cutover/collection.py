# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds collections the way Ansible does, and gives the rest of the wrapper the collection's own code."""

import importlib
import os
import sys
from pathlib import Path

from ansible.config.manager import ConfigManager, find_ini_config_file

NAME = "ocpizza.cutover"
OURS = Path("ansible_collections", *NAME.split("."))
CHECKOUT = Path(__file__).parents[2]


def config_file(playbook: Path | None = None) -> Path | None:
    """The ansible.cfg that a run uses: Ansible's choice, else the one beside the playbook."""
    found = find_ini_config_file()
    if found:
        return Path(found)
    beside = playbook.parent / "ansible.cfg" if playbook else None
    return beside if beside and beside.is_file() else None


def paths(config: Path | None = None) -> list[Path]:
    """The folders that may hold ansible_collections/, in Ansible's order of search."""
    configured = ConfigManager(str(config) if config else None).get_config_value("COLLECTIONS_PATHS")
    found = [Path(os.path.expanduser(path)) for path in configured]
    found += [Path(path) for path in sys.path if (Path(path) / "ansible_collections").is_dir()]
    trimmed = [path.parent if path.name == "ansible_collections" else path for path in found]
    return list(dict.fromkeys(trimmed))


def search_path(config: Path | None = None) -> str | None:
    """What to tell Ansible where it would not find this collection by itself; None where it would."""
    places = paths(config)
    by_itself = [path for path in places if str(path) not in sys.path or "site-packages" in path.parts]
    if any((path / OURS).is_dir() for path in by_itself):
        return None
    return os.pathsep.join(str(path) for path in places)


def find_playbook(name: str, config: Path | None = None) -> Path | None:
    """The file of a playbook that is named namespace.collection.playbook."""
    namespace, collection, *rest = name.split(".")
    for path in paths(config):
        folder = path / "ansible_collections" / namespace / collection / "playbooks"
        for suffix in (".yml", ".yaml"):
            candidate = folder.joinpath(*rest).with_suffix(suffix)
            if candidate.is_file():
                return candidate
    return None


def _make_importable() -> None:
    for path in [*map(Path, sys.path), CHECKOUT / "build" / "collections", *paths(config_file())]:
        if (path / OURS / "plugins" / "module_utils" / "run_dir.py").is_file():
            if str(path) not in sys.path:
                sys.path.insert(0, str(path))
                importlib.invalidate_caches()
            return
    sys.exit(
        f"cutover: the collection {NAME} is in none of Ansible's collection paths. "
        "Install it with 'ansible-galaxy collection install', or run 'make setup' in a checkout."
    )


_make_importable()

from ansible_collections.ocpizza.cutover.plugins.module_utils import journal, report, run_dir  # noqa: E402

__all__ = ["CHECKOUT", "NAME", "config_file", "find_playbook", "journal", "paths", "report", "run_dir", "search_path"]
