# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: S608 - every name in a statement went through quote_mysql(); the position is digits, commas and dashes
"""The first copy of the site's databases: one consistent snapshot with its position, streamed over TLS."""

import re
import time
import uuid
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional

from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Progress
from ansible_collections.ocpizza.cutover.plugins.module_utils.dump_stream import SeedFailed, stream
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_mysql
from ansible_collections.ocpizza.cutover.plugins.module_utils.mariadb import MariaDB

# At the start of a line, where no row can put it: a dump writes line ends within values as \\n.
POSITION = re.compile(rb"^(?:-- )?SET GLOBAL gtid_slave_pos='([0-9,-]+)';$", re.MULTILINE)


def position_in(part: bytes) -> Optional[str]:
    """The GTID position that a part of a dump names; None where it names none."""
    found = POSITION.search(part)
    return found.group(1).decode("ascii") if found else None


def seeded(target: MariaDB) -> Optional[str]:
    """The position of a copy that completed earlier; None where there is none."""
    return target.seeded()


def foreign_tables(target: MariaDB) -> List[str]:
    """Tables on the target that no copy of ours has brought: the seed never writes over them."""
    begun = target.rows(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = %s AND table_name = 'seeding'",
        [target.name],
    )
    if begun:
        return []
    return ["{0}.{1}".format(table["db"], table["tbl"]) for table in target.tables()]


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


def seed(
    source: MariaDB,
    target: MariaDB,
    plan: Dict[str, Any],
    progress: Progress,
) -> Dict[str, Any]:
    """Copy the databases, unless that was done. The plan's ``dump`` and ``load`` are the commands of the two ends.

    Progress is told in bytes of SQL, of which the size of data and indexes is a fair guess.
    """
    done = seeded(target)
    if done is not None:
        return {"changed": False, "position": done}
    foreign = foreign_tables(target)
    if foreign:
        raise SeedFailed(
            "the target already has {0}; the copy never writes over tables that it did not bring. "
            "Drop the database on the target, or name another one".format(", ".join(foreign[:5]))
        )
    total = int(
        source.value(
            "SELECT COALESCE(SUM(data_length), 0) FROM information_schema.tables WHERE table_schema IN %s",
            [source.databases],
        )
    )
    with quiet_events(source, target):
        target.unlogged("CREATE TABLE IF NOT EXISTS {0}.seeding (id TINYINT PRIMARY KEY)".format(target.schema))
        for database in target.databases:
            target.unlogged("DROP DATABASE IF EXISTS {0}".format(quote_mysql(database)))
        source.drop_fence()
        # A binary log that was turned on a moment ago has no position yet, and the dump would name none.
        source.make_schema()
        source.mark(uuid.uuid4().hex)
        begun = time.monotonic()
        position, sent = stream(plan["dump"], plan["load"], position_in, progress, total)
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
