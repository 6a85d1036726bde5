# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said to a MySQL server, and what is made of its answers; the rest is tried on real servers."""

from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import mysql
from ansible_collections.ocpizza.cutover.plugins.module_utils.mysql import MySQL, site_accounts
from tests.unit.plugins.fakes import FakeConnection

A = "375d90c4-e6ce-11f1-9ee2-0242ac110002"
B = "37594cd1-e6ce-11f1-a755-0242ac110005"
STATUS = {
    "Channel_Name": "cutover_shop",
    "Source_UUID": A,
    "Replica_IO_Running": "Yes",
    "Replica_SQL_Running": "Yes",
    "Last_IO_Error": "",
    "Last_SQL_Error": "",
    "Seconds_Behind_Source": 0,
    "Replicate_Wild_Do_Table": "cutover\\_shop.%,sh\\_op.%",
}


def server(side: str = "target", **answers: Any) -> Any:
    return MySQL(FakeConnection(answers), "shop", ["sh_op"], side)


def linked(**status: Any) -> Any:
    return server(**{"SHOW REPLICA STATUS": [{**STATUS, **status}], "by_worker": [{"text": "Duplicate entry '5'"}]})


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        ({}, ""),
        ({"Channel_Name": "another"}, "there is no replication link"),
        ({"Replica_IO_Running": "Connecting"}, "the replica is not connected to its source"),
        ({"Replica_SQL_Running": "No"}, "the replica does not apply what it receives"),
        ({"Seconds_Behind_Source": None}, "the replica does not know its lag"),
        ({"Last_IO_Error": "no way"}, "no way"),
        ({"Last_SQL_Error": "See performance_schema"}, "See performance_schema; Duplicate entry '5'"),
        ({"Replicate_Wild_Do_Table": ""}, "the link's filter is ''"),
    ],
)
def test_the_link(status: dict[str, Any], trouble: str) -> None:
    assert linked(**status).link().trouble() == trouble


def test_the_position_is_what_the_server_itself_took() -> None:
    made = server(gtid_executed=[{"g": f"{B}:1-9,\n{A}:1-5"}], server_uuid=[{"u": A}])
    assert made.position() == f"{A}:1-5"
    assert made.changes_from() == f"{B}:1-9,{A}:1-5"


def test_nothing_is_no_position() -> None:
    made = server()
    assert not made.wait_for("", 1)
    assert made.connection.asked == []


def test_who_writes_is_not_guessed() -> None:
    with pytest.raises(RuntimeError, match="it is not known who writes"):
        server(performance_schema=[{"p": 0}]).writers()


def prepared(**settings: str) -> Any:
    known = {
        "binlog_row_metadata": "FULL",
        "server_id": "1",
        "server_uuid": B,
        "gtid_mode": "ON",
        "enforce_gtid_consistency": "ON",
        **settings,
    }
    return {
        "SHOW GLOBAL VARIABLES": [{"Variable_name": name, "Value": value} for name, value in known.items()],
        "@@server_id": [{"id": known["server_id"]}],
        "anonymous": [{"Value": "0"}],
        "NOW": [{"now": "2026-01-01"}],
    }


def test_only_the_target_changes_its_number() -> None:
    source, target = server("source", **prepared()), server("target", **prepared())
    assert source.prepare(target) == []
    (done,) = target.prepare(source)
    assert done == f"server_id = {1 + int(B[:8], 16) % 4000000000}"
    assert server("target", **prepared(server_id="2")).prepare(source) == []


def test_gtids_are_turned_on_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(mysql.time, "sleep", slept.append)
    off = prepared(gtid_mode="OFF", enforce_gtid_consistency="OFF")
    assert server("source", **off).prepare(server(), 60) == [
        "enforce_gtid_consistency = ON",
        "gtid_mode = OFF_PERMISSIVE",
        "gtid_mode = ON_PERMISSIVE",
        "gtid_mode = ON",
    ]
    assert slept == [60]
    half = prepared(gtid_mode="ON_PERMISSIVE")
    assert server("source", **half).prepare(server(), 60) == ["gtid_mode = ON"]


def test_what_gtids_forbid_is_found_before_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mysql.time, "sleep", lambda _seconds: None)
    off = prepared(gtid_mode="OFF", enforce_gtid_consistency="OFF")
    made = server("source", error_log=[{"text": "Statement violates GTID consistency: CREATE TABLE"}], **off)
    with pytest.raises(RuntimeError, match="would refuse what the application does: Statement violates"):
        made.prepare(server(), 60)
    assert made.connection.asked[-1] == "SET GLOBAL enforce_gtid_consistency = OFF"
    assert "SET PERSIST gtid_mode = %s" not in made.connection.asked


def skipping(missing: str, *replicas: str) -> Any:
    return server(
        "source", GTID_SUBTRACT=[{"m": missing}], **{"SHOW REPLICAS": [{"Replica_UUID": each} for each in replicas]}
    )


def test_history_is_purged_where_nobody_else_reads_the_log() -> None:
    made = skipping(f"{B}:1-\n3", B)
    made.skip(f"{B}:1-3", B)
    assert made.connection.arguments[-1] == (f"+{B}:1-3",)


def test_history_is_written_into_a_log_that_others_read() -> None:
    made = skipping(f"{B}:1-2", B, "another")
    made.skip(f"{B}:1-2", B)
    assert [arguments for arguments in made.connection.arguments if arguments][1:] == [(f"{B}:1",), (f"{B}:2",)]
    assert made.connection.asked[-1] == "SET SESSION gtid_next = 'AUTOMATIC'"
    with pytest.raises(RuntimeError, match="another is a replica of this server"):
        skipping(f"{B}:1-20001", "another").skip(f"{B}:1-20001", B)


def test_nothing_to_skip() -> None:
    made = skipping("")
    made.skip(f"{B}:1-3", B)
    assert len(made.connection.asked) == 1


SHOP, JOBS, ROLE, WIDE = ("shop", "%"), ("jobs", "%"), ("shop_role", "%"), ("wide_role", "%")


@pytest.mark.parametrize(
    ("granted", "everywhere", "roles", "found"),
    [
        ({SHOP: {"sh_op"}, JOBS: {"sh\\_op"}}, set(), {}, [JOBS, SHOP]),
        ({SHOP: {"sh_op", "other"}}, set(), {}, []),
        ({SHOP: {"sh_op"}}, {"'shop'@'%'"}, {}, []),
        ({ROLE: {"sh_op"}}, set(), {SHOP: {ROLE}}, [SHOP]),
        ({ROLE: {"sh_op"}, WIDE: {"other"}}, set(), {SHOP: {ROLE, WIDE}}, []),
        ({ROLE: {"sh_op"}}, {"'wide_role'@'%'"}, {SHOP: {ROLE, WIDE}}, []),
        ({ROLE: {"sh_op"}}, set(), {SHOP: {WIDE}, WIDE: {ROLE, WIDE}}, [SHOP]),
        ({}, set(), {SHOP: {ROLE}}, []),
        ({("", "%"): {"sh_op"}}, set(), {}, []),
    ],
)
def test_whose_every_right_is_the_sites(granted: Any, everywhere: Any, roles: Any, found: Any) -> None:
    assert site_accounts(granted, everywhere, roles, ["sh_op"]) == found
