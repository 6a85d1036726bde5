# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One site moved under traffic from the checkout, taken back and moved again from the installed collection, retired.

The tests build on each other, in this order. KEEP=1 leaves the lab up.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.site import BIN, Site
from tests.lab import machines, provisioned
from tests.lab.demo import control_traffic, running_traffic
from tests.lab.hosts import CHECKOUT, Lab

# Low, so that what fails fails for the migration and not for a busy machine; make demo has the load.
RATE = 20


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    lab = Lab(os.environ.get("LAB", "cutover-lab") + "-test", int(os.environ.get("LAB_PORT", "22000")) + 2000)
    out = CHECKOUT / "build" / "integration"
    subprocess.run(["rm", "-rf", str(out)], check=True)
    out.mkdir(parents=True)
    here = Site(lab, out)
    provisioned.bring_up(lab, lambda: here.run(str(CHECKOUT / "tests" / "lab" / "provision.yml"), cwd=CHECKOUT))
    yield here
    if not os.environ.get("KEEP"):
        machines.down(lab)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection as a user installs it."""
    folder = tmp_path_factory.mktemp("installed")
    galaxy = [str(BIN / "ansible-galaxy"), "collection"]
    source = folder / "source"
    # From what git knows: a checkout has much beside it that is no part of the collection.
    source.mkdir()
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=CHECKOUT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(source)], input=archive, check=True)
    # Away from the checkout: its ansible.cfg names it as a collection that is installed already.
    build = [*galaxy, "build", "--output-path", str(folder), str(source)]
    subprocess.run(build, cwd=folder, check=True, capture_output=True)
    (tarball,) = folder.glob("ocpizza-cutover-*.tar.gz")
    install = [*galaxy, "install", "--no-deps", "--collections-path", str(folder / "collections"), str(tarball)]
    subprocess.run(install, cwd=folder, check=True, capture_output=True)
    assert (folder / "collections" / "ansible_collections" / "ocpizza" / "cutover" / "MANIFEST.json").is_file()
    return folder / "collections"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("site_domain=ocpizza.test", "site_domain is no variable of this role"),
        ('{"site_domains": ["ocpizza"]}', "which is not a domain name"),
        ('{"site_databases": ["absent"]}', "absent"),
        ("gunicorn_wokers=3", "did you mean gunicorn_workers"),
    ],
)
def test_wrong_input_stops_before_anything_changes(site: Site, wrong: str, says: str) -> None:
    status, output = site.playbook("check.yml", "-e", wrong)
    assert status != 0
    assert says in output, output[-3000:]
    assert set(re.findall(r"changed=(\d+)", output)) == {"0"}


def test_hosts_that_cannot_do_it_stop_before_anything_changes(site: Site) -> None:
    proxyd = "/lib/systemd/systemd-socket-proxyd"
    # Every host has the source's address, and a folder of 64 MiB is to take the copies.
    wrong = {"site_address": "172.17.0.99", "preflight_paths": ["/dev/shm"]}
    site.shell("old", f"sudo mv {proxyd} {proxyd}.away")
    try:
        status, output = site.playbook("check.yml", "-e", json.dumps(wrong))
    finally:
        site.shell("old", f"sudo mv {proxyd}.away {proxyd}")
    assert status != 0
    for key in ("valve.socket_proxyd_missing", "target.same_as_source", "disk.too_small"):
        assert f"[{key}]" in output, output[-6000:]
    assert set(re.findall(r"changed=(\d+)", output)) == {"0"}


def test_the_site_moves_under_traffic(site: Site) -> None:
    with running_traffic(site.lab, site.out, RATE) as traffic:
        site.run("migrate.yml")
        control_traffic(site.out, RATE, stop=True)
        traffic.wait(timeout=300)
    counted = site.evidence("traffic")
    assert counted["acknowledged_writes"]
    assert (counted["lost_writes"], counted["duplicated_writes"]) == (0, 0)
    assert site.failures() == []
    assert site.evidence("switchover")["outcome"] == "open"
    # The neighbour had a valve for the restart; nothing of it is left.
    left = site.shell("old", "ls -d /run/cutover/annex /var/lib/cutover/annex /etc/systemd/system/*annex* 2>/dev/null")
    assert left == ""
    marked = site.shell("old", "sudo grep -lF ocpizza.cutover: /etc/apache2/sites-enabled/*")
    assert "ocpizza.conf" in marked
    assert "annex" not in marked
    proofs = site.evidence("proof")["proof"]
    assert isinstance(proofs, list)
    assert [(each["database"], each["equal"], each["coverage"]) for each in proofs] == [("ocpizza", True, 1.0)]


def test_the_old_database_refuses_writes(site: Site) -> None:
    refused = site.sql("old", "UPDATE rank SET name = name;")
    assert refused.returncode != 0
    assert "the site has moved" in refused.stderr
    assert site.sql("db", "UPDATE rank SET name = name;").returncode == 0


def test_a_second_run_changes_nothing(site: Site) -> None:
    assert set(site.run("migrate.yml").values()) == {0}


def test_the_installed_collection_takes_it_back_and_moves_it_again(site: Site, installed: Path) -> None:
    where = {"ANSIBLE_COLLECTIONS_PATH": str(installed), "cwd": installed}
    # No ansible.cfg of ours: as on a user's machine.
    config = {"ANSIBLE_INJECT_FACT_VARS": "False", "ANSIBLE_PIPELINING": "True"}
    site.run("ocpizza.cutover.rollback", **where, **config)  # type: ignore[arg-type]
    assert site.evidence("rollback")["outcome"] == "open"
    assert site.sql("db", "UPDATE rank SET name = name;").returncode != 0
    assert site.sql("old", "UPDATE rank SET name = name;").returncode == 0
    site.run("ocpizza.cutover.cutover", **where, **config)  # type: ignore[arg-type]
    assert site.evidence("switchover")["outcome"] == "open"


def status_of(site: Site, name: str) -> int:
    """What the old server's web server answers for a site."""
    connection = http.client.HTTPConnection("127.0.0.1", site.lab.port + 80, timeout=10)
    try:
        connection.request("GET", "/", headers={"Host": name})
        return connection.getresponse().status
    finally:
        connection.close()


def test_nothing_is_retired_while_somebody_may_need_it(site: Site) -> None:
    status, output = site.playbook("retire.yml")
    assert status != 0
    said = " ".join(output.split())
    assert "ocpizza is not retired, nothing has changed" in said
    assert "retirement_confirm is not ocpizza" in said
    assert re.search(r"\d+ requests of people came through the source in the last 7d, such as \d", said), said[-2000:]
    assert "what came before is not known" in said
    assert set(re.findall(r"changed=(\d+)", output)) == {"0"}
    assert status_of(site, "ocpizza.test") == 200


def test_the_source_is_retired_and_its_neighbour_is_not(site: Site) -> None:
    said = {"retirement_confirm": "ocpizza", "retirement_quiet": "3s"}
    site.run("retire.yml", "-e", json.dumps(said))
    assert status_of(site, "ocpizza.test") == status_of(site, "www.ocpizza.test") == 410
    assert status_of(site, "annex.test") == 200
    refused = site.sql("old", "UPDATE rank SET name = name;")
    assert refused.returncode != 0
    assert "the site has moved" in refused.stderr
    assert site.sql("db", "UPDATE rank SET name = name;").returncode == 0
    assert site.shell("old", "sudo ls /etc/systemd/system | grep cutover-ocpizza") == ""
    assert "cutover_repl" not in site.sql("old", "SELECT CONCAT(user, '@', host) FROM mysql.user;").stdout
    assert "ocpizza" in site.shell("old", "sudo ls -R /var/backups/cutover/ocpizza-retired")
    assert set(site.run("retire.yml", "-e", json.dumps(said)).values()) == {0}
    for playbook in ("rollback.yml", "migrate.yml"):
        status, output = site.playbook(playbook)
        assert status != 0
        assert "The source of ocpizza was retired at 20" in output, output[-3000:]
        assert set(re.findall(r"changed=(\d+)", output)) == {"0"}
