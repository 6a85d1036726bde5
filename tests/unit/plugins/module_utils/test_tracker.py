"""Which rows changed: keys out of a server's log of changes."""

import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Change, TableName
from ansible_collections.ocpizza.cutover.plugins.module_utils.tracker import Tracker, key_of

MARKER = ("cutover_shop", "marker")
ORDERS = ("shop", "orders")
LOG = ("shop", "log")
TABLES = {ORDERS: (["id", "note", "shop"], ["shop", "id"]), LOG: (["line"], [])}


def marker(token: str, table: TableName = MARKER) -> Change:
    return Change(table, [{"server": 1, "token": token, "written": 1.5}])


def order(number: int) -> Change:
    return Change(ORDERS, [{"id": number, "note": "x", "shop": 7}])


def make(
    changes: Callable[[], Iterator[Change]] = lambda: iter(()), markers: tuple[TableName, ...] = (MARKER,)
) -> Tracker:
    return Tracker(changes, TABLES, markers)


def test_a_key_by_its_names() -> None:
    assert key_of({"id": 1, "note": "x", "shop": 7}, *TABLES[ORDERS]) == (7, 1)


def test_a_key_by_the_order_of_the_table() -> None:
    values = {"UNKNOWN_COL0": 1, "UNKNOWN_COL1": "x", "UNKNOWN_COL2": 7}
    assert key_of(values, *TABLES[ORDERS]) == (7, 1)


@given(st.permutations(["a", "b", "c", "d"]), st.lists(st.sampled_from("abcd"), min_size=1, unique=True))
def test_names_and_order_give_the_same_key(columns: list[str], key: list[str]) -> None:
    named = {name: name.upper() for name in columns}
    unnamed = {f"UNKNOWN_COL{number}": name.upper() for number, name in enumerate(columns)}
    assert key_of(named, columns, key) == key_of(unnamed, columns, key) == tuple(name.upper() for name in key)


def test_an_altered_table_is_noticed() -> None:
    with pytest.raises(ValueError, match="a row image has 2 columns where the table has 3: the table was altered"):
        key_of({"UNKNOWN_COL0": 1, "UNKNOWN_COL1": 2}, *TABLES[ORDERS])


def test_every_image_of_a_change_counts() -> None:
    made = make()
    images = [(1, "x"), (2, "x"), (3, "")]
    made.take(Change(ORDERS, [{"id": number, "note": note, "shop": 7} for number, note in images]))
    assert made.drain() == {ORDERS: [(7, 1), (7, 2), (7, 3)]}


def test_an_image_of_the_key_alone_is_enough() -> None:
    made = make()
    made.take(Change(ORDERS, [{"shop": 7, "id": 1}]))
    assert made.drain() == {ORDERS: [(7, 1)]}


def test_changes_are_handed_over_once_and_in_order() -> None:
    made = make()
    for number in (3, 1, 2, 1):
        made.take(order(number))
    assert made.drain() == {ORDERS: [(7, 1), (7, 2), (7, 3)]}
    assert made.drain() == {}


def test_what_was_put_back_comes_again_with_what_is_new() -> None:
    made = make()
    made.take(order(1))
    changed = made.drain()
    made.take(order(2))
    made.put_back(ORDERS, changed[ORDERS])
    assert made.drain() == {ORDERS: [(7, 1), (7, 2)]}


def test_tables_of_others_do_not_count() -> None:
    made = make()
    made.take(Change(("shop", "sessions"), [{"id": 1}]))
    assert made.drain() == {}
    assert made.unkeyed == set()


def test_rows_without_a_key_are_named() -> None:
    made = make()
    made.take(Change(LOG, [{"line": "x"}]))
    assert made.unkeyed == {LOG}
    assert made.drain() == {}


def test_a_reader_waits_for_everything_before_a_token() -> None:
    stop = threading.Event()

    def read() -> Iterator[Change]:
        yield order(1)
        yield marker("first")
        yield order(2)
        yield Change(MARKER, [{"UNKNOWN_COL0": 1, "UNKNOWN_COL1": "second"}])
        stop.wait(5)

    made = make(read)
    made.start()
    assert made.wait_for("second", 5) is True
    assert made.drain() == {ORDERS: [(7, 1), (7, 2)]}
    assert made.wait_for("first", 0) is True
    assert made.wait_for("third", 0.01) is False
    assert made.failure == ""
    stop.set()


def broken() -> Iterator[Change]:
    yield order(1)
    raise OSError("Lost connection to MySQL server")


def ended() -> Iterator[Change]:
    yield order(1)


def altered() -> Iterator[Change]:
    yield Change(ORDERS, [{"UNKNOWN_COL0": 1}])


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (broken, "Lost connection to MySQL server"),
        (ended, "the server ended it"),
        (altered, "a row image has 1 columns where the table has 3: the table was altered since the proof"),
    ],
)
def test_a_log_that_cannot_be_followed_is_told_at_once(read: Callable[[], Iterator[Change]], words: str) -> None:
    made = make(read)
    made.start()
    assert made.wait_for("never", 60) is False
    assert made.failure == "the log of changes cannot be followed: " + words


def test_a_token_seen_before_a_failure_does_not_count() -> None:
    made = make(broken)
    made.take(marker("seen"))
    made.start()
    made.wait_for("never", 5)
    assert made.wait_for("seen", 0) is False


def test_a_token_counts_once_every_marker_table_has_shown_it() -> None:
    # Databases that are followed one by one are not equally far.
    other = ("bills", "marker")
    made = make(markers=(MARKER, other))
    made.take(marker("first"))
    assert made.wait_for("first", 0) is False
    made.take(marker("first"))
    assert made.wait_for("first", 0) is False
    made.take(marker("second", other))
    assert made.wait_for("second", 0) is False
    made.take(marker("first", other))
    assert made.wait_for("first", 0) is True
    assert made.wait_for("second", 0) is False


def test_who_waits_is_woken_by_the_last_marker_table() -> None:
    other, stop = ("bills", "marker"), threading.Event()

    def read() -> Iterator[Change]:
        yield marker("first")
        yield order(1)
        yield marker("first", other)
        stop.wait(5)

    made = make(read, (MARKER, other))
    made.start()
    assert made.wait_for("first", 5) is True
    assert made.drain() == {ORDERS: [(7, 1)]}
    stop.set()


def test_a_token_elsewhere_is_none() -> None:
    made = make()
    made.take(Change(ORDERS, [{"id": 1, "note": "token", "shop": 7}]))
    assert made.wait_for("token", 0) is False


def test_a_marker_is_no_changed_row() -> None:
    made = Tracker(lambda: iter(()), {**TABLES, MARKER: (["server", "token", "written"], ["server"])}, (MARKER,))
    made.take(marker("first"))
    assert made.drain() == {}


def test_a_server_that_refuses_to_be_followed_is_told() -> None:
    def refuse() -> Iterator[Change]:
        raise RuntimeError("the log of a server whose GTIDs have tags cannot be read")

    made = make(refuse)
    made.start()
    assert made.wait_for("never", 60) is False
    assert made.failure == (
        "the log of changes cannot be followed: the log of a server whose GTIDs have tags cannot be read"
    )
