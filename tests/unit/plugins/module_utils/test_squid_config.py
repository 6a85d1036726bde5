# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which application Squid asks for which domain, from configurations as people write them."""

from __future__ import annotations

import fnmatch
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import squid_config

SITE = """# a front end
http_port 80 accel vhost   # for everybody
https_port 443 accel cert=/etc/ssl/shop.pem
acl shop dstdomain shop.test \\
    .shop.example
acl listed dstdomain "/etc/squid/domains"
acl odd dstdom_regex -i ^pizza[0-9]+\\.test$
acl office src 10.0.0.0/8
cache_peer 127.0.0.1 parent 8000 0 no-query originserver name=shop
cache_peer_access shop allow shop
cache_peer_access shop allow listed
cache_peer_access shop allow odd
cache_peer_access shop deny all
include /etc/squid/conf.d/*.conf
cache_peer cache.example parent 3128 0
"""
FILES = {
    "/etc/squid/squid.conf": SITE,
    "/etc/squid/domains": "listed.test # ours\n\n# none\n",
    "/etc/squid/conf.d/annex.conf": "cache_peer 127.0.0.1 parent 8001 0 originserver tls\n",
}


def read(files: dict[str, str]) -> tuple[list[dict[str, Any]], squid_config.Reader, list[squid_config.Directive]]:
    def text(path: str) -> str:
        if path not in files:
            raise FileNotFoundError(2, "No such file or directory")
        return files[path]

    reader = squid_config.Reader(text, lambda pattern: sorted(fnmatch.filter(files, pattern)))
    directives = list(reader.directives("/etc/squid/squid.conf"))
    return squid_config.vhosts(directives, reader), reader, directives


def test_each_application_is_told_with_its_domains_and_ports() -> None:
    (shop, annex), reader, _directives = read(FILES)
    assert (shop["file"], shop["line"], shop["listen"]) == ("/etc/squid/squid.conf", 9, ["80", "443"])
    assert shop["names"] == ["shop.test", ".shop.example", "listed.test", "~^pizza[0-9]+\\.test$"]
    assert shop["upstreams"] == ["http://127.0.0.1:8000"]
    assert (annex["file"], annex["names"]) == ("/etc/squid/conf.d/annex.conf", ["*"])
    assert annex["upstreams"] == ["https://127.0.0.1:8001"]
    assert reader.missing == []


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("shop.test", True),
        ("SHOP.test", True),
        ("www.shop.test", False),
        ("shop.example", True),
        ("a.b.shop.example", True),
        ("myshop.example", False),
        ("listed.test", True),
        ("pizza12.test", True),
        ("pizza.test", False),
    ],
)
def test_whether_an_application_gets_a_domains_requests(domain: str, expected: bool) -> None:
    shop = read(FILES)[0][0]
    assert squid_config.serves(shop, domain) is expected


def test_what_an_application_is_denied_it_does_not_get() -> None:
    files = {
        "/etc/squid/squid.conf": "cache_peer 10.0.0.2 parent 80 0 originserver\ncache_peer_access 10.0.0.2 deny all\n"
    }
    (one,) = read(files)[0]
    assert (one["names"], squid_config.serves(one, "shop.test")) == ([], False)


def test_an_expression_that_is_none_matches_nothing() -> None:
    assert not squid_config.serves({"names": ["~("]}, "shop.test")


def test_what_cannot_be_read_is_told() -> None:
    main = 'include /etc/squid/gone.conf\nacl x dstdomain "/etc/squid/lost"\ninclude /etc/squid/none/*.conf\n'
    assert read({"/etc/squid/squid.conf": main})[1].missing == [
        "/etc/squid/gone.conf: No such file or directory",
        "/etc/squid/lost: No such file or directory",
    ]
    loop = read({"/etc/squid/squid.conf": "include /etc/squid/squid.conf\n"})[1].missing
    assert loop == ["/etc/squid/squid.conf: included too deep"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("server_persistent_connections on\n", True),
        ("# server_persistent_connections off\n", True),
        ("server_persistent_connections OFF\n", False),
        ("server_persistent_connections off\nserver_persistent_connections on\n", True),
    ],
)
def test_connections_are_kept_unless_that_is_turned_off(text: str, expected: bool) -> None:
    assert squid_config.pools(read({"/etc/squid/squid.conf": text})[2]) is expected


def test_whom_squid_runs_as() -> None:
    assert squid_config.account(read(FILES)[2]) == "proxy"
    assert squid_config.account(read({"/etc/squid/squid.conf": "cache_effective_user squid\n"})[2]) == "squid"


@given(st.text(max_size=300))
def test_no_text_breaks_the_reader(text: str) -> None:
    vhosts, reader, directives = read({"/etc/squid/squid.conf": text})
    squid_config.pools(directives)
    squid_config.account(directives)
    for vhost in vhosts:
        squid_config.serves(vhost, "shop.test")
    assert all(isinstance(one, str) for one in reader.missing)


@given(
    st.lists(st.from_regex(r"[a-z0-9._/:=-]{1,12}", fullmatch=True), min_size=1, max_size=6),
    st.text(" \t", min_size=1, max_size=3),
)
def test_words_come_out_as_they_went_in(words: list[str], space: str) -> None:
    assert squid_config.words_of(space.join(words) + space + "# so much") == words
