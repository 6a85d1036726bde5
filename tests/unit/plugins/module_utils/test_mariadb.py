"""What is said to a MariaDB server, and what is made of its answers."""

import re
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import binlog, mariadb, mariadb_fence
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Link
from ansible_collections.ocpizza.cutover.plugins.module_utils.mariadb import MariaDB
from tests.unit.plugins.fakes import Answer, FakeConnection, FakeDatabase


def server(
    answers: dict[str, Answer] | None = None, databases: tuple[str, ...] = ("shop",), side: str = "source"
) -> Any:
    made = MariaDB(FakeConnection(answers), "oc-shop", databases, side)
    return made


def asked(made: MariaDB) -> list[str]:
    found: list[str] = made.connection.asked
    return found


def test_a_server_is_opened_for_a_side_of_a_site(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr(mariadb_fence.pymysql, "connect", lambda **arguments: seen.update(arguments) or "connection")
    made: Any = mariadb.SERVER.open_server({"host": "db", "user": "cutover"}, "oc-shop", ["shop"], "target", 7.0)
    assert (made.engine, made.side, made.name, made.databases) == ("mariadb", "target", "cutover_oc_shop", ["shop"])
    assert made.connection == "connection"
    assert (seen["user"], seen["read_timeout"]) == ("cutover", 7.0)
    # The class reads answers by column; the proof, which connects by itself, by place.
    assert seen["cursorclass"] is mariadb_fence.pymysql.cursors.DictCursor
    mariadb.connect({"host": "db"}, 7.0, database="shop")
    assert seen["cursorclass"] is mariadb_fence.pymysql.cursors.Cursor
    assert "database" not in seen


def test_the_schema_goes_from_this_server_alone() -> None:
    made = server()
    made.drop_schema()
    assert asked(made)[-2] == "DROP DATABASE IF EXISTS `cutover_oc_shop`"
    assert asked(made)[-3] == "SET SESSION sql_log_bin = 0"


@pytest.mark.parametrize(
    ("every", "own"),
    [("0-1-5,1-2-9", "1-2-9"), ("1-2-9", "1-2-9"), ("0-1-5", ""), ("", ""), (None, ""), ("11-2-9,1-2-8", "1-2-8")],
)
def test_a_position_is_that_of_the_own_domain(every: str | None, own: str) -> None:
    made = server({"gtid_domain_id": [{"x": 1}], "gtid_binlog_pos": [{"x": every}]})
    assert made.position() == own
    # The log holds every domain, and is followed from where all of them are.
    assert made.changes_from() == (every or "")


def test_the_log_is_followed_with_the_marker_and_over_verified_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(binlog, "follow", lambda *asked, **named: seen.append((asked, named)) or iter(()))
    made = server()
    credentials = {"host": "db", "user": "cutover", "ssl_ca": "/ca.pem"}
    assert list(made.changes(credentials, "0-1-5", [("shop", "orders")])) == []
    (((settings, since, tables), named),) = seen
    # On the way back the log comes over the network.
    assert settings == {**credentials, "ssl_verify_cert": True, "ssl_verify_identity": False}
    assert (since, named) == ("0-1-5", {"mariadb": True})
    assert tables == [("shop", "orders"), ("cutover_oc_shop", "marker")]
    assert made.marker_tables() == [("cutover_oc_shop", "marker")]
    # It is read by a thread, whose connection is its own.
    assert asked(made) == []


def test_the_marker_is_written_under_the_servers_number() -> None:
    made = server(
        {"server_id": [{"x": 7}], "gtid_domain_id": [{"x": 0}], "gtid_binlog_pos": [{"x": "0-7-3"}]}, ("shop",)
    )
    assert made.mark("token") == "0-7-3"
    assert asked(made)[1] == "REPLACE INTO `cutover_oc_shop`.marker VALUES (%s, %s, UTC_TIMESTAMP(6))"
    assert made.connection.arguments[1] == (7, "token")
    # The marker goes to the other side.
    assert "SET SESSION sql_log_bin = 0" not in asked(made)


def test_a_marker_that_did_not_come_is_empty() -> None:
    assert server().marked(7) == ""
    assert server({"SELECT token": [{"token": "t"}]}).marked(7) == "t"


@pytest.mark.parametrize(("answer", "reached"), [(0, True), (-1, False), (None, False)])
def test_only_a_position_that_was_applied_is_reached(answer: int | None, reached: bool) -> None:
    made = server({"MASTER_GTID_WAIT": [{"x": answer}]})
    assert made.wait_for("0-1-5", 1.23456) is reached
    assert made.connection.arguments == [("0-1-5", 1.235)]


STATUS = {"Slave_IO_Running": "Yes", "Slave_SQL_Running": "Yes", "Seconds_Behind_Master": 0}
ALL = "SHOW ALL SLAVES"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, Link(True, True, True, 0, "")),
        ({"Seconds_Behind_Master": None}, Link(True, True, True, None, "")),
        ({"Slave_IO_Running": "Connecting"}, Link(True, False, True, 0, "")),
        ({"Slave_SQL_Running": "No"}, Link(True, True, False, 0, "")),
        ({"Last_IO_Error": "io", "Last_SQL_Error": "sql"}, Link(True, True, True, 0, "io; sql")),
        ({"Last_IO_Error": "", "Last_SQL_Error": None}, Link(True, True, True, 0, "")),
    ],
)
def test_the_state_of_a_link(status: dict[str, Any], expected: Link) -> None:
    made = server({ALL: [{"Connection_name": "cutover_oc_shop"}], "SHOW SLAVE": [{**STATUS, **status}]})
    assert made.link() == expected
    assert asked(made)[1] == "SHOW SLAVE 'cutover_oc_shop' STATUS"


def test_a_link_of_someone_else_is_none_of_ours() -> None:
    made = server({ALL: [{"Connection_name": "backup"}]})
    assert made.link() == Link(False, False, False, None, "")
    made.unfollow()
    assert not [statement for statement in asked(made) if not statement.startswith(ALL)]


ACCOUNT = {"host": "db", "port": "3306", "user": "repl", "password": "secret", "ssl_ca": "/ca.pem"}
DOMAIN: dict[str, Answer] = {"gtid_domain_id": [{"x": 1}]}
SEED = r"SELECT position FROM `cutover_oc_shop`\.seed"


def said(made: MariaDB, first: str) -> list[tuple[str, Any]]:
    """The statements and their arguments, from the first one that begins so."""
    statements = list(zip(asked(made), made.connection.arguments, strict=True))
    begin = next(number for number, (statement, _arguments) in enumerate(statements) if statement.startswith(first))
    return statements[begin:]


def other_side(name: str = "source") -> FakeDatabase:
    return FakeDatabase(name, 7, [])


def test_the_target_goes_on_where_its_copy_ended_for_the_sites_databases_alone() -> None:
    made = server({**DOMAIN, SEED: [{"position": "0-1-5"}]}, ("my_shop",), "target")
    other = other_side()
    made.follow(other, ACCOUNT)
    statements = said(made, "SET GLOBAL")
    assert statements[0] == ("SET GLOBAL gtid_slave_pos = %s", ("0-1-5",))
    change, arguments = statements[1]
    assert change.startswith("CHANGE MASTER 'cutover_oc_shop' TO MASTER_HOST=%s")
    assert change.endswith("MASTER_USE_GTID=slave_pos, IGNORE_DOMAIN_IDS=(1)")
    assert "MASTER_SSL=1" in change
    assert "MASTER_SSL_VERIFY_SERVER_CERT=1" in change
    assert "secret" not in change
    assert arguments == ("db", 3306, "repl", "secret", "/ca.pem")
    assert statements[3] == (
        "SET GLOBAL replicate_wild_do_table = %s",
        (r"my\_shop.%,cutover\_oc\_shop.%",),
    )
    assert statements[-1] == ("START SLAVE 'cutover_oc_shop'", None)
    # Nothing is written on the side whose copy it has.
    assert other.calls == []


def test_the_source_begins_where_the_target_is() -> None:
    made, other = server(DOMAIN), other_side("target")
    made.follow(other, ACCOUNT)
    # The target's marker exists before the position: the source only ever sees it change.
    assert other.calls == ["target.mark", "target.changes_from"]
    assert said(made, "SET GLOBAL")[0] == ("SET GLOBAL gtid_slave_pos = %s", ("0-7-1",))
    assert not [statement for statement in asked(made) if ".seed" in statement]


@pytest.mark.parametrize("side", ["source", "target"])
def test_the_other_sides_marker_is_expected_before_the_link_starts(side: str) -> None:
    made = server({**DOMAIN, SEED: [{"position": "0-1-5"}]}, side=side)
    made.follow(other_side(), ACCOUNT)
    expected = "INSERT IGNORE INTO `cutover_oc_shop`.marker VALUES (7, '', UTC_TIMESTAMP(6))"
    assert asked(made)[asked(made).index(expected) - 1] == "SET SESSION sql_log_bin = 0"
    assert asked(made).index(expected) < asked(made).index("START SLAVE 'cutover_oc_shop'")


def test_a_copy_of_a_log_that_was_empty_is_complete_too() -> None:
    made = server({**DOMAIN, SEED: [{"position": ""}]}, side="target")
    made.follow(other_side(), ACCOUNT)
    assert "SET GLOBAL gtid_slave_pos = %s" not in asked(made)
    assert asked(made)[-1] == "START SLAVE 'cutover_oc_shop'"


def test_without_a_copy_the_target_cannot_follow() -> None:
    made, other = server(DOMAIN, side="target"), other_side()
    with pytest.raises(
        RuntimeError, match=r"^the target has no complete copy to go on from; run replicate.yml from its start$"
    ):
        made.follow(other, ACCOUNT)
    assert not [statement for statement in asked(made) if re.search("SLAVE|MASTER|gtid|marker VALUES", statement)]
    assert other.calls == []


def test_a_link_that_runs_is_stopped_before_it_is_changed() -> None:
    made = server({**DOMAIN, ALL: [{"Connection_name": "cutover_oc_shop"}], SEED: [{"position": ""}]}, side="target")
    made.follow(other_side(), ACCOUNT)
    statements = [statement.split(" TO ")[0] for statement, _arguments in said(made, "STOP")]
    assert statements[:2] == ["STOP SLAVE 'cutover_oc_shop'", "CHANGE MASTER 'cutover_oc_shop'"]


def test_a_link_that_stopped_is_started() -> None:
    made = server()
    made.resume_link()
    assert asked(made) == ["START SLAVE 'cutover_oc_shop'"]


@pytest.mark.parametrize(
    ("found", "position"), [([], None), ([{"position": ""}], ""), ([{"position": "0-1-5"}], "0-1-5")]
)
def test_where_a_copy_ended(found: list[dict[str, Any]], position: str | None) -> None:
    made = server({SEED: found})
    assert made.seeded() == position
    logged = [statement for statement in asked(made) if statement.startswith("CREATE")]
    assert logged[-1].startswith("CREATE TABLE IF NOT EXISTS `cutover_oc_shop`.seed (")
    assert asked(made).count("SET SESSION sql_log_bin = 0") == 2


def test_pages_are_written_before_the_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(mariadb.time, "sleep", slept.append)
    made = server()
    made.before_restart()
    assert asked(made) == ["SET GLOBAL innodb_max_dirty_pages_pct = 0"]
    assert slept == [1.0]


def test_a_link_is_forgotten() -> None:
    made = server({ALL: [{"Connection_name": "cutover_oc_shop"}]})
    made.unfollow()
    assert asked(made)[1:] == ["STOP SLAVE 'cutover_oc_shop'", "RESET SLAVE 'cutover_oc_shop' ALL"]


def grants(*rows: tuple[str, str, str]) -> list[dict[str, Any]]:
    return [{"user": user, "host": host, "db": database} for user, host, database in rows]


GRANTED = "FROM mysql.db"


def test_only_accounts_of_the_site_and_of_nothing_else_are_its_own() -> None:
    granted = grants(
        ("app", "%", "my\\_shop"),
        ("plain", "localhost", "my_shop"),
        ("both", "%", "my\\_shop"),
        ("both", "%", "annex"),
        ("annex", "%", "annex"),
        ("", "%", "my_shop"),
        ("wide", "%", "my%"),
        ("app", "10.0.0.1", "annex"),
    )
    made = server({GRANTED: granted}, ("my_shop",))
    assert made.accounts() == [{"user": "app", "host": "%"}, {"user": "plain", "host": "localhost"}]


def test_an_account_with_rights_everywhere_is_not_the_sites() -> None:
    granted = grants(("app", "%", "shop"), ("dba", "localhost", "shop"))
    made = server({GRANTED: granted, "user_privileges": [{"grantee": "'dba'@'localhost'"}]})
    assert made.accounts() == [{"user": "app", "host": "%"}]
    assert "privilege_type <> 'USAGE'" in asked(made)[-1]


def test_rights_on_a_neighbours_table_count_too() -> None:
    made = server()
    made.accounts()
    for table in ("mysql.db", "mysql.tables_priv", "mysql.columns_priv", "mysql.procs_priv"):
        assert table in asked(made)[0]


@pytest.mark.parametrize(("locked", "word"), [(True, "LOCK"), (False, "UNLOCK")])
def test_accounts_are_locked_on_this_server_alone(locked: bool, word: str) -> None:
    brien = {"user": "o'brien", "host": "%"}
    granted = grants(("o'brien", "%", "shop"), ("asleep", "%", "shop"))
    made = server({GRANTED: granted, "global_priv": [{"user": "asleep", "host": "%"}], "locked$": [brien]})
    assert made.lock_accounts(locked) == 1
    note = (
        "REPLACE INTO `cutover_oc_shop`.locked VALUES ('o\\'brien', '%')"
        if locked
        else "DELETE FROM `cutover_oc_shop`.locked WHERE user = 'o\\'brien' AND host = '%'"
    )
    alter = f"ALTER USER IF EXISTS 'o\\'brien'@'%' ACCOUNT {word}"
    # Noted before it is locked, and forgotten after it is open again.
    both = [note, alter] if locked else [alter, note]
    assert asked(made)[-4:] == ["SET SESSION sql_log_bin = 0", *both, "SET SESSION sql_log_bin = 1"]


def test_sessions_of_the_site_are_ended() -> None:
    made = server({GRANTED: grants(("app", "%", "shop")), "processlist": [{"id": 4}, {"id": 5}]})
    assert made.end_sessions() == 2
    assert made.connection.arguments[-3:] == [(["app"], ["shop"]), (4,), (5,)]
    # A neighbour may use the same name from another host.
    assert "(db IS NULL OR db IN %s)" in asked(made)[-3]


def test_a_session_that_ended_by_itself_is_no_error() -> None:
    answers: dict[str, Answer] = {GRANTED: grants(("app", "%", "shop")), "processlist": [{"id": 4}]}
    assert server({**answers, "KILL": RuntimeError(1094, "Unknown thread id")}).end_sessions() == 1
    with pytest.raises(RuntimeError, match="not owner"):
        server({**answers, "KILL": RuntimeError(1095, "not owner")}).end_sessions()


def test_without_accounts_no_session_is_ended() -> None:
    made = server()
    assert made.end_sessions() == 0
    assert not [statement for statement in asked(made) if "processlist" in statement]
