"""Which rows changed: keys out of the binary log."""

import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import tracker
from ansible_collections.ocpizza.cutover.plugins.module_utils.tracker import Tracker, key_of, keys_of

MARKER = ("cutover_shop", "marker")
ORDERS = ("shop", "orders")
LOG = ("shop", "log")
TABLES = {ORDERS: (["id", "note", "shop"], ["shop", "id"]), LOG: (["line"], [])}


class Event(NamedTuple):
    schema: str
    table: str
    rows: list[dict[str, Any]]


def marker(token: str) -> Event:
    return Event(*MARKER, [{"after_values": {"server": 1, "token": token}}])


def order(number: int) -> Event:
    return Event(*ORDERS, [{"values": {"id": number, "note": "x", "shop": 7}}])


def make(reader: Callable[[], Iterator[Event]] = lambda: iter(())) -> Tracker:
    return Tracker({}, "0-1-1", TABLES, MARKER, reader)


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


def test_an_update_touches_the_old_and_the_new_key() -> None:
    before, after = {"id": 1, "note": "x", "shop": 7}, {"id": 2, "note": "x", "shop": 7}
    rows = [{"before_values": before, "after_values": after}, {"values": {"id": 3, "note": "", "shop": 7}}]
    assert keys_of(rows, *TABLES[ORDERS]) == {(7, 1), (7, 2), (7, 3)}


def test_changes_are_handed_over_once_and_in_order() -> None:
    made = make()
    for number in (3, 1, 2, 1):
        made.take(*order(number))
    assert made.drain() == {ORDERS: [(7, 1), (7, 2), (7, 3)]}
    assert made.drain() == {}


def test_what_was_put_back_comes_again_with_what_is_new() -> None:
    made = make()
    made.take(*order(1))
    changed = made.drain()
    made.take(*order(2))
    made.put_back(ORDERS, changed[ORDERS])
    assert made.drain() == {ORDERS: [(7, 1), (7, 2)]}


def test_tables_of_others_do_not_count() -> None:
    made = make()
    made.take("shop", "sessions", [{"values": {"id": 1}}])
    assert made.drain() == {}
    assert made.unkeyed == set()


def test_rows_without_a_key_are_named() -> None:
    made = make()
    made.take(*LOG, [{"values": {"line": "x"}}])
    assert made.unkeyed == {LOG}
    assert made.drain() == {}


def test_a_reader_waits_for_everything_before_a_token() -> None:
    stop = threading.Event()

    def read() -> Iterator[Event]:
        yield order(1)
        yield marker("first")
        yield order(2)
        yield Event(*MARKER, [{"values": {"UNKNOWN_COL0": 1, "UNKNOWN_COL1": "second"}}])
        stop.wait(5)

    made = make(read)
    made.start()
    assert made.wait_for("second", 5) is True
    assert made.drain() == {ORDERS: [(7, 1), (7, 2)]}
    assert made.wait_for("first", 0) is True
    assert made.wait_for("third", 0.01) is False
    assert made.failure == ""
    stop.set()


def broken() -> Iterator[Event]:
    yield order(1)
    raise OSError("Lost connection to MySQL server")


def ended() -> Iterator[Event]:
    yield order(1)


def altered() -> Iterator[Event]:
    yield Event(*ORDERS, [{"values": {"UNKNOWN_COL0": 1}}])


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (broken, "Lost connection to MySQL server"),
        (ended, "the server ended it"),
        (altered, "a row image has 1 columns where the table has 3: the table was altered since the proof"),
    ],
)
def test_a_log_that_cannot_be_followed_is_told_at_once(read: Callable[[], Iterator[Event]], words: str) -> None:
    made = make(read)
    made.start()
    assert made.wait_for("never", 60) is False
    assert made.failure == "the binary log cannot be followed: " + words


def test_a_token_seen_before_a_failure_does_not_count() -> None:
    made = make(broken)
    made.take(*marker("seen"))
    made.start()
    made.wait_for("never", 5)
    assert made.wait_for("seen", 0) is False


def test_the_reader_follows_the_site_alone_from_the_position(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def reader(**settings: Any) -> Iterator[Event]:
        asked.update(settings)
        return iter([marker("seen")])

    monkeypatch.setattr(tracker, "BinLogStreamReader", reader)
    made = Tracker({"host": "db", "user": "cutover", "ssl_ca": "/ca.pem"}, "0-1-5", TABLES, MARKER)
    made.start()
    made.wait_for("never", 5)
    # On the way back the log comes over the network.
    assert asked["connection_settings"] == {
        "host": "db",
        "user": "cutover",
        "ssl_ca": "/ca.pem",
        "ssl_verify_cert": True,
        "ssl_verify_identity": False,
    }
    assert asked["only_schemas"] == ["cutover_shop", "shop"]
    assert (asked["auto_position"], asked["is_mariadb"], asked["blocking"]) == ("0-1-5", True, True)
    assert 4000000000 <= asked["server_id"] < 2**32


def test_without_the_driver_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker, "BinLogStreamReader", None)
    made = Tracker({}, "0-1-5", TABLES, MARKER)
    made.start()
    assert made.wait_for("never", 5) is False
    assert made.failure.endswith("mysql-replication cannot be imported; run from the site's agent.pyz")
