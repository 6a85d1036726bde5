# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The MariaDB engine on real servers, 10.5 and 11.8, each for itself: who writes, accounts, events.

KEEP=1 leaves the two containers up for the next run; they are those of test_proof.py.
"""

# ruff: noqa: S608 - the statements are constants of this file

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pymysql
import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import copy_databases, mariadb, mariadb_fence
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import words
from ansible_collections.ocpizza.cutover.plugins.module_utils.dump_stream import SeedFailed
from ansible_collections.ocpizza.cutover.plugins.module_utils.mariadb import MariaDB
from tests.integration import rights
from tests.integration import test_proof as servers
from tests.integration.names import NAME, SITE, D
from tests.lab.docker import docker

# More than are locked at once.
TABLES = mariadb_fence.LOCKED_TABLES + 100
CLEAN = (f"DROP DATABASE IF EXISTS {D}", "DROP DATABASE IF EXISTS annex", "DROP DATABASE IF EXISTS cutover_oc_shop")


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    yield {suite: servers.start(suite, 101 + number) for number, suite in enumerate(servers.SUITES)}
    if os.environ.get("KEEP") != "1":
        for suite in servers.SUITES:
            docker("rm", "--force", "--volumes", servers.PREFIX + suite)


class House:
    """One server with a site and a neighbour."""

    def __init__(self, port: int, open_clients: ExitStack) -> None:
        self.credentials = {"host": "127.0.0.1", "port": port, "user": servers.ACCESS, "password": servers.ACCESS}
        self.open_clients = open_clients
        self.server = self.open()
        self.root = self.client(None)
        run(self.root, *CLEAN, f"CREATE DATABASE {D}", "CREATE DATABASE annex")
        self.root.select_db(NAME)
        run(
            self.root,
            "CREATE TABLE orders (id INT PRIMARY KEY, v INT)",
            "CREATE TABLE annex.guests (id INT PRIMARY KEY)",
            "INSERT INTO orders SELECT seq, 0 FROM seq_1_to_100",
        )
        self.server.make_schema()

    def open(self, timeout: float = 5.0) -> MariaDB:
        return MariaDB.open_server(self.credentials, SITE, [NAME], "source", timeout)

    def client(self, database: str | None = NAME) -> Any:
        connection = servers.connect(self.credentials["port"], database)  # type: ignore[arg-type]
        self.open_clients.callback(lambda: connection.open and connection.close())
        return connection


def run(connection: Any, *statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture(params=servers.SUITES)
def house(request: pytest.FixtureRequest, ports: dict[str, int]) -> Iterator[House]:
    with ExitStack() as open_clients:
        made = House(ports[request.param], open_clients)
        yield made
    run(servers.connect(ports[request.param]), *CLEAN)


def milliseconds(action: Any) -> float:
    begun = time.monotonic()
    action()
    return (time.monotonic() - begun) * 1000


def test_writers_are_known_at_once_however_often_they_are_asked_for(house: House) -> None:
    client, neighbour = house.client(), house.client("annex")
    run(neighbour, "BEGIN", "INSERT INTO guests VALUES (1)")
    for turn in range(100):
        assert house.server.writers() == []
        run(client, "BEGIN", f"UPDATE orders SET v = v + 1 WHERE id = {turn % 100 + 1}")
        assert len(house.server.writers()) == 1
        run(client, "COMMIT" if turn % 2 else "ROLLBACK")
        assert house.server.writers() == [], "it has ended"
        time.sleep(0.002)


def test_a_writer_is_named(house: House) -> None:
    client = house.client()
    run(client, "BEGIN", "UPDATE orders SET v = 1 WHERE id = 1")
    time.sleep(1.2)
    (writer,) = house.server.writers()
    assert (writer["id"], writer["user"], writer["db"]) == (client.thread_id(), servers.ACCESS, NAME)
    assert writer["seconds"] >= 1
    # Another one is named as well, though the list of transactions is read all the time.
    run(client, "ROLLBACK")
    other = house.client()
    run(other, "BEGIN", "UPDATE orders SET v = 1 WHERE id = 1")
    until = time.monotonic() + 0.5
    while house.server.writers()[0]["id"] != other.thread_id():
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO orders VALUES (1000, 1)",
        "DELETE FROM orders WHERE id = 5",
        "UPDATE orders SET v = 1 WHERE id = 77777",
        "SELECT * FROM orders WHERE id = 1 FOR UPDATE",
    ],
)
def test_whoever_has_written_or_is_about_to(house: House, statement: str) -> None:
    client = house.client()
    run(client, "BEGIN", statement)
    assert len(house.server.writers()) == 1


def test_a_session_that_writes_from_another_database(house: House) -> None:
    client = house.client("annex")
    run(client, "BEGIN", f"UPDATE {D}.orders SET v = 1 WHERE id = 1")
    assert [writer["user"] for writer in house.server.writers()] == ["an unknown account"]


def test_readers_and_lockers_of_other_kinds_are_no_writers(house: House) -> None:
    reader = house.client()
    run(reader, "BEGIN", "SELECT * FROM orders", "SELECT * FROM orders WHERE id = 1 LOCK IN SHARE MODE")
    begun = house.client()
    run(begun, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
    assert house.server.writers() == []


def test_a_write_that_waits_behind_another_is_not_missed(house: House) -> None:
    """Its trigger let it through before the fence was set, and it has no row yet."""
    first, second = house.client(), house.client()
    house.server.make_triggers()
    run(first, "BEGIN", "INSERT INTO orders VALUES (2000, 1)")
    second._execute_command(3, "INSERT INTO orders VALUES (2000, 2)")  # sent, not waited for
    time.sleep(0.1)
    assert house.server.fence_soft()
    assert len(house.server.writers()) >= 1
    run(first, "ROLLBACK")
    until = time.monotonic() + 5
    while house.server.writers():
        assert time.monotonic() < until
        time.sleep(0.005)
    with house.client().cursor() as cursor:
        cursor.execute("SELECT v FROM orders WHERE id = 2000")
        assert cursor.fetchall() == ((2,),), "whoever was let through is through now"
    assert house.server.fenced_by() == house.server.connection.thread_id()
    assert "takes no more writes" in house.server.attempt_write()
    second._read_query_result()


@pytest.mark.parametrize("detached", [False, True])
def test_a_prepared_transaction_may_be_committed_at_any_time(house: House, detached: bool) -> None:
    client = house.client()
    run(client, "XA START 'x'", "UPDATE orders SET v = 1 WHERE id = 7", "XA END 'x'", "XA PREPARE 'x'")
    try:
        if detached:
            client.close()
            time.sleep(0.3)
        (writer,) = house.server.writers()
        assert not detached or (writer["id"], writer["user"]) == (0, "XA")
    finally:
        run(client if not detached else house.root, "XA ROLLBACK 'x'")
    assert house.server.writers() == []


def test_nobody_waits_for_the_answer_and_it_never_waits(house: House) -> None:
    client = house.client()
    run(client, "LOCK TABLES orders WRITE")
    impatient = house.open(0.5)
    assert milliseconds(impatient.writers) < 300
    run(client, "UNLOCK TABLES")
    assert impatient.writers() == []
    run(client, "SET lock_wait_timeout = 1", "UPDATE orders SET v = 1 WHERE id = 1")


def test_what_it_costs(house: House) -> None:
    few = sorted(milliseconds(house.server.writers) for _turn in range(50))
    run(house.root, *[f"CREATE TABLE t{number} (id INT PRIMARY KEY)" for number in range(TABLES)])
    first = milliseconds(house.server.writers)
    many = sorted(milliseconds(house.server.writers) for _turn in range(20))
    print(f"1 table: {few[25]:.2f} ms, at most {few[-1]:.2f}; {TABLES} tables: first {first:.2f}, then {many[10]:.2f}")
    run(house.root, "BEGIN", f"INSERT INTO t{TABLES - 1} VALUES (1)")
    assert len(house.server.writers()) == 1
    run(house.root, "ROLLBACK")
    assert few[25] < 20


def test_a_table_with_a_history_is_fenced_too(house: House) -> None:
    run(house.root, "CREATE TABLE a_history (id INT PRIMARY KEY) WITH SYSTEM VERSIONING")
    house.server.make_triggers()
    house.server.fence_soft()
    with pytest.raises(pymysql.MySQLError, match="takes no more writes"):
        run(house.client(), "INSERT INTO a_history VALUES (1)")


ACCOUNTS = ("shop@'%'", "shop@localhost", "asleep@'%'", "wide@'%'")
PATTERN = D.replace("_", r"\_")


def test_the_sites_accounts_are_locked_and_given_back(house: House) -> None:
    server = house.server
    run(house.root, *[f"DROP USER IF EXISTS {name}" for name in ACCOUNTS])
    run(house.root, *[f"CREATE USER {name} IDENTIFIED BY 'p'" for name in ACCOUNTS])
    run(house.root, f"GRANT ALL ON {PATTERN}.* TO shop@'%', asleep@'%', wide@'%'", "GRANT SELECT ON *.* TO wide@'%'")
    run(house.root, "ALTER USER asleep@'%' ACCOUNT LOCK")
    try:
        settings = dict(house.credentials, user="shop", password="p")
        mariadb.connect(settings).close()
        assert server.lock_accounts(True) == 1
        assert server.lock_accounts(True) == 0
        with pytest.raises(pymysql.MySQLError, match="locked"):
            mariadb.connect(settings)
        assert server.lock_accounts(False) == 1
        assert server.lock_accounts(False) == 0
        mariadb.connect(settings).close()
        with pytest.raises(pymysql.MySQLError, match="locked"):
            mariadb.connect(dict(settings, user="asleep"))
    finally:
        run(house.root, *[f"DROP USER IF EXISTS {name}" for name in ACCOUNTS])


def event(name: str, more: str = "") -> str:
    return f"CREATE DEFINER = 'a@b'@'10.0.0.%' EVENT {D}.{name} ON SCHEDULE EVERY 1 DAY {more} DO DELETE FROM orders"


def test_events_run_on_one_side(house: House) -> None:
    server = house.server
    run(house.root, "SET sql_mode = 'ANSI_QUOTES'", event("`t``ick`"), event("stays", "DISABLE"), "SET sql_mode = ''")
    kept = (
        f"SELECT EVENT_NAME, DEFINER, SQL_MODE, STARTS, EVENT_DEFINITION FROM information_schema.events "
        f"WHERE EVENT_SCHEMA = {server.connection.escape(NAME)} ORDER BY 1"
    )
    before = server.rows(kept)
    assert {row["DEFINER"] for row in before} == {"a@b@10.0.0.%"}
    position = server.changes_from()
    assert server.let_events_run(True) == 0
    assert (server.let_events_run(False), server.let_events_run(False)) == (1, 0)
    off = [row["status"] for row in server.events()]
    assert off[0] == "DISABLED"
    assert "ENABLED" not in off
    assert (server.let_events_run(True), server.let_events_run(True)) == (1, 0)
    assert [row["status"] for row in server.events()] == ["DISABLED", "ENABLED"]
    assert server.rows(kept) == before
    assert server.changes_from() == position, "it concerns this server alone"


@pytest.mark.parametrize("scheduler", ["ON", "OFF"])
def test_events_that_a_copy_brings_stay_off(house: House, scheduler: str) -> None:
    server = house.server
    run(house.root, f"SET GLOBAL event_scheduler = {scheduler}", event("source_s"))
    try:
        with copy_databases.quiet_events(server, server):
            assert server.value("SELECT @@GLOBAL.event_scheduler") == "OFF"
            run(house.root, event("arrives"))
        assert server.value("SELECT @@GLOBAL.event_scheduler") == scheduler
        assert [row["status"] for row in server.events() if row["status"] == "ENABLED"] == []
        run(house.root, "CREATE EVENT annex.theirs ON SCHEDULE EVERY 1 DAY DO DELETE FROM guests")
        if scheduler == "ON":
            with (
                pytest.raises(SeedFailed, match=r"the target runs annex\.theirs of others"),
                copy_databases.quiet_events(server, server),
            ):
                pass
        run(house.root, f"DROP EVENT {D}.source_s", f"DROP EVENT {D}.arrives")
        with copy_databases.quiet_events(server, server):
            assert server.value("SELECT @@GLOBAL.event_scheduler") == scheduler, "others' events go on"
    finally:
        run(house.root, "SET GLOBAL event_scheduler = OFF")


def test_a_password_that_the_server_quotes_is_not_told(house: House) -> None:
    """A statement that the server does not understand comes back from the word on that it stumbled over."""
    statement = "CHANGE MASTER 'x' TO MASTER_USER 'x', MASTER_PASSWORD=%s, MASTER_SSL=1"
    for password in ("s3cret", "it's s3cret", 'a "s3cret\\', "s3cret, host=b"):
        with pytest.raises(pymysql.MySQLError) as raised:
            house.server.rows(statement, [password])
        assert "s3cret" in str(raised.value)
        assert words(raised.value).endswith("near ''x', MASTER_PASSWORD=***, MASTER_SSL=1' at line 1 (1064)")


def test_accounts_come_with_their_rights_and_go(
    ports: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"host": "127.0.0.1", "user": servers.ACCESS, "password": servers.ACCESS}
    sides = {side: dict(own, port=ports[suite]) for side, suite in (("source", "bullseye"), ("target", "trixie"))}
    made = rights.House("mariadb", sides, tmp_path, monkeypatch)
    try:
        rights.hosts_and_those_left(made)
        with suppress(pymysql.MySQLError):
            run(made.root["source"], "INSTALL SONAME 'auth_ed25519'")
        rights.a_plugin_that_is_not_there(
            made, "ed25519", "CREATE USER weird@'%' IDENTIFIED VIA ed25519 USING PASSWORD('x') OR unix_socket"
        )
        rights.accounts_come_and_go(made)
    finally:
        made.close()


def test_sequences_are_set_to_the_exact_value(ports: dict[str, int]) -> None:
    with ExitStack() as open_clients:
        source, target = (House(ports[suite], open_clients) for suite in servers.SUITES)
        for house in (source, target):
            run(house.root, "CREATE SEQUENCE `num%bers` INCREMENT BY 2", "CREATE SEQUENCE empty CACHE 0")
        assert target.server.take_counters(source.server) == 2
        run(source.root, "SELECT NEXTVAL(`num%bers`)", "SELECT NEXTVAL(empty)", "SELECT NEXTVAL(empty)")
        run(target.root, "SELECT SETVAL(`num%bers`, 99999)")
        assert target.server.take_counters(source.server) == 2
        assert target.server.counters() == source.server.counters()
        assert source.server.counters()[f"{D}.`empty`"] == 3
        run(target.root, "DROP SEQUENCE empty")
        with pytest.raises(RuntimeError, match=r"sequence .*empty` is missing"):
            target.server.take_counters(source.server)
