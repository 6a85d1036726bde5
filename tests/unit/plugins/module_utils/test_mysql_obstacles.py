# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said to stand in the way of replication, and what to do about it."""

from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import mysql_obstacles


def facts(number: int = 1, **settings: str) -> dict[str, Any]:
    known = {
        "version": "9.7.4-2",
        "server_id": str(number),
        "server_uuid": f"uuid-{number}",
        "log_bin": "ON",
        "log_replica_updates": "ON",
        "binlog_format": "ROW",
        "binlog_row_image": "FULL",
        "binlog_row_value_options": "",
        "binlog_transaction_compression": "OFF",
        "gtid_mode": "ON",
        "gtid_executed": "375d90c4-e6ce-11f1-9ee2-0242ac110002:1-5",
        "performance_schema": "ON",
        "lower_case_table_names": "0",
        "super_read_only": "OFF",
    }
    return {
        "settings": {**known, **settings},
        "tables": [{"db": "shop", "tbl": "orders", "engine": "InnoDB", "keyed": 1, "vectors": 0}],
        "events": [],
        "log_filtered": False,
        "channels": [],
        "replicas": [],
        "own_channel": "cutover_shop",
    }


def keys(source: dict[str, Any], target: dict[str, Any]) -> list[str]:
    found = mysql_obstacles.obstacles(source, target)
    assert all(each["title"] and each["remedy"] for each in found)
    return [each["key"] for each in found]


def test_nothing_stands_in_the_way() -> None:
    assert keys(facts(1), facts(2)) == []
    # prepare() sees to these.
    assert keys(facts(1, gtid_mode="OFF"), facts(2, server_id="1")) == []


def test_a_source_alone() -> None:
    assert mysql_obstacles.obstacles(facts(1)) == []
    alone = dict(facts(1, log_bin="OFF", gtid_mode="OFF"), replicas=["uuid-7"], events=["tick"])
    assert [each["key"] for each in mysql_obstacles.obstacles(alone)] == [
        "database.binary_log_off",
        "database.gtids_off",
        "database.events",
    ]


@pytest.mark.parametrize(
    ("source", "target", "found"),
    [
        ("9.7.4-2", "9.7.4-2", []),
        ("8.0.36-0ubuntu0.22.04.1", "9.7.4-2", []),
        ("5.7.44-log", "9.7.4-2", ["database.source_too_old"]),
        ("8.0.22", "8.4.0", ["database.source_too_old"]),
        ("9.7.4-2", "8.4.6", ["database.target_older"]),
        ("10.5.29-MariaDB-0+deb11u1", "9.7.4-2", ["database.replication_impossible"]),
        ("9.7.4-2", "11.8.6-MariaDB", ["database.replication_impossible"]),
        ("10.5.29-MariaDB-0+deb11u1", "11.8.6-MariaDB", []),
        ("11.8.6-MariaDB", "10.5.29-MariaDB-0+deb11u1", ["database.target_older"]),
    ],
)
def test_versions(source: str, target: str, found: list[str]) -> None:
    assert [each["key"] for each in mysql_obstacles.between(source, target)] == found


def test_mariadb_to_mysql_is_told_the_other_way() -> None:
    (found,) = mysql_obstacles.obstacles(facts(1, version="10.5.29-MariaDB"), facts(2))
    assert "dumped and loaded while requests are held" in found["remedy"]
    assert "no way back" in found["remedy"]


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"log_bin": "OFF"}, "binary_log_off"),
        ({"log_replica_updates": "OFF"}, "binary_log_off"),
        ({"binlog_format": "MIXED"}, "binary_log_partial"),
        ({"binlog_row_image": "MINIMAL"}, "binary_log_partial"),
        ({"binlog_row_value_options": "PARTIAL_JSON"}, "binary_log_partial"),
        ({"binlog_transaction_compression": "ON"}, "binary_log_partial"),
        ({"performance_schema": "OFF"}, "performance_schema_off"),
        ({"gtid_executed": "375d90c4-e6ce-11f1-9ee2-0242ac110002:1-5:tag:1"}, "gtids_tagged"),
        ({"lower_case_table_names": "1"}, "case_differs"),
    ],
)
def test_settings(settings: dict[str, str], key: str) -> None:
    assert keys(facts(1, **settings), facts(2)) == ["database." + key]


def test_a_read_only_target() -> None:
    assert keys(facts(1), facts(2, super_read_only="ON")) == ["database.read_only"]
    assert keys(facts(1, super_read_only="ON"), facts(2)) == []


def test_a_log_that_leaves_databases_out() -> None:
    assert keys(facts(1), dict(facts(2), log_filtered=True)) == ["database.binary_log_filtered"]


def test_identity() -> None:
    assert keys(facts(1), facts(1)) == ["database.same_server_uuid"]
    channel = {"name": "another", "of": "uuid-9", "auto": True}
    assert keys(dict(facts(1), channels=[channel]), facts(2, server_id="1")) == ["database.same_server_id"]


def test_topology() -> None:
    assert keys(dict(facts(1, gtid_mode="OFF"), replicas=["uuid-7"]), facts(2)) == ["database.gtids_off"]
    assert keys(dict(facts(1), replicas=["uuid-2"]), dict(facts(2), replicas=["uuid-1"])) == []
    assert keys(facts(1), dict(facts(2), replicas=["uuid-7"])) == ["database.target_has_replicas"]
    second = {"name": "cutover_other", "of": "uuid-1", "auto": True}
    own = {"name": "cutover_shop", "of": "uuid-1", "auto": True}
    assert keys(facts(1), dict(facts(2), channels=[own, second])) == ["database.second_channel"]


def test_tables_and_events() -> None:
    tables = [
        {"db": "shop", "tbl": f"old{n}", "engine": "MyISAM", "keyed": n, "vectors": int(n == 6)} for n in range(7)
    ]
    source = dict(facts(1), tables=tables, events=["tick"])
    assert keys(source, facts(2)) == [
        "database.engine_not_transactional",
        "database.table_without_key",
        "database.vectors",
        "database.events",
    ]
    titles = [each["title"] for each in mysql_obstacles.obstacles(source, facts(2))]
    assert titles[0].endswith("shop.old3 (MyISAM), shop.old4 (MyISAM) and 2 more")
    assert titles[1].endswith("proven: shop.old0")
