# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: S608 - the statements are constants of this file
"""The first copy beside the engine's own tools on the same rows, by turns: build/bench/ENGINE/copy.json.

``python -m tests.bench.copy [--rows N] [--rounds 3]`` with ENGINE mariadb or mysql. MariaDB's parallel tool is
mydumper with myloader, of Debian 11, on the source; MySQL has none in Debian but ``mysqldump --tab`` with
``mysqlimport --use-threads``. The plain dump, streamed, is there for both.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.ocpizza.cutover.plugins.module_utils import engines
from tests.integration.mysql_servers import ADMIN, PASSWORD
from tests.lab.docker import execute
from tests.lab.hosts import CHECKOUT

JOBS = 2
FOLDER = "/var/lib/mysql-files"
# As a Django site has them, with indexes; and a wide one.
DATA = """
SET sql_log_bin = 0;
DROP DATABASE IF EXISTS bench;
CREATE DATABASE bench CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
USE bench;
CREATE TABLE orders (id BIGINT AUTO_INCREMENT PRIMARY KEY, customer INT NOT NULL, total DECIMAL(10,2) NOT NULL,
  state VARCHAR(20) NOT NULL, note VARCHAR(120) NOT NULL, paid TINYINT(1) NOT NULL, reference CHAR(32) NOT NULL,
  placed DATETIME(6) NOT NULL, comment LONGTEXT, UNIQUE KEY (reference), KEY (customer), KEY (placed));
CREATE TABLE wide (id BIGINT AUTO_INCREMENT PRIMARY KEY, c1 INT, c2 INT, c3 BIGINT, c4 DOUBLE, c5 DOUBLE,
  c6 VARCHAR(50), c7 VARCHAR(50), c8 VARCHAR(200), c9 DATE, c10 DATETIME, c11 DECIMAL(20,6), c12 TEXT, c13 BLOB,
  c14 VARCHAR(20), c15 VARCHAR(20), KEY (c1));
CREATE TEMPORARY TABLE digits (n INT PRIMARY KEY);
INSERT INTO digits VALUES (0);
{doubling}
INSERT INTO orders SELECT n + 1, n * 7919 % 50000, n / 100, ELT(n % 3 + 1, 'new', 'paid', 'sent'),
  CONCAT('left at the back door, it''s parcel ', n), n % 2, LEFT(SHA2(n, 256), 32), '2019-05-01' + INTERVAL n SECOND,
  IF(n % 10 = 0, REPEAT('lorem ipsum\\n', 8), NULL) FROM digits WHERE n < {rows};
INSERT INTO wide SELECT n + 1, n * 31 % 1000, n, n * 1000003, n / 7, 1 / (n + 1), CONCAT('c6 ', n), CONCAT('é ', n),
  REPEAT('x', n % 180), '2020-01-01' + INTERVAL n % 3000 DAY, '2020-01-01' + INTERVAL n SECOND, n / 1000,
  REPEAT('text ', n % 100), UNHEX(CONCAT(SHA2(n, 512), SHA2(n, 512))), CONCAT('s', n % 100), NULL
  FROM digits WHERE n < {rows} / 5;
ANALYZE TABLE orders, wide;
"""


class Bench:
    """Both servers of one engine, and the ways to copy from one to the other."""

    def __init__(self, engine: str, folder: Path) -> None:
        self.engine = engine
        self.servers = importlib.import_module(f"tests.integration.{engine}_servers")
        self.source, self.target = self.servers.pair(folder)
        self.ca = str(folder / "ca.pem")

    def database(self, side: str) -> Any:
        port = (self.source if side == "source" else self.target).port
        credentials = {"host": "127.0.0.1", "port": port, "user": ADMIN, "password": PASSWORD, "ssl_ca": self.ca}
        return engines.server(self.engine).SERVER.open_server(credentials, "bench", ["bench"], side, 3600)

    def fill(self, rows: int) -> None:
        doubling = "".join(
            f"CREATE TEMPORARY TABLE more AS SELECT n + {1 << bit} AS n FROM digits; "
            "INSERT INTO digits SELECT n FROM more; DROP TEMPORARY TABLE more;\n"
            for bit in range((rows - 1).bit_length())
        )
        execute(self.source.container, "mysql", stdin=DATA.format(doubling=doubling, rows=rows))
        source, target = self.database("source"), self.database("target")
        source.prepare(target)
        target.prepare(source)
        own = f"CREATE USER bench IDENTIFIED BY '{ADMIN}'"
        target.unlogged("DROP USER IF EXISTS bench", own, "GRANT ALL ON *.* TO bench")
        if self.engine == "mariadb":
            # The point release that the mirror of security updates names may be gone.
            install = (
                "apt-get install -y -qq --no-install-recommends mydumper || apt-get install -y -qq mydumper/bullseye"
            )
            execute(self.source.container, "sh", "-c", f"command -v mydumper || {{ apt-get update -qq; {install}; }}")

    def ours(self) -> None:
        source, target = self.database("source"), self.database("target")
        plan = {
            "jobs": JOBS,
            "dump": ["/usr/bin/docker", "exec", self.source.container, "mysqldump"],
            "load": ["/usr/bin/docker", "exec", "-i", self.target.container, "mysql"],
        }
        engines.seeder(self.engine).seed(source, target, plan, lambda *_step: None)

    def plain(self) -> None:
        load = f"mysql -h {self.target.address} -u bench -p{ADMIN} --init-command='SET sql_log_bin = 0'"
        dump = "mysqldump --single-transaction --quick --hex-blob --databases bench"
        dump += " --set-gtid-purged=OFF" if self.engine == "mysql" else ""
        execute(self.source.container, "sh", "-c", f"{dump} | {load}")

    def parallel(self) -> None:
        reach = f"-h {self.target.address} -u bench -p{ADMIN}"
        if self.engine == "mariadb":
            reach = reach.replace("-p", "-p ")
            dump = f"rm -rf /var/tmp/bench; mydumper -t {JOBS} -r 100000 -B bench -o /var/tmp/bench"
            execute(self.source.container, "sh", "-ec", f"{dump}; myloader -t {JOBS} {reach} -d /var/tmp/bench")
            return
        dump = f"rm -f {FOLDER}/*; mysqldump --single-transaction --set-gtid-purged=OFF --tab={FOLDER} bench"
        load = f"mysql {reach} -e 'CREATE DATABASE bench; SET GLOBAL local_infile = 1'; "
        load += f"cat {FOLDER}/*.sql | mysql {reach} bench; "
        load += f"mysqlimport --local --use-threads={JOBS} {reach} bench {FOLDER}/*.txt"
        execute(self.source.container, "sh", "-ec", f"{dump}; {load}")

    def timed(self, way: Callable[[], None]) -> float:
        self.database("target").unlogged("DROP DATABASE IF EXISTS bench", "DROP DATABASE IF EXISTS cutover_bench")
        began = time.monotonic()
        way()
        return round(time.monotonic() - began, 2)


def main() -> int:
    """Measure, print, and take the servers away unless KEEP=1."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.copy", description=__doc__)
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rows = options.rows or 1000000
    engine = os.environ.get("ENGINE", "mariadb")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(engine, Path(folder))
        try:
            bench.fill(rows)
            rounds = []
            for _round in range(options.rounds):
                rounds.append({name: bench.timed(getattr(bench, name)) for name in ("ours", "parallel", "plain")})
                print(rounds[-1], flush=True)
        finally:
            if os.environ.get("KEEP") != "1":
                bench.servers.remove()
    result = {
        "engine": engine,
        "rows": rows,
        "jobs": JOBS,
        "rounds": rounds,
        "parallel_over_ours": round(statistics.median(one["parallel"] / one["ours"] for one in rounds), 2),
        "plain_over_ours": round(statistics.median(one["plain"] / one["ours"] for one in rounds), 2),
    }
    out = CHECKOUT / "build" / "bench" / engine / "copy.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
