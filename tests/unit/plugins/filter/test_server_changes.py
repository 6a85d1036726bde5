# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between two readings of a server."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.ocpizza.cutover.plugins.filter.server_changes import FilterModule
from ansible_collections.ocpizza.cutover.plugins.module_utils import server_changes

CHANGES = FilterModule().filters()["server_changes"]
VHOST = {
    "server": "nginx",
    "names": ["shop.test"],
    "listen": ["443", "ssl"],
    "upstreams": ["http://127.0.0.1:8000"],
    "document_root": "",
    "aliases": {"/static/": "/srv/static"},
    "redirects": [],
    "tls": True,
    "certificate": {"path": "/etc/ssl/shop.pem", "expires": "2027-01-01"},
}
JOB = {"source": "/etc/cron.d/shop:2", "schedule": "0 3 * * *", "user": "shop", "command": "/srv/shop/bills"}
READ: dict[str, Any] = {
    "system": {
        "units": {"enabled": ["cron.service"], "masked": [], "failed": []},
        "users": [{"name": "shop", "login": True, "groups": []}],
        "mounts": [{"path": "/", "device": "/dev/sda1", "type": "ext4"}],
        "listening": [
            {"protocol": "tcp", "address": "192.0.2.1", "port": 80, "name": "nginx"},
            {"protocol": "unix", "address": "/run/x", "port": 0, "name": "x"},
        ],
        "firewall": {"iptables": ["-A INPUT -j DROP"]},
    },
    "packages": {
        "installed": {"nginx": "1.18"},
        "own": ["/etc/cron.d/shop"],
        "changed": ["/etc/nginx/nginx.conf"],
        "gone": [],
        "stamps": {"/etc/cron.d/shop": "40 1000", "/etc/nginx/nginx.conf": "90 1000"},
    },
    "vhosts": [VHOST],
    "databases": [
        {
            "engine": "mariadb",
            "accounts": ["shop@localhost"],
            "databases": [{"name": "shop", "charset": "utf8mb4", "collation": "utf8mb4_bin"}],
        }
    ],
    "jobs": [JOB],
}


def test_the_same_twice() -> None:
    assert CHANGES(READ, READ) == server_changes.changes(READ, READ) == []
    moved = copy.deepcopy(READ)
    moved["jobs"][0]["source"] = "/etc/cron.d/shop:9"
    assert CHANGES(moved, READ) == []


CASES: list[tuple[list[Any], Any, list[str]]] = [
    (["packages", "installed", "nginx"], "1.26", ["changed package nginx: 1.18 → 1.26"]),
    (["packages", "installed", "php"], "8", ["new package php"]),
    (["packages", "own"], [], ["gone file /etc/cron.d/shop"]),
    (["packages", "stamps", "/etc/nginx/nginx.conf"], "91 2000", ["changed file /etc/nginx/nginx.conf"]),
    (["packages", "gone"], ["/etc/motd"], ["new file of a package that is gone /etc/motd"]),
    (["packages", "stamps"], {}, []),
    (["system", "units", "enabled"], [], ["gone unit cron.service"]),
    (["system", "units", "failed"], ["x.service"], ["new failed unit x.service"]),
    (["system", "users", 0, "groups"], ["sudo"], ["changed user shop: may log in,  → may log in, sudo"]),
    (["system", "mounts", 0, "type"], "xfs", ["changed mount /: /dev/sda1 (ext4) → /dev/sda1 (xfs)"]),
    (["system", "listening", 0, "name"], "apache2", ["changed listener tcp 192.0.2.1:80: nginx → apache2"]),
    (["system", "firewall"], {}, ["gone firewall rule iptables -A INPUT -j DROP"]),
    (
        ["vhosts", 0, "certificate", "expires"],
        "2027-04-01",
        [
            "changed virtual host nginx shop.test on 443 ssl: certificate: expires 2027-01-01, path /etc/ssl/shop.pem "
            "→ expires 2027-04-01, path /etc/ssl/shop.pem"
        ],
    ),
    (
        ["vhosts", 0, "redirects"],
        [{"path": "/", "to": "/x"}],
        ["changed virtual host nginx shop.test on 443 ssl: redirects: none → path /, to /x"],
    ),
    (
        ["vhosts", 0, "names"],
        [],
        ["new virtual host nginx without a name on 443 ssl", "gone virtual host nginx shop.test on 443 ssl"],
    ),
    (["databases", 0, "accounts"], ["shop@localhost", "eve@%"], ["new account mariadb eve@%"]),
    (
        ["databases", 0, "databases", 0, "collation"],
        "utf8mb4_general_ci",
        ["changed database mariadb shop: utf8mb4 utf8mb4_bin → utf8mb4 utf8mb4_general_ci"],
    ),
    (["jobs"], [], ["gone job /etc/cron.d/shop 0 3 * * * shop /srv/shop/bills"]),
    (
        ["jobs"],
        [JOB, {"source": "night.timer", "schedule": "OnCalendar=daily", "user": "", "command": "night"}],
        ["new job night.timer OnCalendar=daily night"],
    ),
]


@pytest.mark.parametrize(("path", "value", "expected"), CASES, ids=lambda each: str(each)[:40])
def test_one_difference_is_told_once(path: list[Any], value: Any, expected: list[str]) -> None:
    later = copy.deepcopy(READ)
    inner = later
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    assert ["{what} {kind} {text}".format(**one) for one in CHANGES(later, READ)] == expected


@pytest.mark.parametrize("earlier", [{}, None, {"system": []}])
def test_what_is_no_reading_is_an_error_of_words(earlier: Any) -> None:
    with pytest.raises(AnsibleFilterError, match=r"^one of both is no reading of server_info: it lacks "):
        CHANGES(READ, earlier)
