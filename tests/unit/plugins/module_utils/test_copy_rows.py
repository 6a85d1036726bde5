# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows on their way: packets, ranges, failures. Real servers are tried in tests/integration."""

import io
import struct
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pymysql
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import copy_rows
from ansible_collections.ocpizza.cutover.plugins.module_utils.copy_rows import Rows, Sessions
from ansible_collections.ocpizza.cutover.plugins.module_utils.copy_text import Source
from ansible_collections.ocpizza.cutover.plugins.module_utils.dump_stream import SeedFailed
from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_row_mariadb import Column

END = b"\xfe\0\0\x02\0"


class Wire(io.BytesIO):
    """Gives a few bytes at a time, as a network does."""

    def __init__(self, content: bytes, portion: int) -> None:
        super().__init__(content)
        self.portion = portion

    def read1(self, size: int | None = -1) -> bytes:
        return super().read1(min(self.portion, size or self.portion))


def packed(payload: bytes, longest: int = 0xFFFFFF) -> bytes:
    """A payload as the server sends it: one that fills a packet goes on in the next."""
    parts = [payload[at : at + longest] for at in range(0, len(payload) + 1, longest)]
    return b"".join(struct.pack("<I", len(part))[:3] + b"\0" + part for part in parts)


def text(value: bytes) -> bytes:
    if len(value) < 251:
        return bytes([len(value)]) + value
    return b"\xfc" + struct.pack("<H", len(value)) + value


class Connection:
    """A connection whose answer is known."""

    def __init__(self, answer: bytes, portion: int = 1000) -> None:
        self._rfile = Wire(answer, portion)
        self._result = SimpleNamespace(unbuffered_active=True)

    def query(self, _statement: str, unbuffered: bool) -> None:
        assert unbuffered


@given(st.lists(st.binary(max_size=40)), st.integers(1, 50), st.integers(5, 20))
def test_packets_are_found_wherever_they_are_cut(payloads: list[bytes], portion: int, longest: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copy_rows, "LONGEST_PACKET", longest)
        patch.setattr(copy_rows, "READ_BYTES", 8)
        stream = copy_rows.packets(Wire(b"".join(packed(one, longest) for one in payloads), portion))
        assert [next(stream) for _one in payloads] == payloads
        with pytest.raises(SeedFailed, match="closed the connection"):
            next(stream)


@given(st.lists(st.binary(max_size=600)), st.integers(1, 3000))
def test_the_text_of_every_row_comes_out_as_it_was(values: list[bytes], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copy_rows, "STATEMENT_BYTES", size)
        connection = Connection(b"".join(packed(text(value)) for value in values) + packed(END))
        assert [row for part in copy_rows.row_texts(connection, "SELECT 1") for row in part] == values
        assert connection._result.unbuffered_active is False


@pytest.mark.parametrize("length", [0, 250, 251, 65535, 65536, 0xFFFFFF - 4, 0xFFFFFF + 9])
def test_short_and_long_rows(length: int) -> None:
    head = b"\xfd" + struct.pack("<I", length)[:3] if length < 1 << 24 else b"\xfe" + struct.pack("<Q", length)
    value = b"x" * length
    connection = Connection(packed(text(value) if length < 65536 else head + value) + packed(END), 1 << 20)
    assert list(copy_rows.row_texts(connection, "SELECT 1")) == [[value]]


def test_a_server_that_stops_is_told() -> None:
    error = b"\xff" + struct.pack("<H", 1412) + b"#HY000Table definition has changed"
    with pytest.raises(pymysql.MySQLError, match="definition has changed"):
        list(copy_rows.row_texts(Connection(packed(text(b"(1)")) + packed(error)), "SELECT 1"))
    with pytest.raises(SeedFailed, match="a row is longer than the servers' max_allowed_packet, which is 1 GB at most"):
        list(copy_rows.row_texts(Connection(packed(b"\xfb") + packed(END)), "SELECT 1"))


class Keys:
    """A session that knows where ranges end."""

    def __init__(self, *bounds: bytes) -> None:
        self.bounds = list(bounds)
        self.asked: list[str] = []

    def cursor(self) -> "Keys":
        return self

    def __enter__(self) -> "Keys":
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def execute(self, statement: str) -> None:
        self.asked.append(statement)

    def fetchone(self) -> Any:
        return (self.bounds.pop(0),) if self.bounds else None


def source(name: str, rows: int, keyed: bool = True) -> Source:
    column = Column("id", "int")
    return Source("shop", name, [column], column if keyed else None, rows)


def test_a_large_table_goes_in_ranges_and_a_small_one_whole() -> None:
    rows = Rows([source("large", 250000), source("small", 10), source("keyless", 10**6, False)], lambda *_step: None)
    session = Keys(b"100000", b"200000")
    taken = []
    while one := rows.take(session):
        taken.append((one[0].name, one[1]))
    assert taken == [
        ("large", "`id`<=100000"),
        ("large", "`id`>100000 AND `id`<=200000"),
        ("large", "`id`>200000"),
        ("small", "TRUE"),
        ("keyless", "TRUE"),
    ]
    assert len(session.asked) == 3


def test_progress_never_passes_its_total() -> None:
    told: list[tuple[int, int, str]] = []
    rows = Rows([source("t", 10)], lambda *step: told.append(step))
    rows.count(4, 100)
    rows.count(9, 100)
    assert told == [(4, 10, "rows copied"), (13, 13, "rows copied")]


def test_the_first_failure_names_its_table_and_stops_the_others() -> None:
    ended = threading.Event()

    def work(sessions: Sessions, stopped: Any) -> None:
        if sessions.source == 0:
            with copy_rows.named(source("orders", 1)):
                raise pymysql.err.OperationalError(1114, "The table 'orders' is full")
        while not stopped():
            pass
        ended.set()

    with pytest.raises(SeedFailed) as raised:
        copy_rows.together(work, [Sessions(0, None), Sessions(1, None)])
    assert ended.is_set()
    assert str(raised.value) == "table shop.orders could not be copied: The table 'orders' is full (1114)"


class Taker:
    """A target that answers each statement once, and refuses one of them."""

    def __init__(self, refused: int = 0) -> None:
        self.refused = refused
        self.taken: list[bytes] = []
        self.answered = 0

    def _execute_command(self, _command: int, statement: bytes) -> None:
        assert self.answered == len(self.taken)
        self.taken.append(statement)

    def _read_query_result(self) -> None:
        self.answered += 1
        assert self.answered <= len(self.taken)
        if self.answered == self.refused:
            raise RuntimeError(1213, "Deadlock found")


def writes(monkeypatch: pytest.MonkeyPatch, broken: bool = False) -> list[str]:
    """Have a source write three texts; what it has written."""
    written: list[str] = []

    def row_texts(_connection: object, statement: str) -> Iterator[list[bytes]]:
        for number in range(3):
            written.append(statement)
            yield [b"(%d,1)" % number, b"(%d,2)" % number]
            if broken:
                raise SeedFailed("the server closed the connection")

    monkeypatch.setattr(copy_rows, "row_texts", row_texts)
    return written


def test_what_the_source_writes_the_target_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    written, taker, told = writes(monkeypatch), Taker(), []
    copy_rows.pass_on(None, taker, "SELECT", "INSERT ", lambda *sizes: told.append(sizes))
    assert taker.taken == [b"INSERT (%d,1),(%d,2)" % (number, number) for number in range(3)]
    assert (len(written), taker.answered, told) == (3, 3, [(2, 18)] * 3)


@pytest.mark.parametrize("refused", [1, 2, 3])
def test_what_the_target_refuses_leaves_both_usable(monkeypatch: pytest.MonkeyPatch, refused: int) -> None:
    written, taker = writes(monkeypatch), Taker(refused)
    with pytest.raises(RuntimeError, match="Deadlock found"):
        copy_rows.pass_on(None, taker, "SELECT", "INSERT ", lambda *_sizes: None)
    assert (len(written), taker.answered, len(taker.taken)) == (3, refused, refused)


def test_a_source_that_breaks_leaves_the_target_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    writes(monkeypatch, broken=True)
    taker = Taker()
    with pytest.raises(SeedFailed, match="the server closed the connection"):
        copy_rows.pass_on(None, taker, "SELECT", "INSERT ", lambda *_sizes: None)
    assert (taker.answered, len(taker.taken)) == (1, 1)
