# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is drafted from a server that was read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.filter import site_drafts
from ansible_collections.ocpizza.cutover.plugins.module_utils import site_drafts as drafting

FILTERS = site_drafts.FilterModule().filters()
WHERE = "environment of process 7 (supervisor.service): "


def application(**more: Any) -> dict[str, Any]:
    one = {
        "kind": "gunicorn",
        "name": "gunicorn",
        "user": "shop",
        "unit": "supervisor.service",
        "listens": "127.0.0.1 8000",
        "environment": [
            "ALLOWED_HOSTS",
            "CACHE_HOST",
            "DATABASE_HOST",
            "DATABASE_PASSWORD",
            "DATABASE_USER",
            "LICENCE",
        ],
        "settings": {"ALLOWED_HOSTS": "x", "CACHE_HOST": "::1", "DATABASE_HOST": "localhost", "DATABASE_USER": "shop"},
        "secrets": [WHERE + "DATABASE_PASSWORD", "/srv/shop/.env:1: TOKEN"],
        "options": {"application": "shop.wsgi:app", "workers": 4, "threads": 8},
        "repository": {"address": "https://git.example/shop.git", "version": "v1"},
        "databases": [{"engine": "mariadb", "name": "shop"}],
    }
    return one | more


def vhost(*names: str, **more: Any) -> dict[str, Any]:
    one: dict[str, Any] = {
        "names": list(names),
        "server": "apache",
        "aliases": {"/media": "/x"},
        "excluded": ["/static/"],
    }
    return one | more


def server(*pairs: tuple[dict[str, Any], list[dict[str, Any]]]) -> dict[str, Any]:
    return {
        "applications": [one for one, _vhosts in pairs],
        "vhosts": [one for _application, vhosts in pairs for one in vhosts],
        "sites": [{"applications": [number]} for number, pair in enumerate(pairs) for _vhost in pair[1]],
        "databases": [
            {
                "engine": "mariadb",
                "accounts": ["shop@localhost"],
                "databases": [{"name": "shop", "charset": "utf8mb4", "collation": "utf8mb4_general_ci"}],
            }
        ],
    }


def test_a_site_that_can_be_moved() -> None:
    (site,) = FILTERS["site_drafts"](server((application(), [vhost("shop.example"), vhost("www.shop.example")])))[
        "sites"
    ]
    assert (site["name"], site["domains"], site["upstream"]) == (
        "shop",
        ["shop.example", "www.shop.example"],
        "127.0.0.1:8000",
    )
    assert site["web_server"] == "apache"
    assert site["prefixes"] == ["/media/", "/static/"]
    assert site["media"] == [{"prefix": "/media/", "source": "/x"}]
    assert site["engines"] == {"mariadb": ["shop"]}
    assert (site["account"], site["password"]) == ("shop", "{{ secret_database_password }}")
    assert site["privileges"].keys() == {"shop.*"}
    assert site["secret_variables"] == {"DATABASE_PASSWORD": "{{ secret_database_password }}"}
    assert site["application"] == {
        "source": "https://git.example/shop.git",
        "release": "v1",
        "wsgi": "shop.wsgi:app",
        "workers": 4,
        "threads": 8,
        "worker_class": "gthread",
    }
    assert site["environment"] == {
        "ALLOWED_HOSTS": "{{ site_domains + [site_address] }}",
        "CACHE_HOST": "::1",
        "DATABASE_HOST": "{{ hostvars[groups['database'] | first]['site_address'] }}",
        "DATABASE_USER": "shop",
        "LICENCE": "CHANGE-ME",
    }
    assert site["secrets"] == [{"name": "DATABASE_PASSWORD", "where": WHERE + "DATABASE_PASSWORD"}]
    assert site["elsewhere"] == ["/srv/shop/.env:1: TOKEN"]
    assert site["open"] == [
        "CACHE_HOST is ::1: what is there does not come along",
        "LICENCE: its value was not read, for it may be a secret",
        "/static/: its files do not come along; nginx_sites can unpack an archive of them",
        "require_tls: make it true once the application knows the authority /etc/ssl/cutover/ca.pem",
    ]


def without_git(**more: Any) -> dict[str, Any]:
    settings = {"MEDIA_ROOT": "/srv/shop/files", "STATIC_ROOT": "/srv/static"}
    code = {"repository": {}, "folder": "/srv/shop", "pid": 7, "environment": [], "settings": settings}
    aliases = {"/static": "/srv/static/", "/files/": "/srv/shop/files"}
    return server((application(**code | more), [vhost("shop.example", aliases=aliases, excluded=["/static/"])]))


def test_code_and_static_files_are_to_be_brought_without_secrets_and_uploads() -> None:
    (site,) = FILTERS["site_drafts"](without_git())["sites"]
    assert site["archives"] == [
        {
            "file": "code.tar.gz",
            "folder": "/srv/shop",
            "below": "",
            "pid": 7,
            "without": ["/srv/shop/.env", "/srv/shop/files"],
        },
        {"file": "static.tar.gz", "folder": "/srv/static/", "below": "static", "pid": 0, "without": []},
    ]
    assert (site["application"]["source"], site["static"][1]["archive"]) == ("CHANGE-ME", "")


def test_what_was_brought_is_not_open() -> None:
    came = {
        "shop/code.tar.gz": {"problem": "", "requirements": "folder"},
        "shop/static.tar.gz": {"problem": "", "requirements": ""},
    }
    (site,) = FILTERS["site_drafts"](without_git(), came)["sites"]
    assert site["application"]["source"] == "{{ inventory_dir }}/files/code.tar.gz"
    assert site["static"] == [
        {"prefix": "/files/", "archive": "", "media": True},
        {
            "prefix": "/static/",
            "archive": "{{ inventory_dir }}/files/static.tar.gz",
            "below": "static",
            "media": False,
        },
    ]
    assert site["open"][0] == "/srv/shop/.env: add it to files/code.tar.gz, it holds secrets"
    assert [one["prefix"] for one in site["media"]] == ["/files/"]


def test_why_something_was_not_brought() -> None:
    came = {
        "shop/code.tar.gz": {"problem": "/srv/shop has more than 100 MB", "requirements": ""},
        "shop/static.tar.gz": {"problem": "/srv/static is no folder", "requirements": ""},
    }
    (site,) = FILTERS["site_drafts"](without_git(), came)["sites"]
    assert site["application"]["source"] == "CHANGE-ME"
    assert {"gunicorn_source: /srv/shop has more than 100 MB", "/static/: /srv/static is no folder"} < set(site["open"])
    came["shop/code.tar.gz"] = {"problem": "", "requirements": ""}
    (site,) = FILTERS["site_drafts"](without_git(), came)["sites"]
    assert "gunicorn_requirements: no file and no virtual environment says what it needs" in site["open"]


@pytest.mark.parametrize(
    ("servers", "chosen", "said"), [(("nginx",), "nginx", False), (("apache", "nginx"), "", True), ((), "", False)]
)
def test_where_a_site_s_requests_are_held(servers: tuple[str, ...], chosen: str, said: bool) -> None:
    vhosts = [vhost(f"{server}.shop.example", server=server) for server in servers]
    (site,) = FILTERS["site_drafts"](server((application(), vhosts)))["sites"]
    told = "both Apache and nginx pass requests on to it; the switchover holds them at one" in site["open"]
    assert (site["web_server"], told) == (chosen, said)


def test_an_application_on_a_unix_socket() -> None:
    found = server((application(listens="/run/shop.sock"), [vhost("shop.example", server="nginx")]))
    assert FILTERS["site_drafts"](found)["sites"][0]["upstream"] == "unix:/run/shop.sock"


def test_what_stands_in_the_way_of_a_site() -> None:
    odd = application(listens="", databases=[], options={}, repository={}, environment=[], settings={})
    (site,) = FILTERS["site_drafts"](server((odd, [vhost("*.shop.example", server="nginx")])))["sites"]
    assert (site["domains"], site["upstream"]) == (["CHANGE-ME"], "CHANGE-ME")
    assert site["open"] == [
        "site_upstream: where the application listens cannot be told",
        "no virtual host names a domain of it",
        "gunicorn_wsgi: it cannot be told from the server",
        "*.shop.example: name each domain of it that is used in site_domains",
        "gunicorn_source: it cannot be told from the server",
        "/static/: its files do not come along; nginx_sites can unpack an archive of them",
        "site_databases: no settings of it name a database of this server",
    ]


def test_sites_of_the_same_database_server_know_each_other_by_different_names() -> None:
    second = application(listens="127.0.0.1 8001")
    found = FILTERS["site_drafts"](server((application(), [vhost("a.example")]), (second, [vhost("b.example")])))[
        "sites"
    ]
    assert [one["name"] for one in found] == ["shop", "shop-2"]
    assert found[0]["neighbours"] == [{"name": "shop-2", "domains": ["b.example"], "upstream": "127.0.0.1:8001"}]


def test_nothing_that_a_server_says_is_run_by_ansible() -> None:
    evil = "{{ lookup('pipe', 'cheese') }}"
    odd = application(settings={"DATABASE_USER": evil, "CACHE_HOST": "a\nb: c"}, options={"application": evil})
    found = server((odd, [vhost(evil, "{% cheese %}.example")]))
    assert "cheese" not in str(drafting.drafts(found))
    assert "\n" not in str(FILTERS["site_drafts"](found)["sites"][0]["environment"]["CACHE_HOST"])


def test_what_cannot_be_moved_is_told() -> None:
    found = FILTERS["site_drafts"](server((application(kind="php-fpm", name="php-fpm www"), [vhost("blog.example")])))
    reason = "migrate.yml moves applications on gunicorn; this is php-fpm"
    assert found == {
        "sites": [],
        "others": [{"name": "php-fpm www", "domains": ["blog.example"], "reason": reason}],
    }


def test_which_sites_nobody_uses() -> None:
    vhosts = [
        {"last_used": "2026-01-01T00:00:00Z", "quiet_since": ""},
        {"last_used": "2026-11-22T00:00:00Z", "quiet_since": ""},
        {"last_used": "", "quiet_since": "2026-02-01T00:00:00Z"},
        {"last_used": "", "quiet_since": ""},
    ]
    now = datetime(2026, 11, 23, tzinfo=UTC).timestamp()
    unused = FILTERS["unused_for"]({"vhosts": vhosts}, 90, now)
    assert [(one["since"], one["log"]) for one in unused] == [
        ("2026-01-01T00:00:00Z", False),
        ("2026-02-01T00:00:00Z", True),
    ]
