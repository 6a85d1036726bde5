# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a source whose web server is nginx."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import findings_web

PLACE = {"file": "/etc/nginx/sites-enabled/shop", "line": 1, "listen": ["80", "[::]:80"]}
PASS = {
    "file": PLACE["file"],
    "line": 7,
    "directive": "proxy_pass http://127.0.0.1:8000/",
    "problem": "",
    "remedy": "Write it without the path, http://127.0.0.1:8000.",
}
FACTS: dict[str, Any] = {
    "site": {"upstream": "127.0.0.1:8000"},
    "source": {
        "web": {
            "server": "nginx",
            "config": "/etc/nginx/nginx.conf",
            "modules": [],
            "available": [],
            "missing": [],
            "domains": {"shop.test": [PLACE]},
            "vhosts": [{"upstreams": ["http://127.0.0.1:8000"]}],
            "passes": [PASS],
        }
    },
}


def said(facts: dict[str, Any], change: dict[str, Any]) -> tuple[str, str, str, str]:
    """The one finding about a web server that is otherwise as in the facts."""
    changed = copy.deepcopy(facts)
    changed["source"]["web"].update(change)
    (found,) = findings_web.decide(changed)
    return found.key, found.severity, found.reason, found.remedy


def test_a_site_that_can_be_held_needs_no_module_of_apache() -> None:
    assert list(findings_web.decide(FACTS)) == []


@pytest.mark.parametrize(
    ("key", "change", "reason", "remedy"),
    [
        (
            "vhost.pass_not_held",
            {"passes": [dict(PASS, problem="has a path")]},
            "/etc/nginx/sites-enabled/shop:7: 'proxy_pass http://127.0.0.1:8000/' has a path.",
            "Write it without the path, http://127.0.0.1:8000.",
        ),
        (
            "web.unread",
            {"missing": ["/etc/nginx/a.conf:3: '}' stands where it cannot"]},
            "What it passes on may be more than was found: /etc/nginx/a.conf:3: '}' stands where it cannot.",
            "See what 'nginx -t' says of that place; where it is content, look at the site's own files and waive this.",
        ),
        (
            "vhost.pass_missing",
            {"passes": []},
            "No server of /etc/nginx/nginx.conf that serves shop.test passes anything on; there is nothing to hold.",
            "Correct site_domains, or discovery_config.",
        ),
        (
            "vhost.missing",
            {"domains": {"shop.test": []}, "vhosts": [], "passes": []},
            "No virtual host of /etc/nginx/nginx.conf is named for shop.test.",
            "Correct site_domains, or add the name to its virtual host on the source.",
        ),
        (
            "vhost.twice",
            {"domains": {"shop.test": [PLACE, dict(PLACE, line=9, listen=["443", "[::]:80", "80"])]}},
            "shop.test on [::]:80 is in /etc/nginx/sites-enabled/shop:1 and in /etc/nginx/sites-enabled/shop:9;"
            " nginx uses the first.",
            "Take the name out of the one that is not used.",
        ),
    ],
)
def test_what_stands_in_the_way_is_said(key: str, change: dict[str, Any], reason: str, remedy: str) -> None:
    assert said(FACTS, change) == (key, "inhibitor", reason, remedy)


APACHE: dict[str, Any] = {
    "site": {"upstream": "127.0.0.1:8000", "near_seconds": 6},
    "source": {
        "web": {
            "server": "apache",
            "config": "/etc/apache2/apache2.conf",
            "modules": ["proxy", "proxy_http", "rewrite"],
            "available": [],
            "keep_alive_s": 5.0,
            "domains": {"shop.test": [PLACE]},
            "vhosts": [{"upstreams": [], "wsgi": False, "handlers": []}],
        }
    },
}


def apache(upstream: str, vhost: dict[str, Any], **web: Any) -> list[Any]:
    facts = copy.deepcopy(APACHE)
    facts["site"]["upstream"] = upstream
    facts["source"]["web"]["vhosts"][0].update(vhost)
    facts["source"]["web"].update(web)
    return list(findings_web.decide(facts))


PHP_FPM = "unix:/run/php/php7.4-fpm.sock|fcgi://localhost"


@pytest.mark.parametrize(
    ("upstream", "vhost"),
    [
        ("unix:/run/shop.sock", {"upstreams": ["unix:/run/shop.sock|http://localhost/"]}),
        ("fastcgi://unix:/run/php/php7.4-fpm.sock", {"handlers": [PHP_FPM]}),
        ("uwsgi://127.0.0.1:3031", {"upstreams": ["uwsgi://127.0.0.1:3031/"]}),
        ("apache", {"wsgi": True}),
        ("apache", {"handlers": [PHP_FPM], "upstreams": ["http://127.0.0.1:9000/"]}),
        # Whoever wrote the handler into the configuration of the whole server.
        ("fastcgi://127.0.0.1:9000", {}),
    ],
)
def test_apache_can_hold_whatever_it_passes_on_or_runs(upstream: str, vhost: dict[str, Any]) -> None:
    assert apache(upstream, vhost, modules=["proxy", "proxy_http", "rewrite", "lua"]) == []


@pytest.mark.parametrize(
    ("vhost", "modules", "name"),
    [({"wsgi": True}, [], "mod_wsgi"), ({}, ["php7"], "mod_php"), ({}, ["php"], "mod_php")],
)
def test_what_apache_runs_itself_is_seen_only_there(vhost: dict[str, Any], modules: list[str], name: str) -> None:
    (finding,) = apache("127.0.0.1:8000", vhost, modules=["proxy", "proxy_http", "rewrite", *modules])
    assert (finding.key, finding.severity) == ("vhost.inside_apache", "inhibitor")
    assert finding.reason == (
        f"{name} answers requests of the site, and site_upstream is 127.0.0.1:8000: what runs there would not be seen."
    )
    assert finding.remedy == "Set site_upstream to apache."


def test_a_handler_that_is_not_the_application_is_told() -> None:
    (finding,) = apache("127.0.0.1:8000", {"handlers": [PHP_FPM]})
    assert finding.key == "vhost.upstream_differs"
    assert finding.reason == f"site_upstream is 127.0.0.1:8000, the virtual hosts pass on to {PHP_FPM}."


def test_a_request_waits_in_a_module_that_must_be_there() -> None:
    (finding,) = apache("apache", {"wsgi": True})
    assert (finding.key, "Modules that are neither loaded nor on the disk: lua." in finding.reason) == (
        "web.modules_missing",
        True,
    )
    (finding,) = apache("apache", {"wsgi": True}, available=["lua"])
    assert finding.key == "web.modules_not_loaded"


SQUID: dict[str, Any] = {
    "site": {"upstream": "127.0.0.1:8000"},
    "source": {
        "web": {
            "server": "squid",
            "config": "/etc/squid/squid.conf",
            "missing": [],
            "domains": {"shop.test": [PLACE, dict(PLACE, line=9)]},
            "vhosts": [{"upstreams": ["http://127.0.0.1:8000"]}],
            "pools": False,
            "not_led": "",
        }
    },
}


def test_squid_in_front_of_the_application_can_be_held() -> None:
    assert list(findings_web.decide(SQUID)) == []


@pytest.mark.parametrize(
    ("key", "change", "reason", "remedy"),
    [
        (
            "web.pools",
            {"pools": True},
            "A request on one that is kept passes a hold by, and what runs could not be told from what is kept.",
            "Write 'server_persistent_connections off' into /etc/squid/squid.conf and reload Squid in a quiet hour.",
        ),
        (
            "web.not_led",
            {"not_led": "Error: Could not process rule: Operation not permitted"},
            "Squid looks for no flags, so its connections are led elsewhere by a rule of NAT, and none can be made: "
            "Error: Could not process rule: Operation not permitted.",
            "Install nftables where it is missing; a container needs CAP_NET_ADMIN.",
        ),
        (
            "web.unread",
            {"missing": ["/etc/squid/conf.d/a.conf: Permission denied"]},
            "What it passes on may be more than was found: /etc/squid/conf.d/a.conf: Permission denied.",
            "See what 'squid -k parse' says of that place.",
        ),
        (
            "vhost.upstream_differs",
            {"vhosts": [{"upstreams": ["http://127.0.0.1:8000"]}, {"upstreams": ["http://10.0.0.2:8000"]}]},
            "site_upstream is 127.0.0.1:8000, Squid passes on to http://10.0.0.2:8000, http://127.0.0.1:8000.",
            "Set site_upstream to where the application listens, as 127.0.0.1:8000, and have cache_peer name that.",
        ),
        (
            "vhost.upstream_differs",
            {"vhosts": [{"upstreams": ["http://localhost:8000"]}]},
            "site_upstream is 127.0.0.1:8000, Squid passes on to http://localhost:8000.",
            "Set site_upstream to where the application listens, as 127.0.0.1:8000, and have cache_peer name that.",
        ),
    ],
)
def test_what_stands_in_squids_way_is_said(key: str, change: dict[str, Any], reason: str, remedy: str) -> None:
    assert said(SQUID, change) == (key, "inhibitor", reason, remedy)


@pytest.mark.parametrize("upstream", ["unix:/run/shop.sock", "uwsgi://127.0.0.1:8000", "[::1]:8000", "apache"])
def test_squid_is_held_on_one_ipv4_address_alone(upstream: str) -> None:
    facts = copy.deepcopy(SQUID)
    facts["site"]["upstream"] = upstream
    assert [found.key for found in findings_web.decide(facts)] == ["vhost.upstream_differs"]
