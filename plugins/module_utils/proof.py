# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof: row-level evidence that two sides are equal, computed on the servers, under live traffic.

A difference seen once may only be lag. A key counts as different when the source's row stayed the same while
the target applied everything the source had done by then, and still differs. What never holds still that long
is unsettled, and unsettled is not equal.

The SQL of an engine is in ``proof_<engine>.py``; which one is told by the connection.
"""

import threading
import time
import uuid
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils import proof_mariadb, proof_postgresql, widen
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Database
from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_mariadb import Column, Table
from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_result import (
    DIFFERENT,
    EQUAL,
    EXTRA,
    MAX_NAMED,
    MISSING,
    UNKNOWN,
    UNSETTLED,
    Difference,
    TableProof,
    summarise,
)
from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_walk import Pair, Walk, both, share

__all__ = ["Column", "Table", "compare_database", "compare_keys", "compare_table"]

Key = Tuple[Any, ...]

# Imported, not found by name: Ansible packs what it sees imported.
PROVIDERS = {"pg8000": proof_postgresql, "pymysql": proof_mariadb}

CHUNK_ROWS = 25000
BATCH_KEYS = 250


def provider(connection: Any) -> Any:
    """The module with the SQL of this connection's engine."""
    driver = type(connection).__module__.split(".", 1)[0]
    if driver not in PROVIDERS:
        raise ValueError("no proof is known for connections of {0}".format(driver))
    return PROVIDERS[driver]


def load_tables(connection: Any, database: str) -> List[Table]:
    """The base tables of a database."""
    sql = provider(connection)
    sql.prepare(connection)
    tables = sql.load_tables(connection, database)  # type: List[Table]
    return tables


def pair(table: Table, other: Table) -> Table:
    """The source's table, its text to be compared by character where the target keeps it in another charset.

    Both sides hash its rows in the same way, one that both know.
    """
    columns = []
    for column in table.columns:
        match = next((one for one in other.columns if one.name == column.name), None)
        same = match is None or _charset(match) == _charset(column)
        columns.append(column.beside(match, convert=not same))
    return table._replace(columns=columns, digest=table.digest if table.digest == other.digest else table.common)


def _charset(column: Column) -> str:
    # ASCII, utf8mb3 and utf8mb4 write the same characters with the same bytes.
    name = column.charset or ""
    return "utf8" if name in ("utf8", "utf8mb3", "utf8mb4", "ascii") else name


def name_differences(table: Table, ours: Dict[Key, str], theirs: Dict[Key, str]) -> List[Difference]:
    """What two mappings of keys to hashes do not share, source's order first."""
    found = []
    for key, value in ours.items():
        if key not in theirs:
            found.append(Difference(table.database, table.name, key, MISSING))
        elif theirs[key] != value:
            found.append(Difference(table.database, table.name, key, DIFFERENT))
    found.extend(Difference(table.database, table.name, key, EXTRA) for key in theirs if key not in ours)
    return found


def _read_keys(connection: Any, table: Table, keys: Sequence[Key]) -> Dict[Key, str]:
    sql = provider(connection)
    found = {}
    for start in range(0, len(keys), BATCH_KEYS):
        statement = sql.hashes_of(table, keys[start : start + BATCH_KEYS])
        for row in sql.fetch(connection, statement):
            found[tuple(row[:-1])] = row[-1]
    return found


def compare_keys(source: Any, target: Any, table: Table, keys: Sequence[Key]) -> List[Difference]:
    """Compare the rows with these keys as they are now; keys that are on neither side are equal.

    Both connections must have been prepared (``load_tables`` does it). Nothing is waited for: it runs
    inside the pause, when the source is fenced and the target has applied everything.
    """
    if not table.key:
        raise ValueError("table {0}.{1} has no key to compare rows by".format(table.database, table.name))
    wanted = list(dict.fromkeys(tuple(key) for key in keys))
    if not wanted:
        return []
    ours, theirs = both(lambda: _read_keys(source, table, wanted), lambda: _read_keys(target, table, wanted))
    return name_differences(table, ours, theirs)


def prepare(*connections: Any) -> None:
    """Make connections answer alike; ``load_tables`` does it too."""
    for connection in connections:
        provider(connection).prepare(connection)


class Settling(NamedTuple):
    """How long a difference may take to turn out to be lag.

    ``caught_up()`` waits until the target applied what the source had done when it was called, and tells
    whether it did. None says that nothing writes: what differs twice is different.
    """

    caught_up: Optional[Callable[[], bool]] = None
    rounds: int = 20
    pause_s: float = 0.05


def settle(
    keys: Sequence[Key],
    read_source: Callable[[Sequence[Key]], Dict[Key, str]],
    read_target: Callable[[Sequence[Key]], Dict[Key, str]],
    settling: Settling,
) -> Tuple[List[Key], List[Key]]:
    """Sort keys that differed once into (truly different, unsettled); the rest turned out equal."""
    different = []  # type: List[Key]
    open_keys = list(keys)
    for turn in range(settling.rounds):
        if not open_keys:
            break
        if turn:
            time.sleep(settling.pause_s * turn)
        before = read_source(open_keys)
        if settling.caught_up is not None and not settling.caught_up():
            break
        target = read_target(open_keys)
        after = read_source(open_keys)
        left = []
        for key in open_keys:
            if target.get(key) in (before.get(key), after.get(key)):
                continue
            if before.get(key) == after.get(key):
                different.append(key)
            else:
                left.append(key)
        open_keys = left
    return different, open_keys


def compare_table(
    pairs: Sequence[Pair],
    table: Table,
    settling: Optional[Settling] = None,
    progress: Optional[Callable[[int], None]] = None,
    chunk_rows: int = CHUNK_ROWS,
) -> TableProof:
    """Compare one table while it is written to, a chunk on each pair of connections at a time.

    ``progress`` is told how many rows were compared since last.
    """
    settling = settling or Settling()
    sql = provider(pairs[0][0])
    uncovered = [column.name for column in table.columns if not sql.covered(column)]
    compare = _compare_keyed if table.key else _compare_unkeyed
    proof = compare(pairs, table, settling, progress or (lambda rows: None), chunk_rows)
    if uncovered and proof.status == EQUAL:
        reason = "the type of {0} is not known to compare exactly".format(", ".join(uncovered))
        proof = proof._replace(status=UNKNOWN, reason=reason)
    return proof._replace(uncovered=uncovered)


class _Found:
    """What the chunks of one table gave so far."""

    def __init__(self) -> None:
        self.rows = 0
        self.different = []  # type: List[Key]
        self.unsettled = []  # type: List[Key]
        self.truncated = False


def _compare_keyed(
    pairs: Sequence[Pair], table: Table, settling: Settling, progress: Callable[[int], None], size: int
) -> TableProof:
    walk = Walk(provider(pairs[0][0]), table, size)
    lock = threading.Lock()
    found = _Found()

    def work(source: Any, target: Any) -> None:
        try:
            bounds = walk.next(source)
            while bounds:
                rows, suspects, truncated = _compare_chunk(source, target, table, bounds, found)
                worse, open_keys = settle(
                    suspects,
                    lambda keys: _read_keys(source, table, keys),
                    lambda keys: _read_keys(target, table, keys),
                    settling,
                )
                with lock:
                    found.rows += rows
                    found.different.extend(worse)
                    found.unsettled.extend(open_keys)
                    found.truncated = found.truncated or truncated
                    progress(rows)
                bounds = walk.next(source)
        finally:
            # Where one fails the others need not go on.
            walk.stop()

    share(pairs, work)
    return _judge(pairs, table, found)


def _compare_chunk(
    source: Any, target: Any, table: Table, bounds: Any, found: _Found
) -> Tuple[int, Sequence[Key], bool]:
    """Rows on the source, the keys that differ now, and whether there are more of them than are looked at."""
    sql = provider(source)
    statement = sql.checksum(table, *bounds)
    ours, theirs = both(lambda: sql.fetch(source, statement)[0], lambda: sql.fetch(target, statement)[0])
    if ours == theirs or len(found.different) >= MAX_NAMED:
        return int(ours[0]), [], False
    listing = sql.hashes(table, *bounds)
    left, right = both(lambda: sql.fetch(source, listing), lambda: sql.fetch(target, listing))
    suspects = [
        difference.key
        for difference in name_differences(
            table, {row[:-1]: row[-1] for row in left}, {row[:-1]: row[-1] for row in right}
        )
    ]
    # Lag leaves few keys; of a table that was never copied a part says as much as the whole.
    few = 50 * MAX_NAMED
    return int(ours[0]), suspects[:few], max(len(left), len(right)) >= sql.MAX_HASHES or len(suspects) > few


def _judge(pairs: Sequence[Pair], table: Table, found: _Found) -> TableProof:
    # Where the sides sort text differently one row is in several chunks.
    different = list(dict.fromkeys(found.different))
    unsettled = [key for key in dict.fromkeys(found.unsettled) if key not in set(different)]
    differences = explain(*pairs[0], table, different[:MAX_NAMED])
    if different:
        reason = "{0}{1} rows differ".format(
            "at least " if found.truncated or len(different) > MAX_NAMED else "", len(different)
        )
        return TableProof(table.database, table.name, DIFFERENT, found.rows, differences, unsettled, reason)
    if unsettled or found.truncated:
        reason = "{0} rows never held still, or the target did not apply what the source had done".format(
            len(unsettled)
        )
        if found.truncated and not unsettled:
            reason = "more rows differed at once than could be looked at; compare again when the target has caught up"
        return TableProof(table.database, table.name, UNSETTLED, found.rows, [], unsettled, reason)
    return TableProof(table.database, table.name, EQUAL, found.rows, [], [])


def _compare_unkeyed(
    pairs: Sequence[Pair], table: Table, settling: Settling, progress: Callable[[int], None], _size: int
) -> TableProof:
    source, target = pairs[0]
    sql = provider(source)
    whole = sql.checksum(table)
    table_key = ("table",)

    def read(connection: Any) -> Callable[[Sequence[Key]], Dict[Key, str]]:
        return lambda keys: {table_key: repr(sql.fetch(connection, whole)[0])}

    ours, theirs = both(lambda: sql.fetch(source, whole)[0], lambda: sql.fetch(target, whole)[0])
    rows = int(ours[0])
    different, open_keys = [], []  # type: List[Key], List[Key]
    if ours != theirs:
        different, open_keys = settle(
            [table_key], read(source), read(target), settling._replace(rounds=min(5, settling.rounds))
        )
    progress(rows)
    if different:
        named = _name_unkeyed(source, target, table)
        reason = "the table has no key, and its {0} rows are not the same".format(rows)
        return TableProof(table.database, table.name, DIFFERENT, rows, named, [], reason)
    if open_keys:
        reason = "the table has no key and is written to: give it a primary key, or compare it while nothing writes"
        return TableProof(table.database, table.name, UNKNOWN, rows, [], [], reason)
    return TableProof(table.database, table.name, EQUAL, rows, [], [])


def _name_unkeyed(source: Any, target: Any, table: Table) -> List[Difference]:
    sql = provider(source)
    statement = sql.multiset(table)
    left, right = both(lambda: dict(sql.fetch(source, statement)), lambda: dict(sql.fetch(target, statement)))
    found = []
    for digest in sorted(set(left) | set(right)):
        count = int(left.get(digest, 0)) - int(right.get(digest, 0))
        if count:
            key = ("row with checksum " + digest, "{0} times".format(abs(count)))
            found.append(Difference(table.database, table.name, key, MISSING if count > 0 else EXTRA))
    return found[:MAX_NAMED]


def explain(source: Any, target: Any, table: Table, keys: Sequence[Key]) -> List[Difference]:
    """Name each of these rows, and the columns in which it differs."""
    if not keys:
        return []
    sql = provider(source)

    def read(connection: Any) -> Dict[Key, Sequence[str]]:
        width = len(table.key)
        found = {}
        for start in range(0, len(keys), BATCH_KEYS):
            statement = sql.column_hashes_of(table, keys[start : start + BATCH_KEYS])
            found.update({row[:width]: row[width:] for row in sql.fetch(connection, statement)})
        return found

    ours, theirs = both(lambda: read(source), lambda: read(target))
    named = []
    for key in keys:
        left, right = ours.get(key), theirs.get(key)
        kind = MISSING if right is None else EXTRA if left is None else DIFFERENT
        columns = []  # type: List[str]
        if left is not None and right is not None:
            columns = [column.name for column, one, two in zip(table.columns, left, right) if one != two]
        named.append(Difference(table.database, table.name, key, kind, columns))
    return named


def compare_schema(source: Any, target: Any, database: str, widened: Optional[widen.Changed] = None) -> List[str]:
    """What is defined differently on both sides, in words; what was widened on the way over is no difference."""
    sql = provider(source)
    ours, theirs = both(lambda: sql.schema(source, database), lambda: sql.schema(target, database))
    found = []
    for kind, name in sorted(set(ours) | set(theirs)):
        one, two = ours.get((kind, name)), theirs.get((kind, name))
        if two is None:
            found.append("{0} {1} is missing on the target".format(kind, name))
        elif one is None:
            found.append("{0} {1} is only on the target".format(kind, name))
        elif one != two and not widen.accepts(widened, (kind, name), one, two):
            found.append("{0} {1} is '{2}' on the source and '{3}' on the target".format(kind, name, one, two))
    return found


def follower(source: Database, target: Database, timeout: float = 10.0) -> Callable[[], bool]:
    """A ``caught_up`` for a target that replicates from the source: a marker goes over and is waited for."""
    patience = [2]
    lock = threading.Lock()

    def caught_up() -> bool:
        # One connection a side, and several chunks at a time.
        with lock:
            # A target that does not follow must not cost the whole timeout once a chunk.
            allowed = timeout if patience[0] else min(timeout, 0.05)
            answer = bool(target.wait_for(source.mark(uuid.uuid4().hex), allowed))
            patience[0] = 2 if answer else max(0, patience[0] - 1)
            return answer

    return caught_up


def compare_database(
    source: Any,
    target: Any,
    database: str,
    settling: Optional[Settling] = None,
    progress: Optional[Callable[[int, int, str], None]] = None,
    position: str = "",
    chunk_rows: int = CHUNK_ROWS,
    widened: Optional[widen.Changed] = None,
    more_pairs: Sequence[Pair] = (),
    defined: Optional[List[str]] = None,
) -> Dict[str, Any]:
    """The proof of one database, as proof.json has it.

    With ``more_pairs`` of connections as many more chunks are compared at a time. ``position`` is the source's
    before the first row is read: every row is equal at that position or was changed after it. ``widened`` is what
    ``Database.widened()`` of the target says, ``defined`` what is defined differently, where the caller compared that.
    """
    sql = provider(source)
    pairs = [(source, target), *more_pairs]
    prepare(*[connection for pair in pairs for connection in pair])
    started = time.time()
    where = position or sql.position(source)
    tables = sql.load_tables(source, database)
    others = {table.name: table for table in sql.load_tables(target, database)}
    schema = compare_schema(source, target, database, widened) if defined is None else defined
    total = sum(table.rows_estimate for table in tables)
    seen = [0]
    proofs = []
    for table in tables:

        def more(rows: int, name: str = table.name) -> None:
            seen[0] += rows
            if progress:
                progress(seen[0], max(total, seen[0]), "{0}.{1}".format(database, name))

        proofs.append(_prove_table(pairs, table, others.get(table.name), settling, more, chunk_rows))
    proofs.extend(
        TableProof(database, name, DIFFERENT, 0, [], [], "the table is only on the target")
        for name in sorted(set(others) - {table.name for table in tables})
    )
    result = summarise(database, proofs, schema)
    result.update(engine=sql.flavour(source), position=where, seconds=round(time.time() - started, 3))
    return result


def _prove_table(
    pairs: Sequence[Pair],
    table: Table,
    other: Optional[Table],
    settling: Optional[Settling],
    progress: Callable[[int], None],
    chunk_rows: int,
) -> TableProof:
    if other is None:
        return TableProof(table.database, table.name, DIFFERENT, 0, [], [], "the table is missing on the target")
    if [column.name for column in table.columns] != [column.name for column in other.columns]:
        return TableProof(table.database, table.name, DIFFERENT, 0, [], [], "the columns of the sides are not the same")
    shared = pair(table, other)
    if shared.key and not other.key:
        shared = shared._replace(key=[])
    return compare_table(pairs, shared, settling, progress, chunk_rows)
