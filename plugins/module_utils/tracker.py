# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rows changed since the last full proof, read from the source's binary log as it grows.

So what is left to prove inside the pause is what changed in the last instants, whatever the size of the
database and however long ago the full proof was.
"""

import threading
import time
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.mariadb import settings_of

try:
    from pymysqlreplication import BinLogStreamReader
    from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent
except ImportError:
    BinLogStreamReader = None

TableName = Tuple[str, str]
Key = Tuple[Any, ...]
Changes = Dict[TableName, List[Key]]


def key_of(values: Dict[str, Any], columns: Sequence[str], key: Sequence[str]) -> Key:
    """The key of one row image.

    A server that logs no column names gives UNKNOWN_COL0, 1, …; then the order of the table decides.
    """
    if all(name in values for name in key):
        return tuple(values[name] for name in key)
    if len(values) != len(columns):
        raise ValueError(
            "a row image has {0} columns where the table has {1}: the table was altered since the proof".format(
                len(values), len(columns)
            )
        )
    in_order = list(values.values())
    return tuple(in_order[columns.index(name)] for name in key)


def keys_of(rows: Sequence[Dict[str, Any]], columns: Sequence[str], key: Sequence[str]) -> Set[Key]:
    """The keys that a row event touched: the old and the new one where a key itself changed."""
    keys = set()
    for row in rows:
        for image in ("values", "before_values", "after_values"):
            if image in row:
                keys.add(key_of(row[image], columns, key))
    return keys


class Tracker:
    """Follows the binary log from a position in a thread of its own and collects the keys of changed rows.

    ``tables`` maps (database, table) to (columns in order, key columns). ``marker`` is the table whose
    rows carry tokens, so that a reader can wait until everything before a token was seen.
    """

    def __init__(
        self,
        credentials: Dict[str, Any],
        position: str,
        tables: Dict[TableName, Tuple[Sequence[str], Sequence[str]]],
        marker: TableName,
        reader: Optional[Callable[..., Any]] = None,
    ) -> None:
        self.tables = tables
        self.marker = marker
        self.failure = ""
        self.unkeyed: Set[TableName] = set()
        self._changed: Dict[TableName, Set[Key]] = {}
        self._tokens: Set[str] = set()
        self._news = threading.Condition()
        self._credentials = credentials
        self._position = position
        self._reader = reader or self._open_reader
        self._thread = threading.Thread(target=self._follow, name="tracker", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def _open_reader(self) -> Any:
        if BinLogStreamReader is None:
            raise RuntimeError("mysql-replication cannot be imported; run from the site's agent.pyz")
        return BinLogStreamReader(
            connection_settings=settings_of(self._credentials),
            # Any number that no server of the pair has; a second reader with the same number would end the first.
            server_id=4000000000 + int(time.time()) % 200000000,
            blocking=True,
            is_mariadb=True,
            auto_position=self._position,
            only_schemas=sorted({database for database, _table in [*self.tables, self.marker]}),
            only_events=[WriteRowsEvent, UpdateRowsEvent, DeleteRowsEvent],
            ignore_decode_errors=False,
        )

    def _follow(self) -> None:
        try:
            for event in self._reader():
                self.take(event.schema, event.table, event.rows)
            raise RuntimeError("the server ended it")
        except Exception as error:
            with self._news:
                self.failure = "the binary log cannot be followed: {0}".format(error)
                self._news.notify_all()

    def take(self, database: str, table: str, rows: Sequence[Dict[str, Any]]) -> None:
        """Take in one row event."""
        name = (database, table)
        with self._news:
            if name == self.marker:
                for row in rows:
                    image = row.get("after_values") or row.get("values") or {}
                    self._tokens.update(str(value) for value in image.values() if isinstance(value, str))
                self._news.notify_all()
                return
            if name not in self.tables:
                return
            columns, key = self.tables[name]
            if not key:
                self.unkeyed.add(name)
                return
            self._changed.setdefault(name, set()).update(keys_of(rows, columns, key))

    def wait_for(self, token: str, seconds: float) -> bool:
        """Wait until everything before a marker was seen; False if it did not come in time or reading failed."""
        with self._news:
            self._news.wait_for(lambda: token in self._tokens or self.failure, timeout=seconds)
            return token in self._tokens and not self.failure

    def put_back(self, name: TableName, keys: Sequence[Key]) -> None:
        """Have keys handed over once more."""
        with self._news:
            self._changed.setdefault(name, set()).update(keys)

    def drain(self) -> Changes:
        """Hand over what changed since the last call, and begin anew."""
        with self._news:
            changed, self._changed = self._changed, {}
        return {name: sorted(keys, key=repr) for name, keys in changed.items()}
