# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an application speaks and where, and what follows from that."""

from __future__ import annotations

import re

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import upstreams
from ansible_collections.ocpizza.cutover.plugins.module_utils.upstreams import Upstream


@pytest.mark.parametrize(
    ("text", "upstream"),
    [
        ("127.0.0.1:8000", Upstream("http", "127.0.0.1:8000")),
        ("localhost:80", Upstream("http", "127.0.0.1:80")),
        ("http://[::1]:8000", Upstream("http", "[::1]:8000")),
        ("unix:/run/shop.sock", Upstream("http", "/run/shop.sock")),
        ("fastcgi://unix:/run/php/php7.4-fpm.sock", Upstream("fastcgi", "/run/php/php7.4-fpm.sock")),
        ("fcgi://127.0.0.1:9000", Upstream("fastcgi", "127.0.0.1:9000")),
        ("uwsgi://127.0.0.1:3031", Upstream("uwsgi", "127.0.0.1:3031")),
        ("apache", Upstream("apache", "")),
    ],
)
def test_what_is_known(text: str, upstream: Upstream) -> None:
    assert upstreams.parse(text) == upstream


@pytest.mark.parametrize(
    "text", ["", "127.0.0.1", ":8000", "127.0.0.1:", "unix:shop.sock", "unix:/a b", "https://a:1", "nginx", "a:1/path"]
)
def test_what_is_not_known_is_refused(text: str) -> None:
    words = (
        f"'{text}' is no address of an application; write 127.0.0.1:8000, unix:/run/shop.sock, either with fastcgi:// "
        "or uwsgi:// before it, or apache for what runs inside it"
    )
    with pytest.raises(ValueError, match=re.escape(words)):
        upstreams.parse(text)


@pytest.mark.parametrize(
    ("text", "endpoint", "target", "health"),
    [
        (
            "127.0.0.1:8000",
            {"address": "127.0.0.1", "port": 8000, "local": True},
            "127.0.0.1:8000",
            {"url": "http://127.0.0.1:8000/up", "host": "shop.test"},
        ),
        (
            "unix:/run/shop.sock",
            {"path": "/run/shop.sock"},
            "/run/shop.sock",
            {"url": "http://localhost/up", "host": "shop.test", "socket": "/run/shop.sock"},
        ),
        (
            "fastcgi://unix:/run/php.sock",
            {"path": "/run/php.sock"},
            "127.0.0.1:19000",
            {"url": "http://127.0.0.1/up", "host": "shop.test", "own": "/var/x/asked"},
        ),
        (
            "apache",
            {"folder": "/run/cutover/shop/running"},
            "127.0.0.1:19000",
            {"url": "http://127.0.0.1/up", "host": "shop.test", "own": "/var/x/asked"},
        ),
    ],
)
def test_what_follows(text: str, endpoint: dict[str, object], target: str, health: dict[str, str]) -> None:
    upstream = upstreams.parse(text)
    assert upstreams.endpoint(upstream, "/run/cutover/shop") == endpoint
    assert upstreams.release_target(upstream, 19000) == target
    assert upstreams.health(upstream, "/up", "shop.test", "http://127.0.0.1/", "/var/x") == health


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("http://127.0.0.1:8000/", "127.0.0.1:8000"),
        ("http://localhost:8000/a", "127.0.0.1:8000"),
        ("http://127.0.0.1/", "127.0.0.1:80"),
        ("unix:/run/shop.sock|http://localhost/", "unix:/run/shop.sock"),
        ("unix:/run/php.sock|fcgi://localhost", "fastcgi://unix:/run/php.sock"),
        ("fcgi://127.0.0.1:9000/var/www/$1", "fastcgi://127.0.0.1:9000"),
        ("uwsgi://127.0.0.1:3031/", "uwsgi://127.0.0.1:3031"),
    ],
)
def test_where_apache_passes_on(address: str, text: str) -> None:
    assert upstreams.of_apache(address) == upstreams.parse(text)


@pytest.mark.parametrize("address", ["https://127.0.0.1:8000/", "ajp://127.0.0.1:8009/", "balancer://shop/"])
def test_what_cannot_be_let_through_is_no_application_that_is_known(address: str) -> None:
    assert upstreams.of_apache(address).protocol == ""
