# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What files and commands say of a server; the reading of a whole one is in molecule/survey-default."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import (
    applications,
    database_look,
    last_use,
    mail,
    schedules,
    server_facts,
    server_links,
    server_look,
)
from ansible_collections.ocpizza.cutover.plugins.modules import server_info

NOW = datetime(2026, 11, 23, 10, 30, 40)  # a Monday


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("* * * * *", "2026-11-23T10:31"),
        ("*/20 * * * *", "2026-11-23T10:40"),
        ("15 3 * * *", "2026-11-24T03:15"),
        ("0 0 1 * *", "2026-12-01T00:00"),
        ("0 12 * * mon-fri", "2026-11-23T12:00"),
        ("0 9 * * 7", "2026-11-29T09:00"),
        ("0 9 13 * fri", "2026-11-27T09:00"),
        ("0 0 29 2 *", "2028-02-29T00:00"),
        ("@weekly", "2026-11-29T00:00"),
    ],
)
def test_when_a_job_runs_next(schedule: str, expected: str) -> None:
    found = schedules.next_run(schedule, NOW)
    assert found is not None
    assert found.isoformat(timespec="minutes") == expected


def test_a_job_that_never_runs() -> None:
    assert schedules.next_run("0 0 31 2 *", NOW) is None


fields = st.tuples(
    st.sampled_from(["*", "*/7", "5", "10-40/15", "0,59"]),
    st.sampled_from(["*", "*/5", "0", "22-23"]),
    st.sampled_from(["*", "1", "28-31"]),
    st.sampled_from(["*", "feb", "6-8"]),
    st.sampled_from(["*", "sun", "1-5"]),
)


@given(fields, st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)))
def test_the_next_run_fits_and_none_is_passed_over(parts: tuple[str, ...], now: datetime) -> None:
    found = schedules.next_run(" ".join(parts), now)
    assert found is not None
    assert found > now
    minutes, hours, days, months, weekdays = [schedules.parse_field(text, place) for place, text in enumerate(parts)]

    def fits(moment: datetime) -> bool:
        either = parts[2] != "*" and parts[4] != "*"
        day = [moment.day in days, moment.isoweekday() % 7 in weekdays]
        return (
            moment.minute in minutes
            and moment.hour in hours
            and moment.month in months
            and (any(day) if either else all(day))
        )

    assert fits(found)
    moment = now.replace(second=0, microsecond=0)
    assert not any(fits(moment + timedelta(minutes=n)) for n in range(1, 1500) if moment + timedelta(minutes=n) < found)


def test_a_table_of_jobs_with_what_is_broken_in_it() -> None:
    text = "# x\nPATH=/bin\n15 3 * * * root mysqldump shop\n@reboot root /a b\n61 * * * * root x\n* * * root\n"
    jobs, broken = schedules.parse_crontab(text, "/etc/crontab", "", NOW)
    assert [(job["source"], job["user"], job["command"], job["next"], job["dump"]) for job in jobs] == [
        ("/etc/crontab:3", "root", "mysqldump shop", "2026-11-24T03:15:00", True),
        ("/etc/crontab:4", "root", "/a b", "", False),
    ]
    assert broken == [
        "/etc/crontab:5: what stands for its minute is none",
        "/etc/crontab:6: it is no line of a table of jobs",
    ]
    assert schedules.parse_crontab("1 2 * * * a b\n", "/c", "shop", NOW)[0][0]["command"] == "a b"


@given(st.text())
def test_no_text_is_too_odd(text: str) -> None:
    schedules.parse_crontab(text, "/c", "", NOW)
    schedules.parse_timers(text, NOW, 0)
    database_look.parse(text)
    mail.settings(text)
    server_facts.release(text)
    server_facts.parse_policy(text)
    server_facts.parse_origins(text)
    server_facts.mounts(text)
    server_facts.users(text, text)
    applications.scan(text, "/c")
    applications.endpoint(text)
    applications.parse_pools(text)


def test_files_that_ucf_keeps() -> None:
    text = f"{'0' * 32}  /etc/php/php.ini\nx  /etc/y\n"
    assert server_facts.parse_ucf(text) == {"/etc/php/php.ini": "0" * 32}


def test_when_timers_run_next() -> None:
    text = (
        "Unit=a.service\nTimersCalendar={ OnCalendar=*-*-* 03:00:00 ; next_elapse=x }\n"
        "NextElapseUSecRealtime=Tue 2026-11-24 03:00:00 UTC\nId=a.timer\nLoadState=loaded\n\n"
        "Unit=b.service\nTimersMonotonic={ OnUnitActiveUSec=1d ; next_elapse=1d 1h }\n"
        "TimersMonotonic={ OnBootUSec=15min ; next_elapse=15min }\nNextElapseUSecRealtime=\n"
        "NextElapseUSecMonotonic=1d 1h 30.5s\nId=b.timer\nLoadState=loaded\n\n"
        "Unit=c.service\nNextElapseUSecRealtime=\nNextElapseUSecMonotonic=infinity\nId=c.timer\nLoadState=loaded\n\n"
        "Unit=\nId=d.timer\nLoadState=masked\n"
    )
    timers = schedules.parse_timers(text, NOW, 3600)
    assert [(one["source"], one["next"]) for one in timers] == [
        ("a.timer", "2026-11-24T03:00:00"),
        ("b.timer", "2026-11-24T10:31:10"),
        ("c.timer", ""),
    ]
    assert timers[0]["schedule"] == "OnCalendar=*-*-* 03:00:00"


@pytest.mark.parametrize("place", ["cheese 1 * * *", "1 cheese-2 * * *", "* * * * */cheese"])
def test_what_stands_in_the_wrong_place_of_a_table_is_not_told(place: str) -> None:
    _jobs, broken = schedules.parse_crontab(f"{place} root x\n", "/etc/crontab", "", NOW)
    assert len(broken) == 1
    assert "cheese" not in broken[0]


def line(day: int, agent: str = "Firefox") -> str:
    return f'192.0.2.7 - - [{day:02}/Nov/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "{agent}"\n'


def used(vhosts: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    last_use.add(vhosts, datetime(2026, 11, 23, tzinfo=UTC).timestamp())
    return [(one["last_used"], one["quiet_since"], one["use_unknown"]) for one in vhosts]


def test_when_a_site_was_last_used(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("")
    (tmp_path / "a.log.1").write_text(line(9) + line(12, "Googlebot/2.1") + line(28))
    with gzip.open(tmp_path / "a.log.2.gz", "wt") as stream:
        stream.write(line(3))
    os.utime(tmp_path / "a.log.2.gz", (1, 1))
    vhost = {"names": ["a.example"], "logs": [str(log)]}
    assert used([vhost]) == [("2026-11-09T00:00:00Z", "", "")]
    (tmp_path / "a.log.1").write_text(line(12, "Googlebot/2.1"))
    assert used([vhost]) == [("2026-11-03T00:00:00Z", "", "")]
    (tmp_path / "a.log.2.gz").unlink()
    assert used([vhost]) == [("", "2026-11-12T00:00:00Z", "")]


def test_the_last_person_is_found_behind_many_bots(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(line(9) + line(12, "Googlebot/2.1") * 20000)
    assert used([{"names": ["a.example"], "logs": [str(log)]}]) == [("2026-11-09T00:00:00Z", "", "")]


def test_why_nobody_knows_when_a_site_was_last_used(tmp_path: Path) -> None:
    odd, empty, gone = (str(tmp_path / name) for name in ("odd.log", "empty.log", "gone.log"))
    Path(odd).write_text("x\n")
    Path(empty).write_text("")
    vhosts = [
        {"names": [name], "logs": logs}
        for name, logs in zip("abcdef", [[odd], [empty], [gone], [], ["s"], ["s"]], strict=True)
    ]
    assert [one[2] for one in used(vhosts)] == [
        f"{odd}: its format is not known",
        "its log is empty",
        f"{gone}: No such file or directory",
        "it writes no log",
        "it shares its log with others",
        "it shares its log with others",
    ]


def test_what_database_servers_answered() -> None:
    text = (
        "version\t10.5.29\ndatabase\tshop\tutf8mb4\tutf8mb4_general_ci\t3\t4096\naccount\tshop@%\n"
        "database\twiki\tUTF8\tC\t\t8192\ntables\twiki\t7\n"
    )
    assert database_look.parse(text) == {
        "version": "10.5.29",
        "accounts": ["shop@%"],
        "names": ["shop", "wiki"],
        "databases": [
            {"name": "shop", "charset": "utf8mb4", "collation": "utf8mb4_general_ci", "bytes": 4096, "tables": 3},
            {"name": "wiki", "charset": "UTF8", "collation": "C", "bytes": 8192, "tables": 7},
        ],
    }


def test_a_database_server_that_wants_a_password() -> None:
    not_read: list[str] = []
    refused = "ERROR 1045 (28000): Access denied for user 'root'@'localhost' (using password: NO)"
    servers = database_look.Servers(lambda *_given, **_more: (1, "", refused), not_read)
    assert servers.ask("mysql")["databases"] == []
    assert servers.ask("postgresql")["databases"] == []
    assert servers.ask("redis") == database_look.empty()
    assert not_read == [
        f"databases of mysql: {refused}",
        f"databases of postgresql: {refused}",
        "databases of redis: it is not an engine that is read",
    ]


def test_how_mail_is_sent() -> None:
    texts = {
        mail.POSTFIX: "# x\nrelayhost = [mail.example]:587\nmydestination = a.example, localhost\n",
        "/etc/aliases": "# x\nroot: shop@a.example\npostmaster: root\n",
        "/etc/msmtprc": "password cheese\n",
    }
    listening = [{"protocol": "tcp", "port": 25, "address": "127.0.0.1", "name": "master"}]
    found = mail.look(lambda path: texts.get(path, ""), listening)
    assert found == {
        "services": [{"service": "smtp", "name": "master", "public": False}],
        "relay": "[mail.example]:587",
        "domains": "a.example, localhost",
        "aliases": 2,
        "senders": ["/etc/msmtprc"],
    }


def test_whose_packages_are_foreign() -> None:
    policy = (
        "nginx:\n  Installed: 1\n  Version table:\n *** 1 500\n        500 http://deb.example bullseye/main\n"
        "        100 /var/lib/dpkg/status\n     0 500\n        500 http://old.example main\n"
        "agent:\n  Version table:\n *** 2 500\n        500 http://vendor.example main\n"
        "        100 /var/lib/dpkg/status\n"
        "by-hand:\n  Version table:\n *** 3 100\n        100 /var/lib/dpkg/status\n"
    )
    origins = (
        " 500 http://deb.example bullseye/main\n     release v=11,o=Debian,a=oldstable\n"
        " 500 http://vendor.example main\n     release o=Vendor,a=any\n"
    )
    sources, every = server_facts.parse_policy(policy)
    assert len(every) == 3
    assert server_facts.foreign(sources, server_facts.parse_origins(origins)) == {
        "agent": "Vendor",
        "by-hand": "no repository that is set up has it",
    }


def test_files_that_differ_from_their_package() -> None:
    lines = {"/etc/a": "0" * 32, "/etc/b c": "1" * 32, "/etc/old": "2" * 32 + " obsolete", "/etc/gone": "3" * 32}
    text = "".join(f" {path} {rest}\n" for path, rest in (lines | {"/etc/x": "4" * 32}).items())
    known = server_facts.parse_conffiles(text)
    assert sorted(known) == ["/etc/a", "/etc/b c", "/etc/gone", "/etc/x"]

    def checksum(path: str) -> str:
        if path == "/etc/gone":
            raise FileNotFoundError(2, "No such file")
        if path == "/etc/x":
            raise PermissionError(13, "Permission denied")
        return "0" * 32

    assert server_facts.changed_files(known, checksum) == (["/etc/b c"], ["/etc/gone"], ["/etc/x: Permission denied"])


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://127.0.0.1:8000/", ("tcp", "127.0.0.1 8000")),
        ("http://[::1]:8000", ("tcp", "::1 8000")),
        ("127.0.0.1:9000", ("tcp", "127.0.0.1 9000")),
        ("https://other.example/a", ("tcp", "other.example 443")),
        ("unix:/run/a.sock|fcgi://localhost", ("unix", "/run/a.sock")),
        ("http://unix:/run/a.sock:/", ("unix", "/run/a.sock")),
        ("http://$upstream", ("", "")),
    ],
)
def test_where_an_upstream_is(address: str, expected: tuple[str, str]) -> None:
    assert applications.endpoint(address) == expected


@pytest.mark.parametrize(
    ("text", "secrets", "databases"),
    [
        ("DB_PASSWORD=cheese\nDB_NAME=shop\n", ["f:1: DB_PASSWORD"], ["shop"]),
        ("define('DB_NAME', 'blog');\ndefine('AUTH_TOKEN', 'x');", ["f:2: AUTH_TOKEN"], ["blog"]),
        ("    'NAME': 'shop',\n    'PASSWORD': 'x',", ["f:2: PASSWORD"], ["shop"]),
        ("DATABASE_URL=mysql://a:b@c/shop?x=1", ["f:1: DATABASE_URL"], ["shop"]),
    ],
)
def test_settings_tell_where_secrets_are_and_which_database(
    text: str, secrets: list[str], databases: list[str]
) -> None:
    assert applications.scan(text, "f") == (secrets, databases)


def test_jobs_are_linked_by_folder_database_or_own_user() -> None:
    jobs = [
        {"source": "1", "user": "root", "command": "mysqldump shop"},
        {"source": "2", "user": "root", "command": "mysqldump shop-2"},
        {"source": "3", "user": "root", "command": "/srv/shop/bin/x"},
        {"source": "4", "user": "shop", "command": "true"},
    ]
    shop: dict[str, Any] = {"user": "shop", "folder": "/srv/shop"}
    assert applications.jobs_of(shop, ["shop"], jobs) == ["1", "3", "4"]
    assert applications.jobs_of({"user": "root", "folder": "/"}, [], jobs) == []


def test_what_a_host_without_commands_could_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_arguments: object, **_more: object) -> tuple[int, str, str]:
        raise FileNotFoundError

    look = server_look.Look(run)
    look.system()
    assert "units: there is no systemctl on this server" in look.not_read
    assert "the firewall: neither iptables-save nor nft answers" in look.not_read
    monkeypatch.setitem(look.processes.by_pid, 7, {"pid": 7, "name": "mariadbd", "unit": "", "parent": 1})
    assert look.databases()[0]["names"] == []
    assert "databases of mariadb: there is no mysql on this server" in look.not_read


def test_applications_whose_database_is_not_known_are_named() -> None:
    lost = [{"kind": "gunicorn", "name": "shop", "databases": []}, {"kind": "elsewhere", "name": "x", "databases": []}]
    servers = [{"engine": "mariadb", "names": ["shop"]}]
    assert server_links.unread_databases(lost, servers) == "which databases these use: shop"
    assert server_links.unread_databases(lost, []) is None
    assert server_info.server_links is server_links
