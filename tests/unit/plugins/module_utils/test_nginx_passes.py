# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which places of nginx's configuration can be held, and what is said of those that cannot."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import nginx_config, nginx_passes, nginx_valve

SITE = """http {
upstream app { server 127.0.0.1:8000 max_fails=2; keepalive 8; }
upstream many { server 127.0.0.1:8000; server 127.0.0.1:8001; }
proxy_set_header Host $host;
server { server_name shop.test; %s }
server { server_name annex.test; %s }
}
"""


def find(ours: str, others: str = "", included: str = "", upstream: str = "127.0.0.1:8000") -> list[dict[str, Any]]:
    files = {"/n/nginx.conf": SITE % (ours, others), "/n/shared.conf": included}
    reader = nginx_config.Reader("/n", files.__getitem__, lambda pattern: [pattern])
    directives = list(reader.directives("/n/nginx.conf"))
    assert reader.missing == []
    servers = nginx_valve.site_servers(nginx_config.vhosts(directives), ["shop.test"])
    return nginx_passes.passes(directives, servers, ["shop.test"], upstream)


@pytest.mark.parametrize("address", ["http://127.0.0.1:8000", "http://localhost:8000", "http://app"])
def test_what_passes_to_the_application_can_be_held(address: str) -> None:
    (place,) = find(f"location / {{ proxy_pass {address}; }}", "location / { proxy_pass http://127.0.0.1:9; }")
    assert place == {
        "file": "/n/nginx.conf",
        "line": 5,
        "directive": f"proxy_pass {address}",
        "problem": "",
        "remedy": "",
        "headers": [["Host", "$host"]],
        "beside": f" proxy_redirect {address}/ /;",
        "changed": {},
    }


@pytest.mark.parametrize("address", ["http://unix:/run/app.sock", "http://unix:/run/app.sock:", "http://sock"])
def test_an_application_on_a_socket_file_can_be_held(address: str) -> None:
    group = "location / { proxy_pass %s; }\n} upstream sock { server unix:/run/app.sock; } server { server_name b;"
    (place,) = find(group % address, upstream="unix:/run/app.sock")
    assert (place["problem"], place["changed"], place["beside"]) == ("", {}, f" proxy_redirect {address}/ /;")


@pytest.mark.parametrize(
    ("upstream", "directive"),
    [
        ("fastcgi://unix:/run/php.sock", "fastcgi_pass unix:/run/php.sock"),
        ("fastcgi://127.0.0.1:9000", "fastcgi_pass localhost:9000"),
        ("uwsgi://127.0.0.1:8000", "uwsgi_pass app"),
        ("uwsgi://unix:/run/u.sock", "uwsgi_pass unix:/run/u.sock"),
    ],
)
def test_where_another_protocol_is_spoken_the_location_is_changed(upstream: str, directive: str) -> None:
    (place,) = find(f"location / {{ }}\nlocation ~ '\\.php$' {{ {directive}; }}", upstream=upstream)
    assert place["problem"] == ""
    assert place["changed"] == {"file": "/n/nginx.conf", "line": 6, "opens": "~ \\.php$"}


def test_a_location_of_our_own_may_include_what_others_include() -> None:
    upstream, php = "fastcgi://127.0.0.1:9000", "fastcgi_pass 127.0.0.1:9000;"
    one = "location / { include /n/shared.conf; }"
    (place,) = find(one, one, php, upstream)
    assert (place["file"], place["changed"]["file"], place["problem"]) == ("/n/shared.conf", "/n/nginx.conf", "")
    whole = "include /n/shared.conf;"
    (place,) = find(whole, whole, f"location / {{ {php} }}", upstream)
    assert place["problem"] == "is in a file that another site includes too"


def test_connections_that_are_kept_do_not_tell_what_runs() -> None:
    (place,) = find(
        "fastcgi_keep_conn on; location / { fastcgi_pass 127.0.0.1:9000; }", upstream="fastcgi://127.0.0.1:9000"
    )
    assert place["problem"] == "keeps its connections, so that nobody sees what runs"
    assert place["remedy"] == "Leave fastcgi_keep_conn out."


def test_port_80_need_not_be_written() -> None:
    (place,) = find("location / { proxy_pass http://127.0.0.1; }", upstream="127.0.0.1:80")
    assert place["problem"] == ""


def test_the_innermost_block_that_has_headers_counts() -> None:
    inner = "proxy_set_header X-A a; proxy_set_header host shop.test; proxy_redirect off;"
    (place,) = find(f"location / {{ {inner} location /b {{ proxy_pass http://app; }} }}")
    assert (place["headers"], place["beside"], place["problem"]) == ([["X-A", "a"], ["host", "shop.test"]], "", "")


def test_a_name_would_be_looked_up_for_each_request() -> None:
    (place,) = find("location / { proxy_pass http://backend:8000; }", upstream="backend:8000")
    assert place["problem"] == "goes to a name"
    (place,) = find("location / { proxy_pass http://[::1]:8000; }", upstream="[::1]:8000")
    assert place["problem"] == ""


@pytest.mark.parametrize(
    ("directive", "problem"),
    [
        ("location / { proxy_pass http://app/; }", "has a path, which a held request would lose"),
        ("location / { proxy_pass http://$backend; }", "has a variable"),
        (
            "location / { proxy_pass http://unix:/run/app.sock; }",
            "goes to unix:/run/app.sock, and site_upstream is 127.0.0.1:8000",
        ),
        ("location / { proxy_pass http://unix:/run/app.sock:/a; }", "has a path, which a held request would lose"),
        ("location / { proxy_pass https://127.0.0.1:8000; }", "does not speak plain HTTP"),
        (
            "location / { uwsgi_pass 127.0.0.1:8000; }",
            "goes to uwsgi://127.0.0.1:8000, and site_upstream is 127.0.0.1:8000",
        ),
        ("location / { grpc_pass 127.0.0.1:8000; }", "speaks a protocol that is not known"),
        (
            "location / { proxy_pass http://many; }",
            "goes to 127.0.0.1:8000 and 127.0.0.1:8001, and site_upstream is 127.0.0.1:8000",
        ),
        (
            "location / { proxy_pass http://127.0.0.1:9000; }",
            "goes to 127.0.0.1:9000, and site_upstream is 127.0.0.1:8000",
        ),
        ("location / { if ($arg_a) { proxy_pass http://app; } }", "stands in 'if'"),
        ("location / { proxy_pass http://app; proxy_redirect default; }", "stands beside 'proxy_redirect default'"),
        (
            "location / { proxy_pass http://app; proxy_set_header X-A a; }",
            "does not tell the application the site's name",
        ),
        (
            "location / { proxy_pass http://app; proxy_set_header Host backend; }",
            "does not tell the application the site's name",
        ),
    ],
)
def test_what_cannot_be_held_says_why_and_what_to_do(directive: str, problem: str) -> None:
    (place,) = find(directive)
    assert place["problem"] == problem
    assert place["remedy"].endswith((".", ";"))


def test_a_file_that_another_site_includes_is_not_touched() -> None:
    include = "location / { include /n/shared.conf; }"
    (place,) = find(include, include, "proxy_pass http://app;")
    assert (place["file"], place["problem"]) == ("/n/shared.conf", "is in a file that another site includes too")
    assert [each["problem"] for each in find(include * 2, "", "proxy_pass http://app;")] == [""]


def test_the_target_is_told_what_the_application_was() -> None:
    forwarded = [["X-Forwarded-For", "$proxy_add_x_forwarded_for"], ["X-Forwarded-Proto", "$scheme"]]
    assert nginx_passes.headers_to_target([]) == forwarded
    headers = [
        ["Host", "$host"],
        ["upgrade", "a"],
        ["Connection", ""],
        ["x-forwarded-for", "$remote_addr"],
        ["X-A", ""],
    ]
    places = [{"problem": "x", "headers": []}, {"problem": "", "headers": headers}]
    assert nginx_passes.headers_to_target(places) == [["x-forwarded-for", "$remote_addr"], ["X-A", ""], forwarded[1]]
