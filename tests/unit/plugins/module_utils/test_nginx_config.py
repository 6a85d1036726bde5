# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx's configuration, whole and broken."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import nginx_config

MAIN = r"""
user www-data;  # a comment with { and ;
events { worker_connections 768; }
http {
    log_format odd '$remote_addr {"a": "$host"} \'x\'';
    access_log /var/log/nginx/all.log odd;
    root /srv/none;
    upstream shop { server unix:/run/shop.sock weight=2; server 127.0.0.1:8001; }
    init_by_lua_block { x = { "}" ; local y = {} } }
    include conf.d/*.conf;
}
"""
FILES = {
    "/etc/nginx/nginx.conf": MAIN,
    "/etc/nginx/conf.d/a.conf": "include deep/one.conf;",
    "/etc/nginx/deep/one.conf": "include deep/two.conf;",
    "/etc/nginx/deep/two.conf": r"""
server {
    listen 443 ssl http2;
    listen [::]:443 ssl;
    server_name Shop.example "*.shop.example" "~^(?<x>w{1,3})\.shop\.example$";
    ssl_certificate /etc/ssl/shop.pem;
    access_log /var/log/nginx/shop.log;
    location / { proxy_pass http://shop; }
    location ^~ /static/ { alias /srv/shop/static/; }
    location /media/ { root /srv/shop; access_log off; }
    location ~ \.php$ { fastcgi_pass unix:/run/php/fpm.sock; }
    if ($host = "old.example") { return 301 https://shop.example$request_uri; }
}
server { listen 80 default_server; server_name _; return 301 https://${host}/; }
""",
}


def read_all(files: dict[str, str]) -> tuple[list[dict[str, Any]], list[str]]:
    def read(path: str) -> str:
        if path not in files:
            raise FileNotFoundError(2, "No such file or directory")
        return files[path]

    def expand(pattern: str) -> list[str]:
        return sorted(path for path in files if fnmatchcase(path, pattern)) or ([] if "*" in pattern else [pattern])

    reader = nginx_config.Reader("/etc/nginx", read, expand)
    return nginx_config.vhosts(list(reader.directives("/etc/nginx/nginx.conf"))), reader.missing


def test_servers_with_includes_nested_three_deep() -> None:
    (shop, rest), missing = read_all(FILES)
    assert missing == []
    assert shop == {
        "server": "nginx",
        "file": "/etc/nginx/deep/two.conf",
        "line": 2,
        "listen": ["443", "[::]:443"],
        "names": ["shop.example", "*.shop.example", r"~^(?<x>w{1,3})\.shop\.example$"],
        "upstreams": ["http://127.0.0.1:8001", "http://unix:/run/shop.sock", "unix:/run/php/fpm.sock"],
        "proxies": [
            {"path": "/", "address": "http://shop", "kind": "proxy"},
            {"path": r"\.php$", "address": "unix:/run/php/fpm.sock", "kind": "fastcgi"},
        ],
        "document_root": "/srv/none",
        "aliases": {"/static/": "/srv/shop/static/", "/media/": "/srv/shop/media/"},
        "tls": True,
        "certificate": "/etc/ssl/shop.pem",
        "logs": ["/var/log/nginx/shop.log"],
        "redirects": [{"path": "/", "to": "https://shop.example$request_uri", "status": 301}],
        "excluded": [],
    }
    assert (rest["names"], rest["tls"], rest["logs"]) == (["_"], False, ["/var/log/nginx/all.log"])
    assert rest["redirects"] == [{"path": "/", "to": "https://${host}/", "status": 301}]


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("server { listen 80;", "it ends within what begins at /etc/nginx/conf.d/a.conf:1"),
        ("server { listen 80; } }", "'}' stands where it cannot"),
        ("server { listen 80 }", "'}' stands where it cannot"),
        ("listen 80", "it ends within what begins at /etc/nginx/conf.d/a.conf"),
        ('server_name "open;', "stands where it cannot"),
        ("include gone.conf;", "/etc/nginx/gone.conf: No such file or directory"),
        ("include conf.d/a.conf;", "included too deep"),
    ],
)
def test_a_broken_file_is_told_and_the_others_are_read(text: str, missing: str) -> None:
    files = {**FILES, "/etc/nginx/conf.d/a.conf": text, "/etc/nginx/conf.d/b.conf": "server { server_name b.test; }"}
    servers, told = read_all(files)
    assert len(told) == 1
    assert missing in told[0]
    assert [one["names"] for one in servers][-1] == ["b.test"]


words = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=12)


def quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@given(st.lists(words, min_size=1, max_size=5), st.sampled_from(["", " ", "\n\t", " # note\n"]))
def test_every_name_that_is_quoted_is_read(names: list[str], gap: str) -> None:
    text = f"http {{ server {{{gap}\nserver_name {' '.join(map(quoted, names))}{gap}; }} }}"
    servers, missing = read_all({"/etc/nginx/nginx.conf": text})
    assert (servers[0]["names"], missing) == ([name.lower() for name in names], [])


@given(st.text(st.sampled_from("{};\"'\\#$ \nab")))
def test_no_text_is_too_odd(text: str) -> None:
    servers, missing = read_all({"/etc/nginx/nginx.conf": text})
    assert isinstance(servers, list)
    assert isinstance(missing, list)
