# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zip files whose bytes depend on nothing but their content."""

import zipfile
from pathlib import Path
from typing import Dict

MOMENT = (2020, 10, 26, 0, 0, 0)


def files_below(folder: Path) -> Dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    }


def write(path: Path, members: Dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    with zipfile.ZipFile(temporary, "w") as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, MOMENT)
            entry.create_system = 3
            entry.external_attr = (0o100755 if name == "manage.py" else 0o100644) << 16
            # Stored, not deflated: what deflate makes of the same bytes differs between zlib versions.
            archive.writestr(entry, members[name], zipfile.ZIP_STORED)
    temporary.replace(path)
