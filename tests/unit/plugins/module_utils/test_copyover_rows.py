"""Rows passed on as literals: how each type is written, and what workers make of failures."""

import threading
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import copy_rows, copyover_rows, proof_mariadb
from ansible_collections.ocpizza.cutover.plugins.module_utils.copyover_rows import Copy, CopyFailed, Layout
from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_mariadb import Table
from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_row_mariadb import Column

ORDERS = Table("shop", "50% `off`", [Column("id", "int(11)"), Column("twice", "int(11)")], ["id"], "InnoDB", 10)


@pytest.mark.parametrize("kind", ["uuid", "inet6", "json", "vector(4)", "something"])
def test_a_type_that_is_not_known_is_refused(kind: str) -> None:
    layout = Layout(ORDERS, [Column("id", "int(11)"), Column("c", kind)])
    with pytest.raises(CopyFailed, match=f"the type of c, {kind.split('(', maxsplit=1)[0]}.*, cannot be copied"):
        copyover_rows.source(layout, ORDERS)


class Reader:
    """A connection that writes values as SQL."""

    def escape(self, value: object) -> str:
        return f"'{value}'" if isinstance(value, str) else str(value)


def test_statements_of_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def pass_on(*given: Any) -> None:
        asked.extend(given[2:4])
        given[4](7, 100)
        given[4](3, 50)

    monkeypatch.setattr(copy_rows, "pass_on", pass_on)
    monkeypatch.setattr(proof_mariadb, "fetch", lambda _reader, statement: asked.append(statement[0]))
    layout = Layout(ORDERS, ORDERS.columns[:1])
    assert copyover_rows.carry(Reader(), None, layout, (3,), ("é",), ORDERS._replace(name="back")) == 10
    assert asked == [
        "SET NAMES binary",
        "SELECT CONCAT(_binary'(',IFNULL(`id`,'NULL'),')') FROM `shop`.`50% ``off``` "
        "WHERE ((`id`>3)) AND ((`id`<=_utf8mb4'é'))",
        "INSERT INTO `shop`.`back` (`id`) VALUES ",
        "SET NAMES utf8mb4",
    ]


class Connection:
    """A connection that counts what is done with it."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def commit(self) -> None:
        self.done.append("commit")

    def rollback(self) -> None:
        self.done.append("rollback")

    def close(self) -> None:
        self.done.append("close")


@pytest.fixture
def chunks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One table of three chunks; the sizes of what was carried."""
    carried: list[int] = []
    monkeypatch.setattr(proof_mariadb, "prepare", lambda _connection: None)
    monkeypatch.setattr(copyover_rows, "prepare_writer", lambda _connection: None)
    monkeypatch.setattr(copyover_rows, "layouts", lambda _connection, _database: [Layout(ORDERS, ORDERS.columns)])
    monkeypatch.setattr(Copy, "_chunks", staticmethod(lambda _connection, _table: [(None, 1), (1, 2), (2, None)]))

    def carry(*arguments: Any) -> int:
        carried.append(arguments[3] or 0)
        return 10

    monkeypatch.setattr(copyover_rows, "carry", carry)
    return carried


def test_every_chunk_is_carried_and_committed(chunks: list[int]) -> None:
    writers: list[Connection] = []

    def writer() -> Connection:
        writers.append(Connection())
        return writers[-1]

    told: list[int] = []
    assert Copy(Connection, writer, 2, told.append).run(["shop"]) == 30
    assert sorted(chunks) == [0, 1, 2]
    assert sum(one.done.count("commit") for one in writers) == 3
    assert told[-1] == 30


def test_two_that_cross_begin_again(chunks: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    errors = [Exception(1213, "Deadlock found"), Exception(1205, "Lock wait timeout")]
    real = copyover_rows.carry
    monkeypatch.setattr(copyover_rows, "carry", lambda *given: real(*given) if not errors else raising(errors.pop()))
    assert Copy(Connection, Connection, 1, lambda _rows: None).run(["shop"]) == 30
    assert sorted(chunks) == [0, 1, 2]


def raising(error: Exception) -> int:
    raise error


def test_what_a_server_refuses_ends_the_copy_and_names_the_table(
    chunks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copyover_rows, "carry", lambda *_given: raising(Exception(1062, "Duplicate entry '1'")))
    with pytest.raises(CopyFailed, match=r"shop\.50% `off`: Duplicate entry '1' \(1062\)"):
        Copy(Connection, Connection, 2, lambda _rows: None).run(["shop"])


def test_a_worker_that_hangs_does_not_outlast_the_check(chunks: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(copyover_rows, "carry", lambda *_given: int(gate.wait(60)))
    looks = iter(range(1000))

    def check(_rows: int) -> None:
        if next(looks) > 5:
            raise TimeoutError("the deadline passed")

    with pytest.raises(TimeoutError, match="the deadline passed"):
        Copy(Connection, Connection, 1, check).run(["shop"])
    gate.set()
