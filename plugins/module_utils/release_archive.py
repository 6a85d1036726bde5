# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a release is safe to unpack, decided by its archive's members before anything is unpacked."""

import os
import stat
import tarfile
import zipfile
import zlib
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence

MAX_BYTES = 4 * 1024**3
MAX_MEMBERS = 200000
CHUNK = 1024 * 1024
TOO_MANY_LINKS = 40


class ArchiveError(Exception):
    """An archive that must not be unpacked; the text names archive, member and remedy."""


class Member(NamedTuple):
    """One entry: kind is file, directory, symlink, hardlink or device."""

    name: str
    kind: str = "file"
    target: str = ""
    size: int = 0


class Archive(NamedTuple):
    """What is in an archive; kind is zip, tar or wheel."""

    kind: str
    members: List[Member]


def parts_of(path: str) -> List[str]:
    """The steps of a path, without the ones that lead nowhere."""
    return [part for part in path.split("/") if part not in ("", ".")]


def leads_outside(start: Sequence[str], target: str, links: Dict[str, str]) -> bool:
    """Whether a link's target, followed as a kernel follows it, leaves the folder or never ends."""
    if target.startswith("/"):
        return True
    where = []  # type: List[str]
    ahead = list(start) + parts_of(target)
    followed = 0
    while ahead:
        step = ahead.pop(0)
        if step == "..":
            if not where:
                return True
            where.pop()
            continue
        where.append(step)
        link = links.get("/".join(where))
        if link is None:
            continue
        followed += 1
        if link.startswith("/") or followed > TOO_MANY_LINKS:
            return True
        where.pop()
        ahead = parts_of(link) + ahead
    return False


def name_offence(name: str) -> Optional[str]:
    """Why nothing may be unpacked under a name, or nothing."""
    if "\x00" in name or not name:
        return "has no usable name"
    if name.startswith("/") or "\\" in name or name[1:2] == ":":
        return "has an absolute path or one of another system"
    if ".." in name.split("/"):
        return "leads out of the archive's folder"
    return None


def offence(member: Member, links: Dict[str, str]) -> Optional[str]:
    """Why a member must not be unpacked, or nothing."""
    parts = parts_of(member.name)
    above = ["/".join(parts[:depth]) for depth in range(1, len(parts))]
    link_above = next((path for path in above if path in links), None)
    reason = name_offence(member.name)
    if reason is not None:
        return reason
    if not parts and member.kind != "directory":
        reason = "has no usable name"
    elif member.kind == "device":
        reason = "is a device or pipe"
    elif link_above is not None:
        reason = "lies below the symbolic link {0}".format(link_above)
    elif member.kind == "symlink" and leads_outside(parts[:-1], member.target, links):
        reason = "is a symbolic link out of the archive's folder, to {0}".format(member.target)
    elif member.kind == "hardlink" and leads_outside([], member.target, links):
        reason = "is a hard link out of the archive's folder, to {0}".format(member.target)
    return reason


def check_members(members: Sequence[Member], max_bytes: int = MAX_BYTES) -> None:
    """Raises ArchiveError with the first member that must not be unpacked."""
    links = {"/".join(parts_of(m.name)): m.target for m in members if m.kind == "symlink"}
    for member in members:
        reason = offence(member, links)
        if reason:
            raise ArchiveError("member {0!r} {1}".format(member.name, reason))
    if len(members) > MAX_MEMBERS:
        raise ArchiveError("it has {0} members, more than {1}".format(len(members), MAX_MEMBERS))
    unpacked = sum(member.size for member in members)
    if unpacked > max_bytes:
        raise ArchiveError("it unpacks to {0} bytes, more than {1}".format(unpacked, max_bytes))
    if not any(member.kind == "file" for member in members):
        raise ArchiveError("it holds no file")


def application_root(names: Iterable[str]) -> str:
    """The folder inside an archive where the application lies: the archive's own, or its single folder."""
    signs = {"manage.py", "requirements.txt", "pyproject.toml"}
    files = {path for path in ("/".join(parts_of(name)) for name in names) if path}
    tops = {path.split("/")[0] for path in files}
    if files & signs or len(tops) != 1:
        return ""
    top = tops.pop()
    return top if any("{0}/{1}".format(top, sign) in files for sign in signs) else ""


def missing_members(names: Iterable[str], required: Iterable[str]) -> List[str]:
    """The required members that an archive does not have."""
    present = {"/".join(parts_of(name)) for name in names}
    return [name for name in required if "/".join(parts_of(name)) not in present]


def read_archive(path: str) -> Archive:
    """Reads an archive to its end, so that a damaged one is found before anything is unpacked."""
    if not os.path.isfile(path):
        raise ArchiveError("there is no such file")
    try:
        if zipfile.is_zipfile(path):
            return Archive("wheel" if path.endswith(".whl") else "zip", _read_zip(path))
        return Archive("tar", _read_tar(path))
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, NotImplementedError) as error:
        raise ArchiveError("it is damaged or no zip, tar or wheel ({0})".format(error)) from error
    except RuntimeError as error:
        raise ArchiveError("it cannot be read ({0})".format(error)) from error


def inspect(path: str, required: Iterable[str] = (), max_bytes: int = MAX_BYTES) -> Archive:
    """Reads and judges an archive; raises ArchiveError that names it."""
    try:
        archive = read_archive(path)
        check_members(archive.members, max_bytes)
        missing = missing_members([m.name for m in archive.members], required)
        if missing:
            raise ArchiveError("it lacks {0}".format(", ".join(missing)))
    except ArchiveError as error:
        raise ArchiveError(
            "Refused archive {0}: {1}. Nothing was changed; build or fetch the archive again.".format(path, error)
        ) from error
    return archive


def _read_zip(path: str) -> List[Member]:
    members = []
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            kind = _zip_kind(info)
            target = archive.read(info).decode("utf-8", "surrogateescape") if kind == "symlink" else ""
            # zipfile cleans names up on extraction; unzip on the host may not, so judge the stored one.
            members.append(Member(info.orig_filename, kind, target, info.file_size))
        damaged = archive.testzip()
    if damaged is not None:
        raise ArchiveError("member {0!r} is damaged".format(damaged))
    return members


def _zip_kind(info: zipfile.ZipInfo) -> str:
    mode = info.external_attr >> 16
    if stat.S_ISLNK(mode):
        return "symlink"
    if info.filename.endswith("/"):
        return "directory"
    return "file" if stat.S_IFMT(mode) in (0, stat.S_IFREG) else "device"


def _read_tar(path: str) -> List[Member]:
    members = []
    with tarfile.open(path, "r:*") as archive:
        for info in archive:
            if info.isreg():
                _drain(archive, info)
            members.append(Member(info.name, _tar_kind(info), info.linkname, info.size if info.isreg() else 0))
    return members


def _drain(archive: tarfile.TarFile, info: tarfile.TarInfo) -> None:
    content = archive.extractfile(info)
    if content is None:
        raise ArchiveError("member {0!r} cannot be read".format(info.name))
    left = info.size
    while left > 0:
        chunk = content.read(min(CHUNK, left))
        if not chunk:
            raise ArchiveError("member {0!r} is cut off".format(info.name))
        left -= len(chunk)


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.isdir():
        return "directory"
    if info.issym():
        return "symlink"
    if info.islnk():
        return "hardlink"
    return "file" if info.isreg() else "device"
