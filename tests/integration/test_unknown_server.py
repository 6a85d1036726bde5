# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that the lab did not make is read, and is as it was before. KEEP=1 leaves the container up."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.mariadb_servers import FLAGS, IMAGES
from tests.lab.docker import docker, execute, state

CONTAINER = os.environ.get("LAB", "cutover-lab") + "-unknown"
SCRIPT = Path(__file__).parent / "unknown_server.sh"
# What a reading must not touch: every file below /etc, packages, units and rows.
FINGERPRINT = (
    "find /etc /var/lib/dpkg /var/spool /srv -xdev -type f -printf '%p %s %T@ %m\\n' | sort | sha256sum; "
    "dpkg-query -W | sha256sum; systemctl list-units --all --plain --no-legend --type service | awk '{print $1, $4}' "
    "| sort | sha256sum; mariadb -NBe 'SHOW DATABASES' | sha256sum"
)


def module(name: str, **arguments: Any) -> dict[str, Any]:
    """Run a module in the container, by its Python."""
    command = [
        "ansible",
        CONTAINER,
        "-i",
        f"{CONTAINER},",
        "-c",
        "community.docker.docker",
        "-m",
        f"ocpizza.cutover.{name}",
    ]
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": "build/collections",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
        "ANSIBLE_LOCALHOST_WARNING": "false",
    }
    done = subprocess.run(
        [*command, *(["-a", json.dumps(arguments)] if arguments else [])],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    head, _arrow, body = done.stdout.partition("=>")
    assert "SUCCESS" in head, done.stdout + done.stderr
    return json.loads(body)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    if not state(CONTAINER):
        subprocess.run(["sh", str(IMAGES), "bullseye"], check=True)
        docker("run", "--detach", "--name", CONTAINER, *FLAGS.split(), "cutover-lab:bullseye")
        execute(
            CONTAINER, "sh", "-c", "until systemctl is-system-running | grep -Eq 'running|degraded'; do sleep 0.2; done"
        )
        execute(CONTAINER, "sh", "-s", stdin=SCRIPT.read_text(encoding="utf-8"))
    yield CONTAINER
    if os.environ.get("KEEP") != "1":
        docker("rm", "--force", "--volumes", CONTAINER)


@pytest.fixture(scope="module")
def found(server: str) -> dict[str, Any]:
    before = execute(server, "sh", "-c", FINGERPRINT)
    result = module("server_info")
    assert execute(server, "sh", "-c", FINGERPRINT) == before, "the server is as it was"
    return result


def site(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in found["sites"] if name in one["names"] and one["applications"])


def application(found: dict[str, Any], name: str) -> dict[str, Any]:
    (number,) = site(found, name)["applications"]
    return found["applications"][number]  # type: ignore[no-any-return]


def test_it_is_quick(found: dict[str, Any]) -> None:
    assert found["seconds"] < 20


def test_release_and_packages(found: dict[str, Any]) -> None:
    assert found["system"]["release"]["end_of_life"] == "2026-08-31"
    assert "/etc/apache2/conf-available/charset.conf" in found["packages"]["changed"]
    assert "/etc/cron.d/shop" in found["packages"]["own"]
    assert "nginx-light" in found["packages"]["installed"]
    assert "nginx-light" not in found["packages"]["foreign"]


def test_virtual_hosts_with_includes_three_deep(found: dict[str, Any]) -> None:
    names = {tuple(one["names"]): one for one in found["vhosts"]}
    shop = names["shop.example", "*.shop.example"]
    assert (shop["file"], shop["tls"]) == ("/etc/nginx/two/shop.conf", True)
    assert shop["certificate"]["names"] == ["shop.example", "*.shop.example"]
    assert shop["certificate"]["expires"]
    assert shop["last_used"] == "2026-01-01T00:00:00Z"
    assert names["blog.example", "*.blog.example"]["logs"] == ["/var/log/apache2/blog.log"]
    assert ("torn.example",) in names


def test_gunicorn_on_a_socket_with_its_database_and_jobs(found: dict[str, Any]) -> None:
    shop = application(found, "shop.example")
    assert (shop["kind"], shop["user"], shop["unit"], shop["folder"]) == (
        "gunicorn",
        "shop",
        "shop.service",
        "/srv/shop",
    )
    assert shop["databases"] == [{"engine": "mariadb", "name": "shop"}]
    assert shop["jobs"] == ["/etc/cron.d/shop:2", "/etc/cron.d/shop:3"]
    where = f"environment of process {shop['pid']} (shop.service)"
    assert shop["secrets"] == [f"{where}: DATABASE_PASSWORD", f"{where}: SECRET_KEY"]


def test_two_sites_on_php_and_their_databases_side_by_side(found: dict[str, Any]) -> None:
    blog, wiki = application(found, "blog.example"), application(found, "wiki.example")
    assert (blog["kind"], wiki["kind"], blog["name"], wiki["name"]) == (
        "php-fpm",
        "php-fpm",
        "php-fpm www",
        "php-fpm wiki",
    )
    assert blog["databases"] == [{"engine": "mariadb", "name": "blog"}]
    assert wiki["databases"] == [{"engine": "postgresql", "name": "wiki"}]
    assert blog["secrets"] == ["/srv/blog/wp-config.php:3: DB_PASSWORD"]
    assert wiki["secrets"] == ["/srv/wiki/.env:1: DATABASE_URL"]


def test_jobs_and_dumps(found: dict[str, Any]) -> None:
    jobs = {one["source"]: one for one in found["jobs"]}
    assert jobs["/etc/cron.d/shop:2"]["next"].endswith("T03:15:00")
    assert jobs["/etc/cron.d/shop:2"]["dump"]
    assert any(one["kind"] == "timer" and one["next"] for one in found["jobs"])


def test_who_listens(found: dict[str, Any]) -> None:
    owners = {(one["protocol"], one["address"]): one["name"] for one in found["system"]["listening"]}
    assert owners["unix", "/run/shop/gunicorn.sock"] == "gunicorn"
    assert {(one["port"], one["name"]) for one in found["system"]["listening"]} >= {(80, "nginx"), (8080, "apache2")}


def test_what_could_not_be_read_is_listed(found: dict[str, Any]) -> None:
    texts = "\n".join(found["not_read"])
    assert "/etc/nginx/two/torn.conf: it ends within what begins at /etc/nginx/two/torn.conf:1" in texts
    assert "/etc/cron.d/shop:4: '61' is no field of a schedule" in texts
    assert "what is behind 127.0.0.1:3031: nobody is seen to listen there" in texts


def test_no_secret_is_told(found: dict[str, Any]) -> None:
    assert "Secret-" not in json.dumps(found)


def test_the_one_that_did_not_come_back(server: str) -> None:
    execute(server, "systemctl", "stop", "shop")
    result = module(
        "service_check",
        units=["shop.service", "nginx.service"],
        ports=["8080", "/run/shop/gunicorn.sock"],
        restart=True,
        wait=20,
    )
    assert (result["changed"], result["restarted"], result["problems"]) == (True, ["shop.service"], [])


def test_the_site_is_asked_for_by_its_name(server: str) -> None:
    result = module(
        "http_check",
        server="https://127.0.0.1",
        host="shop.example",
        body=["^shop$"],
        ca="/etc/ssl/shop.pem",
        certificate_days=10,
    )
    assert [one["subject"] for one in result["chain"]] == ["CN=shop.example"]


def test_who_came(server: str) -> None:
    execute(
        server,
        "python3",
        "-c",
        "import urllib.request as u; u.urlopen(u.Request('http://127.0.0.1:8080/', headers={'Host': 'blog.example'}))",
        check=False,
    )
    result = module("access_log_info", logs=["/var/log/apache2/blog.log"], since="1h", own=[])
    assert (result["requests"]["people"], result["clients"][0]["client"]) == (1, "127.0.0.1")
