# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first copy from MariaDB to MariaDB: how its sessions come to one snapshot."""

from typing import Any, Dict, Optional, Sequence

from ansible_collections.ocpizza.cutover.plugins.module_utils import copy_databases
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Progress
from ansible_collections.ocpizza.cutover.plugins.module_utils.dump_stream import SeedFailed
from ansible_collections.ocpizza.cutover.plugins.module_utils.mariadb import MariaDB

ATTEMPTS = 1000


def seeded(target: MariaDB) -> Optional[str]:
    """The position of a copy that completed earlier; None where there is none."""
    return target.seeded()


def snapshot(source: MariaDB, sessions: Sequence[Any]) -> str:
    """Have all sessions see the same instant; its GTID position.

    MariaDB knows the place in the binary log that a session's snapshot belongs to. So nothing is locked: the
    snapshots are taken anew until no commit fell between them.
    """
    for _attempt in range(ATTEMPTS):
        for session in sessions:
            session.query("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        places = {_place(session) for session in sessions}
        if len(places) == 1:
            break
    else:
        raise SeedFailed(
            "{0} snapshots in a row had a commit between them; lower replication_copy_jobs, or copy when less is "
            "written".format(ATTEMPTS)
        )
    (place,) = places
    position = (
        source.value("SELECT BINLOG_GTID_POS(%s, %s) AS position", [place[0], int(place[1])]) if all(place) else ""
    )
    if not position:
        raise SeedFailed("the snapshot has no GTID position; is the binary log on?")
    return str(position)


def _place(session: Any) -> Any:
    with session.cursor() as cursor:
        cursor.execute("SHOW STATUS LIKE 'binlog_snapshot_%'")
        found = {_text(name).lower(): _text(value) for name, value in cursor.fetchall()}
    return found.get("binlog_snapshot_file"), found.get("binlog_snapshot_position")


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


MEANS = copy_databases.Means(
    snapshot,
    reading=("SET SESSION max_statement_time = 0",),
    writing=("SET SESSION max_statement_time = 0, check_constraint_checks = 0",),
    load=("--init-command=SET sql_log_bin=0",),
)


def seed(source: MariaDB, target: MariaDB, plan: Dict[str, Any], progress: Progress) -> Dict[str, Any]:
    """Copy the databases, unless that was done."""
    done = seeded(target)
    if done is not None:
        return {"changed": False, "position": done}
    return copy_databases.seed(source, target, plan, progress, MEANS)
