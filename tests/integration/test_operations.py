# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations manual on OC Pizza's new servers: two application servers, 100 requests a second, a ledger.

What each playbook refuses by itself is in the scenarios operations-*; here are releases with migrations, good and bad,
and backups. The tests build on each other, in this order. ENGINE as for the demo; KEEP=1 leaves the lab up.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.site import Site
from tests.lab import machines, operated
from tests.lab.artefacts import ARTEFACTS
from tests.lab.docker import execute
from tests.lab.hosts import CHECKOUT, Lab

RATE = 100
MIGRATION = """from django.db import migrations


class Migration(migrations.Migration):
    dependencies = (("shop", "{before}"),)
    {said}
    operations = ({operations})
"""


def release(folder: Path, name: str, *migrated: tuple[str, str, str, str]) -> Path:
    """OC Pizza 1.1 with migrations of its own: name, the one before it, what it says of itself, what it does."""
    path = folder / f"ocpizza-{name}.zip"
    # A page that fails, for Sentry to hear of.
    own = {"ocpizza/release.py": f'RELEASE = "{name}"\n', "shop/templates/shop/allergens.html": "{% failing %}"}
    for migration, before, said, operations in migrated:
        text = MIGRATION.format(before=before, said=said, operations=operations)
        own[f"shop/migrations/{migration}.py"] = text
    with zipfile.ZipFile(ARTEFACTS / "1.1" / "ocpizza.zip") as whole, zipfile.ZipFile(path, "w") as archive:
        for member in set(whole.namelist()) - set(own):
            archive.writestr(member, whole.read(member))
        for member, content in own.items():
            archive.writestr(member, content)
    return path


def sql(*statements: str) -> str:
    return "".join(f"migrations.RunSQL({statement!r}), " for statement in statements)


SENTRY = """
import gzip, http.server

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        with open("/run/sentry", "ab") as told:
            told.write(self.path.encode() + b"\\n" + body)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

http.server.HTTPServer(("127.0.0.1", 9001), Handler).serve_forever()
"""
EXPAND = ("0003_origin", "0002_pizza_allergens", "", sql("ALTER TABLE shop_pizza ADD COLUMN origin varchar(20)"))
CONTRACT = ("0004_no_origin", "0003_origin", "cutover_after = True", sql("ALTER TABLE shop_pizza DROP COLUMN origin"))
HALFWAY = ("0005_half", "0004_no_origin", "", sql("CREATE TABLE half (id int)", "INSERT INTO nowhere VALUES (1)"))


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    lab = Lab(os.environ.get("LAB", "cutover-lab") + "-operations", int(os.environ.get("LAB_PORT", "22000")) + 3200)
    out = CHECKOUT / "build" / "integration-operations"
    subprocess.run(["rm", "-rf", str(out)], check=True)
    out.mkdir(parents=True)
    here = Site(lab, out)
    operated.bring_up(lab, lambda path: here.run(str(path), cwd=CHECKOUT))
    yield here
    if not os.environ.get("KEEP"):
        machines.down(lab)


@pytest.fixture(scope="module")
def typed(site: Site) -> list[str]:
    """The inventory that says what is backed up, as words of a command."""
    return ["-i", str(operated.inventory(site.lab, site.out))]


def status(site: Site, typed: list[str]) -> tuple[int, dict[str, str], str]:
    """status.yml: how it ended, what it says of the database server's backups, and of what is wrong."""
    path = site.out / "status.json"
    code, output = site.playbook(*typed, "status.yml", "-e", f"status_file={path}", "-e", "operations_disk_percent=101")
    rows = json.loads(path.read_text())["rows"]
    return code, {row["what"]: row["state"] for row in rows if row["host"] == "db"}, output


def running(site: Site) -> dict[str, str]:
    """The release on each application server."""
    return {
        host: execute(f"{site.lab.name}-{host}", "readlink", "/opt/ocpizza/current").strip().rpartition("/")[2]
        for host in ("app1", "app2")
    }


def test_backups_are_scheduled_and_the_drill_shows_in_the_status(site: Site, typed: list[str]) -> None:
    site.run(*typed, "schedule_backup.yml", "-e", "backup_now=true")
    assert "db" in site.run(*typed, "schedule_backup.yml")
    _code, before, output = status(site, typed)
    assert before["restore drill"] == "none has run"
    assert "db restore drill: none has run" in " ".join(output.split())
    execute(f"{site.lab.name}-db", "systemctl", "start", "cutover-backup-drill-ocpizza.service")
    code, found, output = status(site, typed)
    assert code == 0, output[-3000:]
    assert re.fullmatch(r"PASSED 0 h ago", found["restore drill"]), found


def test_restart_updates_and_changes_under_traffic(site: Site, typed: list[str], tmp_path: Path) -> None:
    update = [*typed, "update.yml"]
    with operated.running_traffic(site.lab, site.out, RATE):
        time.sleep(5)
        site.run(*typed, "restart.yml")
        site.run(*update, "-e", "release=1.1", "-e", f"source={ARTEFACTS}/1.1/ocpizza.zip")
        assert set(running(site).values()) == {"1.1"}
        site.run(*update, "-e", "release=1.0", "-e", "source=", "-e", "backup=false")
        assert set(running(site).values()) == {"1.0"}
        origins = "https://ocpizza.test,https://www.ocpizza.test,https://pizza.test"
        site.run(*typed, "change_variable.yml", "-e", "variable=CSRF_TRUSTED_ORIGINS", "-e", f"value={origins}")
        both = release(tmp_path, "1.2", EXPAND, CONTRACT)
        site.run(*update, "-e", "release=1.2", "-e", f"source={both}")
        assert set(running(site).values()) == {"1.2"}
        half = release(tmp_path, "1.3", EXPAND, CONTRACT, HALFWAY)
        code, output = site.playbook(*update, "-e", "release=1.3", "-e", f"source={half}")
        said = " ".join(output.split())
        assert code != 0
        assert "app1: Release 1.3 of ocpizza on app1 was not taken. migrate | Migrate the database, once" in said
        assert "app1 runs 1.2. app2 was not touched. What the databases had before: the backup 2" in said.replace(
            "\\n", " "
        )
        assert set(running(site).values()) == {"1.2"}
    told = json.loads((site.out / "traffic.json").read_text())
    assert told["failed"] == 0, site.failures()[:20]
    assert (told["lost_writes"], told["duplicated_writes"]) == (0, 0)
    assert told["requests"] / (told["finished"] - told["started"]) > RATE * 0.95


def test_what_takes_away_ran_when_every_server_had_the_release(site: Site) -> None:
    applied = "SELECT name, UNIX_TIMESTAMP(applied) FROM django_migrations WHERE app = 'shop'"
    if site.lab.engines[0] == "postgresql":
        applied = applied.replace("UNIX_TIMESTAMP(applied)", "extract(epoch FROM applied)")
    rows = dict(line.split("\t") for line in site.sql("db", f"{applied};").stdout.splitlines())
    switched = [
        int(execute(f"{site.lab.name}-{host}", "stat", "--format=%Y", "/opt/ocpizza/current"))
        for host in ("app1", "app2")
    ]
    assert float(rows["0003_origin"]) < min(switched)
    assert float(rows["0004_no_origin"]) >= max(switched)
    assert "0005_half" not in rows


def test_a_planted_corrupt_backup_is_caught(site: Site, typed: list[str]) -> None:
    machine = f"{site.lab.name}-db"
    name = execute(machine, "sh", "-c", f"ls -d {operated.STORE}/2*Z | tail -1").strip()
    spoil = f"printf X | dd of=$(ls {name}/*.age) bs=1 seek=5000 conv=notrunc status=none"
    execute(machine, "sh", "-c", spoil)
    execute(machine, "systemctl", "start", "cutover-backup-drill-ocpizza.service", check=False)
    code, found, output = status(site, typed)
    assert code != 0
    assert "is corrupt: its checksum is wrong" in found["restore drill"]
    assert "db restore drill" in " ".join(output.split())
    code, output = site.playbook(*typed, "proven_backups.yml")
    assert code != 0
    assert "the last restore drill failed" in " ".join(output.split())
    execute(machine, "rm", "-r", name)


def test_a_table_and_everything_come_back(site: Site, typed: list[str]) -> None:
    rows = "SELECT COUNT(*) FROM shop_pizza;"
    before = site.sql("db", rows).stdout
    made = operated.backup(site.lab, "run")["backup"]
    wish = {"scheduled_backup_restore": made, "scheduled_backup_restore_databases": ["ocpizza"]}
    site.sql("db", "UPDATE shop_pizza SET name = CONCAT('lost ', id);")
    table = "public.shop_pizza" if site.lab.engines[0] == "postgresql" else "shop_pizza"
    one = json.dumps({**wish, "scheduled_backup_restore_table": table, "scheduled_backup_restore_confirm": True})
    site.run(*typed, "restore.yml", "-e", one)
    assert site.sql("db", "SELECT COUNT(*) FROM shop_pizza WHERE name LIKE 'lost%';").stdout.strip() == "0"
    site.sql("db", "DELETE FROM shop_orderline;")
    closed = [{"host": host, "service": "supervisor"} for host in ("app1", "app2")]
    whole = json.dumps({**wish, "scheduled_backup_restore_stop": closed, "scheduled_backup_restore_confirm": True})
    site.run(*typed, "restore.yml", "-e", whole)
    assert site.sql("db", rows).stdout == before
    site.run(*typed, "start.yml")
    code, found, output = status(site, typed)
    assert '"verdict": "PASSED"' in execute(f"{site.lab.name}-db", "cat", f"{operated.STORE}/status.json"), found
    # The newest is that of the restore, and no drill has seen it since the corrupt one.
    execute(f"{site.lab.name}-db", "systemctl", "start", "cutover-backup-drill-ocpizza.service")
    code, found, output = status(site, typed)
    assert code == 0, output[-3000:]


def test_an_error_of_the_application_comes_to_sentry(site: Site, typed: list[str], tmp_path: Path) -> None:
    failing = release(tmp_path, "1.4", EXPAND, CONTRACT)
    site.run(*typed, "update.yml", "-e", "release=1.4", "-e", f"source={failing}", "-e", "backup=false")
    applications = [f"{site.lab.name}-{host}" for host in ("app1", "app2")]
    for machine in applications:
        execute(machine, "systemd-run", "--collect", "--unit=sentry", "python3", "-c", SENTRY)
    dsn = {"lab_stock_secrets": {"SENTRY_DSN": "http://key@127.0.0.1:9001/1"}}
    site.run(*typed, "change_variable.yml", "-e", "variable=SENTRY_DSN", "-e", json.dumps(dsn))
    ask = ["curl", "-ksS", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: ocpizza.test"]
    page = site.lab.url(43, "https") + "/allergens/"
    assert subprocess.run([*ask, page], capture_output=True, text=True, check=True).stdout == "500"
    deadline = time.monotonic() + 20
    told = ""
    while "TemplateSyntaxError" not in told and time.monotonic() < deadline:
        time.sleep(0.5)
        told = "".join(execute(machine, "sh", "-c", "cat /run/sentry || true") for machine in applications)
    assert "/api/1/envelope/" in told
    assert "TemplateSyntaxError" in told
    assert '"release":"1.4"' in told.replace(" ", "")


@pytest.mark.parametrize("host", ["db", "app1", "web1"])
def test_nobody_else_may_write_and_no_secret_is_told(site: Site, host: str) -> None:
    machine = f"{site.lab.name}-{host}"
    places = "/etc /opt /srv /usr/local /var/lib/cutover /var/backups /var/log"
    open_to_all = f"find {places} -xdev ! -type l -perm -0002 2>/dev/null || true"
    assert execute(machine, "sh", "-c", open_to_all).split() == []
    secrets = [path.read_text().strip() for path in (site.lab.directory / "secrets").iterdir()]
    argv = execute(machine, "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    readable = execute(
        machine, "sh", "-c", f"find {places} -xdev -type f -perm -0004 -size -1M -exec cat {{}} + 2>/dev/null || true"
    )
    journal = execute(machine, "journalctl", "--no-pager")
    for secret in secrets:
        assert secret not in argv
        assert secret not in readable
        assert secret not in journal
