# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A configuration tree on disk: its staged copy, the switch in place and the way back."""

import os
import shutil
import tempfile
from typing import Iterator, List, Optional, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils import web_tree
from ansible_collections.ocpizza.cutover.plugins.module_utils.web_tree import FILE, LINK, Change


def read(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def contents_below(root: str) -> Iterator[bytes]:
    """The content of every file of a tree, those behind links included."""
    for folder, _dirs, files in os.walk(root):
        for name in files:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                yield read(path)


def real(root: str, path: str) -> str:
    """Where the content of a path lives: behind a link, if it is one that leads to a file."""
    full = os.path.join(root, path)
    target = os.path.realpath(full)
    return target if os.path.islink(full) and os.path.isfile(target) else full


def stage(root: str, tree: str, changes: List[Change]) -> None:
    """Copy the tree aside, closed to others, and apply the changes there."""
    os.mkdir(tree, 0o700)
    for folder, dirs, files in os.walk(root):
        below = os.path.relpath(folder, root)
        for name in dirs + files:
            path = os.path.normpath(os.path.join(below, name))
            source, copy = os.path.join(root, path), os.path.join(tree, path)
            if os.path.islink(source):
                os.symlink(web_tree.staged_link(path, os.readlink(source), root, tree), copy)
            elif os.path.isdir(source):
                os.mkdir(copy)
            elif os.path.isfile(source):
                _write(copy, web_tree.staged_content(read(source), root, tree))
    for change in changes:
        copy = os.path.join(tree, change.path)
        _bring_inside(tree, change.path)
        if not os.path.isdir(os.path.dirname(copy)):
            os.makedirs(os.path.dirname(copy))
        # Written through a link that leads out of the copy, the test would change the running server's file.
        if os.path.lexists(copy) and (change.after.kind != FILE or _leads_out(tree, copy)):
            os.unlink(copy)
        if change.after.kind == FILE:
            _write(copy, web_tree.staged_content(change.after.content, root, tree))
        elif change.after.kind == LINK:
            os.symlink(web_tree.staged_link(change.path, change.after.target, root, tree), copy)


def _leads_out(tree: str, copy: str) -> bool:
    return os.path.islink(copy) and not os.path.realpath(copy).startswith(os.path.realpath(tree) + "/")


def _bring_inside(tree: str, path: str) -> None:
    """Make the folders above a path the copy's own where they are links out of it; what they hold stays linked."""
    folder = tree
    for name in path.split("/")[:-1]:
        folder = os.path.join(folder, name)
        target = os.path.realpath(folder)
        if _leads_out(tree, folder) and os.path.isdir(target):
            os.unlink(folder)
            os.mkdir(folder)
            for entry in os.listdir(target):
                os.symlink(os.path.join(target, entry), os.path.join(folder, entry))


class Switch:
    """Changes applied in place, each of which can be taken back."""

    def __init__(self, root: str, backup: str) -> None:
        self.root = root
        self.backup = backup
        self.done: List[Tuple[Change, str, str]] = []
        self.made: List[str] = []

    def apply(self, changes: List[Change]) -> None:
        os.mkdir(self.backup, 0o700)
        for number, change in enumerate(changes):
            full = os.path.join(self.root, change.path)
            if change.after.kind == FILE:
                full = real(self.root, change.path)
            kept = os.path.join(self.backup, str(number))
            if change.before.kind == FILE:
                _copy(full, kept)
            self._make_folder(os.path.dirname(full))
            self.done.append((change, full, kept))
            if change.after.kind == FILE:
                _place(full, change.after.content, change.after.mode, full)
            elif change.after.kind == LINK:
                _place_link(full, change.after.target)
            else:
                os.unlink(full)

    def put_back(self) -> None:
        for change, full, kept in reversed(self.done):
            if change.before.kind == FILE:
                _place(full, change.before.content, None, kept, times=True)
            elif change.before.kind == LINK:
                _place_link(full, change.before.target)
            elif os.path.lexists(full):
                os.unlink(full)
        for folder in reversed(self.made):
            os.rmdir(folder)
        self.done, self.made = [], []

    def _make_folder(self, folder: str) -> None:
        if os.path.isdir(folder):
            return
        self._make_folder(os.path.dirname(folder))
        os.mkdir(folder, 0o755)
        self.made.append(folder)


def _write(path: str, content: bytes) -> None:
    with open(path, "wb") as stream:
        stream.write(content)


def _copy(path: str, kept: str) -> None:
    shutil.copy2(path, kept)
    status = os.stat(path)
    os.chown(kept, status.st_uid, status.st_gid)


def _place(path: str, content: bytes, mode: Optional[int], like: str, times: bool = False) -> None:
    """Write beside and rename, so that a server reading meanwhile sees the old file or the new one, never half."""
    # The name starts with a dot: no include of either server takes it.
    handle, beside = tempfile.mkstemp(prefix=".cutover-", dir=os.path.dirname(path))
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        old = os.stat(like) if os.path.isfile(like) and not os.path.islink(like) else None
        if old:
            os.chown(beside, old.st_uid, old.st_gid)
        if mode is None:
            mode = old.st_mode & 0o7777 if old else 0o644
        os.chmod(beside, mode)
        if times:
            shutil.copystat(like, beside)
        os.rename(beside, path)
    finally:
        if os.path.exists(beside):
            os.unlink(beside)


def _place_link(path: str, target: str) -> None:
    beside = os.path.join(os.path.dirname(path), ".cutover-link-%d" % os.getpid())
    os.symlink(target, beside)
    os.rename(beside, path)
