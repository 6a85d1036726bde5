# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: S608 - every name in a statement went through quote_mysql(); the position is the server's own GTIDs
"""The first copy of the site's databases, the part that MariaDB and MySQL share.

One snapshot with its position, seen by several sessions; definitions by ``mysqldump``; rows by ``copy_rows``; then
what must not be there while rows arrive: indexes, triggers, events.
"""

import time
import uuid
from contextlib import ExitStack, contextmanager
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Sequence, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.copy_rows import (
    Indexes,
    Rows,
    Sessions,
    tables_of,
    together,
)
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Progress
from ansible_collections.ocpizza.cutover.plugins.module_utils.dump_stream import SeedFailed, stream
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_mysql
from ansible_collections.ocpizza.cutover.plugins.module_utils.mariadb import MariaDB

# The most that a server takes: a row and its text must pass in one piece.
LONGEST_ROW = 1 << 30
# An answer may take as long as an index of the largest table.
PATIENCE = 86400.0
# A session waits while others work, and for the slower side.
SESSION = "SET SESSION time_zone = '+00:00', wait_timeout = 86400, net_read_timeout = 86400, net_write_timeout = 86400"
READING = (SESSION + ", sql_mode = ''", "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SET NAMES binary")
WRITING = (
    SESSION + ", sql_log_bin = 0, unique_checks = 0, foreign_key_checks = 0, "
    "sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'",
    "SET NAMES binary",
)
# Without its transaction mysqldump would lock the tables.
DUMP = ("--single-transaction", "--default-character-set=utf8mb4", "--no-data")
FIRST = (*DUMP, "--routines", "--skip-triggers")
LAST = (*DUMP, "--no-create-info", "--no-create-db", "--triggers", "--events")


class Means(NamedTuple):
    """What differs: how the snapshot is taken, and what sessions and programs need besides."""

    snapshot: Callable[[MariaDB, Sequence[Any]], str]
    reading: Tuple[str, ...] = ()
    writing: Tuple[str, ...] = ()
    dump: Tuple[str, ...] = ()
    load: Tuple[str, ...] = ()


def refuse(target: MariaDB) -> None:
    """The copy never writes over tables on the target that no copy of ours has brought."""
    begun = target.rows(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = %s AND table_name = 'seeding'",
        [target.name],
    )
    foreign = [] if begun else ["{0}.{1}".format(table["db"], table["tbl"]) for table in target.tables()]
    if foreign:
        raise SeedFailed(
            "the target already has {0}; the copy never writes over tables that it did not bring. "
            "Drop the database on the target, or name another one".format(", ".join(foreign[:5]))
        )


@contextmanager
def quiet_events(source: MariaDB, target: MariaDB) -> Iterator[None]:
    """Events arrive enabled: none runs on the target while the copy is made, and the site's stay off after it."""
    scheduler = ""
    if source.events():
        scheduler = str(target.value("SELECT @@GLOBAL.event_scheduler"))
    if scheduler == "ON":
        others = target.rows(
            "SELECT CONCAT(event_schema, '.', event_name) AS name FROM information_schema.events "
            "WHERE status = 'ENABLED' AND event_schema NOT IN %s",
            [[*target.databases, "sys"]],
        )
        if others:
            raise SeedFailed(
                "the copy brings events, and the target runs {0} of others: they cannot all be kept still. Set "
                "event_scheduler to OFF on the target while the copy is made".format(others[0]["name"])
            )
        target.rows("SET GLOBAL event_scheduler = OFF")
    try:
        yield
    finally:
        target.let_events_run(False)
        if scheduler == "ON":
            target.rows("SET GLOBAL event_scheduler = ON")


def connected(server: MariaDB, jobs: int, settings: Sequence[str], open_ones: ExitStack) -> List[Any]:
    """Sessions that take the longest rows there can be; the server's own limit is as it was right after."""
    limit = int(server.value("SELECT @@GLOBAL.max_allowed_packet"))
    server.rows("SET GLOBAL max_allowed_packet = {0}".format(LONGEST_ROW))
    try:
        made = []
        for _job in range(jobs):
            connection = server.another(PATIENCE)
            open_ones.callback(lambda each: each.open and each.close(), connection)
            made.append(connection)
    finally:
        server.rows("SET GLOBAL max_allowed_packet = {0}".format(limit))
    for connection in made:
        for statement in settings:
            connection.query(statement)
    return made


def seed(source: MariaDB, target: MariaDB, plan: Dict[str, Any], progress: Progress, means: Means) -> Dict[str, Any]:
    """Copy the databases. The plan: ``dump`` and ``load``, the clients of the two ends and how they connect; ``jobs``.

    What a broken copy left is taken away first, and it is begun anew.
    """
    refuse(target)
    jobs = max(1, int(plan.get("jobs") or 1))
    with quiet_events(source, target), ExitStack() as open_ones:
        # What still arrived over an old link would count as applied, and be missing from the new copy.
        target.unfollow()
        target.unlogged("CREATE TABLE IF NOT EXISTS {0}.seeding (id TINYINT PRIMARY KEY)".format(target.schema))
        for database in target.databases:
            target.unlogged("DROP DATABASE IF EXISTS {0}".format(quote_mysql(database)))
        source.drop_fence()
        # A binary log that was turned on a moment ago has no position yet.
        source.make_schema()
        source.mark(uuid.uuid4().hex)
        begun = time.monotonic()
        reading = connected(source, jobs, [*READING, *means.reading], open_ones)
        writing = connected(target, jobs, [*WRITING, *means.writing], open_ones)
        sessions = [Sessions(*pair) for pair in zip(reading, writing)]
        position = means.snapshot(source, reading)
        dump, load = [*plan["dump"], *means.dump], [*plan["load"], *means.load]
        # After the snapshot: a definition that changes meanwhile then fails the copy, and is never half of it.
        stream([*dump, *FIRST, "--databases", *source.databases], load)
        tables = tables_of(source)
        indexes = Indexes(target, tables, progress)
        rows = Rows(tables, progress)
        together(rows.work, sessions)
        together(indexes.work, sessions)
        stream([*dump, *LAST, "--databases", *source.databases], load)
    target.unlogged(
        "REPLACE INTO {0}.seed VALUES (1, '{1}', UTC_TIMESTAMP(6))".format(target.schema, position),
        "DROP TABLE {0}.seeding".format(target.schema),
    )
    return {
        "changed": True,
        "position": position,
        "rows": rows.done,
        "bytes": rows.bytes,
        "seconds": round(time.monotonic() - begun, 3),
    }
