# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One folder of media on this host: what is in it, and how a file gets into it whole or not at all.

Paths are relative to the folder, with surrogates for what is no UTF-8. What a file is called never leads out of it.
"""

import contextlib
import errno
import hashlib
import os
import re
import stat
import uuid
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

FILE, FOLDER, LINK = "file", "folder", "link"
CHUNK = 1 << 18
# Ours, and what NFS keeps of files that were deleted while somebody had them open.
IGNORED = re.compile(r"(.*/)?(\.cutover-[0-9a-f]+|\.nfs[0-9a-f]{8,})\Z", re.DOTALL)


class MediaError(Exception):
    """Something about media that cannot go on, in words."""


class Entry(NamedTuple):
    """What there is at a path. ``changed`` is when the inode changed: nobody can set that by hand."""

    kind: str
    size: int = 0
    modified: int = 0
    mode: int = 0
    leads: str = ""
    changed: int = 0

    def alike(self, other: "Entry") -> bool:
        """Whether nothing but the content could still tell them apart."""
        if self.kind != other.kind:
            return False
        if self.kind == LINK:
            return self.leads == other.leads
        return self.mode == other.mode and (
            self.kind == FOLDER or (self.size, self.modified) == (other.size, other.modified)
        )


Tree = Dict[str, Entry]


def checked(path: str) -> str:
    """The path, where it stays within its folder."""
    parts = path.split("/")
    if not path or path.startswith("/") or any(part in ("", ".", "..") for part in parts) or "\0" in path:
        raise MediaError("'{0}' is no path within the folder".format(path))
    return path


def entry_of(status: os.stat_result, path: str = "") -> Optional[Entry]:
    """What a status says; nothing for sockets, pipes and devices."""
    mode = stat.S_IMODE(status.st_mode) & 0o777
    if stat.S_ISREG(status.st_mode):
        return Entry(FILE, status.st_size, status.st_mtime_ns, mode, "", status.st_ctime_ns)
    if stat.S_ISDIR(status.st_mode):
        return Entry(FOLDER, mode=mode)
    if stat.S_ISLNK(status.st_mode):
        return Entry(LINK, leads=os.readlink(path), changed=status.st_ctime_ns)
    return None


class Folder:
    """A folder of media, by its absolute path. It may itself be a symbolic link; nothing below it is followed."""

    def __init__(self, root: str) -> None:
        self.root = os.path.realpath(root)
        if not os.path.isdir(self.root):
            raise MediaError("there is no folder {0}".format(root))

    def place(self, path: str) -> str:
        """Where a path is on this host, unless a symbolic link on the way leads elsewhere."""
        absolute = os.path.join(self.root, checked(path))
        parent = os.path.dirname(absolute)
        if os.path.realpath(parent) != parent:
            raise MediaError("{0}: a symbolic link is on the way there".format(path))
        return absolute

    def free(self) -> int:
        """Bytes that may still be written."""
        disk = os.statvfs(self.root)
        return disk.f_bavail * disk.f_frsize

    def folders(self, below: str = "") -> Iterator[str]:
        """A folder and every folder in it."""
        yield below
        for path, entry in self.walk(below):
            if entry.kind == FOLDER:
                yield path

    def walk(self, below: str = "") -> Iterator[Tuple[str, Entry]]:
        """Everything below a path; a folder comes before what is in it. What vanishes meanwhile is not there."""
        left = [below]
        while left:
            folder = left.pop()
            try:
                inside = list(os.scandir(os.path.join(self.root, folder)))
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR):
                    continue
                raise MediaError("{0} cannot be read: {1}".format(folder or self.root, error.strerror)) from error
            for one in inside:
                path = os.path.join(folder, one.name)
                if IGNORED.match(path) or path == "lost+found":
                    continue
                try:
                    entry = entry_of(one.stat(follow_symlinks=False), one.path)
                except FileNotFoundError:
                    continue
                if entry is None:
                    continue
                yield path, entry
                if entry.kind == FOLDER:
                    left.append(path)

    def tree(self) -> Tree:
        """Everything in the folder."""
        return dict(self.walk())

    def look(self, path: str) -> Optional[Entry]:
        """What is at a path now."""
        if IGNORED.match(path):
            return None
        try:
            absolute = self.place(path)
            return entry_of(os.lstat(absolute), absolute)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def take(self, path: str) -> Optional[Tuple[Entry, Iterator[bytes]]]:
        """What is at a path, and its content in pieces; they end with MediaError where it changed while it was read."""
        entry = self.look(path)
        if entry is None or entry.kind != FILE:
            return (entry, iter(())) if entry else None
        try:
            descriptor = os.open(self.place(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise MediaError("{0} cannot be read: {1}".format(path, error.strerror)) from error
        opened = entry_of(os.fstat(descriptor)) or entry
        return opened, _pieces(descriptor, path, opened)

    def digest(self, path: str) -> str:
        """The checksum of a file; '' where there is none any more."""
        taken = self.take(path)
        found = hashlib.sha256()
        for piece in taken[1] if taken else ():
            found.update(piece)
        return found.hexdigest() if taken else ""

    def write(self, path: str, entry: Entry, pieces: Iterable[bytes], durable: bool) -> Tuple[str, Entry]:
        """Put something in its place, whole: the checksum of what is there then, read again, and the entry.

        ``pieces`` raises where they turn out not to be the whole file; then nothing has changed.
        """
        absolute = self.place(path)
        self._clear_way(absolute, entry.kind)
        if entry.kind == FOLDER:
            if not os.path.isdir(absolute):
                os.mkdir(absolute)
                self._belong(absolute)
            # Whose group new files get is this side's to say.
            os.chmod(absolute, entry.mode | (os.stat(absolute).st_mode & stat.S_ISGID))
            return "", entry
        aside = os.path.join(os.path.dirname(absolute), ".cutover-" + uuid.uuid4().hex)
        try:
            if entry.kind == LINK:
                os.symlink(entry.leads, aside)
                digest = ""
            else:
                digest = self._fill(aside, entry, pieces, durable)
            self._belong(aside)
            os.rename(aside, absolute)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(aside)
            raise
        there = self.look(path)
        if there is None:
            raise MediaError("{0} is gone again".format(path))
        return digest, there

    def _clear_way(self, absolute: str, kind: str) -> None:
        """Take away what is of another kind: a folder only where it is empty."""
        try:
            there = entry_of(os.lstat(absolute), absolute)
        except FileNotFoundError:
            return
        if there and there.kind == FOLDER and kind != FOLDER:
            os.rmdir(absolute)
        elif kind == FOLDER and (there is None or there.kind != FOLDER):
            os.unlink(absolute)

    def _fill(self, aside: str, entry: Entry, pieces: Iterable[bytes], durable: bool) -> str:
        descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as stream:
            for piece in pieces:
                stream.write(piece)
            if durable:
                os.fsync(descriptor)
            stream.seek(0)
            found = hashlib.sha256()
            while True:
                piece = stream.read(CHUNK) or b""
                if not piece:
                    break
                found.update(piece)
            os.fchmod(descriptor, entry.mode)
            os.utime(descriptor, ns=(entry.modified, entry.modified))
        return found.hexdigest()

    def _belong(self, absolute: str) -> None:
        """Root's files belong to whom the folder belongs to: the application goes on writing there."""
        if os.geteuid() == 0:
            owner = os.stat(self.root)
            os.chown(absolute, owner.st_uid, owner.st_gid, follow_symlinks=False)

    def mark(self, token: str) -> None:
        """Write a file that is none of the media's."""
        descriptor = os.open(os.path.join(self.root, ".cutover-" + token), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        os.close(descriptor)

    def marked(self, token: str) -> bool:
        """Whether the file is here: another server that wrote it has the same storage."""
        return os.path.exists(os.path.join(self.root, ".cutover-" + token))

    def unmark(self, token: str) -> None:
        """Take the file away."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.root, ".cutover-" + token))

    def remove(self, path: str) -> bool:
        """Take something away; a folder only where nothing is left in it. Whether it is gone."""
        absolute = self.place(path)
        try:
            if stat.S_ISDIR(os.lstat(absolute).st_mode):
                os.rmdir(absolute)
            else:
                os.unlink(absolute)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError as error:
            if error.errno == errno.ENOTEMPTY:
                return False
            raise
        return True


def _pieces(descriptor: int, path: str, before: Entry) -> Iterator[bytes]:
    try:
        while True:
            piece = os.read(descriptor, CHUNK)
            if not piece:
                break
            yield piece
        after = entry_of(os.fstat(descriptor))
        # Its name may have changed, and its inode with it; what counts is the content.
        if after is None or (after.size, after.modified) != (before.size, before.modified):
            raise MediaError("{0} changed while it was read".format(path))
    finally:
        os.close(descriptor)


def as_list(path: str, entry: Optional[Entry]) -> List[object]:
    """A path and what is there, as JSON has it."""
    return [path, list(entry) if entry else None]
