# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast the proof is beside the servers' reading of the same table, on real servers that hold the same rows.

``python -m tests.bench.proof [--rows 1000000] [--rounds 5]``, ENGINE as for the demo: build/bench/ENGINE/proof.json.
Both sides read at the same time, as the proof has them do. *read* is every row given to the server's own client on the
same host, which throws it away; *checksum* is CHECKSUM TABLE, which PostgreSQL has nothing like.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymysql

from ansible_collections.ocpizza.cutover.plugins.module_utils import proof
from ansible_collections.ocpizza.cutover.plugins.module_utils.postgresql_wire import ask
from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_result import describe
from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_walk import both
from tests.bench.pauses import archive
from tests.integration import mariadb_servers, mysql_servers
from tests.lab.docker import docker, execute
from tests.lab.engines import engines
from tests.lab.hosts import CHECKOUT

NAME = "bench"
JOBS = (1, 2, 4)
MYSQL_READ = "{client} --quick --skip-column-names bench -e 'SELECT * FROM archive' >/dev/null"
READ = {
    "mariadb": MYSQL_READ.format(client="mariadb"),
    "mysql": MYSQL_READ.format(client="mysql"),
    "postgresql": "cd / && runuser -u postgres -- psql -qc 'COPY archive TO STDOUT' bench >/dev/null",
}
CHECKSUM = {"mariadb": "CHECKSUM TABLE archive", "mysql": "CHECKSUM TABLE archive"}
Connect = Callable[[], Any]


def of_mysql(module: Any, folder: Path) -> tuple[list[Connect], list[str]]:
    """Connections to a pair of MariaDB or MySQL servers with an empty database each, and the containers' names."""

    def connect(port: int, database: str | None = NAME) -> Any:
        return pymysql.connect(
            host="127.0.0.1",
            port=port,
            user=mysql_servers.ADMIN,
            password=mysql_servers.PASSWORD,
            database=database,
            ssl={"ca": str(folder / "ca.pem"), "check_hostname": False},
            autocommit=True,
            charset="utf8mb4",
        )

    machines = module.pair(folder)
    ports = [machine.port for machine in machines]
    for port in ports:
        run(connect(port, None), f"DROP DATABASE IF EXISTS {NAME}; CREATE DATABASE {NAME} CHARACTER SET utf8mb4")
    return [lambda port=port: connect(port) for port in ports], [  # type: ignore[misc]
        machine.container for machine in machines
    ]


def of_postgresql(folder: Path) -> tuple[list[Connect], list[str]]:
    """Connections to a pair of PostgreSQL servers with an empty database each, and the containers' names."""
    from tests.integration.test_postgresql import Server  # noqa: PLC0415 - a test's own file, read where it is needed

    source, target = Server("source"), Server("target")
    for server in (source, target):
        server.start()
    source.trust(target, folder)
    target.trust(source, folder)
    for server in (source, target):
        server.make_database(NAME)
        with server.connect(NAME) as connection:
            run(connection, "DROP ROLE IF EXISTS ocpizza; CREATE ROLE ocpizza")
    return [lambda server=server: server.connect(NAME) for server in (source, target)], [  # type: ignore[misc]
        source.container,
        target.container,
    ]


def run(connection: Any, script: str) -> None:
    """Statements, one after the other."""
    if not hasattr(connection, "cursor"):
        ask(connection, "SET search_path = public;" + script)
        return
    cursor = connection.cursor()
    for statement in filter(None, map(str.strip, script.split(";"))):
        cursor.execute(statement)
    cursor.close()


def timed(action: Callable[[], Any]) -> float:
    """Seconds."""
    began = time.monotonic()
    action()
    return time.monotonic() - began


def measure(engine: str, connects: list[Connect], containers: list[str], rows: int, rounds: int) -> dict[str, Any]:
    """Medians of the ratios of one round each."""
    pairs = [tuple(connect() for connect in connects) for _job in range(max(JOBS))]
    source, target = pairs[0]
    # On connections of their own: the proof's have settings of the proof's.
    # As old as its rows, a table has statistics.
    script = archive(engine, rows) + ("ANALYZE archive;" if engine == "postgresql" else "")
    both(lambda: run(connects[0](), script), lambda: run(connects[1](), script))
    seconds: dict[str, list[float]] = {}

    def read(container: str) -> None:
        execute(container, "sh", "-c", READ[engine])

    def prove(jobs: int) -> None:
        found = proof.compare_database(source, target, NAME, more_pairs=pairs[1:jobs])
        assert (found["equal"], found["rows"]) == (True, rows), describe(found)

    for number in range(rounds + 1):
        one = {"read": timed(lambda: both(lambda: read(containers[0]), lambda: read(containers[1])))}
        if engine in CHECKSUM:
            statement = CHECKSUM[engine]
            one["checksum"] = timed(lambda: both(lambda: run(source, statement), lambda: run(target, statement)))  # noqa: B023
        one.update({f"proof_{jobs}": timed(lambda: prove(jobs)) for jobs in JOBS})  # noqa: B023 - called at once
        print(f"  round {number}: " + ", ".join(f"{name} {value:.2f} s" for name, value in one.items()), flush=True)
        # The first round fills the servers' buffers.
        for name, value in one.items() if number else ():
            seconds.setdefault(name, []).append(value)
    return {
        "rows": rows,
        "seconds": {name: round(statistics.median(values), 3) for name, values in seconds.items()},
        "speed_of_the_proof": {
            f"{jobs} jobs, of {name}": ratio(seconds[name], seconds[f"proof_{jobs}"])
            for name in ("read", "checksum")
            if name in seconds
            for jobs in JOBS
        },
    }


def ratio(ones: list[float], others: list[float]) -> float:
    """The median of what each round gives."""
    return round(statistics.median(one / other for one, other in zip(ones, others, strict=True)), 3)


def main() -> int:
    """Measure, print, and take the servers away unless KEEP=1."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.proof", description=__doc__)
    parser.add_argument("--rows", type=int, default=1000000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    (engine,) = engines()
    folder = Path(tempfile.mkdtemp())
    containers: list[str] = []
    module = {"mariadb": mariadb_servers, "mysql": mysql_servers}.get(engine)
    try:
        connects, containers = of_mysql(module, folder) if module else of_postgresql(folder)
        result = measure(engine, connects, containers, options.rows, options.rounds)
    finally:
        if not os.environ.get("KEEP"):
            for name in containers:
                docker("rm", "--force", "--volumes", name)
    out = CHECKOUT / "build" / "bench" / engine
    out.mkdir(parents=True, exist_ok=True)
    (out / "proof.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
