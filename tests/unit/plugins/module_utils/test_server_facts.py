# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What files and commands say of a server; the reading of a whole one is in molecule/survey-default."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import (
    applications,
    database_look,
    mail,
    schedules,
    server_facts,
)

NOW = datetime(2026, 11, 23, 10, 30, 40)  # a Monday


@given(st.text())
def test_no_text_is_too_odd(text: str) -> None:
    schedules.parse_crontab(text, "/c", "", NOW)
    schedules.parse_timers(text, NOW, 0)
    database_look.parse(text)
    mail.settings(text)
    server_facts.release(text)
    server_facts.parse_policy(text)
    server_facts.parse_origins(text)
    server_facts.mounts(text)
    server_facts.users(text, text)
    applications.scan(text, "/c")
    applications.endpoint(text)
    applications.parse_pools(text, "/c")


def test_files_that_ucf_keeps() -> None:
    text = f"{'0' * 32}  /etc/php/php.ini\nx  /etc/y\n"
    assert server_facts.parse_ucf(text) == {"/etc/php/php.ini": "0" * 32}


def test_whose_packages_are_foreign() -> None:
    policy = (
        "nginx:\n  Installed: 1\n  Version table:\n *** 1 500\n        500 http://deb.example bullseye/main\n"
        "        100 /var/lib/dpkg/status\n     0 500\n        500 http://old.example main\n"
        "agent:\n  Version table:\n *** 2 500\n        500 http://vendor.example main\n"
        "        100 /var/lib/dpkg/status\n"
        "by-hand:\n  Version table:\n *** 3 100\n        100 /var/lib/dpkg/status\n"
    )
    origins = (
        " 500 http://deb.example bullseye/main\n     release v=11,o=Debian,a=oldstable\n"
        " 500 http://vendor.example main\n     release o=Vendor,a=any\n"
    )
    sources, every = server_facts.parse_policy(policy)
    assert len(every) == 3
    assert server_facts.foreign(sources, server_facts.parse_origins(origins)) == {
        "agent": "Vendor",
        "by-hand": "no repository that is set up has it",
    }


def test_files_that_differ_from_their_package() -> None:
    lines = {"/etc/a": "0" * 32, "/etc/b c": "1" * 32, "/etc/old": "2" * 32 + " obsolete", "/etc/gone": "3" * 32}
    text = "".join(f" {path} {rest}\n" for path, rest in (lines | {"/etc/x": "4" * 32}).items())
    known = server_facts.parse_conffiles(text)
    assert sorted(known) == ["/etc/a", "/etc/b c", "/etc/gone", "/etc/x"]

    def checksum(path: str) -> str:
        if path == "/etc/gone":
            raise FileNotFoundError(2, "No such file")
        if path == "/etc/x":
            raise PermissionError(13, "Permission denied")
        return "0" * 32

    assert server_facts.changed_files(known, checksum) == (["/etc/b c"], ["/etc/gone"], ["/etc/x: Permission denied"])


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://127.0.0.1:8000/", ("tcp", "127.0.0.1 8000")),
        ("http://[::1]:8000", ("tcp", "::1 8000")),
        ("127.0.0.1:9000", ("tcp", "127.0.0.1 9000")),
        ("https://other.example/a", ("tcp", "other.example 443")),
        ("unix:/run/a.sock|fcgi://localhost", ("unix", "/run/a.sock")),
        ("http://unix:/run/a.sock:/", ("unix", "/run/a.sock")),
        ("http://$upstream", ("", "")),
    ],
)
def test_where_an_upstream_is(address: str, expected: tuple[str, str]) -> None:
    assert applications.endpoint(address) == expected


@pytest.mark.parametrize(
    ("text", "secrets", "databases"),
    [
        ("DB_PASSWORD=cheese\nDB_NAME=shop\n", ["f:1: DB_PASSWORD"], ["shop"]),
        ("define('DB_NAME', 'blog');\ndefine('AUTH_TOKEN', 'x');", ["f:2: AUTH_TOKEN"], ["blog"]),
        ("    'NAME': 'shop',\n    'PASSWORD': 'x',", ["f:2: PASSWORD"], ["shop"]),
        ("DATABASE_URL=mysql://a:b@c/shop?x=1", ["f:1: DATABASE_URL"], ["shop"]),
        ('SECRET_KEY = os.environ["SECRET_KEY"]  # never here\n    "PASSWORD": os.getenv("DB_PASSWORD"),', [], []),
        ('SECRET_KEY = os.environ.get("SECRET_KEY", "cheese")', ["f:1: SECRET_KEY"], []),
        ("password=${DB_PASSWORD}\ntoken: $TOKEN", [], []),
        ("password=$1$abc\n", ["f:1: password"], []),
    ],
)
def test_settings_tell_where_secrets_are_and_which_database(
    text: str, secrets: list[str], databases: list[str]
) -> None:
    assert applications.scan(text, "f") == (secrets, databases)


def test_jobs_are_linked_by_folder_database_or_own_user() -> None:
    jobs = [
        {"source": "1", "user": "root", "command": "mysqldump shop"},
        {"source": "2", "user": "root", "command": "mysqldump shop-2"},
        {"source": "3", "user": "root", "command": "/srv/shop/bin/x"},
        {"source": "4", "user": "shop", "command": "true"},
    ]
    shop: dict[str, Any] = {"user": "shop", "folder": "/srv/shop"}
    assert applications.jobs_of(shop, ["shop"], jobs) == ["1", "3", "4"]
    assert applications.jobs_of({"user": "root", "folder": "/"}, [], jobs) == []


def test_secrets_that_a_web_server_or_php_sets() -> None:
    text = "[global]\nx = 1\n[www]\nlisten = /run/$pool.sock\nenv[DB_PASSWORD] = cheese\nenv[DB_NAME] = shop\n"
    assert applications.parse_pools(text, "/etc/www.conf") == [
        {"name": "www", "listen": "/run/www.sock", "secrets": ["/etc/www.conf:5: DB_PASSWORD"], "mentions": ["shop"]}
    ]
