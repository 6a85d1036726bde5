# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import copy

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import findings

DATABASE = {
    "exists": True,
    "bytes": 10**9,
    "engines": {"InnoDB": ["a"]},
    "without_key": [],
    "events": [],
}
VHOST = {"upstreams": ["http://127.0.0.1:8000/"]}
PLACE = {"file": "/etc/apache2/sites-enabled/a.conf", "line": 1, "listen": ["*:80"]}
HEALTHY = {
    "site": {
        "name": "pizza",
        "domains": ["pizza.test"],
        "databases": ["pizza"],
        "upstream": "127.0.0.1:8000",
        "neighbours": [],
        "addresses": {"old": "10.0.0.1", "db": "10.0.0.2"},
    },
    "source": {
        "host": "old",
        "machine": {
            "machine_id": "aaa",
            "release": "debian 11",
            "systemd": 247,
            "socket_proxyd": "/lib/systemd/systemd-socket-proxyd",
            "paths": {"/var/lib/mysql": {"free": 10**12}},
        },
        "web": {
            "config": "/etc/apache2/apache2.conf",
            "modules": ["proxy", "proxy_http", "rewrite"],
            "available": [],
            "domains": {"pizza.test": [PLACE]},
            "vhosts": [VHOST],
        },
        "database": {
            "running": True,
            "settings": {"version": "10.5.29-MariaDB", "log_bin": "ON"},
            "databases": {"pizza": DATABASE},
            "other_databases": [],
        },
        "reach": {"10.0.0.2:3306": "refused"},
    },
    "targets": {
        "db": {
            "machine_id": "bbb",
            "release": "debian 13",
            "groups": ["database", "target"],
            "packages": {"mariadb-server": {"installed": "", "candidate": "1:11.8.6-0+deb13u1"}},
            "paths": {"/var/lib/mysql": {"free": 10**12}},
            "reach": {"10.0.0.1:3306": "open"},
            "skew_s": 1.5,
            "database": {},
        }
    },
}


def test_nothing_to_find():
    assert findings.decide(HEALTHY) == []


CASES = [
    ("site.name_invalid", ["site", "name"], "Pizza!", "'Pizza!'"),
    ("site.domain_invalid", ["site", "domains"], ["http://pizza.test"], "'http://pizza.test'"),
    ("site.placeholder", ["site", "domains"], ["www.example.org"], "www.example.org"),
    ("site.placeholder", ["site", "addresses"], {"old": "192.0.2.1"}, "192.0.2.1"),
    (
        "target.unreachable",
        ["targets", "db"],
        {"unreachable": True, "msg": "timed out"},
        "db could not be reached: timed out",
    ),
    ("target.same_as_source", ["targets", "db", "machine_id"], "aaa", "same machine-id"),
    ("target.same_as_source", ["site", "addresses", "db"], "10.0.0.1", "same address"),
    ("target.release_older", ["targets", "db", "release"], "debian 10", "debian 10"),
    ("database.not_running", ["source", "database", "running"], False, "no client"),
    ("database.missing", ["source", "database", "databases", "pizza", "exists"], False, "no database 'pizza'"),
    (
        "database.engine_not_transactional",
        ["source", "database", "databases", "pizza", "engines"],
        {"MyISAM": ["x"]},
        "x in MyISAM",
    ),
    (
        "database.table_without_key",
        ["source", "database", "databases", "pizza", "without_key"],
        ["log"],
        "pizza without primary key: log",
    ),
    ("database.events", ["source", "database", "databases", "pizza", "events"], ["nightly"], "nightly"),
    ("database.replication_impossible", ["targets", "db", "database"], {"settings": {"version": "9.7.0"}}, "9.7.0"),
    ("database.no_package", ["targets", "db", "packages"], {}, "no package mariadb-server"),
    (
        "database.target_older",
        ["targets", "db", "packages", "mariadb-server", "candidate"],
        "1:10.3.1",
        "newer servers only",
    ),
    ("database.restart_needed", ["source", "database", "settings", "log_bin"], "OFF", "binary log is off"),
    ("database.shared_server", ["source", "database", "other_databases"], ["annex"], "annex"),
    ("web.no_apache", ["source", "web", "config"], "", "apache2.conf"),
    ("web.modules_missing", ["source", "web", "modules"], ["proxy"], "proxy_http, rewrite"),
    ("vhost.missing", ["source", "web", "domains", "pizza.test"], [], "pizza.test"),
    ("vhost.twice", ["source", "web", "domains", "pizza.test"], [PLACE, dict(PLACE, line=9)], "a.conf:9"),
    ("vhost.upstream_differs", ["site", "upstream"], "127.0.0.1:9000", "127.0.0.1:9000"),
    ("valve.systemd_too_old", ["source", "machine", "systemd"], 208, "needs 209"),
    ("valve.socket_proxyd_missing", ["source", "machine", "socket_proxyd"], "", "systemd-socket-proxyd"),
    ("disk.too_small", ["targets", "db", "paths", "/var/lib/mysql", "free"], 10**9, "db has 0.9 GiB free"),
    ("clock.skew", ["targets", "db", "skew_s"], -90.0, "90 s behind"),
    ("network.unreachable", ["source", "reach"], {"10.0.0.2:3306": "no answer within 3 s"}, "no answer within 3 s"),
]


@pytest.mark.parametrize(("key", "path", "value", "text"), CASES)
def test_finding_names_what_where_and_the_remedy(key, path, value, text):
    facts = copy.deepcopy(HEALTHY)
    inner = facts
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value

    found = {finding.key: finding for finding in findings.decide(facts)}

    assert list(found) == [key]
    assert text in findings.describe(found[key])
    assert found[key].remedy.endswith((".", ")."))


def test_modules_that_can_be_loaded_are_no_inhibitor():
    facts = copy.deepcopy(HEALTHY)
    facts["source"]["web"].update(modules=[], available=["proxy", "proxy_http", "rewrite"])

    (found,) = findings.decide(facts)

    assert (found.key, found.severity) == ("web.modules_not_loaded", "warning")


def test_waived_inhibitor_stays_in_the_list_and_stops_nothing():
    facts = copy.deepcopy(HEALTHY)
    facts["targets"]["db"]["skew_s"] = 600

    found = findings.decide(facts, ["clock.skew", "clock.skwe"])

    assert [finding.waived for finding in found] == [True]
    assert findings.standing(found) == []
    assert findings.unknown_waivers(found, ["clock.skew", "clock.skwe"]) == ["clock.skwe"]
    assert findings.standing(findings.decide(facts))[0].key == "clock.skew"
