# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The valve in nginx's configuration: in the right places, and out again without a trace."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import nginx_valve

TWO = """\
upstream shop { server 127.0.0.1:8000; } server {
    listen 80; server_name shop.example;  # server { proxy_pass http://shop; }
    location / { proxy_pass http://shop; }
    location /ws/ {
        proxy_pass
            http://shop ;
        proxy_set_header Upgrade "server { proxy_pass x;";
    }
}
server { listen 80; server_name annex.example; location / { proxy_pass http://127.0.0.1:8001; } }
"""
EDITED = """\
upstream shop { server 127.0.0.1:8000; } # ocpizza.cutover: removed again when the source is retired
include /etc/nginx/cutover/my-shop.http.conf;
server {
    # ocpizza.cutover: removed again when the source is retired
    include /etc/nginx/cutover/my-shop.conf;
    listen 80; server_name shop.example;  # server { proxy_pass http://shop; }
    location / { proxy_pass $cutover_my_shop; proxy_redirect http://shop/ /;
# ocpizza.cutover my-shop: proxy_pass http://shop;
 }
    location /ws/ {
        proxy_pass $cutover_my_shop;
# ocpizza.cutover my-shop: proxy_pass
# ocpizza.cutover my-shop:             http://shop ;

        proxy_set_header Upgrade "server { proxy_pass x;";
    }
}
server { listen 80; server_name annex.example; location / { proxy_pass http://127.0.0.1:8001; } }
"""


def test_the_valve_is_put_where_the_site_is_and_nowhere_else() -> None:
    edited = nginx_valve.add(TWO, "my-shop", [1], {3: " proxy_redirect http://shop/ /;", 5: ""}, True)
    assert edited == EDITED
    assert nginx_valve.remove(edited, "my-shop") == TWO


def test_only_one_file_defines_what_http_has_once() -> None:
    assert "http.conf" not in nginx_valve.add(TWO, "shop", [1], {}, False)


def test_another_sites_valve_stays() -> None:
    ours = nginx_valve.add(TWO, "shop", [1], {3: ""}, True)
    both = nginx_valve.add(
        ours, "shop-b", [ours[: ours.index("server { listen 80; server_name annex")].count("\n") + 1], {}, True
    )
    assert both != ours
    assert nginx_valve.remove(both, "shop-b") == ours
    assert nginx_valve.remove(both, "my-shop") == both


def test_a_location_that_speaks_another_protocol_is_led_to_the_valve_first() -> None:
    site = """server {
    location / { try_files $uri /index.php?$args; } location ~ "\\.php$" { return 404; } location ~ "\\.php5{0,1}$" {
        # location / { fastcgi_pass a; }
        rewrite ^ /x.php break;
        fastcgi_pass unix:/run/php.sock;
    }
}
"""
    edited = nginx_valve.add(site, "my-shop", [1], {}, False, [(2, "~ \\.php5{0,1}$")])
    assert (
        """5{0,1}$" {
        # ocpizza.cutover: removed again when the source is retired
        if ($cutover_my_shop_side = held) { set $cutover_my_shop_uri $uri; rewrite ^ /cutover_my_shop_held last; }
        # location"""
        in edited
    )
    assert edited.count("_held last") == 1
    assert nginx_valve.remove(edited, "my-shop") == site
    assert nginx_valve.remove(edited, "shop") == edited


PIECES = [
    "server {",
    "server{",
    "location / {",
    "proxy_pass http://127.0.0.1:8000;",
    "proxy_pass\t'http://a' ;",
    "proxy_pass\n http://a\n;",
    "}",
    "# server { proxy_pass http://a; }",
    "include a;",
    '"a { b"',
    " ",
    "\n",
    "\r\n",
]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join), st.sets(st.integers(1, 12)), st.booleans())
def test_taking_out_what_was_put_in_gives_the_original(content: str, lines: set[int], first: bool) -> None:
    places = dict.fromkeys(lines, " proxy_redirect a b;")
    edited = nginx_valve.add(content, "shop", lines, places, first, [(line, "/") for line in lines])
    assert nginx_valve.remove(edited, "shop") == content
    # Nothing is taken or moved: the original's characters are all there, in their order.
    rest = iter(edited)
    assert all(character in rest for character in content)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["www.shop.example"], 0),
        (["*.shop.example"], 1),
        ([".shop.example"], 1),
        (["www.shop.*"], 2),
        (["~^(?<x>w+)\\.shop\\.example$"], 3),
        (["~["], nginx_valve.NOT),
        (["shop.example", "*.www.shop.example", "_", ""], nginx_valve.NOT),
        (["~.", "WWW.shop.example".lower()], 0),
    ],
)
def test_how_well_names_fit(names: list[str], expected: int) -> None:
    assert nginx_valve.rank(names, "WWW.shop.example") == expected


def test_a_dotted_name_is_the_domain_itself_too() -> None:
    assert nginx_valve.rank([".shop.example"], "shop.example") == 0


def test_the_best_fit_has_the_domain() -> None:
    exact, wild, other = ({"names": [name]} for name in ("www.shop.example", "*.shop.example", "annex.example"))
    servers = [wild, other, exact]
    assert nginx_valve.site_servers(servers, ["www.shop.example"]) == [exact]
    assert nginx_valve.site_servers(servers, ["www.shop.example", "a.shop.example"]) == [wild, exact]
    assert nginx_valve.site_servers(servers, ["none.example"]) == []
