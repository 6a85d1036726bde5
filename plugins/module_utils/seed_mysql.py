# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: S608 - every name in a statement went through quote_mysql(); the position is a set of GTIDs
"""The first copy of a site's databases from MySQL to MySQL: one snapshot with its GTIDs, streamed over TLS."""

import re
import time
import uuid
from typing import Any, Dict, List, Optional, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Progress
from ansible_collections.ocpizza.cutover.plugins.module_utils.dump_stream import SeedFailed, stream
from ansible_collections.ocpizza.cutover.plugins.module_utils.gtids import members
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_mysql
from ansible_collections.ocpizza.cutover.plugins.module_utils.mysql import MySQL
from ansible_collections.ocpizza.cutover.plugins.module_utils.seed_mariadb import foreign_tables

# At the start of a line, where no row can put it: a dump writes line ends within values as \\n.
POSITION = re.compile(
    rb"^/\* SET @@GLOBAL\.GTID_PURGED=(?:/\*!80000 '\+'\*/ )?'\+?([0-9A-Za-z_:,\s-]+)';\*/", re.MULTILINE
)
# The dump stops all commits for an instant, to have the snapshot and its GTIDs at one point. Behind a long statement
# it would keep everyone waiting, so it gives up after this long, and tries again.
LOCK_SECONDS = 2
ATTEMPTS = 10
DUMP = (
    "--single-transaction",
    "--quick",
    "--routines",
    "--triggers",
    "--events",
    "--hex-blob",
    "--no-tablespaces",
    "--set-gtid-purged=COMMENTED",
    "--default-character-set=utf8mb4",
    "--max-allowed-packet=1G",
    "--init-command=SET SESSION lock_wait_timeout={0}".format(LOCK_SECONDS),
    "--databases",
)
LOAD = ("--max-allowed-packet=1G", "--skip-reconnect", "--init-command=SET SESSION sql_log_bin=0")


def position_in(part: bytes) -> Optional[str]:
    """The GTIDs that a part of a dump names; None where it names none."""
    found = POSITION.search(part)
    return ",".join(members(found.group(1).decode("ascii"))) if found else None


def seeded(target: MySQL) -> Optional[str]:
    """The position of a copy that completed earlier; None where there is none."""
    return target.seeded()


def seed(source: MySQL, target: MySQL, plan: Dict[str, Any], progress: Progress) -> Dict[str, Any]:
    """Copy the databases, unless that was done.

    The plan's ``dump`` and ``load`` are the clients of the two ends and how they connect; what the copy has to
    be like is added here. Progress is told in bytes of SQL, of which the size of the data is a fair guess.
    """
    done = seeded(target)
    if done is not None:
        return {"changed": False, "position": done}
    refuse(source, target)
    total = int(
        source.value(
            "SELECT COALESCE(SUM(data_length), 0) FROM information_schema.tables WHERE table_schema IN %s",
            [source.databases],
        )
    )
    # What still arrived over an old link would count as applied, and be missing from the new copy.
    target.unfollow()
    target.unlogged("CREATE TABLE IF NOT EXISTS {0}.seeding (id TINYINT PRIMARY KEY)".format(target.schema))
    for database in target.databases:
        target.unlogged("DROP DATABASE IF EXISTS {0}".format(quote_mysql(database)))
    source.drop_fence()
    # Of a server without any transaction the dump would name no position.
    source.make_schema()
    source.mark(uuid.uuid4().hex)
    begun = time.monotonic()
    position, sent = copy(target, [*plan["dump"], *DUMP, *source.databases], [*plan["load"], *LOAD], progress, total)
    target.unlogged(
        "REPLACE INTO {0}.seed VALUES (1, '{1}', UTC_TIMESTAMP(6))".format(target.schema, position),
        "DROP TABLE {0}.seeding".format(target.schema),
    )
    return {
        "changed": True,
        "position": position,
        "bytes": sent,
        "seconds": round(time.monotonic() - begun, 3),
    }


def refuse(source: MySQL, target: MySQL) -> None:
    """Stop before anything is touched where the copy could not be right."""
    foreign = foreign_tables(target)
    if foreign:
        raise SeedFailed(
            "the target already has {0}; the copy never writes over tables that it did not bring. "
            "Drop the database on the target, or name another one".format(", ".join(foreign[:5]))
        )
    others = source.rows(
        "SELECT CONCAT(table_schema, '.', table_name) AS name, engine AS engine FROM information_schema.tables "
        "WHERE table_type = 'BASE TABLE' AND engine <> 'InnoDB' AND table_schema IN %s ORDER BY 1",
        [source.databases],
    )
    if others:
        raise SeedFailed(
            "a snapshot does not hold tables without transactions: {0}. ALTER TABLE … ENGINE=InnoDB on the "
            "source".format(", ".join("{name} is {engine}".format(**row) for row in others[:5]))
        )
    elsewhere = target.rows(
        "SELECT CONCAT(event_schema, '.', event_name) AS name FROM information_schema.events "
        "WHERE status = 'ENABLED' AND event_schema NOT IN %s",
        [[*target.databases, "sys"]],
    )
    if elsewhere and source.events() and _scheduler(target) == "ON":
        raise SeedFailed(
            "the copy brings events, and the target runs {0} of others: they cannot all be kept still. Set "
            "event_scheduler to OFF on the target while the copy is made".format(elsewhere[0]["name"])
        )


def _scheduler(target: MySQL) -> str:
    return str(target.value("SELECT @@GLOBAL.event_scheduler"))


def copy(target: MySQL, dump: List[str], load: List[str], progress: Progress, total: int) -> Tuple[str, int]:
    """Dump and load; the events that arrive stay off. The snapshot's position and the bytes that went over."""
    scheduler = _scheduler(target)
    if scheduler == "ON":
        target.rows("SET GLOBAL event_scheduler = OFF")
    try:
        for attempt in range(ATTEMPTS):
            try:
                return stream(dump, load, position_in, progress, total)
            except SeedFailed as error:
                if "(1205)" not in str(error) or attempt == ATTEMPTS - 1:
                    raise
            time.sleep(LOCK_SECONDS)
        raise AssertionError
    finally:
        target.let_events_run(False)
        if scheduler == "ON":
            target.rows("SET GLOBAL event_scheduler = ON")
