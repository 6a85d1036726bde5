# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The MySQL engine on two real servers: prepare, copy, both links, the fence, the changes, the proof, a restart.

The tests build on each other, in this order. KEEP=1 leaves the two containers up for the next run.
"""

# ruff: noqa: S608 - the statements are constants of this file

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import (
    agent_archive,
    copy_rows,
    database_facts,
    mysql,
    proof,
    seed_mysql,
)
from ansible_collections.ocpizza.cutover.plugins.module_utils.dump_stream import SeedFailed
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_mysql
from ansible_collections.ocpizza.cutover.plugins.module_utils.mariadb_fence import FENCE_ERRNO
from ansible_collections.ocpizza.cutover.plugins.module_utils.mysql import MySQL
from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_result import describe
from ansible_collections.ocpizza.cutover.plugins.module_utils.tracker import Tracker
from tests.integration import contents, rights
from tests.integration import mysql_servers as servers
from tests.integration.names import NAME, SITE, TABLE, D, Q
from tests.lab.docker import docker, execute

NEIGHBOUR = "neighbour"
SCHEMA = f"""
CREATE TABLE {Q} (
  `the id` BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  big BIGINT UNSIGNED, exact DECIMAL(65,30), forty DECIMAL(40,0), f FLOAT, g DOUBLE,
  latin VARCHAR(60) CHARACTER SET latin1, text8 TEXT, bytes VARBINARY(60), data LONGBLOB,
  moment DATETIME(6), stamp TIMESTAMP(6) NULL, clock TIME(6), year YEAR, bits BIT(64),
  colour ENUM('', 'red', 'green'), flags SET('a', 'b', 'c'), document JSON, place POINT,
  doubled BIGINT UNSIGNED AS (big DIV 2) VIRTUAL, louder VARCHAR(80) AS (CONCAT(latin, '!')) STORED,
  hidden INT INVISIBLE DEFAULT 7,
  INDEX upper_text ((UPPER(latin))), INDEX (doubled)
);
CREATE TABLE pairs (a INT NOT NULL, b VARCHAR(40) COLLATE utf8mb4_bin NOT NULL, c VARCHAR(40), PRIMARY KEY (a, b));
CREATE TABLE parents (id INT PRIMARY KEY, v INT);
CREATE TABLE children (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES parents (id) ON DELETE CASCADE);
SET sql_generate_invisible_primary_key = 1;
CREATE TABLE keyless (a INT, b VARCHAR(40));
SET sql_generate_invisible_primary_key = 0;
CREATE TABLE vectors (id INT PRIMARY KEY, v VECTOR(4));
CREATE VIEW seen AS SELECT a FROM pairs;
CREATE TRIGGER `own trigger` BEFORE UPDATE ON pairs FOR EACH ROW SET NEW.c = CONCAT(NEW.c, '+');
CREATE PROCEDURE more() INSERT INTO parents SELECT MAX(id) + 1, 0 FROM parents;
CREATE EVENT tick ON SCHEDULE EVERY 1 DAY STARTS '2020-01-01 00:00:00' DO DELETE FROM parents WHERE id < 0;
CREATE EVENT stays ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM parents WHERE id < 0
"""
NUMBERS = "WITH RECURSIVE n (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < {0})"
ROWS = f"""
INSERT INTO {Q} (`the id`, big, exact, forty, f, g, latin, text8, bytes, data, moment, stamp, clock, year, bits,
  colour, flags, document, place, hidden)
{NUMBERS.format(300)}
SELECT seq, 18446744073709551615 - seq, seq + 0.123456789012345678901234567890,
  1234567890123456789012345678901234567890 - seq, seq / 3, 1e0 / seq,
  CONCAT('é', seq), CONCAT('🍕 ', REPEAT('x', seq % 50)), CONCAT(UNHEX('00FF'), seq), UNHEX(SHA2(seq, 512)),
  '2020-01-01' + INTERVAL seq * 1000003 MICROSECOND, '2021-01-01' + INTERVAL seq * 1000003 MICROSECOND,
  SEC_TO_TIME(seq % 3000 + 0.000001), 1990 + seq % 40, seq * 1234567, ELT(seq % 3 + 1, '', 'red', 'green'),
  ELT(seq % 3 + 1, '', 'a', 'a,c'), JSON_OBJECT('n', seq, 'deep', JSON_ARRAY(1.5, NULL, 'é')), POINT(seq, 1 / seq), seq
FROM n;
INSERT INTO {Q} (`the id`, g, text8) VALUES (1000, -0e0, 'a'), (1001, 0.1, NULL), (18446744073709551614, 0, '');
INSERT INTO pairs {NUMBERS.format(500)} SELECT seq DIV 10, CONCAT('k', seq % 10), CONCAT('c', seq) FROM n;
INSERT INTO parents {NUMBERS.format(100)} SELECT seq, 0 FROM n;
INSERT INTO children {NUMBERS.format(100)} SELECT seq, seq FROM n;
INSERT INTO keyless VALUES (1, 'x'), (1, 'x'), (2, NULL);
INSERT INTO vectors VALUES (1, TO_VECTOR('[1,2,3,4]'))
"""
TABLES = 6
GTIDS = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
CLEAN = """
DROP DATABASE IF EXISTS cutover_oc_shop;
DROP DATABASE IF EXISTS neighbour;
DROP USER IF EXISTS shop@'%', shop@localhost, reader@'%', asleep@'%', wide@'%', dynamic@'%', by_role@'%', shop_role;
DROP USER IF EXISTS wide_by_role@'%', wide_role
"""


class Pair:
    """Both servers, as the site sees them, and raw connections beside."""

    def __init__(self, folder: Path) -> None:
        self.machines = dict(zip(("source", "target"), servers.pair(folder), strict=True))
        self.ca = str(folder / "ca.pem")

    def credentials(self, side: str) -> dict[str, Any]:
        return {
            "host": "127.0.0.1",
            "port": self.machines[side].port,
            "user": servers.ADMIN,
            "password": servers.PASSWORD,
            "ssl_ca": self.ca,
        }

    def account(self, side: str) -> dict[str, Any]:
        """How the other side reaches this one."""
        return {
            "host": self.machines[side].address,
            "port": 3306,
            "user": servers.FOLLOWER,
            "password": servers.PASSWORD,
            "ssl_ca": f"{servers.FOLDER}/ca.pem",
        }

    def database(self, side: str, timeout: float = 60.0) -> MySQL:
        return MySQL.open_server(self.credentials(side), SITE, [NAME], side, timeout)

    def raw(self, side: str, database: str | None = None) -> Any:
        connection = mysql.connect(self.credentials(side), 60.0)
        if database:
            connection.select_db(database)
        return connection

    def plan(self, load: str = "mysql") -> dict[str, Any]:
        return {
            "jobs": 2,
            "dump": ["/usr/bin/docker", "exec", self.machines["source"].container, "mysqldump"],
            "load": ["/usr/bin/docker", "exec", "-i", self.machines["target"].container, *load.split()],
        }


def run(connection: Any, *statements: str) -> list[Any]:
    found: list[Any] = []
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
            found = list(cursor.fetchall())
    return found


def until(met: Callable[[], Any], seconds: float = 20.0) -> Any:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)


def step_gtids(connection: Any, wanted: str) -> None:
    """Turn GTIDs on or off, one step after the other."""
    steps = ["OFF", "OFF_PERMISSIVE", "ON_PERMISSIVE", "ON"]
    (((now,),), end) = run(connection, "SELECT @@GLOBAL.gtid_mode"), steps.index(wanted)
    for step in steps[steps.index(now) + 1 : end + 1] or steps[end : steps.index(now)][::-1]:
        run(connection, f"SET GLOBAL gtid_mode = {step}")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Both servers as Debian ships them, and the site's database on the source."""
    made = Pair(tmp_path_factory.mktemp("authority"))
    for side in ("source", "target"):
        made.database(side).unfollow()
        with made.raw(side) as connection:
            run(connection, f"DROP DATABASE IF EXISTS {D}", *CLEAN.split(";"))
            run(connection, "RESET PERSIST", "RESET BINARY LOGS AND GTIDS", "SET GLOBAL server_id = 1")
            run(connection, "SET GLOBAL binlog_row_metadata = MINIMAL")
            step_gtids(connection, "OFF" if side == "source" else "ON")
            run(connection, "CREATE DATABASE neighbour", "CREATE TABLE neighbour.t (id INT PRIMARY KEY)")
    with made.raw("source") as source:
        run(source, f"CREATE DATABASE {D}", f"USE {D}", *SCHEMA.split(";\n"), *ROWS.split(";\n"))
    yield made
    if os.environ.get("KEEP") != "1":
        servers.remove()


@pytest.fixture
def source(pair: Pair) -> Iterator[MySQL]:
    database = pair.database("source")
    yield database
    database.connection.close()


@pytest.fixture
def target(pair: Pair) -> Iterator[MySQL]:
    database = pair.database("target")
    yield database
    database.connection.close()


def told(source: MySQL, gtids: str = "@@GLOBAL.gtid_executed") -> dict[str, Any]:
    """What the check learns of the database."""
    lines = [
        str(value)
        for query in database_facts.queries([NAME])[1:]
        for row in source.rows(query.replace("@@GLOBAL.gtid_executed", gtids))
        for value in row.values()
    ]
    return database_facts.parse("\n".join(lines), [NAME])


def test_what_the_check_learns(source: MySQL, target: MySQL) -> None:
    source.rows(f"CREATE TABLE {D}.old (a INT) ENGINE=MyISAM")
    try:
        found = told(source)["databases"][NAME]
        assert (found["vectors"], found["events_enabled"]) == (["vectors"], ["tick"])
        assert (found["engines"]["MyISAM"], found["without_key"]) == (["old"], ["old"])
        with pytest.raises(SeedFailed, match=r"old is MyISAM\. ALTER TABLE"):
            seed_mysql.refuse(source)
    finally:
        source.rows(f"DROP TABLE {D}.old")


@pytest.mark.parametrize(
    ("gtids", "tagged"),
    [
        ("@@GLOBAL.gtid_executed", "OFF"),
        (f"'{GTIDS}:1-3:7'", "OFF"),
        (f"'{GTIDS}:1-3:nightly:1,\n{GTIDS}:4'", "ON"),
        (f"'{GTIDS}:_x:1'", "ON"),
    ],
)
def test_the_check_sees_tagged_gtids_and_replicas(source: MySQL, gtids: str, tagged: str) -> None:
    assert told(source, gtids)["settings"] == {"gtids_tagged": tagged, "replicas": "0"}


def test_prepare_needs_no_restart(source: MySQL, target: MySQL) -> None:
    """GTIDs were off on the source; both had server_id 1."""
    done = source.prepare(target, 0.5)
    assert done == [
        "binlog_row_metadata = FULL",
        "gtid_mode = OFF_PERMISSIVE",
        "gtid_mode = ON_PERMISSIVE",
        "gtid_mode = ON",
    ]
    done = target.prepare(source, 0.5)
    assert [each.split(" = ")[0] for each in done] == ["binlog_row_metadata", "server_id"]
    assert source.server() == 1
    assert target.server() != 1
    assert source.prepare(target) == target.prepare(source) == []


def test_a_copy_that_broke_off_is_made_anew(
    pair: Pair, source: MySQL, target: MySQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that these few rows go in ranges and their indexes come after them.
    monkeypatch.setattr(copy_rows, "RANGE_ROWS", 40)
    monkeypatch.setattr(copy_rows, "DEFER_ROWS", 1)
    monkeypatch.setattr(copy_rows, "STATEMENT_BYTES", 2000)
    run(source.connection, f"ANALYZE TABLE {D}.{Q}, {D}.pairs, {D}.parents, {D}.children")
    told: list[tuple[int, int, str]] = []
    before = target.position()
    with pytest.raises(SeedFailed, match="loading on the target"):
        seed_mysql.seed(source, target, pair.plan("sh -c false"), lambda *progress: told.append(progress))
    assert seed_mysql.seeded(target) is None

    made = seed_mysql.seed(source, target, pair.plan(), lambda *progress: told.append(progress))

    assert made["changed"]
    assert [done for done, _total, what in told if what == "rows copied"][-1] == made["rows"] == 1007
    assert seed_mysql.seed(source, target, pair.plan(), lambda *_progress: None) == {
        "changed": False,
        "position": made["position"],
    }
    assert [(row["name"], row["status"]) for row in target.events()] == [
        ("stays", "DISABLED"),
        ("tick", "REPLICA_SIDE_DISABLED"),
    ]
    assert target.value("SELECT @@event_scheduler") == "ON"
    assert target.position() == before, "the copy is in the target's log"
    equal = compare(pair)
    assert (equal["schema_differences"], equal["differences"]) == ([], [])


def test_foreign_tables_are_not_written_over(pair: Pair, source: MySQL) -> None:
    other = MySQL.open_server(pair.credentials("target"), "another", [NEIGHBOUR], "target")
    with pytest.raises(SeedFailed, match=r"already has neighbour\.t"):
        seed_mysql.seed(source, other, pair.plan(), lambda *_progress: None)
    other.rows("DROP DATABASE cutover_another")


def test_both_links(pair: Pair, source: MySQL, target: MySQL) -> None:
    run(source.connection, "INSERT INTO neighbour.t VALUES (1)")
    target.follow(source, pair.account("source"))
    until(lambda: not target.link().trouble())
    for database in (target, source):
        database.make_triggers()
        assert database.missing_triggers() == []
    source.follow(target, pair.account("target"))
    until(lambda: not source.link().trouble())
    assert source.wait_for(target.mark("0" * 32), 10)
    assert target.wait_for(source.mark("1" * 32), 10)
    assert source.marked(target.server()) == "0" * 32
    assert target.marked(source.server()) == "1" * 32
    assert target.rows("SELECT * FROM neighbour.t") == [], "only the site's databases come"
    assert told(source)["settings"]["replicas"] == "1"
    run(source.connection, f"UPDATE {D}.{Q} SET g = 1 WHERE g = 0", f"UPDATE {D}.{Q} SET g = -0e0 WHERE g = 1")
    assert target.wait_for(source.mark("2" * 32), 10)
    assert difference(pair) == ""


def test_writes_in_turn_and_no_loop(pair: Pair, source: MySQL, target: MySQL) -> None:
    target.close()
    sides = [source, target]
    for turn in range(4):
        origin, destination = sides
        with pair.raw(origin.side, NAME) as client:
            run(client, f"INSERT INTO pairs VALUES ({7000 + turn}, 'k', 'c')", "UPDATE parents SET v = v + 1")
            run(client, f"DELETE FROM children WHERE id = {turn + 1}", f"DELETE FROM parents WHERE id = {90 + turn}")
            run(
                client, f"UPDATE {Q} SET document = JSON_SET(document, '$.n', {turn}), big = big - 1 WHERE `the id` < 9"
            )
        assert destination.wait_for(origin.mark(f"{turn:032}"), 20)
        assert difference(pair) == ""
        origin.close()
        destination.open()
        assert "takes no more writes" in origin.attempt_write()
        assert destination.attempt_write() == ""
        sides.reverse()
    before = [database.executed() for database in sides]
    time.sleep(3)
    assert [database.executed() for database in sides] == before, "something goes round"
    assert [database.link().trouble() for database in sides] == ["", ""]
    assert source.rows("SELECT * FROM neighbour.t") == [{"id": 1}]


def refused(connection: Any, statement: str) -> bool:
    try:
        run(connection, statement)
    except pymysql.MySQLError as error:
        return bool(error.args[0] == FENCE_ERRNO)
    return False


WRITES = [
    f"INSERT INTO {D}.pairs VALUES (1, 'new', 'c')",
    f"REPLACE INTO {D}.pairs VALUES (1, 'k2', 'c')",
    f"INSERT INTO {D}.pairs VALUES (1, 'k2', 'c') ON DUPLICATE KEY UPDATE c = 'other'",
    f"UPDATE {D}.pairs SET c = 'other' WHERE a = 1",
    f"DELETE FROM {D}.parents WHERE id = 50",
    f"UPDATE {D}.parents p JOIN {D}.children c ON c.parent = p.id SET p.v = 5, c.parent = NULL",
    f"CALL {D}.more()",
]


@pytest.mark.parametrize("layer", ["soft", "hard"])
def test_the_fence_stops_root_and_not_the_applier(pair: Pair, source: MySQL, target: MySQL, layer: str) -> None:
    with pair.raw("source") as root:
        assert target.is_closed()
        begun = time.monotonic()
        fence = source.fence_soft if layer == "soft" else source.close
        fence()
        print(f"fence {layer}: {(time.monotonic() - begun) * 1000:.2f} ms")
        try:
            assert (source.fenced_by() is not None, source.is_closed()) == (layer == "soft", layer == "hard")
            assert pair.database("source").fence_soft(0) == (layer == "hard")
            assert [statement for statement in WRITES if not refused(root, statement)] == []
            target.open()
            with pair.raw("target", NAME) as other:
                run(other, "UPDATE parents SET v = v + 1 WHERE id = 60")
            assert source.wait_for(target.mark("f" * 32), 10)
            assert source.link().trouble() == ""
            assert proof_of(pair, "parents") == []
        finally:
            target.close()
            source.unfence_soft()
            source.open()
    assert source.attempt_write() == ""


def test_the_soft_fence_ends_with_its_session(pair: Pair, source: MySQL) -> None:
    gone = pair.database("source")
    assert gone.fence_soft()
    assert source.fenced_by() == gone.connection.thread_id()
    gone.connection.close()
    until(lambda: source.fenced_by() is None)
    assert source.attempt_write() == ""


def test_writers_are_known_at_once(pair: Pair, source: MySQL) -> None:
    with pair.raw("source", NAME) as client, pair.raw("source", NEIGHBOUR) as neighbour:
        for _turn in range(20):
            assert source.writers() == []
            run(client, "BEGIN", "UPDATE parents SET v = v + 1 WHERE id = 70")
            run(neighbour, "BEGIN", "DELETE FROM t WHERE id = 99")
            (writer,) = source.writers()
            assert (writer["user"], writer["db"]) == (servers.ADMIN, NAME)
            run(client, "ROLLBACK")
            run(neighbour, "ROLLBACK")
        run(client, "XA START 'x'", "UPDATE parents SET v = v + 1 WHERE id = 70", "XA END 'x'", "XA PREPARE 'x'")
    try:
        assert len(source.writers()) == 1, "it may be committed at any time"
    finally:
        source.rows("XA ROLLBACK 'x'")


def test_changes_are_seen_as_they_happen(pair: Pair, source: MySQL) -> None:
    tables = {table.name: table for table in proof.load_tables(pair.raw("source"), NAME)}
    wanted = {
        (NAME, name): ([column.name for column in table.columns], table.key)
        for name, table in tables.items()
        if name != "vectors"
    }
    since = source.changes_from()
    with pair.raw("source", NAME) as client:
        run(client, "UPDATE parents SET v = v + 1 WHERE id = 71")
        follower = Tracker(
            lambda: source.changes(pair.credentials("source"), since, list(wanted)), wanted, source.marker_tables()
        )
        follower.start()
        source.mark("a" * 32)
        assert follower.wait_for("a" * 32, 20), follower.failure
        assert follower.drain() == {(NAME, "parents"): [(71,)]}
        delays = []
        for turn in range(20):
            begun = time.monotonic()
            source.mark(f"{turn:032x}")
            assert follower.wait_for(f"{turn:032x}", 5)
            delays.append((time.monotonic() - begun) * 1000)
        print("changes, ms:", sorted(round(each, 1) for each in delays))
        run(
            client,
            "UPDATE pairs SET b = 'moved' WHERE a = 5 AND b = 'k5'",
            "UPDATE keyless SET b = 'y' WHERE a = 2",
            f"UPDATE {Q} SET document = JSON_SET(document, '$.n', 5) WHERE `the id` = 12",
            "SET SESSION binlog_row_value_options = 'PARTIAL_JSON'",
            f"UPDATE {Q} SET document = JSON_SET(document, '$.n', 6) WHERE `the id` = 13",
            f"INSERT INTO {Q} (`the id`, latin) VALUES (18446744073709551613, 'é')",
            "DELETE FROM parents WHERE id = 85",
            "INSERT INTO neighbour.t VALUES (7)",
            "TRUNCATE neighbour.t",
        )
        source.mark("b" * 32)
        assert follower.wait_for("b" * 32, 20), follower.failure
    changed = {table: keys for (_database, table), keys in follower.drain().items()}
    assert changed == {
        "pairs": [(5, "k5"), (5, "moved")],
        "keyless": [(3,)],
        TABLE: [(12,), (13,), (18446744073709551613,)],
        "parents": [(85,)],
        "children": [(85,)],
    }
    assert sorted(delays)[10] < 250


def test_changes_that_cannot_be_read_are_not_passed_over(pair: Pair, source: MySQL) -> None:
    since = source.changes_from()
    source.rows(f"UPDATE {D}.vectors SET v = TO_VECTOR('[1,2,3,5]')")
    with pytest.raises(ValueError, match="not a valid MetadataFieldType"):
        next(source.changes(pair.credentials("source"), since, [(NAME, "vectors")]))
    since = source.changes_from()
    with pair.raw("source", NAME) as client:
        run(client, "SET SESSION binlog_transaction_compression = ON", "UPDATE parents SET v = v + 1 WHERE id = 72")
    with pytest.raises(RuntimeError, match="Turn binlog_transaction_compression off"):
        next(source.changes(pair.credentials("source"), since, [(NAME, "parents")]))
    with pytest.raises(RuntimeError, match="GTIDs have tags"):
        source.changes(pair.credentials("source"), f"{source.server_uuid()}:1-5:tag:1", [])


def compare(pair: Pair) -> dict[str, Any]:
    with pair.raw("source", NAME) as ours, pair.raw("target", NAME) as theirs:
        return proof.compare_database(ours, theirs, NAME, chunk_rows=97)


def difference(pair: Pair) -> str:
    """What is not equal, in words."""
    result = compare(pair)
    return "" if result["equal"] else describe(result)


def proof_of(pair: Pair, table: str) -> list[str]:
    return [text for text in compare(pair)["differences"] if f".{table} " in text]


def test_equal_with_every_type(pair: Pair, source: MySQL, target: MySQL) -> None:
    assert target.wait_for(source.mark("c" * 32), 20)
    result = compare(pair)

    assert result["schema_differences"] == []
    assert [detail for detail in result["tables_detail"] if detail["status"] != "equal"] == []
    assert (result["verdict"], result["coverage"], result["tables"]) == ("PASSED", 1.0, TABLES)


W = "WHERE `the id` ="
PLANTED = [
    (f"UPDATE {Q} SET text8 = CONCAT(text8, ' ') {W} 27", "(27): different in text8"),
    (f"UPDATE {Q} SET latin = 'e300' {W} 300", "(300): different in latin, louder"),
    (f"UPDATE {Q} SET data = CONCAT(data, UNHEX('00')) {W} 10", "(10): different in data"),
    (f"UPDATE {Q} SET moment = moment + INTERVAL 1 MICROSECOND {W} 11", "(11): different in moment"),
    (f"UPDATE {Q} SET stamp = stamp + INTERVAL 1 MICROSECOND {W} 13", "(13): different in stamp"),
    (f"UPDATE {Q} SET clock = clock + INTERVAL 1 MICROSECOND {W} 13", "(13): different in clock"),
    (f"UPDATE {Q} SET f = 4.66666698 {W} 14", "(14): different in f"),
    (f"UPDATE {Q} SET g = 0.10000000000000002 {W} 1001", "(1001): different in g"),
    (f"UPDATE {Q} SET exact = exact + 0.000000000000000000000000000001 {W} 15", "(15): different in exact"),
    (f"UPDATE {Q} SET forty = forty + 1 {W} 15", "(15): different in forty"),
    (f"UPDATE {Q} SET bits = bits ^ 1 {W} 16", "(16): different in bits"),
    (f"UPDATE {Q} SET colour = 'green' {W} 3", "(3): different in colour"),
    (f"UPDATE {Q} SET flags = 'a,b' {W} 17", "(17): different in flags"),
    (f"UPDATE {Q} SET document = JSON_SET(document, '$.n', 18.5) {W} 18", "(18): different in document"),
    (f"UPDATE {Q} SET document = JSON_SET(document, '$.n', '19') {W} 19", "(19): different in document"),
    (f"UPDATE {Q} SET place = POINT(20, 0.5) {W} 20", "(20): different in place"),
    (f"UPDATE {Q} SET big = big - 2 {W} 21", "(21): different in big, doubled"),
    (f"UPDATE {Q} SET hidden = 22000 {W} 22", "(22): different in hidden"),
    (f"UPDATE {Q} SET text8 = '' {W} 1001", "(1001): different in text8"),
    (f"DELETE FROM {Q} {W} 97", "(97): missing on the target"),
    (f"DELETE FROM {Q} {W} 18446744073709551614", "(18446744073709551614): missing on the target"),
    (f"INSERT INTO {Q} (`the id`) VALUES (999999)", "(999999): extra on the target"),
    ("UPDATE keyless SET b = 'z' WHERE my_row_id = 1", "(1): different in b"),
    ("UPDATE keyless SET my_row_id = 9 WHERE my_row_id = 1", "(1): missing on the target"),
    ("UPDATE vectors SET v = TO_VECTOR('[1,2,3,4.0000005]')", "(1): different in v"),
]


@pytest.mark.parametrize(("statement", "named"), PLANTED)
def test_planted_difference_is_named(pair: Pair, target: MySQL, statement: str, named: str) -> None:
    """Planted on the target alone, and taken back by it."""
    table = statement.partition(" SET ")[0][len("UPDATE ") :] if statement.startswith("UPDATE") else Q
    target.open()
    target.rows(f"USE {D}")
    target.rows("SET sql_log_bin = 0")
    target.rows("DROP TEMPORARY TABLE IF EXISTS kept")
    target.rows(f"CREATE TEMPORARY TABLE kept LIKE {table}")
    columns = ", ".join(
        quote_mysql(row["Field"])
        for row in target.rows(f"SHOW COLUMNS FROM {table}")
        if "GENERATED" not in row["Extra"]
    )
    target.rows(f"INSERT INTO kept ({columns}) SELECT {columns} FROM {table}")
    try:
        with target.connection.cursor() as cursor:
            assert cursor.execute(statement) == 1
        result = compare(pair)
    finally:
        target.rows(f"DELETE FROM {table}")
        target.rows(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM kept")
        target.rows("SET sql_log_bin = 1")
        target.close()
    assert (result["verdict"], result["equal"]) == ("FAILED", False)
    assert any(text.endswith(named) for text in result["differences"]), result["differences"]
    assert len(result["differences"]) <= 2
    assert difference(pair) == ""


@pytest.mark.parametrize(
    ("statement", "undo", "named"),
    [
        ("ALTER TABLE pairs ADD INDEX more (c)", "ALTER TABLE pairs DROP INDEX more", "index pairs.more is only on"),
        (
            f"ALTER TABLE {Q} DROP INDEX upper_text, ADD INDEX upper_text ((LOWER(latin)))",
            f"ALTER TABLE {Q} DROP INDEX upper_text, ADD INDEX upper_text ((UPPER(latin)))",
            f"index {TABLE}.upper_text is",
        ),
        (
            f"ALTER TABLE {Q} ALTER COLUMN hidden SET VISIBLE",
            f"ALTER TABLE {Q} ALTER COLUMN hidden SET INVISIBLE",
            f"column {TABLE}.hidden is",
        ),
        (
            "ALTER TABLE pairs ADD CONSTRAINT positive CHECK (a >= 0)",
            "ALTER TABLE pairs DROP CHECK positive",
            "check pairs.positive is only on",
        ),
        ("DROP VIEW seen", "CREATE VIEW seen AS SELECT a FROM pairs", "table seen is missing on"),
        (
            "ALTER VIEW seen AS SELECT b AS a FROM pairs",
            "ALTER VIEW seen AS SELECT a FROM pairs",
            "column seen.a is",
        ),
    ],
)
def test_schema_difference_is_named(pair: Pair, target: MySQL, statement: str, undo: str, named: str) -> None:
    target.rows(f"USE {D}")
    target.unlogged(statement)
    try:
        result = compare(pair)
    finally:
        target.unlogged(undo)
    assert result["verdict"] == "FAILED"
    assert any(text.startswith(named) for text in result["schema_differences"]), result["schema_differences"]
    assert compare(pair)["schema_differences"] == []


class Traffic(threading.Thread):
    """Writes to one row after another until told to stop."""

    def __init__(self, connection: Any) -> None:
        super().__init__(daemon=True)
        self.connection = connection
        self.done = threading.Event()
        self.writes = 0

    def run(self) -> None:
        while not self.done.wait(0.001):
            self.writes += 1
            run(self.connection, f"UPDATE pairs SET c = '{self.writes}' WHERE a = {self.writes % 50}")


def test_proof_and_position_under_load(pair: Pair, source: MySQL, target: MySQL) -> None:
    """Lag is no difference; the wait for a position is short."""
    traffic = Traffic(pair.raw("source", NAME))
    traffic.start()
    try:
        with pair.raw("source", NAME) as ours, pair.raw("target", NAME) as theirs:
            settling = proof.Settling(proof.follower(source, target, 5.0))
            result = proof.compare_database(ours, theirs, NAME, settling, chunk_rows=97)
        waits = []
        for turn in range(30):
            position = source.mark(f"{turn:032}")
            begun = time.monotonic()
            assert target.wait_for(position, 5)
            waits.append((time.monotonic() - begun) * 1000)
            time.sleep(0.02)
        print("wait_for, ms:", sorted(round(each, 1) for each in waits))
    finally:
        traffic.done.set()
        traffic.join()
    assert traffic.writes > 50
    assert result["verdict"] == "PASSED", result
    assert target.wait_for(source.position(), 5)
    assert not target.wait_for(f"{source.server_uuid()}:1-99999999", 0.1)
    assert not target.wait_for("", 1)


PATTERN = D.replace("_", r"\_").replace("%", r"\%")
ACCOUNTS = f"""
CREATE USER shop@'%' IDENTIFIED BY 'p', shop@localhost IDENTIFIED BY 'p', reader@'%' IDENTIFIED BY 'p';
CREATE USER asleep@'%' IDENTIFIED BY 'p', wide@'%' IDENTIFIED BY 'p', dynamic@'%' IDENTIFIED BY 'p';
CREATE USER by_role@'%' IDENTIFIED BY 'p', wide_by_role@'%' IDENTIFIED BY 'p';
CREATE ROLE shop_role, wide_role;
ALTER USER asleep@'%' ACCOUNT LOCK;
GRANT ALL ON {PATTERN}.* TO shop@'%', asleep@'%', wide@'%', dynamic@'%', shop_role;
GRANT SELECT ON neighbour.* TO shop@localhost, wide_role;
GRANT SELECT (a) ON {D}.pairs TO reader@'%';
GRANT SELECT ON *.* TO wide@'%';
GRANT BACKUP_ADMIN ON *.* TO dynamic@'%';
GRANT shop_role TO by_role@'%', wide_by_role@'%';
GRANT wide_role TO wide_by_role@'%';
SET DEFAULT ROLE ALL TO by_role@'%'
"""


def test_the_sites_accounts_are_locked_and_given_back(pair: Pair, source: MySQL) -> None:
    source.unlogged(*ACCOUNTS.split(";\n"))
    names = [f"{account['user']}@{account['host']}" for account in source.accounts()]
    assert names == ["asleep@%", "by_role@%", "reader@%", "shop@%"]
    settings = dict(pair.credentials("source"), user="by_role", password="p")
    client = mysql.connect(settings, 5.0)
    assert source.lock_accounts(True) == 3
    assert source.lock_accounts(True) == 0
    with pytest.raises(pymysql.MySQLError, match="locked"):
        mysql.connect(settings, 5.0)
    assert source.end_sessions() == 1
    with pytest.raises(pymysql.MySQLError):
        run(client, "SELECT 1")
    assert source.lock_accounts(False) == 3
    assert source.lock_accounts(False) == 0
    mysql.connect(settings, 5.0).close()
    locked = source.rows("SELECT user AS user FROM mysql.user WHERE account_locked = 'Y' AND user NOT LIKE 'mysql.%'")
    assert [row["user"] for row in locked] == ["asleep", "shop_role", "wide_role"]


def test_events_run_on_one_side(source: MySQL, target: MySQL) -> None:
    assert (source.let_events_run(False), target.let_events_run(True)) == (1, 1)
    assert [row["status"] for row in target.events()] == ["DISABLED", "ENABLED"]
    assert (source.let_events_run(True), target.let_events_run(False)) == (1, 1)
    assert [row["status"] for row in source.events()] == ["DISABLED", "ENABLED"]


FILTER = "".join(f"replicate-wild-do-table=cutover_oc_shop:{each}\n" for each in MySQL(None, SITE, [NAME]).wildcards())


def restart(pair: Pair, side: str, away: float = 0) -> None:
    execute(pair.machines[side].container, "systemctl", "stop", "mysql")
    time.sleep(away)
    execute(pair.machines[side].container, "systemctl", "start", "mysql")


def test_a_restart_keeps_links_and_fence(pair: Pair, source: MySQL) -> None:
    source.close()
    for side in ("source", "target"):
        execute(
            pair.machines[side].container,
            "sh",
            "-c",
            "cat >/etc/mysql/mysql.conf.d/zz-cutover-test.cnf",
            stdin="[mysqld]\n" + FILTER,
        )
        # Longer than MySQL's own replication would try to connect again.
        restart(pair, side, away=12 if side == "source" else 0)
    origin, destination = pair.database("source"), pair.database("target")
    until(lambda: not origin.link().trouble() and not destination.link().trouble(), 60)
    assert "takes no more writes" in origin.attempt_write()
    assert origin.is_closed()
    origin.open()
    assert destination.wait_for(origin.mark("d" * 32), 20)
    assert origin.wait_for(destination.mark("e" * 32), 20)
    assert difference(pair) == ""
    assert origin.prepare(destination) == destination.prepare(origin) == []


def test_a_link_without_its_filter_is_in_trouble(pair: Pair) -> None:
    execute(pair.machines["target"].container, "rm", "/etc/mysql/mysql.conf.d/zz-cutover-test.cnf")
    restart(pair, "target")
    target = pair.database("target")
    assert "the link's filter is ''" in target.link().trouble()
    target.resume_link()
    until(lambda: not target.link().trouble())


def test_the_reason_of_a_broken_link_is_told(pair: Pair, source: MySQL, target: MySQL) -> None:
    target.open()
    target.unlogged(f"INSERT INTO {D}.parents VALUES (5000, 1)")
    target.close()
    source.rows(f"INSERT INTO {D}.parents VALUES (5000, 1)")
    until(lambda: not target.link().applying)
    assert "Duplicate entry '5000'" in target.link().trouble()
    target.open()
    target.unlogged(f"DELETE FROM {D}.parents WHERE id = 5000")
    target.close()
    target.resume_link()
    until(lambda: not target.link().trouble())
    assert target.wait_for(source.mark("9" * 32), 20)


def test_a_second_site_of_the_same_pair_is_refused(pair: Pair, source: MySQL) -> None:
    second = MySQL.open_server(pair.credentials("target"), "second", [NEIGHBOUR], "target")
    with pytest.raises(RuntimeError, match="cutover_oc_shop brings another site from the same server"):
        second.follow(source, pair.account("source"))


PURE = """
import sys
sys.modules["cryptography"] = None
from ansible_collections.ocpizza.cutover.plugins.module_utils import mysql
database = mysql.MySQL.open_server({credentials!r}, "oc-shop", [{name!r}], "source")
since = database.changes_from()
database.mark("7" * 32)
for change in database.changes({credentials!r}, since, []):
    print(list(change.rows)[-1]["token"], database.link().trouble() or "well")
    break
"""


@pytest.mark.parametrize("way", ["socket", "password over the socket", "tls"])
def test_the_agent_needs_no_compiled_library(pair: Pair, source: MySQL, way: str) -> None:
    """From the archive, on the machine itself, as root through the socket and with a password over TLS."""
    # A server was restarted before: the links come back in their own time.
    until(lambda: not source.link().trouble())
    container = pair.machines["source"].container
    archive = agent_archive.build(os.path.dirname(mysql.__file__))
    docker("exec", container, "sh", "-c", "command -v python3 && ! python3 -c 'import cryptography'")
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"{container}.pyz"
    path.write_bytes(archive)
    docker("cp", str(path), f"{container}:/root/agent.pyz")
    path.unlink()
    password = {"user": servers.ADMIN, "password": servers.PASSWORD}
    credentials = {
        "socket": {"unix_socket": "/run/mysqld/mysqld.sock", "user": "root"},
        "password over the socket": {"unix_socket": "/run/mysqld/mysqld.sock", **password},
        "tls": {"host": "127.0.0.1", "port": 3306, "ssl_ca": f"{servers.FOLDER}/ca.pem", **password},
    }[way]
    # Nothing that is cached: the first login of an account is the one that needs the password itself.
    execute(container, "mysql", stdin="FLUSH PRIVILEGES")
    answer = execute(
        container,
        "env",
        "PYTHONPATH=/root/agent.pyz",
        "python3",
        "-",
        stdin=PURE.format(credentials=credentials, name=NAME),
    )
    assert answer == "7" * 32 + " well\n"


def test_the_end_leaves_nothing(pair: Pair, source: MySQL, target: MySQL) -> None:
    for database in (source, target):
        database.unfollow()
        database.drop_fence()
        assert (database.has_link(), database.fence_triggers()) == (False, [])


def test_accounts_come_with_their_rights_and_go(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = rights.House(
        "mysql", {side: pair.credentials(side) for side in ("source", "target")}, tmp_path, monkeypatch
    )
    try:
        rights.hosts_and_those_left(house)
        rights.accounts_come_and_go(house)
    finally:
        house.close()


def test_everything_in_a_database_is_compared(pair: Pair) -> None:
    sides = [pair.raw(side) for side in ("source", "target")]
    for connection in sides:
        run(connection, "SET sql_log_bin = 0", "DROP DATABASE IF EXISTS everything", "CREATE DATABASE everything")
        run(connection, "USE everything", *contents.FAMILY.split(";\n"))

    contents.is_seen(
        "everything",
        functools.partial(run, sides[1]),
        lambda: proof.compare_database(*sides, "everything"),
        contents.CHANGES,
    )
    for connection in sides:
        run(connection, "DROP DATABASE everything")
        connection.close()
