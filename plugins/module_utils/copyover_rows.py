# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows from MariaDB to MySQL, or back, into tables that are there already and empty.

The server that has a row writes it as SQL (copy_text); here it is only passed on.
"""

import contextlib
import queue
import threading
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from ansible_collections.ocpizza.cutover.plugins.module_utils import copy_rows, copy_text, proof, proof_mariadb
from ansible_collections.ocpizza.cutover.plugins.module_utils.copy_text import Source
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import words
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_mysql
from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_mariadb import Table
from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_row_mariadb import (
    BYTES,
    CHARACTER,
    FLOATING,
    LISTED,
    SPATIAL,
    Column,
)
from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_walk import Walk

# What both servers have, and write alike.
WRITTEN = (
    copy_text.INTEGERS
    + copy_text.MOMENTS
    + LISTED
    + FLOATING
    + CHARACTER
    + BYTES
    + SPATIAL
    + ("decimal", "year", "bit")
)
CHUNK_ROWS = 20000
# ER_LOCK_DEADLOCK, ER_LOCK_WAIT_TIMEOUT: two of ours met at one index; the chunk is begun anew.
CROSSED = (1213, 1205)
ATTEMPTS = 5
# Zero is a value, not the next number; and what does not fit is not refused here but found by the proof.
WRITER = (
    "SET SESSION time_zone='+00:00', SESSION sql_mode='NO_AUTO_VALUE_ON_ZERO', SESSION foreign_key_checks=0, "
    "SESSION sql_log_bin=0, SESSION autocommit=0",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET NAMES binary",
)


class CopyFailed(Exception):  # noqa: N818  a word of the journal, not of Python
    """The rows could not all be copied."""


class Layout(NamedTuple):
    """A table and those of its columns that are written."""

    table: Table
    columns: List[Column]


def source(layout: Layout, table: Table) -> Source:
    """A table as the copy's SQL takes it: with the columns that are written."""
    for column in layout.columns:
        if column.base not in WRITTEN:
            raise CopyFailed("the type of {0}, {1}, cannot be copied".format(column.name, column.type))
    return Source(table.database, table.name, layout.columns, None, table.rows_estimate)


def layouts(connection: Any, database: str) -> List[Layout]:
    """The tables of a database, the largest first; what a server computes itself is not written."""
    computed = set(
        proof_mariadb.fetch(
            connection,
            (
                "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA=%s "
                "AND GENERATION_EXPRESSION<>''",
                (database,),
            ),
        )
    )
    found = [
        Layout(table, [column for column in table.columns if (table.name, column.name) not in computed])
        for table in proof.load_tables(connection, database)
    ]
    return sorted(found, key=lambda layout: -layout.table.rows_estimate)


def counters(connection: Any, database: str) -> Dict[str, int]:
    """The next number of each table that counts by itself."""
    found = proof_mariadb.fetch(
        connection,
        (
            "SELECT TABLE_NAME, AUTO_INCREMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA=%s "
            "AND AUTO_INCREMENT IS NOT NULL",
            (database,),
        ),
    )
    return {str(name): int(value) for name, value in found}


class Copy:
    """One copy, by several workers, each with a connection to either side.

    ``check`` is called all the while with the rows so far; what it raises ends the copy. A worker that hangs then is
    left behind: its transaction ends with this process.
    """

    def __init__(
        self,
        reader: Callable[[], Any],
        writer: Callable[[], Any],
        jobs: int,
        check: Callable[[int], None],
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.jobs = jobs
        self.check = check
        self.work: "queue.Queue[Any]" = queue.Queue()
        self.news: "queue.Queue[Any]" = queue.Queue()
        self.rows = 0

    def run(self, databases: Sequence[str]) -> int:
        """Copy every row of these databases; how many."""
        for _job in range(self.jobs):
            threading.Thread(target=self._labour, name="copy", daemon=True).start()
        connection = self.reader()
        chunks = 0
        try:
            for database in databases:
                for layout in layouts(connection, database):
                    for lower, upper in self._chunks(connection, layout.table):
                        self.work.put((layout, lower, upper))
                        chunks += 1
                        self.check(self.rows)
        finally:
            connection.close()
            for _job in range(self.jobs):
                self.work.put(None)
        while chunks:
            try:
                found = self.news.get(timeout=0.05)
            except queue.Empty:
                self.check(self.rows)
                continue
            if isinstance(found, BaseException):
                raise found
            chunks -= 1
            self.rows += found
            self.check(self.rows)
        return self.rows

    @staticmethod
    def _chunks(connection: Any, table: Table) -> Any:
        walk = Walk(proof_mariadb, table, CHUNK_ROWS)
        return iter(lambda: walk.next(connection), None) if table.key else [(None, None)]

    def _labour(self) -> None:
        try:
            reader, writer = self.reader(), self.writer()
            proof_mariadb.prepare(reader)
            prepare_writer(writer)
            for chunk in iter(self.work.get, None):
                self.news.put(self._again(reader, writer, *chunk))
            reader.close()
            writer.close()
        except BaseException as error:
            self.news.put(error)

    def _again(self, reader: Any, writer: Any, layout: Layout, lower: Any, upper: Any) -> int:
        for attempt in range(ATTEMPTS):
            try:
                count = carry(reader, writer, layout, lower, upper)
                writer.commit()
            except Exception as error:
                # Where the connection was lost this is what is to be told, and nothing is there to take back.
                with contextlib.suppress(Exception):
                    writer.rollback()
                if error.args[:1] not in [(code,) for code in CROSSED] or attempt == ATTEMPTS - 1:
                    raise CopyFailed(
                        "{0}.{1}: {2}".format(layout.table.database, layout.table.name, words(error))
                    ) from error
            else:
                return count
        raise AssertionError


def prepare_writer(connection: Any) -> None:
    """Make a connection take rows as they are; each chunk is committed."""
    proof_mariadb.prepare(connection)
    for statement in WRITER:
        proof_mariadb.fetch(connection, (statement, ()))


def carry(reader: Any, writer: Any, layout: Layout, lower: Any, upper: Any, into: Optional[Table] = None) -> int:
    """Pass the rows of a chunk on, to the table of the same name or to another one; how many."""
    names = [proof_mariadb.sortable(layout.table.column(name)) for name in layout.table.key]
    where, arguments = proof_mariadb.range_condition(names, lower, upper)
    condition = where % tuple(text_of(reader, value) for value in arguments)
    counts: List[int] = []
    # QUOTE gives MySQL's text in the session's charset, and bytes are none.
    proof_mariadb.fetch(reader, ("SET NAMES binary", ()))
    copy_rows.pass_on(
        reader,
        writer,
        copy_text.select(source(layout, layout.table), condition),
        copy_text.insert(source(layout, into or layout.table)),
        lambda rows, _size: counts.append(rows),
    )
    proof_mariadb.fetch(reader, ("SET NAMES utf8mb4", ()))
    return sum(counts)


def text_of(connection: Any, value: Any) -> str:
    """A key's value in a statement of a session that takes text for bytes."""
    text: str = connection.escape(value)
    return "_utf8mb4" + text if isinstance(value, str) else text


def set_counters(reader: Any, execute: Callable[[str], Optional[Any]], writer: Any, database: str) -> int:
    """Have the other side count on from the same numbers; how many were set."""
    wanted, present = counters(reader, database), counters(writer, database)
    due = {name: value for name, value in wanted.items() if present.get(name) != value}
    for name, value in sorted(due.items()):
        execute("ALTER TABLE {0}.{1} AUTO_INCREMENT = {2:d}".format(quote_mysql(database), quote_mysql(name), value))
    return len(due)
