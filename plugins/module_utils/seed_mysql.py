# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first copy from MySQL to MySQL: how its sessions come to one snapshot, and what it cannot hold."""

import time
from typing import Any, Dict, Optional, Sequence

from ansible_collections.ocpizza.cutover.plugins.module_utils import copy_databases
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Progress
from ansible_collections.ocpizza.cutover.plugins.module_utils.dump_stream import SeedFailed
from ansible_collections.ocpizza.cutover.plugins.module_utils.mariadb_fence import LOCKED_ERRNO
from ansible_collections.ocpizza.cutover.plugins.module_utils.mysql import MySQL

# All commits stop for an instant, to have the snapshots and their GTIDs at one point. Behind a long statement that
# would keep everyone waiting, so it is given up after this long, and tried again.
LOCK_SECONDS = 2
ATTEMPTS = 10


def seeded(target: MySQL) -> Optional[str]:
    """The position of a copy that completed earlier; None where there is none."""
    return target.seeded()


def snapshot(source: MySQL, sessions: Sequence[Any]) -> str:
    """Have all sessions see the same instant; the GTIDs that were executed then."""
    source.rows("SET SESSION lock_wait_timeout = {0}".format(LOCK_SECONDS))
    for attempt in range(ATTEMPTS):
        try:
            # The first waits for long statements while it keeps nobody waiting; the second finds none any more.
            source.rows("FLUSH LOCAL TABLES")
            source.rows("FLUSH TABLES WITH READ LOCK")
            break
        except Exception as error:
            if error.args[:1] != (LOCKED_ERRNO,) or attempt == ATTEMPTS - 1:
                raise
            time.sleep(LOCK_SECONDS)
    try:
        for session in sessions:
            session.query("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        position = source.executed()
    finally:
        source.rows("UNLOCK TABLES")
    if not position:
        raise SeedFailed("the snapshot has no GTIDs; is gtid_mode ON?")
    return position


MEANS = copy_databases.Means(
    snapshot,  # type: ignore[arg-type]
    reading=("SET SESSION max_execution_time = 0",),
    # Indexes are sorted in memory: 1 MB as the server has it is little.
    writing=("SET SESSION innodb_ddl_buffer_size = 67108864",),
    dump=("--no-tablespaces", "--set-gtid-purged=OFF"),
    load=("--skip-reconnect", "--init-command=SET SESSION sql_log_bin=0"),
)


def seed(source: MySQL, target: MySQL, plan: Dict[str, Any], progress: Progress) -> Dict[str, Any]:
    """Copy the databases, unless that was done."""
    done = seeded(target)
    if done is not None:
        return {"changed": False, "position": done}
    refuse(source)
    return copy_databases.seed(source, target, plan, progress, MEANS)


def refuse(source: MySQL) -> None:
    """Stop before anything is touched where a snapshot could not be right."""
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
