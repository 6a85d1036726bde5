# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups as folders: one is there under its name when it is complete, or not at all."""

import calendar
import contextlib
import fcntl
import json
import os
import re
import shutil
import time
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence

from ansible_collections.ocpizza.cutover.plugins.module_utils import backup_files

FORM = 1
NAME = re.compile(r"[0-9]{8}T[0-9]{6}Z")
ASIDE = ".part-"
MANIFEST = "manifest.json"
PROOF = "proof.json"


class StoreError(Exception):
    """Why something was refused; nothing was changed."""


class Backup(NamedTuple):
    """One complete backup."""

    name: str
    path: str
    manifest: Dict[str, Any]
    proof: Optional[Dict[str, Any]]

    @property
    def size(self) -> int:
        return sum(int(part["bytes"]) for part in self.manifest["parts"])


def stamp(when: float) -> str:
    """The name of a backup, which sorts by its time."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(when))


def when(name: str) -> float:
    """The time that a name tells."""
    return float(calendar.timegm(time.strptime(name, "%Y%m%dT%H%M%SZ")))


def write_json(path: str, content: Any) -> None:
    """A file that is the old one or the new one whenever the machine stops."""
    aside = path + ".new"
    with open(aside, "w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=1, sort_keys=True)
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(aside, path)
    sync_folder(os.path.dirname(path))


def sync_folder(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _load(path: str) -> Any:
    with open(path, encoding="utf-8") as stream:
        return json.load(stream)


def read(path: str, name: str = "") -> Backup:
    """A folder as a backup, or one clear refusal; ``name`` where the folder has not got it yet."""
    name = name or os.path.basename(path)
    if not NAME.fullmatch(name):
        raise StoreError("'{0}' is no name of a backup; those look like 20271231T235959Z".format(name))
    try:
        manifest = _load(os.path.join(path, MANIFEST))
        if manifest["form"] != FORM:
            raise StoreError("{0} has form {1}; this program knows {2}".format(path, manifest["form"], FORM))
        for key, kind in (("site", str), ("parts", list)):
            if not isinstance(manifest[key], kind):
                raise ValueError(key)
        for part in manifest["parts"]:
            if os.path.basename(part["file"]) != part["file"] or not isinstance(part["bytes"], int):
                raise ValueError(part["file"])
    except OSError as error:
        raise StoreError("there is no backup {0}: {1}".format(path, error.strerror)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError("{0} is not a backup of this program: its manifest cannot be read".format(path)) from error
    proof = None
    with contextlib.suppress(OSError, ValueError):
        proof = _load(os.path.join(path, PROOF))
    return Backup(name, path, manifest, proof)


def check(backup: Backup, site: str, parts: Sequence[Dict[str, Any]]) -> None:
    """Every byte of the parts, against the manifest."""
    if backup.manifest["site"] != site:
        raise StoreError(
            "{0} is a backup of the site '{1}', not of '{2}'".format(backup.path, backup.manifest["site"], site)
        )
    for part in parts:
        path = os.path.join(backup.path, part["file"])
        if not os.path.isfile(path):
            raise StoreError("{0} is missing; take another backup".format(path))
        size = os.path.getsize(path)
        if size != part["bytes"]:
            raise StoreError("{0} has {1} bytes instead of {2}; take another backup".format(path, size, part["bytes"]))
        if backup_files.digest(path) != part["sha256"]:
            raise StoreError("{0} is corrupt: its checksum is wrong; take another backup".format(path))


class Store:
    """The backups of one site on this host."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def all(self) -> List[Backup]:
        """What is complete, oldest first; a folder that is not a backup is none."""
        found = []
        for name in sorted(os.listdir(self.directory)):
            if NAME.fullmatch(name):
                with contextlib.suppress(StoreError):
                    found.append(read(self.path(name)))
        return found

    def choose(self, name: str) -> Backup:
        """A backup by its name, or the newest."""
        if name != "newest":
            return read(self.path(name))
        there = self.all()
        if not there:
            raise StoreError("there is no complete backup in {0}".format(self.directory))
        return there[-1]

    @contextlib.contextmanager
    def lock(self, verb: str, patience: float = 0) -> Iterator[None]:
        """One run at a time; the lock goes with the process, however it ends."""
        deadline = time.monotonic() + patience
        with open(self.path(".lock"), "a+", encoding="utf-8") as stream:
            while True:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if time.monotonic() >= deadline:
                        stream.seek(0)
                        raise StoreError("another run is at work: {0}".format(stream.read().strip())) from error
                time.sleep(0.5)
            stream.truncate(0)
            stream.write("{0}, process {1}, since {2}\n".format(verb, os.getpid(), stamp(time.time())))
            stream.flush()
            self.clean()
            yield

    def clean(self) -> None:
        """Away with what a run left that was killed."""
        for name in os.listdir(self.directory):
            if name.startswith(ASIDE):
                shutil.rmtree(self.path(name))

    def begin(self, name: str) -> str:
        """A folder for a backup that is not one yet."""
        path = self.path(ASIDE + name)
        os.mkdir(path, 0o700)
        return path

    def finish(self, name: str) -> Backup:
        """It is complete and on the disk: now it gets its name."""
        sync_folder(self.path(ASIDE + name))
        os.rename(self.path(ASIDE + name), self.path(name))
        sync_folder(self.directory)
        return read(self.path(name))

    def remove(self, name: str) -> None:
        """First out of sight, then away: killed in between it is no backup any longer."""
        os.rename(self.path(name), self.path(ASIDE + name))
        shutil.rmtree(self.path(ASIDE + name))

    def prove(self, backup: Backup, proof: Optional[Dict[str, Any]]) -> None:
        """Keep, or take back, that a backup was restored."""
        path = os.path.join(backup.path, PROOF)
        if proof:
            write_json(path, proof)
        elif os.path.exists(path):
            os.unlink(path)

    def report(self, verb: str, entry: Dict[str, Any]) -> None:
        """What status shows: the last run of each verb, and what is there."""
        status = {}  # type: Dict[str, Any]
        with contextlib.suppress(OSError, ValueError):
            status = _load(self.path("status.json"))
        there = self.all()
        status[verb] = entry
        status["backups"] = {
            "count": len(there),
            "bytes": sum(backup.size for backup in there),
            "newest": there[-1].name if there else None,
            "newest_proven": max([backup.name for backup in there if backup.proof] or [""]) or None,
        }
        write_json(self.path("status.json"), status)
