# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of the backups at another place, carried by rclone: a mount, a server over ssh, or an S3-compatible store."""

import os
import shutil
import subprocess
from typing import Any, Dict, List

from ansible_collections.ocpizza.cutover.plugins.module_utils import backup_drill, backup_site, backup_store
from ansible_collections.ocpizza.cutover.plugins.module_utils.backup_store import MANIFEST, NAME, PROOF, StoreError


class Elsewhere:
    """One other place. A backup is there when its manifest is, which comes last and goes first."""

    def __init__(self, site: backup_site.Site, place: Dict[str, Any]) -> None:
        self.site = site
        self.name = place["name"]
        self.remote = place["remote"].rstrip("/")
        self.keep = place.get("keep", site.keep)
        if self.remote.startswith("/"):
            if not os.path.isdir(self.remote):
                raise StoreError("{0}: there is no folder {1}; mount it".format(self.name, self.remote))
            if os.stat(self.remote).st_dev == os.stat(site.directory).st_dev:
                raise StoreError(
                    "{0}: {1} is on the same disk as {2}, so that it is no other place, or it is not mounted".format(
                        self.name, self.remote, site.directory
                    )
                )

    def rclone(self, *arguments: str) -> str:
        command = ["rclone", "--contimeout=30s", "--retries=3"]
        if self.site.rclone_config:
            command.append("--config={0}".format(self.site.rclone_config))
        done = subprocess.run(
            [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/", check=False
        )
        if done.returncode != 0:
            words = [line for line in done.stderr.decode("utf-8", "replace").strip().split("\n") if line]
            raise StoreError("{0}: rclone {1}: {2}".format(self.name, arguments[0], words[-1] if words else "failed"))
        return done.stdout.decode("utf-8")

    def place(self, *names: str) -> str:
        return "/".join([self.remote, *names])

    def names(self) -> List[str]:
        """The backups that are complete there."""
        self.rclone("mkdir", self.remote)
        listed = self.rclone("lsf", "--recursive", "--files-only", "--include=/*/" + MANIFEST, self.remote).split("\n")
        return sorted(line.split("/")[0] for line in listed if NAME.fullmatch(line.split("/")[0]))

    def put(self, backup: backup_store.Backup) -> None:
        """The parts, then a check of them there, then the manifest by which it counts."""
        there = self.place(backup.name)
        parts = ["--exclude=/" + MANIFEST, "--exclude=/" + PROOF]
        self.rclone("copy", *parts, backup.path, there)
        self.rclone("check", "--one-way", *parts, backup.path, there)
        self.rclone("copyto", os.path.join(backup.path, MANIFEST), self.place(backup.name, MANIFEST))

    def get(self, name: str, store: backup_store.Store) -> backup_store.Backup:
        """A backup of that place into the store of this host."""
        if name == "newest":
            names = self.names()
            if not names:
                raise StoreError("{0}: there is no complete backup in {1}".format(self.name, self.remote))
            name = names[-1]
        if os.path.exists(store.path(name)):
            return backup_store.read(store.path(name))
        if not NAME.fullmatch(name) or name not in self.names():
            raise StoreError("{0}: there is no backup '{1}' in {2}".format(self.name, name, self.remote))
        folder = store.begin(name)
        try:
            self.rclone("copy", self.place(name), folder)
            # What was spoilt there does not become a backup of this host.
            backup = backup_store.read(folder, name)
            backup_store.check(backup, self.site.site, backup.manifest["parts"])
        except StoreError:
            shutil.rmtree(folder)
            raise
        return store.finish(name)

    def drop(self, name: str) -> None:
        self.rclone("deletefile", self.place(name, MANIFEST))
        self.rclone("purge", self.place(name))


def copy(site: backup_site.Site, store: backup_store.Store, place: Dict[str, Any], now: float) -> Dict[str, Any]:
    """Bring what is missing there, and prune by that place's own rules."""
    elsewhere = Elsewhere(site, place)
    here = {backup.name: backup for backup in store.all()}
    there = set(elsewhere.names())
    names = sorted(there | set(here))
    # Proven is what was restored here; the copies were compared with it when they came.
    proven = bool(names and names[-1] in here and here[names[-1]].proof)
    decisions = backup_drill.decide(names, elsewhere.keep, now, proven)
    wanted = {name for name, one in zip(names, decisions) if one.kept}
    missing = sorted(name for name in here if name in wanted - there)
    for name in missing:
        elsewhere.put(here[name])
    gone = sorted(there - wanted)
    for name in gone:
        elsewhere.drop(name)
    return {"copied": missing, "removed": gone, "count": len(there) + len(missing) - len(gone)}
