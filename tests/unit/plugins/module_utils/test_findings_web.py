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
            "No server of /etc/nginx/nginx.conf that serves shop.test has a proxy_pass; there is nothing to hold.",
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
    facts = copy.deepcopy(FACTS)
    facts["source"]["web"].update(change)
    (found,) = findings_web.decide(facts)
    assert (found.key, found.severity, found.reason, found.remedy) == (key, "inhibitor", reason, remedy)
