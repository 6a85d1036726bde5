# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder as an archive in memory, for a server on which nothing is to be written."""

import fnmatch
import gzip
import io
import os
import re
import stat
import tarfile
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.release_archive import leads_outside, parts_of

# What is made from the rest, or by the application while it runs.
MADE = {"__pycache__", "node_modules", ".git", ".hg", ".svn", ".tox", ".mypy_cache", ".pytest_cache"}
INSTALLED = re.compile(r"^Name:\s*(\S+)$.*?^Version:\s*(\S+)$", re.MULTILINE | re.DOTALL)
# They are in every virtual environment.
TOOLS = {"pip", "setuptools", "wheel", "pkg-resources", "pkg_resources", "distribute"}
REQUIREMENTS = "requirements.txt"


class TooLargeError(Exception):
    """What is there is more than may be read; the text says how much is allowed."""


class Kept(NamedTuple):
    """What of a folder goes into its archive, by name below it, what does not with the reason, and its size."""

    names: List[str]
    left_out: List[str]
    size: int


def _is_environment(path: str) -> bool:
    return os.path.exists(os.path.join(path, "pyvenv.cfg"))


def _reason(folder: str, name: str, without: Sequence[str]) -> str:
    """Why a file does not come along; nothing where it does."""
    path = os.path.join(folder, name)
    mode = os.lstat(path).st_mode
    if any(fnmatch.fnmatch(path, pattern) for pattern in without):
        return "it is not wanted"
    if stat.S_ISLNK(mode):
        outside = leads_outside(parts_of(name)[:-1], os.readlink(path), {})
        return "it is a link out of the folder" if outside else ""
    if not stat.S_ISREG(mode):
        return "it is no file"
    return "" if os.access(path, os.R_OK) else "it may not be read"


def choose(folder: str, without: Sequence[str], most: int) -> Kept:
    """The files of a folder but for virtual environments and what is made; ``without`` are paths or patterns."""
    names: List[str] = []
    left_out: List[str] = []
    size = 0
    for base, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(base, name))]
        own = [name for name in folders if name not in MADE and name not in links]
        gone = [name for name in own if any(fnmatch.fnmatch(os.path.join(base, name), one) for one in without)]
        left_out += ["{0}: it is not wanted".format(os.path.join(base, name)) for name in gone]
        folders[:] = sorted(name for name in own if name not in gone and not _is_environment(os.path.join(base, name)))
        for file in sorted(files + links):
            if file.endswith((".pyc", ".pyo")):
                continue
            name = os.path.relpath(os.path.join(base, file), folder)
            try:
                reason = _reason(folder, name, without)
                size += 0 if reason else os.lstat(os.path.join(folder, name)).st_size
            except OSError as error:
                reason = str(error.strerror)
            if reason:
                left_out.append("{0}: {1}".format(os.path.join(folder, name), reason))
            else:
                names.append(name)
            if size > most:
                raise TooLargeError("{0} has more than {1} MB".format(folder, most // 1000000))
    return Kept(names, left_out, size)


def pack(folder: str, names: Sequence[str], below: str = "", more: Optional[Dict[str, str]] = None) -> bytes:
    """A compressed archive of files of a folder, ``below`` a folder in it, and of ``more`` texts."""
    packed = io.BytesIO()
    # The same files are the same archive: gunicorn's release is known by its checksum.
    stream = gzip.GzipFile(fileobj=packed, mode="wb", mtime=0)
    with stream, tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in names:
            archive.add(os.path.join(folder, name), os.path.join(below, name), recursive=False, filter=_plain)
        for name, text in sorted((more or {}).items()):
            content = text.encode("utf-8")
            info = tarfile.TarInfo(os.path.join(below, name))
            info.size, info.mode = len(content), 0o644
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    info.mtime = int(info.mtime)
    return info


def environments(command: Sequence[str]) -> Iterator[str]:
    """The virtual environments whose programs a command names."""
    for word in command:
        match = re.match(r"(/.+)/bin/[^/]+\Z", word)
        if match and _is_environment(match.group(1)):
            yield match.group(1)


def installed(environment: str) -> List[Tuple[str, str]]:
    """Name and version of each package of a virtual environment, but for its tools."""
    found = {}
    for base, folders, _files in os.walk(os.path.join(environment, "lib")):
        inside = os.path.basename(base) == "site-packages"
        for name in folders if inside else ():
            if not name.endswith((".dist-info", ".egg-info")):
                continue
            for file in ("METADATA", "PKG-INFO"):
                path = os.path.join(base, name, file)
                if os.path.exists(path):
                    with open(path, encoding="utf-8", errors="replace") as stream:
                        match = INSTALLED.search(stream.read(65536))
                    if match and match.group(1).lower() not in TOOLS:
                        found[match.group(1)] = match.group(2)
        if inside:
            folders[:] = []
    return sorted(found.items(), key=lambda item: item[0].lower())


def requirements(command: Sequence[str]) -> str:
    """What a program's virtual environment has, as pip takes it; nothing where it runs in none."""
    for environment in environments(command):
        return "".join("{0}=={1}\n".format(name, version) for name, version in installed(environment))
    return ""
