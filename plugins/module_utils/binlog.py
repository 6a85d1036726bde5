# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Row changes from the binary log of MariaDB and MySQL, as it grows."""

import time
from typing import Any, Dict, Iterator, Sequence

try:
    from pymysqlreplication import BinLogStreamReader
    from pymysqlreplication.event import NotImplementedEvent
    from pymysqlreplication.row_event import (
        DeleteRowsEvent,
        PartialUpdateRowsEvent,
        UpdateRowsEvent,
        WriteRowsEvent,
    )
except ImportError:
    BinLogStreamReader = None

from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Change, TableName

IMAGES = ("values", "before_values", "after_values")
# Events that hold rows, and that the library passes over in silence.
COMPRESSED = (40, 166, 167, 168, 169, 170, 171)


def follow(settings: Dict[str, Any], position: str, tables: Sequence[TableName], mariadb: bool) -> Iterator[Change]:
    """The changes of these tables since a GTID position, for ever. ``settings`` are the driver's arguments."""
    if BinLogStreamReader is None:
        raise RuntimeError("mysql-replication cannot be imported; run from the site's agent.pyz")
    reader = BinLogStreamReader(
        connection_settings=settings,
        # Any number that no server of the pair has; a second reader with the same number would end the first.
        server_id=4000000000 + int(time.time()) % 200000000,
        blocking=True,
        is_mariadb=mariadb,
        auto_position=position,
        only_schemas=sorted({database for database, _table in tables}),
        only_events=[WriteRowsEvent, UpdateRowsEvent, DeleteRowsEvent, PartialUpdateRowsEvent, NotImplementedEvent],
        filter_non_implemented_events=False,
        ignore_decode_errors=False,
    )
    wanted = set(tables)
    for event in reader:
        if isinstance(event, NotImplementedEvent):
            if event.event_type in COMPRESSED:
                raise RuntimeError(
                    "it has compressed transactions. Turn {0} off on that server, and have every session connect "
                    "anew".format("log_bin_compress" if mariadb else "binlog_transaction_compression")
                )
        elif (event.schema, event.table) in wanted:
            yield change_of(event)


def change_of(event: Any) -> Change:
    """One row event: the images of each of its rows."""
    images = [row[image] for row in event.rows for image in IMAGES if image in row]
    return Change((event.schema, event.table), images)
