# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a zip fit to be unpacked: whole, with the members it must have, and none outside its folder."""

import os
import stat
import zipfile
from typing import List, Sequence

REPLACE = "Build it again, or copy it again if it came over a network."


class ArchiveError(Exception):
    """The archive cannot be used; the text says which, why and what to do."""


def outside(name: str) -> bool:
    """Whether a member would land outside the folder that the archive is unpacked into."""
    path = name.replace("\\", "/")
    return path.startswith("/") or path[1:2] == ":" or "\0" in path or ".." in path.split("/")


def _is_link(info: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(info.external_attr >> 16)


def check_zip(path: str, members: Sequence[str] = ()) -> List[str]:
    """The names in the archive, once every byte of it was read and found right."""
    if not os.path.isfile(path):
        raise ArchiveError("There is no archive {0}. Give the path of one that exists.".format(path))
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            broken = archive.testzip()
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        raise ArchiveError("The archive {0} is corrupt: {1}. {2}".format(path, error, REPLACE)) from error
    if broken:
        raise ArchiveError("The archive {0} is corrupt at its member {1}. {2}".format(path, broken, REPLACE))
    bad = [info.filename for info in infos if outside(info.filename) or _is_link(info)]
    if bad:
        raise ArchiveError(
            "The archive {0} holds paths outside its folder: {1}. Nothing was unpacked; "
            "do not use it before you know who made it.".format(path, ", ".join(bad[:3]))
        )
    names = [info.filename for info in infos]
    missing = [name for name in members if name not in names]
    if missing:
        raise ArchiveError(
            "The archive {0} has no {1}; it has {2}. Name the right member or the right archive.".format(
                path, ", ".join(missing), ", ".join(names[:8]) or "nothing"
            )
        )
    return names
