# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the servers themselves stands in the way of a move."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import findings, findings_server
from tests.unit.plugins.module_utils.test_findings import HEALTHY

GIB = 1024**3
SERVER = ["source", "server"]
CERTIFICATE = [*SERVER, "vhosts", 0, "certificate"]
TARGET = ["targets", "db"]


def found(*changes: tuple[list[Any], Any]) -> list[findings.Finding]:
    facts: Any = copy.deepcopy(HEALTHY)
    for path, value in changes:
        inner = facts
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = value
    return findings.decide(facts)


def job(source: str = "/etc/cron.d/pizza:1", due: str = "2026-11-30T21:00:00", **more: Any) -> dict[str, Any]:
    one = {"kind": "cron", "source": source, "schedule": "0 21 * * *", "next": due, "command": "true", "dump": False}
    return one | more


CASES: list[tuple[str, str, list[Any], Any, str]] = [
    ("source.release_ended", "warning", [*SERVER, "release", "end_of_life"], "2026-08-31", "11: since 2026-08-31."),
    ("target.release_ended", "inhibitor", [*TARGET, "release"], "debian 11", "db runs debian 11: since 2026-08-31."),
    ("target.release_unknown", "warning", [*TARGET, "release"], "debian 99", "db runs debian 99."),
    ("certificate.expiring", "inhibitor", [*CERTIFICATE, "expires"], "2026-12-13", "on 2026-12-13, within 14 days"),
    ("certificate.expiring", "inhibitor", [*CERTIFICATE, "expires"], "2025-01-01", "/etc/ssl/p.pem on the source"),
    ("certificate.not_read", "inhibitor", CERTIFICATE, {"path": "/etc/ssl/p.pem"}, "'openssl x509 -in /etc/ssl/p.pem"),
    ("memory.not_checked", "warning", [*TARGET, "memory"], {"total": 0, "available": 0}, "/proc/meminfo on db"),
    ("memory.too_small", "inhibitor", [*TARGET, "memory", "available"], 2**27, "db has 4.0 GiB, 0.1 GiB of it free"),
    (
        "memory.less_than_source",
        "warning",
        [*TARGET, "memory"],
        {"total": 2 * GIB, "available": GIB},
        "db has 2.0 GiB, on the source 3.0 GiB are in use",
    ),
    (
        "address.hard_coded",
        "inhibitor",
        ["source", "mentions", "places"],
        ["/srv/pizza/settings.py:3"],
        "10.0.0.1 stands in /srv/pizza/settings.py:3.",
    ),
    (
        "address.hard_coded",
        "inhibitor",
        [*SERVER, "jobs"],
        [job(due="", command="curl http://10.0.0.1/cron")],
        "10.0.0.1 stands in the job /etc/cron.d/pizza:1.",
    ),
    (
        "address.not_searched",
        "warning",
        ["source", "mentions", "not_read"],
        ["mariadb pizza.log: no time"],
        "pizza.log",
    ),
    (
        "job.in_window",
        "inhibitor",
        [*SERVER, "jobs"],
        [job()],
        "30 minutes from now on the source: /etc/cron.d/pizza:1 at",
    ),
    ("job.in_window", "inhibitor", [*SERVER, "jobs"], [job(schedule="daily")], "/etc/cron.d/pizza:1 at 21:00"),
    (
        "job.in_window",
        "inhibitor",
        [*SERVER, "jobs"],
        [job("/etc/cron.d/backup:1", command="mysqldump --all-databases", dump=True)],
        "/etc/cron.d/backup:1 at 21:00, a dump",
    ),
    ("job.often", "warning", [*SERVER, "jobs"], [job(schedule="*/10 * * * *")], "/etc/cron.d/pizza:1 at 21:00"),
    (
        "job.often",
        "warning",
        [*SERVER, "jobs"],
        [job("pizza.timer", kind="timer", schedule="OnUnitActiveUSec=5min")],
        "pizza.timer at 21:00",
    ),
    (
        "job.in_window",
        "inhibitor",
        [*SERVER, "jobs"],
        [job("pizza.timer", kind="timer", schedule="OnCalendar=*-*-* 21:00:00")],
        "pizza.timer at 21:00",
    ),
]


@pytest.mark.parametrize(("key", "severity", "path", "value", "text"), CASES)
def test_finding_names_what_where_and_the_remedy(
    key: str, severity: str, path: list[Any], value: Any, text: str
) -> None:
    (one,) = found((path, value))
    assert (one.key, one.severity) == (key, severity)
    assert text in findings.describe(one)
    assert one.remedy.endswith(".")


@pytest.mark.parametrize(
    "jobs",
    [
        [job(due="2026-11-30T21:20:11")],
        [job(due="")],
        [job("/etc/cron.d/other:1")],
        [job("/etc/cron.d/other:1", command="mysqldump other", dump=True)],
    ],
)
def test_jobs_that_are_no_obstacle(jobs: list[dict[str, Any]]) -> None:
    assert found(([*SERVER, "jobs"], jobs)) == []


def test_the_certificate_of_another_site_is_none_of_this_ones() -> None:
    other = {"names": ["other.test"], "certificate": {"path": "/o.pem", "expires": "2020-01-01"}}
    assert found(([*SERVER, "vhosts"], [other, {"names": ["pizza.test"], "certificate": {"path": ""}}])) == []


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"mysql_settings": {"innodb_buffer_pool_size": "4G"}}, ["memory.too_small"]),
        ({"mysql_settings": {"innodb_buffer_pool_size": 3 * GIB}}, []),
        ({"postgresql_settings": {"shared_buffers": "3500MB"}}, ["memory.too_small"]),
        ({"postgresql_settings": {"shared_buffers": 16384}}, []),
    ],
)
def test_what_databases_are_to_take_must_fit(settings: dict[str, Any], expected: list[str]) -> None:
    changes = [([*TARGET, "planned", kind, *given], given[name]) for kind, given in settings.items() for name in given]
    facts = [([*TARGET, "planned", "postgresql_settings"], {}), *changes]
    assert [one.key for one in found(*facts)] == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("128MB", 2**27), ("2g", 2 * GIB), (1000, 1000), ("", 0), ("a lot", 0), ("1GiB", GIB)]
)
def test_sizes(text: Any, expected: int) -> None:
    assert findings_server.bytes_of(text) == expected


def test_a_target_that_does_not_answer_is_said_once() -> None:
    assert [one.key for one in found((TARGET, {"unreachable": True, "msg": "x"}))] == ["target.unreachable"]
