# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A table in chunks of its key, handed out to several pairs of connections at a time."""

import threading
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

Key = Tuple[Any, ...]
Bounds = Tuple[Optional[Key], Optional[Key]]
# A connection to each side, for one thread.
Pair = Tuple[Any, Any]


class Walk:
    """Bounds (lower, upper] that cover every key there is or may come: the first and the last are open.

    What is added behind the last key meanwhile is one chunk, so that a table which grows fast comes to an end.
    """

    def __init__(self, sql: Any, table: Any, size: int) -> None:
        self._sql, self._table, self._size = sql, table, size
        self._lock = threading.Lock()
        self._lower: Optional[Key] = None
        self._last: Optional[List[Key]] = None
        self._ended = False
        self._dense: Optional[bool] = None

    def next(self, connection: Any) -> Optional[Bounds]:
        """The next chunk, its bounds asked on the caller's connection; None after the last one."""
        with self._lock:
            if self._ended:
                return None
            if self._last is None:
                self._last = self._sql.fetch(connection, self._sql.last_key(self._table))
            lower = self._lower
            while self._last:
                last = self._last[0]
                found = self._boundary(connection, lower, last)
                self._lower = tuple(found[0]) if found else tuple(last)
                if not found:
                    self._last = []
                if self._lower != lower:
                    return lower, self._lower
            self._ended = True
            return lower, None

    def _boundary(self, connection: Any, lower: Optional[Key], last: Key) -> Sequence[Key]:
        """The key that the next chunk ends with; nothing where the chunk is the last one's."""
        if self._dense is None and lower is not None:
            # Whole numbers with few gaps are counted here, and not by the server along its index.
            numbers = len(last) == 1 and type(last[0]) is int and type(lower[0]) is int
            self._dense = numbers and last[0] - lower[0] <= 2 * self._table.rows_estimate
        if self._dense and lower is not None:
            upper = lower[0] + self._size
            return [(upper,)] if upper < last[0] else []
        found: Sequence[Key] = self._sql.fetch(connection, self._sql.boundary(self._table, lower, last, self._size))
        return found

    def stop(self) -> None:
        """Hand out nothing more."""
        self._ended = True


def share(pairs: Sequence[Pair], work: Callable[[Any, Any], None]) -> None:
    """Run ``work(source, target)`` for each pair in a thread of its own; the first error is raised at the end."""
    errors: List[BaseException] = []

    def run(source: Any, target: Any) -> None:
        try:
            work(source, target)
        except BaseException as error:
            errors.append(error)

    others = [threading.Thread(target=run, args=pair, name="proof", daemon=True) for pair in pairs[1:]]
    for thread in others:
        thread.start()
    run(*pairs[0])
    for thread in others:
        thread.join()
    if errors:
        raise errors[0]


def both(source: Callable[[], Any], target: Callable[[], Any]) -> Tuple[Any, Any]:
    """Ask both sides at the same time."""
    box: Dict[str, Any] = {}

    def ask() -> None:
        try:
            box["answer"] = target()
        except BaseException as error:
            box["error"] = error

    thread = threading.Thread(target=ask, name="proof-target", daemon=True)
    thread.start()
    try:
        first = source()
    finally:
        thread.join()
    if "error" in box:
        raise box["error"]
    return first, box["answer"]
