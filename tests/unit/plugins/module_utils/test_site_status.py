# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import calendar

import pytest

from ansible_collections.ocpizza.cutover.plugins.filter.site_status import FilterModule
from ansible_collections.ocpizza.cutover.plugins.module_utils import backup_store, site_status

NOW = calendar.timegm((2026, 11, 24, 12, 0, 0))
LIMITS = {"certificate_days": 14, "disk_percent": 90, "backup_age": 172800}
DISKS = "Use% Mounted on\n 42% /\n"


def problems(**found):
    found = {"services": {"instances": []}, "disks": DISKS, **found}
    return site_status.site_status({"web1": found}, LIMITS, NOW)["problems"]


def test_what_is_well_is_a_row_and_no_problem():
    running = {"name": "nginx.service", "state": "active (running)", "running": True}
    status = site_status.site_status(
        {"web1": {"services": {"instances": [running]}, "disks": DISKS, "release": "releases/1.1"}}, LIMITS, NOW
    )
    assert status["ok"]
    assert status["table"] == [
        "  HOST  WHAT     NAME           STATE",
        "  web1  service  nginx.service  active (running)",
        "  web1  release                 1.1",
        "  web1  disk     /              42 % used",
    ]


@pytest.mark.parametrize("found", [{}, {"services": {"unreachable": True}}])
def test_a_host_that_is_not_reached_is_told(found):
    assert site_status.site_status({"db": found}, LIMITS, NOW)["problems"] == ["db host: not reachable"]


def test_services():
    stopped = {"name": "shop", "state": "stopped", "running": False}
    looked = {
        "instances": [stopped],
        "problems": ["shop does not run: stopped", "no unit fits a*"],
        "not_checked": ["x"],
    }
    assert problems(services=looked) == [
        "web1 service shop: stopped",
        "web1 service: no unit fits a*",
        "web1 service: x",
    ]
    assert problems(services={"failed": True, "msg": "no Python"}) == ["web1 service: no Python"]


def test_release_and_disk():
    assert problems(release="") == ["web1 release: none"]
    assert problems(disks="Use% Mounted on\n 90% /srv/my data\n") == ["web1 disk /srv/my data: 90 % used"]
    assert problems(disks=DISKS + " 99% /var/lib/docker/overlay2/x/merged\n") == []
    assert problems(disks=DISKS + " 99% /etc/hosts\n") == []
    assert problems(disks="") == ["web1 disk: could not be read"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("notAfter=Dec 24 12:00:00 2026 GMT", []),
        ("notAfter=Dec  1 12:00:00 2026 GMT", ["web1 certificate /c.pem: 7 days left"]),
        ("notAfter=Nov 22 12:00:00 2026 GMT", ["web1 certificate /c.pem: expired 2 days ago"]),
        ("", ["web1 certificate /c.pem: could not be read"]),
    ],
)
def test_certificates(text, found):
    assert problems(certificates={"/c.pem": text}) == found


def test_backups():
    name = backup_store.stamp(NOW - 7200)
    good = {"backups": {"newest": name}, "run": {"when": NOW - 7200, "verdict": "PASSED"}}
    assert problems(backup=dict(good, drill={"when": NOW - 3600, "verdict": "PASSED", "backup": name})) == []
    assert problems(backup=good) == ["web1 restore drill: none has run"]
    old = backup_store.stamp(NOW - 3 * 86400)
    drilled = {"when": NOW - 3600, "verdict": "PASSED"}
    assert problems(backup={"backups": {"newest": old}, "drill": drilled}) == [
        "web1 backup {0}: 3 days ago".format(old)
    ]
    failed = {"when": NOW - 3600, "verdict": "FAILED", "text": "the rows differ"}
    assert problems(backup=dict(good, drill=failed)) == ["web1 restore drill: FAILED 1 h ago: the rows differ"]
    late = {"when": NOW - 5 * 86400, "verdict": "PASSED"}
    assert problems(backup=dict(good, drill=late)) == ["web1 restore drill: PASSED 5 days ago"]
    assert problems(backup=None) == ["web1 backup: none has run", "web1 restore drill: none has run"]


LINK = {"lag_seconds": 0.04, "canary_ms": 12.3}


def test_replication():
    looked = {"links": {"source": LINK, "target": LINK}}
    rows = site_status.host_rows({"services": {}, "disks": DISKS, "replication": {"mariadb": looked}}, LIMITS, NOW)
    assert rows[-1] == {
        "what": "replication",
        "name": "mariadb",
        "state": "to the source: 0.0 s behind, a row in 12 ms; to the target: 0.0 s behind, a row in 12 ms",
        "ok": True,
    }


@pytest.mark.parametrize(
    ("looked", "says"),
    [
        (
            {"failed": True, "msg": "Replication is not healthy: x", "links": {"source": LINK, "target": LINK}},
            "Replication is not healthy: x",
        ),
        ({"links": {"source": LINK, "target": {}}}, "it could not be asked"),
        ({"links": {"source": LINK, "target": {"lag_seconds": None, "canary_ms": 3.0}}}, "it could not be asked"),
        ({}, "it could not be asked"),
    ],
)
def test_replication_that_is_not_seen_to_work_is_a_problem(looked, says):
    assert problems(replication={"mariadb": looked}) == ["web1 replication mariadb: " + says]


def test_external_services():
    assert problems(external={"maps": {"status": 404, "problems": [], "chain": [{"expires": NOW}]}}) == []
    unread = "the server's certificates are not checked: it sends none"
    away = {"failed": True, "problems": ["no answer: [Errno 111]\nConnection refused", unread]}
    assert problems(external={"pay": away}) == [
        "web1 external pay: not reachable: no answer: [Errno 111] Connection refused"
    ]
    bad = {"failed": True, "problems": ["no answer: [SSL: CERTIFICATE_VERIFY_FAILED] self-signed"]}
    assert problems(external={"pay": bad}) == [
        "web1 external pay: no answer: [SSL: CERTIFICATE_VERIFY_FAILED] self-signed"
    ]


def test_the_filter_judges_now():
    assert not FilterModule().filters()["site_status"]({"db": {}}, LIMITS)["ok"]
