# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof on real servers, MariaDB 10.5 and 11.8: every planted difference is found and named.

KEEP=1 leaves the two containers up for the next run.
"""

# ruff: noqa: S608 - the statements are constants of this file

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import proof
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_mysql
from ansible_collections.ocpizza.cutover.plugins.module_utils.mariadb import MariaDB
from tests.integration import contents
from tests.integration.names import TABLE, Q
from tests.lab.docker import docker, execute, state

SUITES = ("bullseye", "trixie")
PREFIX = os.environ.get("LAB", "cutover-lab") + "-proof-"
IMAGES = Path(__file__).parents[1] / "lab" / "images.sh"
SETTINGS = """[mysqld]
bind-address = 0.0.0.0
log_bin = binlog
log_slave_updates
binlog_format = ROW
server_id = {number}
innodb_flush_log_at_trx_commit = 2
slave_parallel_threads = 0
"""
# Root comes from outside the container only in this test; the password guards nothing.
ACCESS = "proof"
# The server's identifiers end at U+FFFF: a picture from beyond is refused by CREATE itself.
NAME = "sh`op 'é' ☎ %s"

SCHEMA = f"""
CREATE TABLE {Q} (
  `the id` INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  big BIGINT UNSIGNED, exact DECIMAL(65,30), f FLOAT, g DOUBLE, fixed DOUBLE(10,2),
  latin VARCHAR(60) CHARACTER SET latin1 COLLATE latin1_swedish_ci,
  text8 TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci,
  text3 VARCHAR(60) CHARACTER SET utf8 COLLATE utf8_general_ci,
  bytes VARBINARY(60), data LONGBLOB, moment DATETIME(6), stamp TIMESTAMP(6) NULL, clock TIME(6), year YEAR,
  bits BIT(64), colour ENUM('', 'red', 'green') CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci,
  flags SET('a', 'b', 'c') CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci,
  document JSON, place POINT, net INET6,
  doubled BIGINT AS (big * 2) VIRTUAL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
CREATE TABLE pairs (
  a INT NOT NULL, b VARCHAR(40) COLLATE utf8mb4_bin NOT NULL, c VARCHAR(40), PRIMARY KEY (a, b)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
CREATE TABLE bare (a INT, b VARCHAR(40)) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
CREATE TABLE listed (
  size ENUM('z', 'm', 'a') COLLATE utf8mb4_general_ci NOT NULL, n INT NOT NULL, PRIMARY KEY (size, n)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
CREATE TABLE empty_one (id INT PRIMARY KEY) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci
"""
ROWS = f"""
INSERT INTO {Q} (`the id`, big, exact, f, g, fixed, latin, text8, text3, bytes, data, moment, stamp, clock, year, bits,
  colour, flags, document, place, net)
SELECT seq, 18446744073709551615 / 4 - seq, seq + 0.123456789012345678901234567890, seq / 3, 1e0 / seq, seq / 7,
  CONCAT('é', seq), CONCAT('🍕 ', REPEAT('x', seq % 50)), CONCAT('ü', seq), CONCAT(UNHEX('00FF'), seq),
  UNHEX(SHA2(seq, 512)),
  '2020-01-01' + INTERVAL seq * 1000003 MICROSECOND, '2021-01-01' + INTERVAL seq * 1000003 MICROSECOND,
  SEC_TO_TIME(seq % 3000 + 0.000001), 1990 + seq % 40, seq * 1234567, ELT(seq % 3 + 1, '', 'red', 'green'),
  ELT(seq % 3 + 1, '', 'a', 'a,c'), JSON_OBJECT('n', seq), POINT(seq, 1 / seq), CONCAT('2001:db8::', HEX(seq))
FROM seq_1_to_300;
INSERT INTO {Q} (`the id`, g, text8) VALUES (1000, -0e0, 'a'), (1001, 0.1, NULL), (1002, 0, '');
INSERT INTO pairs SELECT seq DIV 10, CONCAT('k', seq % 10), CONCAT('c', seq) FROM seq_1_to_500;
INSERT INTO pairs VALUES (9000, 'a', 'b|c'), (9001, 'x ', 'trailing');
INSERT INTO bare SELECT seq % 20, CONCAT('b', seq % 5) FROM seq_1_to_200;
INSERT INTO listed SELECT ELT(seq % 3 + 1, 'z', 'm', 'a'), seq FROM seq_1_to_300
"""


def connect(port: int, database: str | None = None) -> Any:
    return pymysql.connect(
        host="127.0.0.1", port=port, user=ACCESS, password=ACCESS, database=database, charset="utf8mb4", autocommit=True
    )


def start(suite: str, number: int) -> int:
    """A container with the suite's MariaDB; its published port."""
    name = PREFIX + suite
    if not state(name):
        os.system(f"sh {IMAGES} {suite}")  # noqa: S605 - both names are constants
        flags = (
            "--cap-add SYS_ADMIN --cap-add NET_ADMIN --security-opt seccomp=unconfined --tmpfs /run --tmpfs /run/lock"
        )
        flags += " --tmpfs /tmp -v /sys/fs/cgroup:/sys/fs/cgroup:rw --cgroupns host --publish 127.0.0.1::3306"
        docker("run", "--detach", "--name", name, *flags.split(), f"cutover-lab:{suite}")
    install = (
        "command -v mysqld >/dev/null || command -v mariadbd >/dev/null || { apt-get update -qq && "
        "DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mariadb-server; } "
        ">/dev/null 2>&1; "
        "cat > /etc/mysql/mariadb.conf.d/90-proof.cnf; systemctl restart mariadb && "
        f"mariadb -e \"GRANT ALL ON *.* TO {ACCESS}@'%' IDENTIFIED BY '{ACCESS}' WITH GRANT OPTION\""
    )
    execute(name, "sh", "-c", install, stdin=SETTINGS.format(number=number))
    return int(docker("port", name, "3306/tcp").split(":")[-1])


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, int]]:
    yield start("bullseye", 101), start("trixie", 102)
    if os.environ.get("KEEP") != "1":
        for suite in SUITES:
            docker("rm", "--force", "--volumes", PREFIX + suite)


def run(connection: Any, *statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture
def sides(ports: tuple[int, int]) -> Iterator[tuple[Any, Any]]:
    """Both servers with equal databases."""
    name = quote_mysql(NAME)
    connections = [connect(port) for port in ports]
    for connection in connections:
        run(connection, f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name} COLLATE utf8mb4_general_ci")
        connection.select_db(NAME)
        run(connection, "SET sql_mode=''", *SCHEMA.split(";\n"), *ROWS.split(";\n"))
    yield connections[0], connections[1]
    for connection in connections:
        connection.close()


def compare(sides: tuple[Any, Any]) -> dict[str, Any]:
    return proof.compare_database(*sides, NAME, chunk_rows=97)


def test_equal_across_versions(sides: tuple[Any, Any]) -> None:
    result = compare(sides)

    assert result["schema_differences"] == []
    assert [detail for detail in result["tables_detail"] if detail["status"] != "equal"] == []
    assert (result["verdict"], result["coverage"], result["tables"], result["rows"]) == ("PASSED", 1.0, 5, 1305)
    assert result["position"]


PLANTED = [
    (f"UPDATE {Q} SET text8 = CONCAT(text8, ' ') WHERE `the id` = 7", "(7): different in text8"),
    (f"UPDATE {Q} SET latin = 'e300' WHERE `the id` = 300", "(300): different in latin"),
    (f"UPDATE {Q} SET text8 = REPLACE(text8, '🍕', '🍔') WHERE `the id` = 8", "(8): different in text8"),
    (f"UPDATE {Q} SET bytes = CONCAT(UNHEX('00FE'), 9) WHERE `the id` = 9", "(9): different in bytes"),
    (f"UPDATE {Q} SET data = CONCAT(data, UNHEX('00')) WHERE `the id` = 10", "(10): different in data"),
    (f"UPDATE {Q} SET moment = moment + INTERVAL 1 MICROSECOND WHERE `the id` = 11", "(11): different in moment"),
    (f"UPDATE {Q} SET stamp = stamp + INTERVAL 1 MICROSECOND WHERE `the id` = 12", "(12): different in stamp"),
    (f"UPDATE {Q} SET clock = clock + INTERVAL 1 MICROSECOND WHERE `the id` = 13", "(13): different in clock"),
    (f"UPDATE {Q} SET f = 4.66666698 WHERE `the id` = 14", "(14): different in f"),
    (f"UPDATE {Q} SET g = 0.10000000000000002 WHERE `the id` = 1001", "(1001): different in g"),
    (f"UPDATE {Q} SET text8 = '' WHERE `the id` = 1001", "(1001): different in text8"),
    (
        f"UPDATE {Q} SET exact = exact + 0.000000000000000000000000000001 WHERE `the id` = 15",
        "(15): different in exact",
    ),
    (f"UPDATE {Q} SET bits = bits ^ 1 WHERE `the id` = 16", "(16): different in bits"),
    (f"UPDATE {Q} SET colour = 99 WHERE `the id` = 3", "(3): different in colour"),
    (f"UPDATE {Q} SET flags = 'a,b' WHERE `the id` = 17", "(17): different in flags"),
    (f"UPDATE {Q} SET document = REPLACE(document, ': ', ':') WHERE `the id` = 18", "(18): different in document"),
    (f"UPDATE {Q} SET place = POINT(19, 0.5) WHERE `the id` = 19", "(19): different in place"),
    (f"UPDATE {Q} SET big = big + 1 WHERE `the id` = 20", "(20): different in big, doubled"),
    (f"UPDATE {Q} SET net = '::1' WHERE `the id` = 21", "(21): different in net"),
    (f"DELETE FROM {Q} WHERE `the id` = 97", "(97): missing on the target"),
    (f"DELETE FROM {Q} WHERE `the id` = 1002", "(1002): missing on the target"),
    (f"INSERT INTO {Q} (`the id`) VALUES (999999)", "(999999): extra on the target"),
    ("DELETE FROM pairs WHERE a = 3 AND b = 'k7'", "(3, k7): missing on the target"),
    ("INSERT INTO pairs VALUES (0, 'a', NULL)", "(0, a): extra on the target"),
    ("UPDATE pairs SET b = 'a|b', c = 'c' WHERE a = 9000", "(9000, a): missing on the target"),
    ("UPDATE pairs SET b = 'x' WHERE a = 9001", "(9001, x ): missing on the target"),
    ("UPDATE listed SET n = 100000 WHERE size = 'a' AND n = 299", "(a, 299): missing on the target"),
    ("UPDATE bare SET b = 'b9' WHERE a = 4 LIMIT 1", "1 times): missing on the target"),
    ("INSERT INTO empty_one VALUES (5)", "(5): extra on the target"),
]


@pytest.mark.parametrize(("statement", "named"), PLANTED)
def test_planted_difference_is_named(sides: tuple[Any, Any], statement: str, named: str) -> None:
    with sides[1].cursor() as cursor:
        assert cursor.execute(statement) == 1

    result = compare(sides)

    assert result["verdict"] == "FAILED"
    assert not result["equal"]
    assert any(text.endswith(named) for text in result["differences"]), result["differences"]
    assert len(result["differences"]) <= 2


EXCHANGED = [
    (
        f"UPDATE {Q} SET text8 = IF(`the id` = 7, '🍕 xxxxxxxx', '🍕 xxxxxxx') WHERE `the id` IN (7, 8)",
        ["(7): different in text8", "(8): different in text8"],
    ),
    (
        f"UPDATE {Q} SET text8 = IF(`the id` = 1001, '', NULL) WHERE `the id` IN (1001, 1002)",
        ["(1001): different in text8", "(1002): different in text8"],
    ),
    (
        f"UPDATE {Q} SET exact = exact + IF(`the id` = 30, 1, -1) WHERE `the id` IN (30, 31)",
        ["(30): different in exact", "(31): different in exact"],
    ),
    (
        "UPDATE pairs SET c = CONCAT('c', IF(b = 'k1', 22, 21)) WHERE a = 2 AND b IN ('k1', 'k2')",
        ["(2, k1): different in c", "(2, k2): different in c"],
    ),
]


@pytest.mark.parametrize(("statement", "named"), EXCHANGED)
def test_values_exchanged_between_rows_are_named(sides: tuple[Any, Any], statement: str, named: list[str]) -> None:
    with sides[1].cursor() as cursor:
        assert cursor.execute(statement) == 2

    differences = compare(sides)["differences"]

    assert [text.endswith(end) for text, end in zip(differences, named, strict=True)] == [True, True], differences


def test_values_exchanged_in_a_table_without_a_key(sides: tuple[Any, Any]) -> None:
    run(
        sides[1],
        "UPDATE bare SET b = 'b2' WHERE a = 1 AND b = 'b1' LIMIT 1",
        "UPDATE bare SET b = 'b1' WHERE a = 2 AND b = 'b2' LIMIT 1",
    )
    found = [text for text in compare(sides)["differences"] if "times)" in text]
    assert len(found) == 4, found


@pytest.fixture
def long_rows(sides: tuple[Any, Any], ports: tuple[int, int]) -> Iterator[tuple[Any, Any]]:
    """A row that is longer than what the servers write at a time."""
    for connection in sides:
        run(
            connection,
            "CREATE TABLE long_rows (id INT PRIMARY KEY, a LONGTEXT, b LONGBLOB, place POINT)",
            "INSERT INTO long_rows VALUES (1, REPEAT('é', 300000), REPEAT('x', 600000), POINT(1, 2)), "
            "(2, NULL, REPEAT('y', 1048570), NULL)",
            "SET GLOBAL max_allowed_packet = 1048576",
        )
    connections = [connect(port, NAME) for port in ports]
    yield connections[0], connections[1]
    for connection in (*connections, *sides):
        run(connection, "SET GLOBAL max_allowed_packet = DEFAULT")
    for connection in connections:
        connection.close()


def test_a_row_too_long_to_be_written_is_compared(long_rows: tuple[Any, Any]) -> None:
    assert compare(long_rows)["verdict"] == "PASSED"
    run(
        long_rows[1],
        "UPDATE long_rows SET b = CONCAT(LEFT(b, 599999), 'y') WHERE id = 1",
        "UPDATE long_rows SET b = CONCAT(LEFT(b, 1048569), 'x') WHERE id = 2",
    )
    assert [text.rpartition("long_rows ")[2] for text in compare(long_rows)["differences"]] == [
        "(1): different in b",
        "(2): different in b",
    ]


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("ALTER TABLE pairs ADD INDEX more (c)", "index pairs.more is only on the target"),
        ("ALTER TABLE pairs MODIFY c VARCHAR(41)", "column pairs.c is"),
        ("CREATE TRIGGER t BEFORE INSERT ON pairs FOR EACH ROW SET NEW.c = 1", "trigger t is only on the target"),
        ("DROP TABLE empty_one", "table empty_one is missing on the target"),
        ("CREATE VIEW seen AS SELECT 1", "table seen is only on the target"),
    ],
)
def test_schema_difference_is_named(sides: tuple[Any, Any], statement: str, named: str) -> None:
    run(sides[1], statement)

    result = compare(sides)

    assert result["verdict"] == "FAILED"
    assert any(text.startswith(named) for text in result["schema_differences"]), result["schema_differences"]


def test_everything_in_a_database_is_compared(sides: tuple[Any, Any]) -> None:
    for connection in sides:
        run(connection, *contents.FAMILY.split(";\n"), contents.SEQUENCE)

    changes = {**contents.CHANGES, **contents.SEQUENCE_CHANGE}
    contents.is_seen(NAME, functools.partial(run, sides[1]), lambda: compare(sides), changes)


def test_own_triggers_are_no_difference(sides: tuple[Any, Any]) -> None:
    run(sides[0], "CREATE TRIGGER cutover_insert_1 BEFORE INSERT ON pairs FOR EACH ROW SET NEW.c = 1")

    assert compare(sides)["verdict"] == "PASSED"


def test_a_row_that_sorts_differently_is_named_once(sides: tuple[Any, Any]) -> None:
    for connection, collation in zip(sides, ("utf8mb4_bin", "utf8mb4_general_ci"), strict=True):
        run(
            connection,
            f"CREATE TABLE sorted (k VARCHAR(9) COLLATE {collation} PRIMARY KEY, v INT)",
            "INSERT INTO sorted SELECT CONCAT(IF(seq % 2, 'a', 'B'), LPAD(seq, 4, '0')), seq FROM seq_1_to_400",
        )
    run(sides[1], "UPDATE sorted SET v = 0 WHERE k = 'B0002'", "DELETE FROM sorted WHERE k = 'a0399'")

    result = compare(sides)

    assert [text.split(" ", 1)[1].split("sorted ")[-1] for text in result["differences"]] == [
        "(B0002): different in v",
        "(a0399): missing on the target",
    ]
    assert [one["reason"] for one in result["tables_detail"] if one["table"] == "sorted"] == ["2 rows differ"]


def test_compare_keys(sides: tuple[Any, Any]) -> None:
    tables = {table.name: table for table in proof.load_tables(sides[0], NAME)}
    proof.prepare(sides[1])
    run(sides[1], "DELETE FROM pairs WHERE a = 3 AND b = 'k7'", "UPDATE pairs SET c = 'other' WHERE a = 4 AND b = 'k7'")
    run(sides[1], f"UPDATE {Q} SET g = 3 WHERE `the id` = 5")
    pairs = [(n // 10, f"k{n % 10}") for n in range(1, 501)] + [(77777, "on neither side")]

    found = proof.compare_keys(*sides, tables["pairs"], pairs)

    assert [(each.key, each.kind) for each in found] == [((3, "k7"), "missing"), ((4, "k7"), "different")]
    assert [each.key for each in proof.compare_keys(*sides, tables[TABLE], [(n,) for n in range(1, 400)])] == [(5,)]
    with pytest.raises(ValueError, match="has no key"):
        proof.compare_keys(*sides, tables["bare"], [(1,)])


class Traffic(threading.Thread):
    """Writes to one row after another until told to stop."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.connection = connect(port, NAME)
        self.done = threading.Event()
        self.writes = 0

    def run(self) -> None:
        with self.connection.cursor() as cursor:
            while not self.done.wait(0.001):
                self.writes += 1
                cursor.execute("UPDATE pairs SET c = %s WHERE a = %s", [self.writes, self.writes % 50])
                cursor.execute("INSERT INTO bare VALUES (%s, 'x')", [self.writes % 7])
                cursor.execute(f"INSERT INTO {Q.replace('%', '%%')} (big) VALUES (%s)", [self.writes])


@pytest.fixture
def replicated(sides: tuple[Any, Any], ports: tuple[int, int]) -> Iterator[tuple[Any, Any]]:
    """The target follows the source, and the source is written to all the time."""
    source, target = sides
    address = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", PREFIX + "bullseye").strip()
    with source.cursor() as cursor:
        cursor.execute("SELECT @@gtid_binlog_pos")
        position = cursor.fetchone()[0]
    run(
        target,
        "STOP SLAVE",
        "RESET MASTER",
        f"SET GLOBAL gtid_slave_pos = '{position}'",
        f"CHANGE MASTER TO MASTER_HOST='{address}', MASTER_USER='{ACCESS}', MASTER_PASSWORD='{ACCESS}', "
        "MASTER_USE_GTID=slave_pos, MASTER_SSL=0, MASTER_SSL_VERIFY_SERVER_CERT=0",
        "START SLAVE",
    )
    traffic = Traffic(ports[0])
    traffic.start()
    time.sleep(0.5)
    yield sides
    traffic.done.set()
    traffic.join()
    assert traffic.writes > 10
    run(target, "STOP SLAVE", "RESET SLAVE ALL")


def live(sides: tuple[Any, Any], timeout: float = 5.0, rounds: int = 20) -> dict[str, Any]:
    servers = []
    for name, connection in zip(("source", "target"), sides, strict=True):
        credentials = {"host": "127.0.0.1", "port": connection.port, "user": ACCESS, "password": ACCESS}
        servers.append(MariaDB.open_server(credentials, "proof", [NAME], name, 30.0))
        servers[-1].make_schema()
    settling = proof.Settling(proof.follower(servers[0], servers[1], timeout), rounds)
    return proof.compare_database(*sides, NAME, settling, chunk_rows=97)


def test_live_lag_is_no_difference(replicated: tuple[Any, Any]) -> None:
    result = live(replicated)

    statuses = {detail["table"]: detail["status"] for detail in result["tables_detail"]}
    assert result["differences"] == []
    assert {status for table, status in statuses.items() if table != "bare"} == {"equal"}
    assert statuses["bare"] in ("equal", "unknown")


def test_live_difference_is_named(replicated: tuple[Any, Any]) -> None:
    run(replicated[1], f"UPDATE {Q} SET text8 = CONCAT(text8, ' ') WHERE `the id` = 30")

    result = live(replicated)

    assert result["verdict"] == "FAILED"
    assert [text.split(" ", 1)[1].endswith("(30): different in text8") for text in result["differences"]] == [True]


def test_live_stopped_applier_is_not_equal(replicated: tuple[Any, Any]) -> None:
    run(replicated[1], "STOP SLAVE SQL_THREAD")
    time.sleep(0.2)

    result = live(replicated, timeout=0.2)

    assert result["verdict"] == "PARTIAL"
    assert not result["equal"]
    assert result["coverage"] < 1
    assert "never held still" in " ".join(detail["reason"] for detail in result["tables_detail"])
