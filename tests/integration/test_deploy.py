# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""deploy.yml on new servers: what is refused before anything changes, the deployment, and a second one.

What each role refuses by itself is in its molecule scenarios; here it is refused for all servers at once. The tests
build on each other, in this order. ENGINE as for the demo; KEEP=1 leaves the lab up.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.integration.site import Site
from tests.lab import machines
from tests.lab.artefacts import ARTEFACTS, build_artefacts
from tests.lab.docker import execute
from tests.lab.hosts import CHECKOUT, Lab

TARGET = {"db", "app1", "app2", "web1"}
DATABASE = ARTEFACTS / "1.0" / "BDD.zip"
RELEASE = ARTEFACTS / "1.0" / "ocpizza.zip"


def changes(output: str) -> dict[str, int]:
    """Changes a host, of a playbook that may have failed."""
    return {host: int(changed) for host, changed in re.findall(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)", output, re.M)}


def role(site: Site) -> str:
    """The prefix of the database role's variables."""
    return "postgresql" if site.lab.engines[0] == "postgresql" else "mysql"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    lab = Lab(os.environ.get("LAB", "cutover-lab") + "-deploy", int(os.environ.get("LAB_PORT", "22000")) + 3000)
    out = CHECKOUT / "build" / "integration-deploy"
    subprocess.run(["rm", "-rf", str(out)], check=True)
    out.mkdir(parents=True)
    machines.down(lab)
    machines.up(lab)
    build_artefacts()
    here = Site(lab, out)
    here.run(str(CHECKOUT / "tests" / "lab" / "provision.yml"), "--limit", "database", cwd=CHECKOUT)
    yield here
    if not os.environ.get("KEEP"):
        machines.down(lab)


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What nobody should deploy."""
    build_artefacts()
    folder = tmp_path_factory.mktemp("archives")
    members = {name: zipfile.ZipFile(RELEASE).read(name) for name in ("manage.py", "requirements.txt")}
    with zipfile.ZipFile(folder / "outside.zip", "w") as archive:
        for name, content in {**members, "../../etc/motd": b"no"}.items():
            archive.writestr(name, content)
    broken = bytearray(RELEASE.read_bytes())
    place = broken.index(b"execute_from_command_line")
    broken[place] ^= 1
    (folder / "corrupt.zip").write_bytes(broken)
    with zipfile.ZipFile(folder / "halfway.zip", "w") as archive, zipfile.ZipFile(DATABASE) as whole:
        for name in whole.namelist():
            content = whole.read(name)
            if name.endswith("base_data.sql"):
                content = content.replace(b"COMMIT;", b"") + b"INSERT INTO nowhere (name) VALUES ('lost');\n"
            archive.writestr(name, content)
    return folder


def test_a_host_that_cannot_be_reached_stops_all(site: Site) -> None:
    container = f"{site.lab.name}-app2"
    execute(container, "systemctl", "stop", "ssh.service", "ssh.socket")
    try:
        status, output = site.playbook("deploy.yml")
    finally:
        execute(container, "systemctl", "start", "ssh.service")
    assert status != 0
    assert re.search(r"app2\S* \S+ UNREACHABLE|\[app2\]: UNREACHABLE", output), output[-3000:]
    assert set(changes(output).values()) == {0}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("ROLE_databses=[]", "ROLE_databses is no variable of this role: did you mean ROLE_databases"),
        ("gunicorn_wokers=3", "did you mean gunicorn_workers"),
        ("nginx_site=[]", "did you mean nginx_sites"),
        ("firewall_rule=[]", "did you mean firewall_rules"),
        ("certificate_nam=x", "did you mean certificate_name"),
        ('{"certificate_names": ["not a name"]}', "certificate_names on"),
        ("gunicorn_source=ARCHIVES/corrupt.zip", "corrupt.zip: member 'manage.py' is damaged"),
        ("gunicorn_source=ARCHIVES/outside.zip", "../../etc/motd"),
        ("gunicorn_source=ARCHIVES/absent.zip", "absent.zip"),
        ("ROLE_archive=ARCHIVES/outside.zip", "outside.zip"),
    ],
)
def test_bad_input_is_refused_before_anything_changes(site: Site, archives: Path, given: str, says: str) -> None:
    given, says = (text.replace("ROLE", role(site)).replace("ARCHIVES", str(archives)) for text in (given, says))
    status, output = site.playbook("deploy.yml", "-e", given)
    assert status != 0
    assert says in " ".join(output.split()), output[-3000:]
    assert changes(output).keys() >= TARGET
    assert set(changes(output).values()) == {0}


def test_sql_that_fails_halfway_is_taken_back_and_nothing_else_deployed(site: Site, archives: Path) -> None:
    status, output = site.playbook("deploy.yml", "-e", f"{role(site)}_archive={archives}/halfway.zip")
    assert status != 0
    said = " ".join(output.split())
    assert "The load into ocpizza was taken back: the database is empty again." in said, output[-3000:]
    assert "nowhere" in said
    for host in ("app1", "app2"):
        assert execute(f"{site.lab.name}-{host}", "ls", "/opt").strip() == ""


def test_the_site_is_deployed(site: Site) -> None:
    assert min(changed for host, changed in site.run("deploy.yml").items() if host in TARGET) > 0
    assert health(site)["status"] == "ok"


def test_a_wrong_password_is_refused_while_the_site_answers(site: Site) -> None:
    started = running(site)
    secrets = {"SECRET_KEY": "another", "DATABASE_PASSWORD": "wrong", "STAFF_TOKEN": "another"}
    given = ["--tags", "application", "-e", json.dumps({"application_secrets": secrets})]
    status, output = site.playbook("deploy.yml", *given)
    said = " ".join(output.split())
    assert status != 0
    assert "no login to the database 'default'" in said, output[-3000:]
    assert "was put back and runs" in said
    assert running(site) == started
    assert health(site)["status"] == "ok"


# After the wrong password: what was put back is what was deployed.
def test_a_second_deployment_changes_nothing(site: Site) -> None:
    assert site.run("deploy.yml") == dict.fromkeys(TARGET | {"old"}, 0)


def running(site: Site) -> list[str]:
    """Process of the application on each server."""
    return [execute(f"{site.lab.name}-{host}", "supervisorctl", "pid", "ocpizza").strip() for host in ("app1", "app2")]


def health(site: Site) -> dict[str, object]:
    """What the site says through its web server; deploy.yml itself has verified the certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    request = Request(f"{site.lab.url(43, 'https')}/healthz", headers={"Host": "ocpizza.test"})  # noqa: S310 - a constant scheme
    with urlopen(request, context=context, timeout=10) as answer:  # noqa: S310
        return dict(json.load(answer))
