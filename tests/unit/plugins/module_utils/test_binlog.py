# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of the events of a binary log."""

from types import SimpleNamespace
from typing import Any

import pytest
from pymysqlreplication.event import NotImplementedEvent

from ansible_collections.ocpizza.cutover.plugins.module_utils import binlog
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Change

ORDERS = ("shop", "orders")


def unknown(kind: int) -> Any:
    event = NotImplementedEvent.__new__(NotImplementedEvent)
    event.event_type = kind
    return event


def followed(monkeypatch: pytest.MonkeyPatch, events: list[Any], mariadb: bool = False) -> list[Change]:
    monkeypatch.setattr(binlog, "BinLogStreamReader", lambda **_settings: iter(events))
    return list(binlog.follow({}, "", [ORDERS], mariadb))


def rows(table: str, *found: dict[str, Any]) -> Any:
    return SimpleNamespace(schema="shop", table=table, rows=list(found))


def test_every_image_of_the_wanted_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [
        rows("orders", {"values": {"id": 1}}),
        rows("others", {"values": {"id": 2}}),
        rows("orders", {"before_values": {"id": 3}, "after_values": {"id": 4}}),
    ]
    assert followed(monkeypatch, events) == [
        Change(ORDERS, [{"id": 1}]),
        Change(ORDERS, [{"id": 3}, {"id": 4}]),
    ]


@pytest.mark.parametrize(
    ("mariadb", "kind", "setting"), [(False, 40, "binlog_transaction_compression"), (True, 167, "log_bin_compress")]
)
def test_compressed_rows_are_not_passed_over(
    monkeypatch: pytest.MonkeyPatch, mariadb: bool, kind: int, setting: str
) -> None:
    with pytest.raises(RuntimeError, match=f"Turn {setting} off"):
        followed(monkeypatch, [unknown(kind)], mariadb)


def test_other_events_are_of_no_concern(monkeypatch: pytest.MonkeyPatch) -> None:
    assert followed(monkeypatch, [unknown(42), unknown(34)]) == []


def test_without_the_library_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binlog, "BinLogStreamReader", None)
    with pytest.raises(RuntimeError, match=r"agent\.pyz"):
        list(binlog.follow({}, "", [ORDERS], False))


@pytest.mark.parametrize(
    ("row", "images"),
    [
        ({"values": {"id": 1}}, [{"id": 1}]),
        ({"before_values": {"id": 1}, "after_values": {"id": 2}}, [{"id": 1}, {"id": 2}]),
        # What the library adds beside the images is none.
        ({"none_sources": {"id": "null"}, "values": {"id": None}}, [{"id": None}]),
    ],
)
def test_the_images_of_an_event(row: dict[str, Any], images: list[dict[str, Any]]) -> None:
    assert binlog.change_of(rows("orders", row)) == Change(ORDERS, images)


def test_the_images_of_every_row_are_in_one_change() -> None:
    event = rows("orders", {"values": {"id": 1}}, {"before_values": {"id": 2}, "after_values": {"id": 3}})
    assert binlog.change_of(event) == Change(ORDERS, [{"id": 1}, {"id": 2}, {"id": 3}])


@pytest.mark.parametrize("mariadb", [True, False])
def test_the_reader_follows_the_site_alone_from_the_position(monkeypatch: pytest.MonkeyPatch, mariadb: bool) -> None:
    asked: dict[str, Any] = {}

    def reader(**settings: Any) -> Any:
        asked.update(settings)
        return iter([])

    monkeypatch.setattr(binlog, "BinLogStreamReader", reader)
    tables = [ORDERS, ("shop", "pizza"), ("cutover_shop", "marker")]
    assert list(binlog.follow({"host": "db"}, "0-1-5", tables, mariadb)) == []
    assert asked["connection_settings"] == {"host": "db"}
    assert asked["only_schemas"] == ["cutover_shop", "shop"]
    assert (asked["auto_position"], asked["is_mariadb"], asked["blocking"]) == ("0-1-5", mariadb, True)
    assert asked["ignore_decode_errors"] is False
    assert 4000000000 <= asked["server_id"] < 2**32


def test_a_table_of_the_same_name_elsewhere_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    event = SimpleNamespace(schema="cutover_shop", table="orders", rows=[{"values": {"id": 1}}])
    assert followed(monkeypatch, [event]) == []
