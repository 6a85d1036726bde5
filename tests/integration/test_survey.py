# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The old server read by somebody who knows nothing of it, and its site moved with the inventory that came of that.

What is written by hand is what the draft asks for: the new servers' addresses and the secrets. The tests build on each
other, in this order. KEEP=1 leaves the lab up.
"""

# ruff: noqa: S608 - the statements are constants of this file, and an address

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import answers
from tests.integration.site import Site
from tests.lab import machines, provisioned
from tests.lab.demo import control_traffic, running_traffic
from tests.lab.hosts import ADDRESS, CHECKOUT, HOSTS, Lab

RATE = 20
FINGERPRINT = CHECKOUT / "molecule" / "survey-default" / "fingerprint.sh"
UNFILLED = "CHANGE-ME"


class Stranger(Site):
    """Reaches the lab's machines by ssh and has no inventory of its sites."""

    def __init__(self, lab: Lab, out: Path) -> None:
        super().__init__(lab, out)
        self.known = f"-o UserKnownHostsFile={lab.ssh}/known_hosts -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes"
        self.key = {"ANSIBLE_PRIVATE_KEY_FILE": str(lab.ssh / "id_ed25519"), "ANSIBLE_SSH_COMMON_ARGS": self.known}
        self.folder = out / "survey" / "old"
        self.draft = self.folder / "sites" / "ocpizza"
        # Not the folder: what lies beside it, archives and reports, is no inventory, and Ansible would say so.
        self.inventory = self.draft / "hosts.yml"

    def reach(self, name: str) -> dict[str, Any]:
        """How Ansible comes to a machine."""
        port = self.lab.ssh_port(next(host for host in HOSTS if host.name == name))
        address = {"ansible_host": ADDRESS, "ansible_port": port, "ansible_user": "admin", "ansible_become": True}
        return address | {"ansible_python_interpreter": "/usr/bin/python3"}

    def play(self, inventory: Path, *arguments: str, fails: bool = False) -> str:
        """Run a playbook that must pass, or fail, and warns of nothing."""
        command = ["ansible-playbook", "-i", str(inventory), *arguments]
        environment = self.environment | self.key
        environment.pop("CUTOVER_RUN_DIR")
        done = subprocess.run(
            command, cwd=CHECKOUT / "playbooks", env=environment, capture_output=True, text=True, check=False
        )
        output = done.stdout + done.stderr
        (self.out / "last.log").write_text(output)
        assert bool(done.returncode) == fails, output[-5000:]
        assert "[WARNING]" not in output, output[-3000:]
        return output

    def fingerprint(self) -> str:
        """Checksums of /etc, packages, units and databases of the old server."""
        script = FINGERPRINT.read_text(encoding="utf-8")
        command = machines.ssh_command(self.lab, "old", "sudo", "sh", "-s")
        return subprocess.run(command, input=script, capture_output=True, text=True, check=False).stdout

    def report(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "report.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def site() -> Iterator[Stranger]:
    lab = Lab(os.environ.get("LAB", "cutover-lab") + "-survey", int(os.environ.get("LAB_PORT", "22000")) + 4000)
    out = CHECKOUT / "build" / "integration-survey"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    here = Stranger(lab, out)
    provisioned.bring_up(lab, lambda: here.run(str(CHECKOUT / "tests" / "lab" / "provision.yml"), cwd=CHECKOUT))
    yield here
    if not os.environ.get("KEEP"):
        machines.down(lab)


def test_the_old_server_is_read_quickly_and_stays_as_it_is(site: Stranger) -> None:
    inventory = site.out / "old.yml"
    inventory.write_text(json.dumps({"all": {"hosts": {"old": site.reach("old")}}}))
    before = site.fingerprint()
    assert len(before.split("\n")) >= 5, before
    begun = time.monotonic()
    site.play(inventory, "discover.yml", "-e", json.dumps({"survey_dir": str(site.folder)}))
    took = time.monotonic() - begun
    # The drafts are written by the controller, which in a test shares its processors with all the machines.
    print(f"the old server was read in {site.report()['seconds']} s, the whole command took {took:.1f} s")
    assert site.report()["seconds"] < 20
    assert site.fingerprint() == before


def test_only_secrets_are_open(site: Stranger) -> None:
    (draft,) = (one for one in site.report()["drafts"]["sites"] if one["name"] == "ocpizza")
    left = [text for text in draft["open"] if not text.startswith(("/media/: ", "require_tls: "))]
    assert left == []
    unfilled = {
        path.relative_to(site.draft).as_posix(): path.read_text(encoding="utf-8").count(UNFILLED)
        for path in site.draft.rglob("*.yml")
        if UNFILLED in path.read_text(encoding="utf-8")
    }
    # Once in the sentence that says so; then four addresses, and three secrets.
    assert unfilled == {"hosts.yml": 5, "group_vars/all/secrets.yml": 3}


def test_no_secret_came_along(site: Stranger) -> None:
    secrets = [path.read_text().split()[0].encode() for path in (site.lab.directory / "secrets").iterdir()]
    assert len(secrets) > 2
    files = [path for path in site.folder.rglob("*") if path.is_file()]
    packed = [path for path in files if path.suffix == ".gz"]
    assert sorted(path.name for path in packed if site.draft in path.parents) == ["code.tar.gz", "static.tar.gz"]
    contents = [path.read_bytes() for path in files]
    contents += [subprocess.run(["gzip", "-dc", str(path)], capture_output=True, check=True).stdout for path in packed]
    assert [number for number, content in enumerate(contents) if any(secret in content for secret in secrets)] == []


def fill(site: Stranger) -> None:
    """What only a human knows: addresses and secrets."""
    hosts = (site.draft / "hosts.yml").read_text(encoding="utf-8")
    for name in ("db", "app1", "app2", "web1"):
        hosts = hosts.replace("{ansible_host: CHANGE-ME}", json.dumps(site.reach(name)), 1)
    (site.draft / "hosts.yml").write_text(hosts, encoding="utf-8")
    path = site.draft / "group_vars" / "all" / "secrets.yml"
    secrets = path.read_text(encoding="utf-8")
    names = {"database_password": "ocpizza_database", "secret_key": "ocpizza_secret_key"}
    for name, file in (names | {"staff_token": "ocpizza_staff_token"}).items():
        value = (site.lab.directory / "secrets" / file).read_text().split()[0]
        secrets = secrets.replace(f"secret_{name}: CHANGE-ME", f"secret_{name}: {value}")
    path.write_text(secrets, encoding="utf-8")
    for name in ("app1", "app2"):
        # As on servers behind a proxy of their own: which authority pip trusts is the machine's.
        pip = "printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' | sudo tee /etc/pip.conf"
        site.shell(name, pip)


PHASES = ("discover", "check", "backup", "prepare", "replicate", "verify")
HTTP = "/etc/nginx/conf.d/planted.conf"
CERTIFICATE = "/etc/ssl/cutover/web-server"
ASIDE = "SET sql_log_bin = 0; CREATE TABLE cutover_ocpizza.aside AS SELECT * FROM cutover_ocpizza.fence;"
OPEN = "DELETE FROM cutover_ocpizza.fence;"
CLOSE = "INSERT INTO cutover_ocpizza.fence SELECT * FROM cutover_ocpizza.aside; DROP TABLE cutover_ocpizza.aside;"


def nginx(directive: str) -> str:
    return f"echo {shlex.quote(directive)} | sudo tee {HTTP} && sudo systemctl reload nginx"


def mariadb(statements: str) -> str:
    return f"sudo mariadb ocpizza -e {shlex.quote(statements)}"


def each_host(verb: str) -> str:
    """For the application's account, from wherever it logs in."""
    written = f"SELECT CONCAT('{verb} ocpizza@', QUOTE(host), ';') FROM mysql.user WHERE user = 'ocpizza'"
    asked = f"sudo mariadb -N -e {shlex.quote(written)}"
    return f"({asked}) | grep . && {{ echo 'SET sql_log_bin = 0;'; {asked}; }} | sudo mariadb"


class Planted(NamedTuple):
    """A difference: what makes it on which machine, what takes it away, and what is to be said of it."""

    machine: str
    plant: str
    remove: str
    said: str


PLANTED = {
    "page": Planted(
        "web1",
        nginx("sub_filter '<title>' '<title>Another ';"),
        f"sudo rm {HTTP}; sudo systemctl reload nginx",
        r"The sides answer differently: /: the title is",
    ),
    "header": Planted(
        "web1",
        nginx("proxy_hide_header X-Content-Type-Options;"),
        f"sudo rm {HTTP}; sudo systemctl reload nginx",
        r"The sides answer differently: /: .*x-content-type-options",
    ),
    "row": Planted(
        "db",
        mariadb(f"{ASIDE} {OPEN} UPDATE rank SET name = CONCAT(name, '!') ORDER BY id LIMIT 1; {CLOSE}"),
        mariadb(f"{ASIDE} {OPEN} UPDATE rank SET name = TRIM(TRAILING '!' FROM name) ORDER BY id LIMIT 1; {CLOSE}"),
        r"The sides are not proven equal.*rank",
    ),
    "grant": Planted(
        "db",
        each_host("REVOKE DELETE ON ocpizza.* FROM"),
        each_host("GRANT DELETE ON ocpizza.* TO"),
        r"Accounts of mariadb on \S+ are not as mysql_users declares them: ocpizza@",
    ),
    "certificate": Planted(
        "web1",
        f"sudo cp -a {CERTIFICATE}.pem {CERTIFICATE}.key /root; sudo openssl req -x509 -newkey rsa:2048 -nodes "
        f"-days 90 -subj /CN=ocpizza.test -addext subjectAltName=DNS:ocpizza.test,DNS:www.ocpizza.test "
        f"-keyout {CERTIFICATE}.key -out {CERTIFICATE}.pem && sudo systemctl reload nginx",
        f"sudo cp -a /root/web-server.pem /root/web-server.key {Path(CERTIFICATE).parent}; sudo systemctl reload nginx",
        r"The target's certificates do not do for all of the site's domains: .*ocpizza.test",
    ),
}


def test_the_phases_up_to_the_proof_pass(site: Stranger) -> None:
    fill(site)
    for phase in PHASES:
        site.play(site.inventory, f"{phase}.yml")


@pytest.mark.parametrize("what", list(PLANTED))
def test_a_planted_difference_is_found(site: Stranger, what: str) -> None:
    planted = PLANTED[what]
    site.shell(planted.machine, planted.plant)
    try:
        output = site.play(site.inventory, "verify.yml", fails=True)
    finally:
        site.shell(planted.machine, planted.remove)
    assert re.search(planted.said, " ".join(output.split())), output[-4000:]


def test_a_planted_cron_job_is_found(site: Stranger) -> None:
    site.shell("old", "echo '7 4 * * * root /usr/local/bin/bills' | sudo tee /etc/cron.d/bills")
    try:
        site.play(site.inventory, "discover.yml")
    finally:
        site.shell("old", "sudo rm /etc/cron.d/bills")
    since = json.loads((site.draft / "run" / "ocpizza" / "survey" / "report.json").read_text())["since"]
    assert {"kind": "job", "what": "new", "text": "/etc/cron.d/bills 7 4 * * * root /usr/local/bin/bills"} in since[
        "changes"
    ]


def test_the_address_of_the_old_server_in_a_row_stops_the_check(site: Stranger) -> None:
    address = site.shell("old", "hostname -I").split()[0]
    site.sql("old", f"UPDATE rank SET name = 'http://{address}/' ORDER BY id LIMIT 1;")
    try:
        output = site.play(site.inventory, "check.yml", fails=True)
    finally:
        site.sql("old", "UPDATE rank SET name = 'Apprentice' ORDER BY id LIMIT 1;")
    assert "[address.hard_coded]" in output
    assert "mariadb ocpizza.rank.name" in output
    site.play(site.inventory, "check.yml")
    since = json.loads((site.draft / "run" / "ocpizza" / "findings.json").read_text())["since"]
    assert since["gone"] == ["address.hard_coded"]


def test_the_site_moves_with_what_was_drafted(site: Stranger) -> None:
    with running_traffic(site.lab, site.out, RATE) as traffic:
        site.play(site.inventory, "migrate.yml")
        control_traffic(site.out, RATE, stop=True)
        traffic.wait(timeout=300)
    counted = site.evidence("traffic")
    assert counted["acknowledged_writes"]
    assert (counted["lost_writes"], counted["duplicated_writes"]) == (0, 0)
    assert site.failures() == []
    run = site.draft / "run" / "ocpizza"
    assert json.loads((run / "switchover.json").read_text())["outcome"] == "open"
    assert json.loads((run / "proof.json").read_text())["proof"][0]["equal"]


def test_the_new_server_serves_it_with_its_static_files(site: Stranger) -> None:
    authority = str(site.draft / "certificates" / "ca.pem")
    for path, holds in (("/", b"<title>"), ("/static/shop/site.css", b"{"), ("/healthz", b'"ok"')):
        answer = answers.ask(site.lab.url(43, "https"), "ocpizza.test", path, 10, authority)
        assert (answer.status, holds in answer.body) == (200, True), path


def test_a_second_run_changes_nothing(site: Stranger) -> None:
    output = site.play(site.inventory, "migrate.yml")
    recap = output[output.rindex("PLAY RECAP") :]
    assert "changed=0" in recap
    assert not [line for line in recap.splitlines() if "changed=" in line and "changed=0" not in line], recap


def test_watch_tells_who_still_comes_and_why(site: Stranger) -> None:
    output = " ".join(site.play(site.inventory, "watch.yml").split())
    assert re.search(r"[1-9]\d* requests of people through the source since 1d", output), output[-3000:]
    assert "They come because the names lead to the source" in output


def test_the_servers_are_as_the_roles_should_have_made_them(site: Stranger) -> None:
    def verify() -> tuple[int, str]:
        command = [sys.executable, "-m", "pytest", "tests/verify", "-p", "no:cacheprovider"]
        environment = site.environment | site.key | {"INVENTORY": str(site.inventory)}
        arguments = {"ansible_ssh_private_key_file": site.lab.ssh / "id_ed25519"}
        (site.draft / "group_vars" / "all" / "reached.yml").write_text(
            json.dumps(
                {name: str(value) for name, value in arguments.items()} | {"ansible_ssh_common_args": site.known}
            )
        )
        done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    # The old application asked a database on its own server. The draft says that TLS is left open, and so does this.
    open_still = "FAILED tests/verify/test_servers.py::test_mysql_lets_nobody_in_by_the_network_without_tls"
    status, output = verify()
    assert re.findall(r"^FAILED \S+", output, re.MULTILINE) == [f"{open_still}[database-server]"], output[-4000:]
    assert "ocpizza\\t" in output
    assert " passed" in output
    site.shell("web1", "sudo systemctl stop nginx")
    try:
        status, output = verify()
    finally:
        site.shell("web1", "sudo systemctl start nginx")
    assert status == 1
    assert "nginx does not run" in output
