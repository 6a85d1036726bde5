# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MariaDB 10.5 of Debian 11, MySQL of the unstable suite, and a site that has what the two write differently."""

# ruff: noqa: S608 - the statements are constants of this file

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible_collections.ocpizza.cutover.plugins.module_utils import mariadb
from tests.integration import mariadb_servers, mysql_servers
from tests.integration.mysql_servers import ADMIN, PASSWORD, Machine
from tests.integration.names import D, Q
from tests.lab.docker import docker

SCHEMA = f"""
CREATE TABLE {Q} (
  `the id` BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  tiny TINYINT(1) DEFAULT 1, small SMALLINT(5) UNSIGNED ZEROFILL, medium MEDIUMINT, n INT(11) NOT NULL DEFAULT -3,
  big BIGINT UNSIGNED, exact DECIMAL(65,30) DEFAULT 1.5, forty DECIMAL(40,0), f FLOAT, g DOUBLE,
  latin VARCHAR(60) CHARACTER SET latin1 DEFAULT 'it''s', plain CHAR(10) CHARACTER SET utf8 COLLATE utf8_bin,
  wide VARCHAR(20) CHARACTER SET ucs2, text8 TEXT NOT NULL DEFAULT 'pizza', bytes VARBINARY(60), fixed BINARY(4),
  data LONGBLOB, moment DATETIME(6) DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6),
  stamp TIMESTAMP(6) NULL, stamped TIMESTAMP NOT NULL DEFAULT current_timestamp(), day DATE DEFAULT curdate(),
  clock TIME(6), year YEAR, bits BIT(64) DEFAULT b'101', colour ENUM('', 'red', 'gr''een') DEFAULT 'red',
  flags SET('a', 'b', 'c'), document JSON, place POINT, small_price DECIMAL(8,2) CHECK (small_price >= 0),
  doubled BIGINT UNSIGNED AS (big DIV 2) VIRTUAL, louder VARCHAR(80) AS (CONCAT(latin, '!')) PERSISTENT,
  hidden INT INVISIBLE DEFAULT 7, token CHAR(36) DEFAULT uuid(),
  KEY (doubled), KEY partly (latin(10)), FULLTEXT KEY words (text8), CONSTRAINT narrow CHECK (n < 1000000 OR n IS NULL)
) COMMENT 'has a DEFAULT ''x'' COLLATE utf8_bin';
CREATE TABLE pairs (a INT NOT NULL, b VARCHAR(40) COLLATE utf8mb4_bin NOT NULL, c VARCHAR(40), PRIMARY KEY (a, b));
CREATE TABLE children (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES parents (id) ON DELETE CASCADE);
CREATE TABLE parents (id INT AUTO_INCREMENT PRIMARY KEY, v INT);
CREATE TABLE keyless (a INT, b VARCHAR(40));
CREATE TABLE nothing (id INT AUTO_INCREMENT PRIMARY KEY) AUTO_INCREMENT = 500;
CREATE TABLE parted (id INT NOT NULL, y INT NOT NULL, PRIMARY KEY (id, y))
  PARTITION BY RANGE (y) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE);
CREATE TABLE noted (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(40));
CREATE VIEW first_view AS SELECT UPPER(c) AS c, a FROM z_view WHERE a > 0;
CREATE TRIGGER `own "trigger" é` AFTER UPDATE ON pairs FOR EACH ROW
  INSERT INTO noted (what) VALUES (CONCAT('é', NEW.c));
CREATE TRIGGER doubles BEFORE INSERT ON parents FOR EACH ROW SET NEW.v = NEW.v * 2;
CREATE FUNCTION twice(x INT) RETURNS VARCHAR(20) CHARSET utf8mb4 DETERMINISTIC RETURN CONCAT('🍕', x * 2);
CREATE PROCEDURE more() BEGIN INSERT INTO parents (v) SELECT COUNT(*) FROM pairs; END;
CREATE EVENT tick ON SCHEDULE EVERY 1 DAY STARTS '2020-01-01 00:00:00' DO DELETE FROM parents WHERE id < 0
"""
ROWS = f"""
INSERT INTO {Q} (`the id`, tiny, small, medium, n, big, exact, forty, f, g, latin, plain, wide, text8, bytes, fixed,
  data, moment, stamp, clock, year, bits, colour, flags, document, place, small_price, hidden)
SELECT seq, seq % 2, seq, -seq, seq, 18446744073709551615 - seq, seq + 0.123456789012345678901234567890,
  1234567890123456789012345678901234567890 - seq, seq / 3, 1e0 / seq,
  CONCAT('é', seq), CONCAT('☎', seq), CONCAT('ж', seq), CONCAT('🍕 \\'\\\\ ', CHAR(0), REPEAT('x', seq % 50)),
  CONCAT(UNHEX('00FF'), seq), UNHEX('0A'), UNHEX(SHA2(seq, 512)),
  '2020-01-01' + INTERVAL seq * 1000003 MICROSECOND, '2021-01-01' + INTERVAL seq * 1000003 MICROSECOND,
  SEC_TO_TIME(seq % 3000 + 0.000001), 1990 + seq % 40, seq * 1234567, ELT(seq % 3 + 1, '', 'red', 'gr''een'),
  ELT(seq % 3 + 1, '', 'a', 'a,c'), CONCAT('{{"z": ', seq, ', "a":  [1.50, null]}}'), POINT(seq, 1 / seq), seq / 4, seq
FROM seq_1_to_300;
SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO';
INSERT INTO {Q} (`the id`, g, text8, moment, day, year, clock, colour) VALUES
  (0, -0e0, 'a', '0000-00-00', '0000-00-00', 0, '-838:59:59', 0), (1001, 0.1, '', '9999-12-31', NULL, 2155, NULL, NULL);
INSERT INTO pairs SELECT seq DIV 10, CONCAT('k', seq % 10), CONCAT('c', seq) FROM seq_1_to_500;
INSERT INTO parents (id, v) SELECT seq, seq FROM seq_1_to_100;
INSERT INTO children SELECT seq, seq FROM seq_1_to_100;
INSERT INTO keyless VALUES (1, 'x'), (1, 'x'), (2, NULL);
INSERT INTO parted SELECT seq, seq % 20 FROM seq_1_to_50
"""
FIRST = f"CREATE DATABASE {D} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"
VIEW = "CREATE VIEW z_view AS SELECT * FROM pairs"


def start(folder: Path) -> dict[str, Machine]:
    """Both machines; ``folder`` gets the authority's certificate as ca.pem."""
    mysql_servers.authority(folder)
    with ThreadPoolExecutor() as pool:
        source = pool.submit(mariadb_servers.start, "source", folder)
        target = pool.submit(mysql_servers.start, "target", folder)
        return {"source": source.result(), "target": target.result()}


def remove() -> None:
    """Take both machines away."""
    docker("rm", "--force", "--volumes", mariadb_servers.PREFIX + "source", mysql_servers.PREFIX + "target")


def credentials(machines: dict[str, Machine], side: str) -> dict[str, Any]:
    """How this process reaches a side, over TLS that nobody verifies: each has another authority on a second run."""
    return {"host": "127.0.0.1", "port": machines[side].port, "user": ADMIN, "password": PASSWORD, "ssl": {"ssl": {}}}


def run(connection: Any, *statements: str) -> list[Any]:
    """Each statement; the rows of the last."""
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall())


def make_site(machines: dict[str, Machine]) -> None:
    """The site on the source, and nothing on the target."""
    for side in machines:
        with mariadb.connect(credentials(machines, side), 60.0) as connection:
            run(connection, f"DROP DATABASE IF EXISTS {D}", "DROP DATABASE IF EXISTS cutover_oc_shop")
            if side == "source":
                run(connection, FIRST, f"USE {D}")
                statements = SCHEMA.split(";\n")
                # In the order of a file: some refer to what comes later.
                run(connection, "SET foreign_key_checks = 0", *statements[:6], VIEW, *statements[6:])
                run(connection, "SET foreign_key_checks = 1", *ROWS.split(";\n"))
