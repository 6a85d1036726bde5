# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils.web_site import (
    complete_site,
    complete_sites,
    maintenance_page,
    site_problems,
    size_in_bytes,
)

SITE = {"name": "shop", "domains": ["shop.test"], "upstreams": [{"address": "10.0.0.1", "port": 8000}]}
TLS = {"certificate": "/c.pem", "key": "/c.key"}


def site(**changes):
    return {**SITE, **changes}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tls": TLS},
        {"tls": TLS, "listen_http": False},
        {"listen_http": "8080", "domains": ["a.test", "b.test", "c.test"]},
        {"upstreams": [{"address": "app1", "port": 1}, {"address": "2001:db8::1", "port": "8000"}]},
        {"upstreams": [], "static": [{"prefix": "/", "root": "/srv/www"}]},
        {"only_from": ["10.0.0.0/8", "::1"], "trusted_proxies": ["192.0.2.1"], "headers": {"X-A": "b c"}},
    ],
)
def test_what_can_be_served_passes(changes):
    assert site_problems([site(**changes)]) == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"domains": ["http://shop.test/"]}, "site 'shop': domain 'http://shop.test/' is an address of a page"),
        ({"domains": ["shop test"]}, "domain 'shop test' has a space in it"),
        ({"domains": "shop.test"}, "domains is no list; write one domain a line"),
        ({"domains": []}, "site number 1 has no 'domains'; add it"),
        ({"domain": ["x"]}, "site number 1 has an unknown key 'domain'; did you mean 'domains'?"),
        ({"colour": "red"}, "unknown key 'colour'; it may have client_max_body_size, default"),
        ({"name": "Shop/../x"}, "its name must be lower-case letters"),
        ({"upstreams": [{"address": "app1:8000", "port": 1}]}, "'app1:8000' is neither an address nor a host name"),
        ({"upstreams": [{"address": "app1", "port": 70000}]}, "port '70000' of app1 is not between 1 and 65535"),
        ({"upstreams": [{"address": "app1"}]}, "port 'None' of app1"),
        ({"upstreams": [{"adress": "a", "port": 1}]}, "unknown key 'adress'; did you mean 'address'?"),
        ({"upstreams": ["app1:8000"]}, "an upstream is no mapping; give it the keys address, port, tls"),
        ({"upstreams": [{"address": "a", "port": 1, "tls": True}]}, "need upstream_tls_ca, the path on the host"),
        (
            {
                "upstreams": [{"address": "a", "port": 1, "tls": True}, {"address": "b", "port": 1}],
                "upstream_tls_ca": "/a",
            },
            "some upstreams have tls and some have not",
        ),
        ({"upstreams": []}, "it has neither upstreams nor static"),
        ({"static": [{"prefix": "/static", "root": "/srv"}]}, "'/static' must begin and end with a slash"),
        ({"static": [{"prefix": "/static/", "root": "srv"}]}, "static root 'srv' is no absolute path"),
        ({"static": [{"prefix": "/static/", "root": "/"}]}, "static root '/' is no absolute path"),
        ({"static": [{"prefix": "/s/", "root": "/srv/s", "archive_prefix": "s"}]}, "archive_prefix without archive"),
        ({"listen_https": 443}, "listen_https without tls; give tls.certificate and tls.key"),
        ({"tls": {"certificate": "/c.pem"}}, "tls has no 'key'; add it"),
        ({"tls": {"certificate": "c.pem", "key": "/c.key"}}, "'c.pem' is no absolute path on the host"),
        ({"listen_http": False}, "it listens nowhere; set listen_http, or listen_https with tls"),
        ({"listen_http": 0.5}, "listen_http is '0.5'; give a port between 1 and 65535, or false"),
        ({"redirect_to_https": True}, "redirect_to_https without listen_https"),
        ({"only_from": ["everyone"]}, "only_from 'everyone' is no IP address or network"),
        ({"trusted_proxies": ["10.0.0.0/40"]}, "trusted_proxies '10.0.0.0/40' is no IP address"),
        ({"client_max_body_size": "much"}, "client_max_body_size 'much' is no size; write 10m, 512k or bytes"),
        ({"headers": {"X-A": "a\r\nX-B: c"}}, "header 'X-A' has a name or value with characters that cannot be sent"),
        ({"headers": {"X A": "a"}}, "header 'X A'"),
    ],
)
def test_what_cannot_be_served_is_named_with_the_remedy(changes, text):
    problems = site_problems([site(**changes)])
    assert len(problems) == 1
    assert text in problems[0]


def test_two_sites_may_not_claim_the_same():
    other = site(name="other", default=True)
    assert site_problems([site(), site()]) == ["site 'shop': there are two sites of that name; rename one"]
    assert site_problems([site(default=True), other]) == [
        "site 'other': domain 'shop.test' belongs to site 'shop' already",
        "site 'other': site 'shop' is the default of port 80 already",
    ]


@pytest.mark.parametrize("sites", [{"name": "shop"}, "shop", None])
def test_no_list_is_refused(sites):
    assert site_problems(sites) == ["the sites are no list; write one site an item, each with name and domains"]


def test_a_site_is_completed():
    full = complete_site(site(tls=TLS, headers={"X-Frame-Options": "", "X-A": "b"}))
    assert full["ports"] == [80, 443]
    assert full["redirect_to_https"] is True
    assert full["upstream_scheme"] == "http"
    assert full["upstream_tls_name"] == "shop.test"
    assert full["client_max_body_bytes"] == 10 * 1024**2
    assert sorted(full["headers"]) == ["Referrer-Policy", "X-A", "X-Content-Type-Options"]


def test_an_ipv6_upstream_gets_its_brackets():
    full = complete_site(site(upstreams=[{"address": "2001:db8::1", "port": 8000, "tls": True}]))
    assert full["upstreams"] == [{"host": "[2001:db8::1]", "port": 8000}]
    assert full["upstream_scheme"] == "https"


def test_completing_leaves_what_was_given():
    given = [site(static=[{"prefix": "/s/", "root": "/s"}])]
    (full,) = complete_sites(given)
    assert full["static"] == [{"prefix": "/s/", "root": "/s", "expires": 3600, "archive": None, "archive_prefix": ""}]
    assert given == [site(static=[{"prefix": "/s/", "root": "/s"}])]


@pytest.mark.parametrize(("size", "expected"), [("0", 0), ("512", 512), ("2k", 2048), ("1M", 1048576), ("x", None)])
def test_size_in_bytes(size, expected):
    assert size_in_bytes(size) == expected


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"allowed": []}, "maintenance has an unknown key 'allowed'; did you mean 'allow'?"),
        ({"allow": ["office"]}, "maintenance: allow 'office' is no IP address or network"),
        (
            {"open_paths": ["healthz"]},
            "maintenance: open_paths 'healthz' is no path as /healthz or /below/",
        ),
        ({"retry_after": "soon"}, "maintenance: retry_after 'soon' is no number of seconds"),
        ({"retry_after": 0}, "maintenance: retry_after '0' is no number of seconds"),
        ({"texts": {}}, "maintenance: texts has no text; give one for each language, such as {fr: ...}"),
        ({"texts": {"fr'": "x"}}, "maintenance: texts has 'fr'', which is no language such as fr or pt-BR"),
        ({"allow": ["10.0.0.0/8"], "texts": {"pt-BR": "Voltamos já"}}, ""),
    ],
)
def test_what_maintenance_may_say(given, text):
    site = {"name": "shop", "domains": ["shop.test"], "upstreams": [{"address": "10.0.0.1", "port": 80}]}
    found = site_problems([dict(site, maintenance=given)])
    assert found == (["site 'shop': " + text] if text else [])


def test_the_page_of_maintenance_has_nothing_that_a_configuration_would_read():
    page = maintenance_page({"fr": 'Fermé "10 %" $5 \\ <b>\n', "en": "It's closed"})
    assert not set('"$%\\\n') & set(page)
    assert page.isascii()
    assert "Ferm&#233; &#34;10 &#37;&#34; &#36;5 &#92; &lt;b&gt;&#10;" in page
    assert "<p lang='en'>It&#39;s closed</p>" in page
