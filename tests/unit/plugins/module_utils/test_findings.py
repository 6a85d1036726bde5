# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import copy

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import findings

MYSQL_SETTINGS = {"log_bin": "ON", "binlog_format": "ROW", "server_id": "1"}
DATABASE = {
    "exists": True,
    "bytes": 10**9,
    "engines": {"InnoDB": ["a"]},
    "rows": 200000,
    "without_key": [],
    "events": [],
    "vectors": [],
}
VHOST = {"upstreams": ["http://127.0.0.1:8000/"]}
PLACE = {"file": "/etc/apache2/sites-enabled/a.conf", "line": 1, "listen": ["*:80"]}
HEALTHY = {
    "site": {
        "name": "pizza",
        "domains": ["pizza.test"],
        "engines": {"mariadb": ["pizza"]},
        "upstream": "127.0.0.1:8000",
        "neighbours": [],
        "near_seconds": "6",
        "addresses": {"old": "10.0.0.1", "db": "10.0.0.2"},
        "target_address": "10.0.0.3",
        "database_address": "10.0.0.2",
        "space": {
            "source": {"/var/lib/mysql": ["mariadb"], "/var/backups": ["mariadb"]},
            "target": {"/var/lib/mysql": ["mariadb"]},
        },
        "source_ids": {"server_id": 1, "gtid_domain_id": 0},
        "source_settings": {},
        "window_minutes": 30,
        "certificate_days": 14,
        "accounts": "copy",
        "accounts_left": ["cutover_repl", "cutover"],
        "account_hosts": {},
    },
    "source": {
        "host": "old",
        "machine": {
            "machine_id": "aaa",
            "release": "debian 11",
            "systemd": 247,
            "memory": {"total": 4 * 1024**3, "available": 1 * 1024**3},
            "socket_proxyd": "/lib/systemd/systemd-socket-proxyd",
            "paths": {
                "/var/lib/mysql": {"free": 10**12, "device": 1},
                "/var/backups": {"free": 10**12, "device": 1},
            },
        },
        "web": {
            "server": "apache",
            "config": "/etc/apache2/apache2.conf",
            "modules": ["proxy", "proxy_http", "rewrite"],
            "available": [],
            "domains": {"pizza.test": [PLACE]},
            "vhosts": [VHOST],
            "keep_alive_s": 5.0,
        },
        "databases": {
            "mariadb": {
                "running": True,
                "settings": {"version": "10.5.29-MariaDB", **MYSQL_SETTINGS},
                "databases": {"pizza": DATABASE},
                "other_databases": [],
                "accounts": {},
            }
        },
        "reach": {"10.0.0.2:3306": "refused"},
        "server": {
            "now": "2026-11-30T20:50:10",
            "release": {"title": "Debian GNU/Linux 11", "end_of_life": "2026-12-31"},
            "sites": [
                {"names": ["Pizza.test"], "jobs": ["/etc/cron.d/pizza:1", "pizza.timer"]},
                {"names": ["other.test"], "jobs": ["/etc/cron.d/other:1"]},
            ],
            "vhosts": [{"names": ["pizza.test"], "certificate": {"path": "/etc/ssl/p.pem", "expires": "2027-03-01"}}],
            "jobs": [],
        },
        "mentions": {"texts": ["10.0.0.1"], "places": [], "not_read": []},
    },
    "targets": {
        "db": {
            "machine_id": "bbb",
            "release": "debian 13",
            "groups": ["database", "target"],
            "packages": {"mariadb-server": {"installed": "", "candidate": "1:11.8.6-0+deb13u1"}},
            "paths": {"/var/lib/mysql": {"free": 10**12, "device": 5}},
            "reach": {"10.0.0.1:3306": "open"},
            "skew_s": 1.5,
            "memory": {"total": 4 * 1024**3, "available": 3 * 1024**3},
            "databases": {"mariadb": {}},
            "planned": {"mysql_settings": {"server-id": 2, "gtid_domain_id": 2}, "flavour": "mariadb"},
        }
    },
}


def test_nothing_to_find():
    assert findings.decide(HEALTHY) == []


DOWN = {"running": False, "databases": {}}
SERVER = ["source", "databases", "mariadb"]
SHOP = [*SERVER, "databases", "pizza"]
TARGET = ["targets", "db"]
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
    ("target.release_older", ["source", "machine", "release"], "debian 14", "db runs debian 13, the source debian 14"),
    ("database.not_running", [*SERVER, "running"], False, "MariaDB: there is no client on the source"),
    ("database.not_running", SERVER, {**DOWN, "error": "Can't connect."}, "MariaDB: Can't connect. Remedy"),
    ("database.wrong_engine", [*SERVER, "settings", "version"], "8.0.44", "says mariadb, the source runs MySQL 8.0.44"),
    ("database.missing", [*SHOP, "exists"], False, "no database 'pizza' in the source's MariaDB"),
    ("database.missing", [*SHOP], {"exists": False, "bytes": 0}, "the server has no others"),
    ("database.engine_not_transactional", [*SHOP, "engines"], {"MyISAM": ["x"]}, "x in MyISAM"),
    ("database.table_without_key", [*SHOP, "without_key"], ["log"], "pizza without primary key: log"),
    ("database.history", [*SHOP, "versioned"], ["prices"], "System-versioned tables of pizza: prices."),
    ("database.events", [*SHOP, "events"], ["nightly"], "nightly"),
    ("database.source_too_old", [*SERVER, "settings", "version"], "10.1.48-MariaDB", "needs 10.2 at least"),
    (
        "database.replication_impossible",
        [*TARGET, "databases", "mariadb"],
        {"settings": {"version": "9.7.0"}},
        "The source runs MariaDB 10.5.29-MariaDB, db runs 9.7.0",
    ),
    ("database.replication_impossible", [*TARGET, "planned", "flavour"], "mysql", "db is to get MySQL"),
    ("database.no_package", [*TARGET, "packages"], {}, "no package mariadb-server"),
    (
        "database.target_older",
        [*TARGET, "packages", "mariadb-server", "candidate"],
        "1:10.3.1",
        "newer servers only",
    ),
    ("database.same_server_id", [*TARGET, "planned", "mysql_settings", "server-id"], 1, "server_id is 1 on"),
    ("database.same_gtid_domain_id", [*TARGET, "planned", "mysql_settings"], {"server_id": 3}, "domain_id is 0 on"),
    ("database.restart_needed", [*SERVER, "settings", "log_bin"], "OFF", "binary log is off"),
    ("database.restart_needed", [*SERVER, "settings", "binlog_format"], "MIXED", "binlog_format is MIXED"),
    ("database.shared_server", [*SERVER, "other_databases"], ["annex"], "MariaDB has databases that are not"),
    ("site.address_not_ip", ["site", "target_address"], "web.pizza.fr", "site_target_address is 'web.pizza.fr'"),
    ("site.address_not_ip", ["site", "database_address"], "", "site_database_address is ''"),
    ("site.address_not_ip", ["site", "addresses", "old"], "old", "site_address of old is 'old'"),
    ("web.no_server", ["source", "web", "config"], "", "apache2.conf"),
    ("web.modules_missing", ["source", "web", "modules"], ["proxy"], "proxy_http, rewrite"),
    ("vhost.missing", ["source", "web", "domains", "pizza.test"], [], "pizza.test"),
    ("vhost.twice", ["source", "web", "domains", "pizza.test"], [PLACE, dict(PLACE, line=9)], "a.conf:9"),
    ("vhost.upstream_differs", ["site", "upstream"], "127.0.0.1:9000", "127.0.0.1:9000"),
    ("valve.systemd_too_old", ["source", "machine", "systemd"], 208, "needs 209"),
    ("valve.socket_proxyd_missing", ["source", "machine", "socket_proxyd"], "", "systemd-socket-proxyd"),
    ("disk.too_small", ["targets", "db", "paths", "/var/lib/mysql", "free"], 10**9, "db has 0.9 GiB free"),
    (
        "disk.too_small",
        ["source", "machine", "paths", "/var/lib/mysql", "free"],
        3 * 10**9,
        "source has 2.8 GiB free at /var/backups, /var/lib/mysql; the copies need 2.9 GiB",
    ),
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


def test_what_lies_on_two_file_systems_needs_its_room_apart():
    facts = copy.deepcopy(HEALTHY)
    facts["source"]["machine"]["paths"]["/var/lib/mysql"] = {"free": 21 * 10**8, "device": 2}

    assert findings.decide(facts) == []


def test_a_path_of_ones_own_needs_room_for_all_databases():
    facts = copy.deepcopy(HEALTHY)
    facts["source"]["machine"]["paths"] = {"/srv": {"free": 2 * 10**9, "device": 2}}

    (found,) = findings.decide(facts)

    assert "at /srv; the copies need 1.9 GiB" in found.reason


def test_modules_that_can_be_loaded_are_no_inhibitor():
    facts = copy.deepcopy(HEALTHY)
    facts["source"]["web"].update(modules=[], available=["proxy", "proxy_http", "rewrite"])

    (found,) = findings.decide(facts)

    assert (found.key, found.severity) == ("web.modules_not_loaded", "warning")


def test_connections_that_are_kept_longer_than_is_waited_for():
    facts = copy.deepcopy(HEALTHY)
    facts["source"]["web"]["keep_alive_s"] = 15.0
    (found,) = findings.decide(facts)
    assert (found.key, found.severity) == ("web.keep_alive_long", "warning")
    assert found.remedy == "Set site_near_seconds to more than 15."
    facts["site"]["near_seconds"] = 16
    assert findings.decide(facts) == []


def test_waived_inhibitor_stays_in_the_list_and_stops_nothing():
    facts = copy.deepcopy(HEALTHY)
    facts["targets"]["db"]["skew_s"] = 600

    found = findings.decide(facts, ["clock.skew", "clock.skwe"])

    assert [finding.waived for finding in found] == [True]
    assert findings.standing(found) == []
    assert findings.unknown_waivers(found, ["clock.skew", "clock.skwe"]) == ["clock.skwe"]
    assert findings.standing(findings.decide(facts))[0].key == "clock.skew"


def test_an_earlier_check_is_compared_by_key_and_reason():
    def found(*pairs):
        return [{"key": key, "reason": reason} for key, reason in pairs]

    earlier = found(("disk.too_small", "1 GiB"), ("clock.skew", "90 s"), ("vhost.twice", "a"), ("vhost.twice", "b"))
    later = found(("disk.too_small", "2 GiB"), ("vhost.twice", "b"), ("vhost.twice", "a"), ("site.placeholder", "x"))

    compared = findings.compare(earlier, later)

    assert compared == {"new": ["site.placeholder"], "gone": ["clock.skew"], "changed": ["disk.too_small"]}
    assert findings.tell(compared, "2026-11-30") == (
        "since the check of 2026-11-30: changed: disk.too_small; gone: clock.skew; new: site.placeholder"
    )
    assert findings.tell(findings.compare(later, later), "then") == "since the check of then: nothing has changed"


def test_mail_that_waits_stays_with_the_source() -> None:
    changed = copy.deepcopy(HEALTHY)
    changed["source"]["machine"]["mail_queued"] = 3
    (found,) = [one for one in findings.decide(changed) if one.key == "mail.queued"]
    assert (found.severity, found.reason.partition(".")[0]) == ("warning", "3 messages are in the source's mail queue")
