# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first copy from MariaDB 10.5 to 11.8 while others write, and replication on from there: both sides are equal.

MySQL's is in test_mysql.py. KEEP=1 leaves the two containers up for the next run.
"""

# ruff: noqa: S608 - the statements are constants of this file

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import copy_rows, mariadb, proof, seed_mariadb
from ansible_collections.ocpizza.cutover.plugins.module_utils.dump_stream import SeedFailed
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_mysql
from ansible_collections.ocpizza.cutover.plugins.module_utils.mariadb import MariaDB
from tests.integration import mariadb_servers as servers
from tests.integration.test_mysql import until
from tests.integration.test_proof import ROWS, SCHEMA, run
from tests.integration.test_proof import Q as TABLE

SITE = "oc-copy"
# Without an apostrophe: with --events, mysqldump 10.5 does not find a database that has one.
NAME = "shop 100% %s_"
D = quote_mysql(NAME)
MORE = """
CREATE TABLE parents (id INT PRIMARY KEY, v INT, code VARCHAR(9) UNIQUE) DEFAULT CHARSET=utf8mb4;
CREATE TABLE children (id VARCHAR(9) CHARACTER SET latin1 PRIMARY KEY, parent INT, v INT, KEY v (v),
  CONSTRAINT of_parent FOREIGN KEY (parent) REFERENCES parents (id) ON DELETE CASCADE) DEFAULT CHARSET=utf8mb4;
CREATE TABLE dates (id BINARY(3) PRIMARY KEY, d DATE, t TIMESTAMP NOT NULL DEFAULT '0000-00-00 00:00:00');
CREATE TABLE counted (a INT, n INT AUTO_INCREMENT, PRIMARY KEY (a), KEY (n)) DEFAULT CHARSET=utf8mb4;
INSERT INTO parents SELECT seq, 0, CONCAT('c', seq) FROM seq_1_to_2000;
INSERT INTO children SELECT CONCAT('é', seq), seq, 0 FROM seq_1_to_2000;
INSERT INTO dates VALUES (UNHEX('00FF27'), '0000-00-00', 0), (UNHEX('0A5C00'), '2020-02-31', '2020-10-25 01:30:00');
INSERT INTO counted VALUES (1, 0), (2, 7);
CREATE VIEW seen AS SELECT id FROM parents;
CREATE PROCEDURE more() INSERT INTO parents (id) SELECT MAX(id) + 1 FROM parents;
CREATE TRIGGER own BEFORE INSERT ON parents FOR EACH ROW SET NEW.v = NEW.v + 1;
CREATE EVENT tick ON SCHEDULE EVERY 1 DAY STARTS '2020-01-01 00:00:00' DO DELETE FROM parents WHERE id < 0
"""


class Pair:
    """Both servers."""

    def __init__(self, folder: Path) -> None:
        self.machines = dict(zip(("source", "target"), servers.pair(folder), strict=True))
        self.ca = str(folder / "ca.pem")

    def credentials(self, side: str) -> dict[str, Any]:
        access = {"user": servers.ADMIN, "password": servers.PASSWORD, "ssl_ca": self.ca}
        return {"host": "127.0.0.1", "port": self.machines[side].port, **access}

    def database(self, side: str) -> MariaDB:
        return MariaDB.open_server(self.credentials(side), SITE, [NAME], side, 60.0)

    def raw(self, side: str) -> Any:
        return mariadb.connect(self.credentials(side), 60.0)

    def plan(self) -> dict[str, Any]:
        containers = [self.machines[side].container for side in ("source", "target")]
        return {
            "jobs": 3,
            "dump": ["/usr/bin/docker", "exec", containers[0], "mysqldump"],
            "load": ["/usr/bin/docker", "exec", "-i", containers[1], "mariadb"],
        }


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    made = Pair(tmp_path_factory.mktemp("authority"))
    for side in ("target", "source"):
        made.database(side).unfollow()
        with made.raw(side) as connection:
            run(connection, f"DROP DATABASE IF EXISTS {D}", "DROP DATABASE IF EXISTS cutover_oc_copy", "RESET MASTER")
            run(connection, "SET GLOBAL gtid_slave_pos = ''", "SET GLOBAL max_allowed_packet = 16777216")
    with made.raw("source") as source:
        run(source, f"CREATE DATABASE {D} CHARACTER SET utf8mb4", f"USE {D}", "SET sql_mode = 'ALLOW_INVALID_DATES'")
        run(source, *SCHEMA.split(";\n"), *ROWS.split(";\n"), *MORE.strip().split(";\n"))
        run(source, "INSERT INTO bare VALUES (0, REPEAT('quote '' \\\\ \\n', 3))")
        run(source, f"INSERT INTO {TABLE} (`the id`, data) VALUES (2000, REPEAT(UNHEX('00275C0A'), 4300000))")
    yield made
    if os.environ.get("KEEP") != "1":
        servers.remove()


class Writer(threading.Thread):
    """Moves an amount from row to row, in transactions, for as long as it is let."""

    def __init__(self, connection: Any) -> None:
        super().__init__(daemon=True)
        self.connection = connection
        self.over = threading.Event()
        self.count = 0

    def run(self) -> None:
        run(self.connection, f"USE {D}")
        while not self.over.is_set():
            one, other = self.count % 2000 + 1, self.count * 7 % 2000 + 1
            run(self.connection, "START TRANSACTION", f"UPDATE parents SET v = v - 1 WHERE id = {one}")
            run(self.connection, f"UPDATE children SET v = v + 1 WHERE id = 'é{other}'", "COMMIT")
            self.count += 1


def test_a_copy_under_writes_is_one_instant_and_replication_goes_on_from_it(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that these few rows go in ranges and their indexes come after them.
    monkeypatch.setattr(copy_rows, "RANGE_ROWS", 300)
    monkeypatch.setattr(copy_rows, "DEFER_ROWS", 100)
    monkeypatch.setattr(copy_rows, "STATEMENT_BYTES", 4000)
    source, target = pair.database("source"), pair.database("target")
    run(source.connection, f"ANALYZE TABLE {D}.parents, {D}.children")
    told: list[tuple[int, int, str]] = []
    writer = Writer(pair.raw("source"))
    writer.start()
    try:
        until(lambda: writer.count > 5)
        with monkeypatch.context() as patch:
            patch.setattr(copy_rows.Rows, "count", failing)
            with pytest.raises(SeedFailed, match=r"^table .* could not be copied: gone away, the copy stopped"):
                seed_mariadb.seed(source, target, pair.plan(), lambda *_step: None)
        assert seed_mariadb.seeded(target) is None
        made = seed_mariadb.seed(source, target, pair.plan(), lambda *step: told.append(step))
        held = target.value(f"SELECT (SELECT SUM(v) FROM {D}.parents) + (SELECT SUM(v) FROM {D}.children) AS held")
        assert int(held) == 0, "the sessions saw different instants"
        account = {"host": pair.machines["source"].address, "port": 3306, "user": servers.FOLLOWER}
        target.follow(source, {**account, "password": servers.PASSWORD, "ssl_ca": f"{servers.FOLDER}/ca.pem"})
        before = writer.count
        until(lambda: writer.count > before + 20)
    finally:
        writer.over.set()
        writer.join()

    assert target.wait_for(source.mark("1" * 32), 20), target.link()
    result = proof.compare_database(pair.raw("source"), pair.raw("target"), NAME)
    assert (result["schema_differences"], result["differences"]) == ([], [])
    assert result["verdict"] == "PASSED"
    assert [done for done, _total, what in told if what == "rows copied"][-1] == made["rows"] == result["rows"]
    assert [row["status"] for row in target.events()] == ["SLAVESIDE_DISABLED"]
    for database in (source, target):
        assert int(database.value("SELECT @@GLOBAL.max_allowed_packet")) == 16777216
    target.unfollow()


def failing(rows: copy_rows.Rows, count: int, _size: int) -> None:
    """The target's connections break once some rows have gone over."""
    rows.done += count
    if rows.done > 1000:
        raise RuntimeError("gone away, the copy stopped")
