# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that keeps a site's backups on its server: one verb a run, its result in status.json."""

import argparse
import json
import os
import sys
import time
from typing import Any, Dict, List

from ansible_collections.ocpizza.cutover.plugins.module_utils import (
    backup_copies,
    backup_drill,
    backup_files,
    backup_restore,
    backup_retention,
    backup_site,
    backup_store,
    table_counts,
)

REFUSALS = (backup_store.StoreError, backup_files.IncompleteError, table_counts.RefusedError, OSError, ValueError)


def run(site: backup_site.Site, store: backup_store.Store, _arguments: argparse.Namespace) -> Dict[str, Any]:
    backup = backup_site.make(site, store)
    return {"backup": backup.name, "bytes": backup.size, "seconds": backup.manifest["seconds"]}


def drill(site: backup_site.Site, store: backup_store.Store, arguments: argparse.Namespace) -> Dict[str, Any]:
    entry = backup_drill.drill(site, store, store.choose(arguments.backup))
    entry["removed"] = backup_drill.prune(site, store, time.time())
    return entry


def copy(site: backup_site.Site, store: backup_store.Store, _arguments: argparse.Namespace) -> Dict[str, Any]:
    done, failed = {}, []
    for place in site.elsewhere:
        try:
            done[place["name"]] = backup_copies.copy(site, store, place, time.time())
        except REFUSALS as error:
            # One place that is gone does not keep the others from their copies.
            failed.append(str(error))
    if failed:
        raise backup_store.StoreError("; ".join(failed))
    return done


def restore(site: backup_site.Site, store: backup_store.Store, arguments: argparse.Namespace) -> Dict[str, Any]:
    # Whoever restores waits for it.
    site = site._replace(share=100)
    wish = backup_restore.Wish(
        arguments.database, arguments.table, arguments.into, arguments.files, arguments.directory
    )
    if arguments.origin:
        places = {place["name"]: place for place in site.elsewhere}
        if arguments.origin not in places:
            raise backup_store.StoreError(
                "there is no place '{0}'; there is {1}".format(arguments.origin, ", ".join(places) or "none")
            )
        backup = backup_copies.Elsewhere(site, places[arguments.origin]).get(arguments.backup, store)
    else:
        backup = store.choose(arguments.backup)
    return backup_restore.restore(site, store, backup, wish)


def plan(site: backup_site.Site, store: backup_store.Store, _arguments: argparse.Namespace) -> None:
    now = time.time()
    decisions = backup_drill.plan(site, store, now)
    today = backup_retention.local_day(now)
    print("\n".join(backup_retention.preview(decisions, backup_store.stamp, today)) or "there is no backup")


VERBS = {"run": run, "drill": drill, "copy": copy, "restore": restore}


def parse(argv: List[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="backup", description=__doc__)
    parser.add_argument("--config", required=True)
    parser.add_argument("--wait", type=float, default=0, help="seconds to wait for another run")
    verbs = parser.add_subparsers(dest="verb")
    verbs.required = True
    verbs.add_parser("run", help="make a backup")
    proof = verbs.add_parser("drill", help="restore a backup beside the site, compare every row, then prune")
    proof.add_argument("--backup", default="newest")
    verbs.add_parser("copy", help="bring what is missing to the other places")
    verbs.add_parser("plan", help="say why each backup is kept, and when it goes")
    back = verbs.add_parser("restore", help="bring back a table, a database, all databases, or files")
    back.add_argument("--backup", default="newest")
    back.add_argument("--from", dest="origin", help="the other place to take it from")
    back.add_argument("--database", action="append", default=[])
    back.add_argument("--table", help="one table, on PostgreSQL with its schema; its rows alone are replaced")
    back.add_argument("--into", help="a database that is not there yet, instead of the site's")
    back.add_argument("--files", help="a set of files, such as media")
    back.add_argument("--directory", help="where the files go; / puts them where they were")
    arguments = parser.parse_args(argv)
    if arguments.verb == "restore":
        if bool(arguments.files) != bool(arguments.directory):
            parser.error("--files and --directory go together")
        if arguments.files and (arguments.database or arguments.table or arguments.into):
            parser.error("--files goes without --database, --table and --into")
        if arguments.table and arguments.into:
            parser.error("--table replaces the rows of the site's table; --into takes a whole database")
    return arguments


def main(argv: List[str]) -> int:
    arguments = parse(argv)
    os.umask(0o077)
    try:
        site = backup_site.load(arguments.config)
        store = backup_store.Store(site.directory)
        if arguments.verb == "plan":
            plan(site, store, arguments)
            return 0
        with store.lock(arguments.verb, arguments.wait):
            return _report(site, store, arguments)
    except REFUSALS as error:
        print("{0}: {1}. Nothing was changed.".format(arguments.verb, error), file=sys.stderr)
        return 1


def _report(site: backup_site.Site, store: backup_store.Store, arguments: argparse.Namespace) -> int:
    entry = {"when": time.time()}  # type: Dict[str, Any]
    said = ""
    try:
        entry.update(VERBS[arguments.verb](site, store, arguments), verdict="PASSED")
    except REFUSALS as error:
        said = str(error)
        entry.update(verdict="FAILED", text=said)
    if entry.get("open"):
        entry.update(verdict="PARTIAL", text="rows differ, somebody writes: {0}".format(", ".join(entry["open"])))
    store.report(arguments.verb, entry)
    if said:
        print("{0} failed: {1}".format(arguments.verb, said), file=sys.stderr)
        return 1
    print(json.dumps(entry, sort_keys=True))
    return 0
