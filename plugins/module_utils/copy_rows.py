# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of MariaDB and MySQL, carried by several sessions that share one snapshot, range by range.

A thread reads text that the source wrote and sends it on; it looks at lengths, never at values. While the target
works on one statement the next one is read.
"""

import threading
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

try:
    import pymysql
except ImportError:
    pymysql = None  # type: ignore[assignment]

from ansible_collections.ocpizza.cutover.plugins.module_utils import copy_text
from ansible_collections.ocpizza.cutover.plugins.module_utils.copy_text import Source
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Progress, words
from ansible_collections.ocpizza.cutover.plugins.module_utils.dump_stream import SeedFailed
from ansible_collections.ocpizza.cutover.plugins.module_utils.mariadb import MariaDB
from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_row_mariadb import Column

# Rows that one session takes at a time, and bytes that one statement grows to.
RANGE_ROWS = 100000
STATEMENT_BYTES = 1 << 20
READ_BYTES = 1 << 18
# A longer packet goes on in the next one.
LONGEST_PACKET = 0xFFFFFF
# A smaller table's indexes are made faster than they are taken away and made again.
DEFER_ROWS = 10000


class Sessions(NamedTuple):
    """One session on each side; the source's is in the snapshot."""

    source: Any
    target: Any


def tables_of(source: MariaDB) -> List[Source]:
    """What is to be copied, the largest first."""
    columns: Dict[Tuple[str, str], List[Column]] = {}
    for row in source.rows(
        "SELECT table_schema AS db, table_name AS tbl, column_name AS name, column_type AS type "
        "FROM information_schema.columns WHERE COALESCE(generation_expression, '') = '' AND table_schema IN %s "
        "ORDER BY 1, 2, ordinal_position",
        [source.databases],
    ):
        columns.setdefault((row["db"], row["tbl"]), []).append(Column(row["name"], row["type"]))
    keys = {
        (row["db"], row["tbl"]): row["name"]
        for row in source.rows(
            "SELECT table_schema AS db, table_name AS tbl, column_name AS name FROM information_schema.statistics "
            "WHERE index_name = 'PRIMARY' AND seq_in_index = 1 AND table_schema IN %s",
            [source.databases],
        )
    }
    found = []
    for row in source.rows(
        "SELECT table_schema AS db, table_name AS tbl, COALESCE(table_rows, 0) AS estimate "
        "FROM information_schema.tables WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') "
        "AND table_schema IN %s ORDER BY data_length DESC, 1, 2",
        [source.databases],
    ):
        name = (row["db"], row["tbl"])
        own = columns.get(name, [])
        key = [column for column in own if column.name == keys.get(name) and copy_text.can_be_split(column)]
        found.append(Source(row["db"], row["tbl"], own, key[0] if key else None, int(row["estimate"])))
    return found


def packets(stream: Any) -> Iterator[bytes]:
    """What the server sends, one packet after the other, for as long as somebody asks."""
    data, at = b"", 0
    long: List[bytes] = []
    while True:
        missing = 4
        while at + 4 <= len(data):
            length = data[at] | data[at + 1] << 8 | data[at + 2] << 16
            after = at + 4 + length
            if after > len(data):
                missing = after - len(data)
                break
            payload = data[at + 4 : after]
            at = after
            if length == LONGEST_PACKET or long:
                long.append(payload)
                if length == LONGEST_PACKET:
                    continue
                payload = b"".join(long)
                long = []
            yield payload
        read = stream.read(missing) if missing > READ_BYTES else stream.read1(READ_BYTES)
        if not read:
            raise SeedFailed("the server closed the connection")
        data, at = data[at:] + read, 0


def row_texts(connection: Any, statement: str) -> Iterator[List[bytes]]:
    """The only column of every row, a few hundred kilobytes at a time.

    Below the driver, which would make objects of each row and take longer than both servers.
    """
    connection.query(statement, unbuffered=True)
    # The driver would wait for the end of what it is not going to read.
    connection._result.unbuffered_active = False
    found: List[bytes] = []
    size = 0
    for payload in packets(connection._rfile):
        first = payload[0]
        # How many bytes say how long the text is; 255 begins an error, 254 in a short packet is the end.
        if first < 251:
            found.append(payload[1:])
        elif first == 252:
            found.append(payload[3:])
        elif first == 253:
            found.append(payload[4:])
        elif first == 254 and len(payload) > 8:
            found.append(payload[9:])
        elif first == 254:
            break
        elif first == 255:
            pymysql.err.raise_mysql_exception(payload)
        else:
            raise SeedFailed("a row is longer than the servers' max_allowed_packet, which is 1 GB at most")
        size += len(payload)
        if size >= STATEMENT_BYTES:
            yield found
            found, size = [], 0
    if found:
        yield found


def pass_on(source: Any, target: Any, selection: str, begin: str, told: Callable[[int, int], None]) -> None:
    """Have the target take what the source writes; ``told`` learns of rows and bytes of each statement.

    Both connections can be used again after an error of one of them.
    """
    texts = row_texts(source, selection)
    working = False
    try:
        for rows in texts:
            statement = begin.encode("utf-8") + b",".join(rows)
            if working:
                working = False
                target._read_query_result()
            # Not query(), which waits for the answer.
            target._execute_command(pymysql.constants.COMMAND.COM_QUERY, statement)
            working = True
            told(len(rows), len(statement))
    except BaseException:
        for _rows in texts:
            pass
        raise
    finally:
        if working:
            target._read_query_result()


class Rows:
    """The tables that wait to be copied, and how far the copy is."""

    def __init__(self, tables: Sequence[Source], progress: Progress) -> None:
        self.waiting = list(tables)
        self.progress = progress
        self.total = sum(table.rows for table in tables)
        self.done = 0
        self.bytes = 0
        self.lower: Optional[str] = None
        self.lock = threading.Lock()

    def take(self, source: Any) -> Optional[Tuple[Source, str]]:
        """The next range of a table, as a condition; the session finds its end by the key."""
        with self.lock:
            if not self.waiting:
                return None
            table, lower, upper = self.waiting[0], self.lower, None
            if table.key and table.rows > RANGE_ROWS:
                with named(table), source.cursor() as cursor:
                    cursor.execute(copy_text.bound(table, lower, RANGE_ROWS))
                    found = cursor.fetchone()
                upper = _text(found[0]) if found else None
            self.lower = upper
            if upper is None:
                self.waiting.pop(0)
            return table, copy_text.within(table, lower, upper)

    def carry(self, sessions: Sessions, table: Source, condition: str) -> None:
        """Copy one range."""
        pass_on(
            sessions.source, sessions.target, copy_text.select(table, condition), copy_text.insert(table), self.count
        )

    def count(self, rows: int, size: int) -> None:
        """Tell how far it is; the total is the server's estimate."""
        with self.lock:
            self.done += rows
            self.bytes += size
            self.progress(self.done, max(self.total, self.done), "rows copied")

    def work(self, sessions: Sessions, stopped: Callable[[], bool]) -> None:
        """Copy range after range until none is left."""
        while not stopped():
            taken = self.take(sessions.source)
            if taken is None:
                return
            with named(taken[0]):
                self.carry(sessions, *taken)


class Indexes:
    """Indexes and foreign keys of large tables, taken away before the rows come and made again after them."""

    def __init__(self, target: MariaDB, tables: Sequence[Source], progress: Progress) -> None:
        self.lock = threading.Lock()
        self.progress = progress
        self.waiting: List[Tuple[Source, List[str]]] = []
        for table in tables:
            if table.rows >= DEFER_ROWS:
                with named(table):
                    again = self.take_away(target, table)
                if again:
                    self.waiting.append((table, again))
        self.total = len(self.waiting)

    @staticmethod
    def take_away(target: MariaDB, table: Source) -> List[str]:
        """What can be spared goes; the statements that make it again."""
        definition = target.rows("SHOW CREATE TABLE {0}".format(table.qualified))[0]["Create Table"]
        again: List[str] = []
        for kind in copy_text.deferred(definition):
            gone = []
            for each in kind:
                try:
                    target.unlogged("ALTER TABLE {0} {1}".format(table.qualified, each.drop))
                except pymysql.MySQLError:
                    # The server needs it, for a counter or for another table's foreign key: it stays.
                    continue
                gone.append(each.add)
            if gone:
                again.insert(0, "ALTER TABLE {0} {1}".format(table.qualified, ", ".join(gone)))
        return again

    def work(self, sessions: Sessions, stopped: Callable[[], bool]) -> None:
        """Make the indexes of table after table until none is left."""
        while not stopped():
            with self.lock:
                if not self.waiting:
                    return
                self.progress(self.total - len(self.waiting), self.total, "tables with all their indexes")
                table, statements = self.waiting.pop(0)
            with named(table):
                for statement in statements:
                    sessions.target.query(statement)


def together(work: Callable[[Sessions, Callable[[], bool]], None], sessions: Sequence[Sessions]) -> None:
    """Have all sessions work; the first failure stops the others and is told."""
    failures: List[BaseException] = []

    def one(own: Sessions) -> None:
        try:
            work(own, lambda: bool(failures))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=one, args=(own,), daemon=True) for own in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


class named:  # noqa: N801  a context manager, used as a function
    """What goes wrong inside is told with the table's name."""

    def __init__(self, table: Source) -> None:
        self.table = table

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: Any, error: Optional[BaseException], _trace: Any) -> None:
        if isinstance(error, Exception):
            raise SeedFailed(
                "table {0}.{1} could not be copied: {2}".format(self.table.database, self.table.name, words(error))
            ) from error


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
