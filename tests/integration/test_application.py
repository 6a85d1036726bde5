# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example sites on real database servers: Debian 11 (Python 3.9) and Debian 13 (Python 3.13)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.docker import docker, execute

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "examples"

PASSWORD = "made up for this test"
TOKEN = "made up as well"
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
FLAGS = [
    "--cap-add=SYS_ADMIN",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--tmpfs=/run",
    "--tmpfs=/run/lock",
    "--tmpfs=/tmp:exec",
    "--cgroupns=host",
    "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
    "--label=ocpizza.cutover=lab",
]
SETUP = """
set -e
for _ in $(seq 100); do systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded' && break; sleep 0.2; done
export DEBIAN_FRONTEND=noninteractive PIP_CERT=/etc/ssl/certs/ca-certificates.crt
apt-get update -qq
apt-get install -y -qq --no-install-recommends mariadb-server postgresql python3-venv >/dev/null
python3 -m venv /srv/venv
/srv/venv/bin/pip install -q --disable-pip-version-check -r /srv/1.0/requirements.txt
"""


@dataclass(frozen=True)
class Machine:
    name: str

    def run(self, command: str, stdin: str | None = None, **environment: str) -> str:
        settings = [f"{name}={value}" for name, value in environment.items()]
        return execute(self.name, "env", *settings, "sh", "-euc", command, stdin=stdin)

    def unpack(self, archive: Path, folder: str) -> None:
        docker("cp", str(archive), f"{self.name}:/root/archive.zip")
        self.run(f"mkdir -p {folder} && python3 -m zipfile -e /root/archive.zip {folder}")


@dataclass(frozen=True)
class Mysql:
    engine = "mysql"
    service = "mariadb"
    folder = "/srv/sql"

    def create(self, machine: Machine, database: str) -> None:
        statements = [
            f"CREATE DATABASE {database}",
            f"CREATE USER IF NOT EXISTS '{database}'@'%' IDENTIFIED BY '{PASSWORD}'",
            f"GRANT ALL PRIVILEGES ON {database}.* TO '{database}'@'%'",
        ]
        machine.run("mysql", stdin="; ".join(statements))

    def load(self, machine: Machine, database: str, path: str) -> None:
        machine.run(f"mysql -h 127.0.0.1 -u {database} {database} < {path}", MYSQL_PWD=PASSWORD)

    def ask(self, machine: Machine, database: str, query: str) -> str:
        return machine.run(f"mysql -N {database}", stdin=query.replace('"', "`"))

    def schema(self, machine: Machine, database: str) -> list[str]:
        dump = machine.run(f"mysqldump --no-data --skip-comments {database}")
        dump = re.sub(r"AUTO_INCREMENT=\d+ |(?: COLLATE|(?: DEFAULT)? CHARSET|CHARACTER SET)[= ]\w+", "", dump)
        tables = [table.partition(") ENGINE") for table in dump.split("CREATE TABLE")[1:]]
        # A key made by ALTER TABLE stands elsewhere than one made with its table.
        return sorted(line.strip().rstrip(",") for columns, _, _ in tables for line in owned(columns))

    def read_only(self, machine: Machine, database: str) -> None:
        machine.run("mysql", stdin="SET GLOBAL read_only = 1")

    def writable(self, machine: Machine, database: str) -> None:
        machine.run("mysql", stdin=f"SET GLOBAL read_only = 0; KILL USER '{database}'@'%'")


@dataclass(frozen=True)
class Postgresql:
    engine = "postgresql"
    service = "'postgresql@*'"
    folder = "/srv/sql/postgresql"

    def create(self, machine: Machine, database: str) -> None:
        statements = [
            f"CREATE ROLE {database} LOGIN PASSWORD '{PASSWORD}';",
            f"CREATE DATABASE {database} OWNER {database} TEMPLATE template0 ENCODING 'UTF8';",
        ]
        self.ask(machine, "postgres", "\n".join(statements))

    def load(self, machine: Machine, database: str, path: str) -> None:
        command = f"psql -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -U {database} {database} < {path}"
        machine.run(command, PGPASSWORD=PASSWORD)

    def ask(self, machine: Machine, database: str, query: str) -> str:
        return machine.run(f"cd / && runuser -u postgres -- psql -Atq -v ON_ERROR_STOP=1 {database}", stdin=query)

    def schema(self, machine: Machine, database: str) -> list[str]:
        dump = machine.run(f"cd / && runuser -u postgres -- pg_dump --schema-only --no-owner --no-comments {database}")
        # Newer ones guard the dump with \\restrict and a random word.
        return sorted(owned("\n".join(line for line in dump.splitlines() if not line.startswith(("\\", "--")))))

    def read_only(self, machine: Machine, database: str) -> None:
        self.ask(machine, "postgres", f"ALTER DATABASE {database} SET default_transaction_read_only = on;")
        self.end_sessions(machine, database)

    def writable(self, machine: Machine, database: str) -> None:
        self.ask(machine, "postgres", f"ALTER DATABASE {database} RESET default_transaction_read_only;")
        self.end_sessions(machine, database)

    def end_sessions(self, machine: Machine, database: str) -> None:
        self.ask(
            machine,
            "postgres",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}';",  # noqa: S608
        )


def owned(text: str) -> list[str]:
    """Lines, each of a table's with the name of the table before it, for they are going to be sorted."""
    table, lines = "", []
    for line in text.splitlines():
        if line.startswith((" `", "CREATE TABLE", "ALTER TABLE")):
            table = line.strip(" (")
        lines.append(f"{table}: {line.rstrip(', ')}" if line.strip() else "")
    return [line for line in lines if line]


ENGINES = {"mysql": Mysql(), "postgresql": Postgresql()}


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("artefacts")
    subprocess.run([sys.executable, EXAMPLES / "ocpizza/build.py", "--out", out], check=True, capture_output=True)
    return out


@pytest.fixture(scope="module", params=["bullseye", "trixie"])
def machine(request: pytest.FixtureRequest, artefacts: Path) -> Iterator[Machine]:
    machine = Machine(f"{os.environ.get('LAB', 'cutover-lab')}-application-{request.param}")
    bundle = [f"--volume={CA_BUNDLE}:{CA_BUNDLE}:ro"] if CA_BUNDLE.exists() else []
    docker("rm", "--force", "--volumes", machine.name, check=False)
    docker("run", "--detach", f"--name={machine.name}", *FLAGS, *bundle, f"cutover-lab:{request.param}")
    try:
        for release in ("1.0", "1.1"):
            machine.unpack(artefacts / release / "ocpizza.zip", f"/srv/{release}")
        machine.unpack(artefacts / "1.0/BDD.zip", "/srv/sql")
        docker("cp", str(HERE / "probe.py"), f"{machine.name}:/srv/probe.py")
        machine.run(SETUP)
        yield machine
    finally:
        docker("rm", "--force", "--volumes", machine.name, check=False)


def settings(engine: str, database: str) -> dict[str, str]:
    return {
        "SECRET_KEY": "made up, too",
        "DATABASE_ENGINE": engine,
        "DATABASE_NAME": database,
        "DATABASE_USER": database,
        "DATABASE_PASSWORD": PASSWORD,
        "STAFF_TOKEN": TOKEN,
        "MEDIA_ROOT": f"/srv/{engine}/media",
        "EXPORT_DIR": f"/srv/{engine}/exports",
        "SECURE_COOKIES": "0",
    }


def manage(machine: Machine, engine: str, database: str, command: str, release: str = "1.0") -> str:
    return machine.run(f"cd /srv/{release} && /srv/venv/bin/python manage.py {command}", **settings(engine, database))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_site_lives(machine: Machine, engine: str) -> None:
    server = ENGINES[engine]
    for database in ("loaded", "migrated"):
        server.create(machine, database)
    server.load(machine, "loaded", f"{server.folder}/ocpizza_dump.sql")
    server.load(machine, "loaded", f"{server.folder}/base_data.sql")
    manage(machine, engine, "migrated", "migrate -v0")
    assert server.schema(machine, "loaded") == server.schema(machine, "migrated")
    assert len(server.schema(machine, "loaded")) > 100
    for query in (
        "SELECT app, name FROM django_migrations ORDER BY app, name;",
        "SELECT app_label, model FROM django_content_type ORDER BY app_label, model;",
        "SELECT codename, name FROM auth_permission ORDER BY codename;",
    ):
        assert server.ask(machine, "loaded", query) == server.ask(machine, "migrated", query)
    assert "No migrations to apply" in manage(machine, engine, "loaded", "migrate")
    assert server.ask(machine, "loaded", 'SELECT count(*) FROM "rank";').strip() == "7"

    machine.run(
        "cd /srv/1.0 && /srv/venv/bin/gunicorn --daemon --pid /run/site.pid --workers 2 --threads 8"
        " --worker-class gthread --bind 127.0.0.1:8000 ocpizza.wsgi",
        **settings(engine, "loaded"),
    )
    machine.run("for _ in $(seq 100); do [ -s /run/site.pid ] && exit; sleep 0.1; done; exit 1")
    try:
        live(machine, engine)
    finally:
        machine.run("kill $(cat /run/site.pid); while [ -e /run/site.pid ]; do sleep 0.1; done")


def live(machine: Machine, engine: str) -> None:
    server = ENGINES[engine]
    probe = f"python3 /srv/probe.py http://127.0.0.1:8000 '{TOKEN}'"
    health = json.loads(machine.run(probe))
    assert health["database"]["engine"] == ("mariadb" if engine == "mysql" else engine)
    orders = health["orders"]

    server.read_only(machine, "loaded")
    machine.run(f"{probe} reads")
    server.writable(machine, "loaded")
    assert json.loads(machine.run(probe))["orders"] == 2 * orders

    for _ in range(2):
        manage(machine, engine, "loaded", "export_orders")
    lines = machine.run(f"cat /srv/{engine}/exports/*.csv").splitlines()
    assert len(lines) == 1 + 2 * orders

    manage(machine, engine, "loaded", "migrate -v0", release="1.1")
    manage(machine, engine, "loaded", "makemigrations --check --dry-run", release="1.1")
    page = "from django.test import Client; print(Client().get('/allergens/', headers={'host': 'localhost'}).content)"
    assert "gluten, milk, fish" in manage(machine, engine, "loaded", f'shell -c "{page}"', release="1.1")
    # Release 1.0 goes on while servers are updated one by one.
    assert json.loads(machine.run(probe))["release"] == "1.0"


GUESTBOOK = """
import json, sys, uuid
from urllib.request import Request, urlopen

def sign(key):
    body = json.dumps({"author": "Zoé 🍕", "message": "<b>hello</b>"}).encode()
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    with urlopen(Request("http://127.0.0.1:8001/", body, headers)) as answer:
        return answer.status, json.load(answer)

key = str(uuid.uuid4())
(created, first), (repeated, second) = sign(key), sign(key)
assert (created, repeated, first) == (201, 200, second), (created, repeated, first, second)
with urlopen("http://127.0.0.1:8001/") as answer:
    page = answer.read().decode()
assert "Zoé 🍕" in page and "&lt;b&gt;hello" in page and "Łukasz" in page, page
with urlopen("http://127.0.0.1:8001/entries?since=2") as answer:
    assert key in [entry["key"] for entry in json.load(answer)["entries"]]
with urlopen("http://127.0.0.1:8001/healthz") as answer:
    assert json.load(answer) == {"status": "ok"}
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_the_guestbook_lives(machine: Machine, tmp_path: Path, engine: str) -> None:
    folder = annex_build(tmp_path)
    machine.unpack(folder / "annex.zip", "/srv/annex")
    machine.unpack(folder / "BDD.zip", "/srv/annex/sql")
    server = ENGINES[engine]
    server.create(machine, "annex")
    for script in ("schema.sql", "base_data.sql"):
        server.load(machine, "annex", f"{server.folder.replace('/srv', '/srv/annex')}/{script}")
    machine.run(
        "cd /srv/annex && /srv/venv/bin/gunicorn --daemon --pid /run/annex.pid --bind 127.0.0.1:8001 annex:application",
        ANNEX_DATABASE_ENGINE=engine,
        ANNEX_DATABASE_USER="annex",
        ANNEX_DATABASE_PASSWORD=PASSWORD,
    )
    machine.run("for _ in $(seq 100); do [ -s /run/annex.pid ] && exit; sleep 0.1; done; exit 1")
    try:
        machine.run("python3 -", stdin=GUESTBOOK)
        machine.run(f"systemctl restart {server.service}")
        machine.run("python3 -", stdin=GUESTBOOK)
    finally:
        machine.run("kill $(cat /run/annex.pid); while [ -e /run/annex.pid ]; do sleep 0.1; done")


def annex_build(out: Path) -> Path:
    subprocess.run([sys.executable, EXAMPLES / "annex/build.py", "--out", out], check=True, capture_output=True)
    return out / "annex"
