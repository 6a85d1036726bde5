# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proves a backup: everything in it is read, and every row restored beside the site and compared."""

import os
import time
from typing import Any, Dict, List, Sequence

from ansible_collections.ocpizza.cutover.plugins.module_utils import (
    backup_files,
    backup_pipes,
    backup_retention,
    backup_rows,
    backup_site,
    backup_store,
)


def load(site: backup_site.Site, backup: backup_store.Backup, part: Dict[str, Any], name: str, server: Any) -> int:
    """Restore a database under a name that is free, and compare every row; gives their number."""
    server.create(name, part["charset"])
    try:
        path = os.path.join(backup.path, part["file"])
        backup_pipes.unpack(path, [*site.unseal(), server.load_command(name)], share=site.share)
        restored = server.count(name)
        problems = backup_files.compare_restore(part["rows"], restored)
        wrong = backup_rows.differences(
            backup_site.rows_in_backup(site, backup, part), backup_site.rows_in_database(site, part["engine"], name)
        )
        problems += ["the rows of {0} are not those of the backup".format(table) for table in wrong]
        if problems:
            raise backup_files.IncompleteError("{0}: {1}".format(part["database"], "; ".join(problems)))
    except BaseException:
        server.drop(name)
        raise
    return sum(restored.values())


def drill(site: backup_site.Site, store: backup_store.Store, backup: backup_store.Backup) -> Dict[str, Any]:
    """All of one backup; what was proven before and is not now, is proven no longer."""
    started = time.time()
    entry = {"backup": backup.name, "tables": 0, "rows": 0}  # type: Dict[str, Any]
    try:
        backup_store.check(backup, site.site, backup.manifest["parts"])
        for part in backup.manifest["parts"]:
            if part["kind"] == "files":
                read = [*site.unseal(), ["tar", "--list", "--file=-"]]
                backup_pipes.unpack(os.path.join(backup.path, part["file"]), read, share=site.share)
                continue
            server = site.server(part["engine"])
            name = server.scratch(part["database"])
            # A drill that was killed may have left it; nobody else uses the name.
            server.drop(name)
            entry["rows"] += load(site, backup, part, name, server)
            entry["tables"] += len(part["rows"])
            server.drop(name)
    except BaseException:
        store.prove(backup, None)
        raise
    entry["seconds"] = round(time.time() - started, 3)
    store.prove(backup, dict(entry, when=started))
    return entry


def decide(names: Sequence[str], keep: Sequence[int], now: float, proven: bool) -> List[backup_retention.Decision]:
    """What becomes of each backup; nothing goes while the newest is unproven."""
    times = [backup_store.when(name) for name in names]
    return backup_retention.decide(times, now, backup_retention.Keep(*keep), proven=proven)


def plan(site: backup_site.Site, store: backup_store.Store, now: float) -> List[backup_retention.Decision]:
    """What becomes of the backups of this host."""
    there = store.all()
    return decide([backup.name for backup in there], site.keep, now, bool(there and there[-1].proof))


def prune(site: backup_site.Site, store: backup_store.Store, now: float) -> List[str]:
    """Remove what no rule keeps; gives the names."""
    gone = [backup_store.stamp(one.when) for one in plan(site, store, now) if not one.kept]
    for name in gone:
        store.remove(name)
    return gone
