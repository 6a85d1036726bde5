# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a site's backup is made of, and how each of it is written and read."""

import hashlib
import json
import os
import shutil
import subprocess
import time
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils import (
    backup_engines,
    backup_files,
    backup_pipes,
    backup_rows,
    backup_store,
)

# The margin by which a backup may grow.
GROWTH = 1.2
# tar's word for a file that changed while it was read.
CHANGED = 1


class Host:
    """What the engines ask of a module, without Ansible."""

    def get_bin_path(self, name: str, required: bool = False) -> Optional[str]:
        path = shutil.which(name)
        if required and not path:
            raise backup_store.StoreError("there is no {0} on this host".format(name))
        return path

    def run_command(
        self,
        command: List[str],
        data: str = "",
        cwd: Optional[str] = None,
        environ_update: Optional[Dict[str, str]] = None,
    ) -> Tuple[int, str, str]:
        done = subprocess.run(
            command,
            input=data.encode("utf-8"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=dict(os.environ, **(environ_update or {})),
            check=False,
        )
        return done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8", "replace")


class Site(NamedTuple):
    """One site on this host, as its configuration says."""

    site: str
    directory: str
    engines: Dict[str, List[str]]
    ports: Dict[str, int]
    sockets: Dict[str, str]
    files: Dict[str, List[str]]
    recipients: List[str]
    identity: Optional[str]
    keep: List[int]
    elsewhere: List[Dict[str, Any]]
    rclone_config: Optional[str]
    # Percent of the time in which a backup or a drill works.
    share: int

    def server(self, engine: str) -> Any:
        return backup_engines.provider(Host(), engine, int(self.ports.get(engine, 0)), self.sockets.get(engine))

    def seal(self) -> List[List[str]]:
        """How a stream is packed for the store."""
        age = ["age", "--encrypt"]
        for one in self.recipients:
            age += ["--recipient", one]
        return [backup_pipes.COMPRESS, age]

    def unseal(self) -> List[List[str]]:
        if not self.identity or not os.path.exists(self.identity):
            raise backup_store.StoreError(
                "this host has no key to read backups with; set scheduled_backup_identity, or restore where the key is"
            )
        return [["age", "--decrypt", "--identity", self.identity], backup_pipes.DECOMPRESS]


def load(path: str) -> Site:
    """The configuration that the role wrote."""
    with open(path, encoding="utf-8") as stream:
        return Site(**json.load(stream))


def _walk(paths: List[str]) -> Iterator[str]:
    for top in paths:
        yield top
        for root, folders, names in os.walk(top):
            folders.sort()
            for name in sorted(folders + names):
                yield os.path.join(root, name)


def fingerprint(paths: List[str], recipients: List[str]) -> str:
    """Changes when any file does, or who may read the backup."""
    sha = hashlib.sha256(json.dumps([paths, recipients]).encode("utf-8"))
    for path in _walk(paths):
        try:
            one = os.lstat(path)
        except OSError:
            continue
        line = (path, one.st_mode, one.st_uid, one.st_gid, one.st_size, one.st_mtime_ns, one.st_ctime_ns)
        sha.update(repr(line).encode("utf-8", "surrogateescape"))
    return sha.hexdigest()


def _room(site: Site, earlier: List[backup_store.Backup]) -> None:
    if not earlier:
        return
    free = shutil.disk_usage(site.directory).free
    needed = int(earlier[-1].size * GROWTH)
    if free < needed:
        raise backup_store.StoreError(
            "{0} has {1} bytes free, and a backup may need {2}; make room, or keep fewer".format(
                site.directory, free, needed
            )
        )


def make(site: Site, store: backup_store.Store) -> backup_store.Backup:
    """One backup of everything; nothing has its name before all is on the disk."""
    earlier = store.all()
    _room(site, earlier)
    created = time.time()
    name = backup_store.stamp(created)
    if os.path.exists(store.path(name)):
        raise backup_store.StoreError("there is a backup {0} already; wait a second".format(name))
    folder = store.begin(name)
    try:
        parts = [
            _database(site, folder, engine, one) for engine in sorted(site.engines) for one in site.engines[engine]
        ]
        parts += [_files(site, folder, kind, earlier[-1] if earlier else None) for kind in sorted(site.files)]
        manifest = {"form": backup_store.FORM, "site": site.site, "parts": parts}
        manifest["seconds"] = round(time.time() - created, 3)
        backup_store.write_json(os.path.join(folder, backup_store.MANIFEST), manifest)
        return store.finish(name)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _database(site: Site, folder: str, engine: str, database: str) -> Dict[str, Any]:
    server = site.server(engine)
    # Its own packing off: what comes behind packs better, and is the same for all.
    own = ["--compress=0"] if engine == "postgresql" else []
    file = "{0}-{1}.zst.age".format(engine, hashlib.sha256(database.encode("utf-8")).hexdigest()[:12])
    before = server.count(database)
    packed = backup_pipes.pack(
        server.dump_command(database, *own), site.seal(), os.path.join(folder, file), server.form, share=site.share
    )
    after = server.count(database)
    return {
        "kind": "database",
        "engine": engine,
        "database": database,
        "charset": server.charset(database),
        "rows": {table: [before.get(table, 0), rows] for table, rows in after.items()},
        "file": file,
        "bytes": packed.bytes,
        "sha256": packed.sha256,
        "plain": packed.plain,
    }


def _files(site: Site, folder: str, kind: str, earlier: Optional[backup_store.Backup]) -> Dict[str, Any]:
    paths = [path for path in site.files[kind] if os.path.lexists(path)]
    file = "files-{0}.tar.zst.age".format(kind)
    path = os.path.join(folder, file)
    found = fingerprint(paths, site.recipients)
    for part in earlier.manifest["parts"] if earlier else []:
        if part["file"] == file and part["fingerprint"] == found and earlier:
            # The same files take no room twice.
            before = os.path.join(earlier.path, file)
            if os.path.exists(before) and backup_files.digest(before) == part["sha256"]:
                os.link(before, path)
                return dict(part)
    command = ["tar", "--create", "--file=-", "--directory=/", "--warning=no-file-changed", "--"]
    names = [os.path.relpath(one, "/") for one in paths]
    packed = backup_pipes.pack(
        [*command, *names] if names else ["tar", "-cf-", "-T", os.devnull],
        site.seal(),
        path,
        fine=(0, CHANGED),
        share=site.share,
    )
    return {
        "kind": "files",
        "name": kind,
        "file": file,
        "bytes": packed.bytes,
        "sha256": packed.sha256,
        "plain": packed.plain,
        "fingerprint": found,
    }


def rows_in_backup(site: Site, backup: backup_store.Backup, part: Dict[str, Any]) -> backup_rows.Digests:
    """Every row that a backup holds."""
    path = os.path.join(backup.path, part["file"])
    if part["engine"] == "postgresql":
        text = site.server("postgresql").client.offline("pg_restore", "--data-only", "--file=-")
        return dict(backup_pipes.unpack(path, [*site.unseal(), text], backup_rows.of_postgresql, site.share))
    return dict(backup_pipes.unpack(path, site.unseal(), backup_rows.of_mysql, site.share))


def rows_in_database(site: Site, engine: str, database: str) -> backup_rows.Digests:
    """Every row that a database has now, told in the same way."""
    server = site.server(engine)
    if engine == "postgresql":
        command = server.dump_command(database, "--data-only", "--format=plain")
        return dict(backup_pipes.read(command, backup_rows.of_postgresql, site.share))
    return dict(backup_pipes.read(server.dump_command(database), backup_rows.of_mysql, site.share))
