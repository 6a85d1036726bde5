# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds a release's artefacts: ocpizza.zip, BDD.zip and web.zip.

A release is the tree src/ with the folders releases/1.1, 1.2 … up to it laid over it.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Dict, List

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import archives  # noqa: E402
import pictures  # noqa: E402

FIRST = "1.0"


def version(release: str) -> List[int]:
    return [int(part) for part in release.split(".")]


def releases() -> List[str]:
    return sorted([FIRST, *(path.name for path in (HERE / "releases").iterdir())], key=version)


def code(release: str) -> Dict[str, bytes]:
    members = archives.files_below(HERE / "src")
    for name in releases():
        if name != FIRST and version(name) <= version(release):
            members.update(archives.files_below(HERE / "releases" / name))
    drawn = pictures.pictures(HERE / "src/shop/data/1_base.json")
    members.update({f"shop/static/shop/pizzas/{name}": content for name, content in drawn.items()})
    return members


def unpack(members: Dict[str, bytes], folder: Path) -> Path:
    for name, content in members.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def databases(release: str) -> Dict[str, bytes]:
    members = {}
    for engine, prefix in (("mysql", ""), ("postgresql", "postgresql/")):
        for name in ("ocpizza_dump.sql", "base_data.sql", "stock_dump.sql"):
            members[prefix + name] = (HERE / "database" / release / engine / name).read_bytes()
    return members


def static_files(members: Dict[str, bytes]) -> Dict[str, bytes]:
    """What collectstatic gathers, without settings or a database: the apps' static folders."""
    try:
        from django.contrib import admin  # noqa: PLC0415
    except ImportError:
        sys.exit(f"build: Django is missing in {sys.executable}: install Django 5.2 there, for the admin's files")
    own = "shop/static/"
    collected = {f"static/{name[len(own) :]}": data for name, data in members.items() if name.startswith(own)}
    for name, data in archives.files_below(Path(admin.__file__).parent / "static").items():
        collected[f"static/{name}"] = data
    return collected


def build(release: str, out: Path) -> Path:
    members = code(release)
    folder = out / release
    with tempfile.TemporaryDirectory(dir=out) as staging:
        archives.write(Path(staging, "ocpizza.zip"), members)
        archives.write(Path(staging, "BDD.zip"), databases(release))
        archives.write(Path(staging, "web.zip"), static_files(members))
        folder.mkdir(exist_ok=True)
        for path in sorted(Path(staging).iterdir()):
            shutil.move(str(path), str(folder / path.name))
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the artefacts of a release.")
    parser.add_argument("--release", action="append", choices=releases(), help="default: all of them")
    parser.add_argument("--out", type=Path, required=True, help="gets a folder for each release")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for release in arguments.release or releases():
        print(build(release, arguments.out))


if __name__ == "__main__":
    main()
