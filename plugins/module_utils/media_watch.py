# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which paths of a folder change, told by the kernel: what that costs grows with the changes, not with the files.

The kernel puts an event into the queue before the call that caused it returns. So once the requests have ended that
wrote there, what is in the queue is all.
"""

import contextlib
import ctypes
import errno
import os
import select
import struct
import threading
from typing import Dict, Set

from ansible_collections.ocpizza.cutover.plugins.module_utils.media_tree import IGNORED, Folder, MediaError

MODIFY, ATTRIB, CLOSE_WRITE = 0x2, 0x4, 0x8
MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x40, 0x80, 0x100, 0x200
OVERFLOW, GONE, IS_FOLDER = 0x4000, 0x8000, 0x40000000
ONLY_FOLDER, NO_FOLLOW = 0x1000000, 0x2000000
MASK = MODIFY | ATTRIB | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | ONLY_FOLDER | NO_FOLLOW
HEADER = struct.Struct("iIII")
LIMIT = "/proc/sys/fs/inotify/max_user_watches"


class Watch:
    """Watches a folder and all in it from the moment it is made."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = int(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        if self._descriptor < 0:
            raise MediaError("changes cannot be watched: {0}".format(os.strerror(ctypes.get_errno())))
        self._paths: Dict[int, str] = {}
        self._changed: Set[str] = set()
        self._lost = ""
        self._lock = threading.Lock()
        self._closed = False
        try:
            for path in folder.folders():
                self._add(path)
        except BaseException:
            os.close(self._descriptor)
            raise
        # The kernel's queue has an end.
        self._thread = threading.Thread(target=self._keep_short, daemon=True)
        self._thread.start()

    @property
    def folders(self) -> int:
        """How many folders are watched."""
        return len(self._paths)

    def changes(self) -> Set[str]:
        """What has changed since the last call, to this instant."""
        with self._lock:
            self._take()
            if self._lost:
                raise MediaError(self._lost)
            changed, self._changed = self._changed, set()
            return changed

    def close(self) -> None:
        """Watch no more."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._descriptor)

    def _keep_short(self) -> None:
        while True:
            with contextlib.suppress(OSError, ValueError):
                select.select([self._descriptor], [], [], 1.0)
            with self._lock:
                if self._closed:
                    return
                try:
                    self._take()
                except MediaError as error:
                    self._lost = str(error)
                    return

    def _add(self, path: str) -> bool:
        where = os.fsencode(os.path.join(self.folder.root, path))
        number = int(self._libc.inotify_add_watch(self._descriptor, where, MASK))
        if number >= 0:
            self._paths[number] = path
            return True
        code = ctypes.get_errno()
        # It may be gone again.
        if code in (errno.ENOENT, errno.ENOTDIR):
            return False
        if code == errno.ENOSPC:
            raise MediaError(
                "the kernel watches no more than {0} folders for one user, and {1} has more; raise "
                "fs.inotify.max_user_watches with sysctl".format(_limit(), self.folder.root)
            )
        raise MediaError("{0} cannot be watched: {1}".format(path or self.folder.root, os.strerror(code)))

    def _take(self) -> None:
        while True:
            try:
                events = os.read(self._descriptor, 1 << 16)
            except BlockingIOError:
                return
            position = 0
            while position < len(events):
                number, mask, _cookie, length = HEADER.unpack_from(events, position)
                position += HEADER.size
                name = os.fsdecode(events[position : position + length].rstrip(b"\0"))
                position += length
                self._note(number, mask, name)

    def _note(self, number: int, mask: int, name: str) -> None:
        if mask & OVERFLOW:
            self._lost = "more changed in {0} at once than the kernel keeps note of".format(self.folder.root)
        elif mask & GONE:
            if self._paths.pop(number, None) == "":
                self._lost = "{0} itself was taken away".format(self.folder.root)
        elif name and number in self._paths:
            path = os.path.join(self._paths[number], name)
            if IGNORED.match(path):
                return
            self._changed.add(path)
            if mask & IS_FOLDER and mask & (CREATE | MOVED_TO):
                self._new_folder(path)

    def _new_folder(self, path: str) -> None:
        """What came into it before it was watched has made no event."""
        if self._add(path):
            for below, entry in self.folder.walk(path):
                self._changed.add(below)
                if entry.kind == "folder":
                    self._add(below)


def _limit() -> str:
    try:
        with open(LIMIT, encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return "so many"
