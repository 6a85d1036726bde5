# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rows changed since the last full proof, read from the log of the side that is written to, as it grows.

So what is left to prove inside the pause is what changed in the last instants, whatever the size of the
database and however long ago the full proof was.
"""

import threading
from typing import Any, Callable, Dict, Iterator, List, Sequence, Set, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Change, TableName, words

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


class Tracker:
    """Follows a server's changes in a thread of its own and collects the keys of changed rows.

    ``tables`` maps (database, table) to (columns in order, key columns). ``markers`` are the tables whose
    rows carry tokens, so that a reader can wait until everything before a token was seen: a token counts
    once each of them has shown it, for databases may be followed one by one.
    """

    def __init__(
        self,
        changes: Callable[[], Iterator[Change]],
        tables: Dict[TableName, Tuple[Sequence[str], Sequence[str]]],
        markers: Sequence[TableName],
    ) -> None:
        self.tables = tables
        self.markers = set(markers)
        self.failure = ""
        self.unkeyed: Set[TableName] = set()
        self._changed: Dict[TableName, Set[Key]] = {}
        self._tokens: Dict[str, Set[TableName]] = {}
        self._news = threading.Condition()
        self._changes = changes
        self._thread = threading.Thread(target=self._follow, name="tracker", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def _follow(self) -> None:
        try:
            for change in self._changes():
                self.take(change)
            raise RuntimeError("the server ended it")
        except Exception as error:
            with self._news:
                self.failure = "the log of changes cannot be followed: {0}".format(words(error))
                self._news.notify_all()

    def take(self, change: Change) -> None:
        """Take in one change."""
        with self._news:
            if change.table in self.markers:
                for row in change.rows:
                    for value in row.values():
                        if isinstance(value, str):
                            self._tokens.setdefault(value, set()).add(change.table)
                self._news.notify_all()
                return
            if change.table not in self.tables:
                return
            columns, key = self.tables[change.table]
            if not key:
                self.unkeyed.add(change.table)
                return
            keys = self._changed.setdefault(change.table, set())
            keys.update(key_of(row, columns, key) for row in change.rows)

    def wait_for(self, token: str, seconds: float) -> bool:
        """Wait until everything before a marker was seen; False if it did not come in time or reading failed."""
        with self._news:
            self._news.wait_for(lambda: self._seen(token) or self.failure, timeout=seconds)
            return self._seen(token) and not self.failure

    def _seen(self, token: str) -> bool:
        return self._tokens.get(token, set()) >= self.markers

    def put_back(self, name: TableName, keys: Sequence[Key]) -> None:
        """Have keys handed over once more."""
        with self._news:
            self._changed.setdefault(name, set()).update(keys)

    def drain(self) -> Changes:
        """Hand over what changed since the last call, and begin anew."""
        with self._news:
            changed, self._changed = self._changed, {}
        return {name: sorted(keys, key=repr) for name, keys in changed.items()}
