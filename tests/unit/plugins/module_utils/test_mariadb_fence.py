"""What is said to a server for its fence, and what is made of its answers."""

import re
import socket
from typing import Any

import pymysql
import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import mariadb_fence
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import trigger_name
from ansible_collections.ocpizza.cutover.plugins.module_utils.mariadb import MariaDB
from ansible_collections.ocpizza.cutover.plugins.module_utils.mariadb_fence import FENCE_ERRNO
from tests.unit.plugins.fakes import Answer, FakeConnection


def server(
    answers: dict[str, Answer] | None = None, databases: tuple[str, ...] = ("shop",), side: str = "source"
) -> Any:
    made = MariaDB(FakeConnection(answers), "oc-shop", databases, side)
    return made


def asked(made: MariaDB) -> list[str]:
    found: list[str] = made.connection.asked
    return found


ORDERS = {"db": "shop", "tbl": "orders"}
BASE_TABLES = "information_schema.tables"
TRIGGERS = "information_schema.triggers"


def test_every_answer_comes_in_time_and_tls_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr(mariadb_fence.pymysql, "connect", lambda **arguments: seen.update(arguments))
    credentials = {"host": "db", "user": "cutover", "password": "p", "ssl_ca": "/ca.pem"}
    mariadb_fence.connect(credentials, 0.5)
    assert (seen["connect_timeout"], seen["read_timeout"], seen["write_timeout"]) == (1, 0.5, 0.5)
    assert (seen["ssl_ca"], seen["ssl_verify_cert"], seen["ssl_verify_identity"]) == ("/ca.pem", True, False)
    assert (seen["autocommit"], seen["charset"]) == (True, "utf8mb4")
    assert credentials == {"host": "db", "user": "cutover", "password": "p", "ssl_ca": "/ca.pem"}


def test_the_driver_waits_no_longer_than_it_is_told_later() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = pymysql.connect(read_timeout=60, defer_connect=True)
        for name, value in {"_sock": ours, "_rfile": ours.makefile("rb"), "_current_timeout": 60}.items():
            setattr(connection, name, value)
        MariaDB(connection, "shop", ["shop"]).patience(0.01)
        with pytest.raises(pymysql.OperationalError, match="timed out"):
            connection.ping(reconnect=False)


def test_without_the_driver_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mariadb_fence, "pymysql", None)
    with pytest.raises(RuntimeError, match=r"PyMySQL cannot be imported by .*install python3-pymysql on this host"):
        mariadb_fence.connect({})


def test_what_concerns_one_server_is_not_replicated() -> None:
    made = server()
    made.unlogged("FIRST", "SECOND")
    assert asked(made) == ["SET SESSION sql_log_bin = 0", "FIRST", "SECOND", "SET SESSION sql_log_bin = 1"]


def test_replication_comes_back_after_an_error() -> None:
    made = server({"FIRST": RuntimeError("no")})
    with pytest.raises(RuntimeError, match="no"):
        made.unlogged("FIRST", "SECOND")
    assert asked(made) == ["SET SESSION sql_log_bin = 0", "FIRST", "SET SESSION sql_log_bin = 1"]


def test_no_argument_means_no_formatting() -> None:
    made = server()
    made.rows("SELECT '100%'")
    made.rows("SELECT %s", ["x"])
    assert made.connection.arguments == [None, ("x",)]


def test_the_schema_is_the_sites_own() -> None:
    made = server()
    made.make_schema()
    assert asked(made)[1] == "CREATE DATABASE IF NOT EXISTS `cutover_oc_shop`"
    assert [statement.split(" (")[0] for statement in asked(made)[2:4]] == [
        "CREATE TABLE IF NOT EXISTS `cutover_oc_shop`.marker",
        "CREATE TABLE IF NOT EXISTS `cutover_oc_shop`.fence",
    ]


@pytest.mark.parametrize("found", [[], [{"1": 1}]])
def test_whether_the_schema_is_there(found: list[dict[str, Any]]) -> None:
    made = server({"information_schema.schemata": found})
    assert made.has_schema() is bool(found)
    # Not by a pattern, in which '_' would be any character.
    assert made.connection.arguments == [("cutover_oc_shop",)]


def test_triggers_cover_what_they_do_not_cover_yet() -> None:
    present = [{"db": "shop", "tbl": "orders", "event": event, "name": "x"} for event in ("INSERT", "DELETE")]
    made = server({BASE_TABLES: [ORDERS, {"db": "shop", "tbl": "p`zza 🍕"}], TRIGGERS: present})
    assert made.make_triggers() == 4
    statements = [statement for statement in asked(made) if statement.startswith("CREATE TRIGGER")]
    assert [re.match(r".*FOR EACH ROW", statement).group() for statement in statements] == [  # type: ignore[union-attr]
        "CREATE TRIGGER `shop`.`cutover_update_1c168adb00d208e4` BEFORE UPDATE ON `shop`.`orders` FOR EACH ROW",
        *(
            f"CREATE TRIGGER `shop`.`{trigger_name(event, 'p`zza 🍕')}` "
            f"BEFORE {event} ON `shop`.`p``zza 🍕` FOR EACH ROW"
            for event in ("INSERT", "UPDATE", "DELETE")
        ),
    ]
    for statement in statements:
        assert "IS_USED_LOCK('cutover_oc_shop') IS NOT NULL" in statement
        assert "EXISTS (SELECT 1 FROM `cutover_oc_shop`.fence)" in statement
        assert f"MYSQL_ERRNO = {FENCE_ERRNO}" in statement
    assert "SET SESSION lock_wait_timeout = 1" in asked(made)
    assert asked(made).count("SET SESSION sql_log_bin = 0") == 4


def test_a_trigger_is_tried_again_behind_a_long_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mariadb_fence.time, "sleep", lambda _seconds: None)
    left = [2]

    def busy(_statement: str) -> list[dict[str, Any]]:
        left[0] -= 1
        if left[0] >= 0:
            raise RuntimeError(1205, "Lock wait timeout exceeded")
        return []

    made = server({BASE_TABLES: [ORDERS], TRIGGERS: [], "CREATE TRIGGER": busy})
    assert made.make_triggers() == 3
    assert sum(statement.startswith("CREATE TRIGGER") for statement in asked(made)) == 5
    made = server({BASE_TABLES: [ORDERS], TRIGGERS: [], "CREATE TRIGGER": RuntimeError(1205, "Lock wait timeout")})
    with pytest.raises(RuntimeError, match="Lock wait timeout"):
        made.make_triggers()
    assert sum(statement.startswith("CREATE TRIGGER") for statement in asked(made)) == 30


def test_another_error_of_a_trigger_is_raised_at_once() -> None:
    made = server({BASE_TABLES: [ORDERS], TRIGGERS: [], "CREATE TRIGGER": RuntimeError(1142, "denied")})
    with pytest.raises(RuntimeError, match="denied"):
        made.make_triggers()
    assert asked(made)[-1] == "SET SESSION sql_log_bin = 1"


def test_the_fence_is_taken_down_unlogged() -> None:
    made = server({TRIGGERS: [{"db": "sh`op", "name": "cutover_insert_1", "event": "INSERT", "tbl": "t"}]})
    made.drop_fence()
    assert asked(made)[1:] == [
        "SET SESSION sql_log_bin = 0",
        "DROP TRIGGER IF EXISTS `sh``op`.`cutover_insert_1`",
        "SET SESSION sql_log_bin = 1",
    ]


@pytest.mark.parametrize(("answer", "taken"), [(1, True), (0, False), (None, False)])
def test_the_soft_fence_is_a_lock_of_the_session(answer: int | None, taken: bool) -> None:
    made = server({"GET_LOCK": [{"x": answer}]})
    assert made.fence_soft() is taken
    assert made.connection.arguments == [("cutover_oc_shop", 1)]
    made.unfence_soft()
    assert asked(made)[-1] == "SELECT RELEASE_LOCK(%s)"


@pytest.mark.parametrize("holder", [None, 12])
def test_who_holds_the_soft_fence(holder: int | None) -> None:
    assert server({"IS_USED_LOCK": [{"x": holder}]}).fenced_by() == holder


def test_the_hard_fence_is_a_row_that_does_not_replicate() -> None:
    made = server({r"COUNT\(\*\)": [{"n": 1}]})
    made.close()
    made.open()
    assert made.is_closed() is True
    assert asked(made)[1] == "REPLACE INTO `cutover_oc_shop`.fence VALUES (1, UTC_TIMESTAMP(6))"
    assert asked(made)[4] == "DELETE FROM `cutover_oc_shop`.fence"
    assert asked(made).count("SET SESSION sql_log_bin = 0") == 2


def test_a_refused_write_is_told_and_taken_back() -> None:
    refused = RuntimeError(FENCE_ERRNO, "This database takes no more writes")
    tables = [{"db": "shop", "tbl": "empty"}, ORDERS]
    made = server({BASE_TABLES: tables, "SELECT 1 FROM `shop`.`orders`": [{"1": 1}], "DELETE": refused})
    assert made.attempt_write() == "1644 `shop`.`orders`: This database takes no more writes"
    assert asked(made)[1:] == [
        "SELECT 1 FROM `shop`.`empty` LIMIT 1",
        "SELECT 1 FROM `shop`.`orders` LIMIT 1",
        "START TRANSACTION",
        "DELETE FROM `shop`.`orders` LIMIT 1",
        "ROLLBACK",
    ]


def test_a_write_that_is_let_through_is_taken_back() -> None:
    made = server({BASE_TABLES: [ORDERS], "SELECT 1": [{"1": 1}]})
    assert made.attempt_write() == ""
    assert asked(made)[-1] == "ROLLBACK"


@pytest.mark.parametrize("error", [RuntimeError(1142, "DELETE command denied"), RuntimeError()])
def test_any_other_error_is_no_refusal(error: Exception) -> None:
    made = server({BASE_TABLES: [ORDERS], "SELECT 1": [{"1": 1}], "DELETE": error})
    with pytest.raises(RuntimeError) as raised:
        made.attempt_write()
    assert raised.value is error
    assert asked(made)[-1] == "ROLLBACK"


def test_without_a_row_nothing_can_be_tried() -> None:
    with pytest.raises(RuntimeError, match="no table of shop, annex has a row to try a write on"):
        server({BASE_TABLES: [ORDERS]}, ("shop", "annex")).attempt_write()


BUSY = RuntimeError(1205, "Lock wait timeout exceeded")


def test_nobody_writes_where_every_table_can_be_locked() -> None:
    tables = [{"db": "shop", "tbl": f"t{number}"} for number in range(mariadb_fence.LOCKED_TABLES + 1)]
    made = server({BASE_TABLES: tables})
    assert made.writers() == []
    locks = [statement for statement in asked(made) if statement.startswith("LOCK TABLES")]
    assert [statement.count(" READ") for statement in locks] == [mariadb_fence.LOCKED_TABLES, 1]
    assert all(statement.endswith(" NOWAIT") for statement in locks)
    assert asked(made)[-3:] == [locks[1], "UNLOCK TABLES", "XA RECOVER"]


def test_whoever_holds_a_table_is_named_if_known(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(mariadb_fence.time, "monotonic", lambda: now[0])
    row = {"id": 1, "user": "u", "db": None, "seconds": 7}
    made = server({BASE_TABLES: [ORDERS], "LOCK TABLES": BUSY, "innodb_trx": [row, dict(row, id=0)]})
    assert [made.writers(), made.writers()] == [[row], [row]]
    # Asked all the time, the list of transactions would never be made anew.
    assert len([statement for statement in asked(made) if "innodb_trx" in statement]) == 1
    now[0] += 0.2
    made.writers()
    assert len([statement for statement in asked(made) if "innodb_trx" in statement]) == 2
    nameless = server({BASE_TABLES: [ORDERS], "LOCK TABLES": BUSY})
    assert nameless.writers() == [{"id": 0, "user": "an unknown account", "db": None, "seconds": 0}]


def test_what_is_not_known_of_writers_is_an_error() -> None:
    denied = RuntimeError(1044, "Access denied")
    with pytest.raises(RuntimeError, match="Access denied"):
        server({BASE_TABLES: [ORDERS], "LOCK TABLES": denied}).writers()
