# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who came, from logs on disk."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import access_count
from ansible_collections.ocpizza.cutover.plugins.modules import access_log_info
from tests.unit.plugins.fakes import ModuleFailedError, run_module

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC).timestamp()
FIREFOX = "Mozilla/5.0 Firefox/144"


def row(ago: float, client: str = "192.0.2.7", agent: str = FIREFOX, vhost: str = "", path: str = "/") -> str:
    when = datetime.fromtimestamp(NOW - ago, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    return f'{vhost}{client} - - [{when}] "GET {path} HTTP/1.1" 200 5 "-" "{agent}"\n'


class House:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        monkeypatch.setattr(access_log_info.time, "time", lambda: NOW)

    def write(self, *rows: str, name: str = "access.log", age: float = 0) -> Path:
        path = self.folder / name
        text = "".join(rows).encode()
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
        os.utime(path, (NOW - age, NOW - age))
        return path

    def run(self, check: bool = False, **more: Any) -> dict[str, Any]:
        arguments = {"logs": [f"{self.folder}/access.log*"], "since": "1d", **more}
        return run_module(access_log_info, self.monkeypatch, check, **arguments)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(tmp_path, monkeypatch)


OLD = row(2 * 86400)


def test_people_apart_from_bots_and_checks_check_mode_or_not(house: House) -> None:
    house.write(
        OLD,
        row(7200),
        row(3600, path="/menu"),
        row(1800, "192.0.2.8", "Googlebot/2.1"),
        row(900, "192.0.2.9", "kube-probe/1.30"),
        row(800, "192.0.2.10", path="/healthz?full"),
        row(700, "10.0.0.5"),
        row(600, "::1", "Apache (internal dummy connection)"),
    )
    arguments: dict[str, Any] = {"health_paths": ["/healthz"], "own": ["10.0.0.0/8"]}
    results = [house.run(check, **arguments) for check in (True, False, True, False)]
    assert results[1:] == results[:1] * 3
    result = results[0]
    assert result["requests"] == {"people": 2, "bots": 1, "health": 3, "own": 1}
    assert result["last"]["people"] == "2026-11-23T11:00:00Z"
    assert (result["quiet"], result["complete"], result["not_checked"]) == (3600, True, [])
    assert result["clients"][0] == {
        "client": "192.0.2.7",
        "kind": "people",
        "requests": 2,
        "first": "2026-11-23T10:00:00Z",
        "last": "2026-11-23T11:00:00Z",
        "agent": FIREFOX,
        "path": "/menu",
    }


def test_who_is_not_known_to_be_something_else_counts_as_people(house: House) -> None:
    house.write(OLD, row(60, agent="-"), row(50, agent="curl/8"))
    assert house.run()["requests"]["people"] == 2


def test_rotated_and_compressed_logs_too(house: House) -> None:
    house.write(OLD, row(80000), name="access.log.2.gz", age=80000)
    house.write(row(60000), name="access.log.1", age=50000)
    house.write(row(10))
    result = house.run()
    assert (result["requests"]["people"], result["complete"]) == (3, True)
    assert [one["lines"] for one in result["files"]] == [2, 1, 1]


def test_a_log_that_ended_before_is_not_read(house: House) -> None:
    house.write(OLD, name="access.log.1.gz", age=2 * 86400)
    house.write(row(10))
    result = house.run()
    assert [one["lines"] for one in result["files"]] == [0, 1]
    assert result["complete"]


def test_only_the_site_is_counted_where_the_log_says_which_it_is(house: House) -> None:
    names = ["shop.example", "*.SHOP.example", "\u043f\u0438\u0446\u0446\u0430.example"]
    shop = [row(10, vhost="shop.example:443 "), row(9, vhost="www.shop.example:80 ")]
    house.write(OLD, *shop, row(8, vhost="annex.example:80 "), row(7, vhost="xn--80apu3aa.example:80 "))
    result = house.run(names=names)
    assert (result["requests"]["people"], result["files"][0]["by_name"]) == (3, True)
    house.write(OLD, row(8), row(7))
    result = house.run(names=names)
    assert (result["requests"]["people"], result["files"][0]["by_name"]) == (2, False)


def test_who_still_comes_to_the_old_address(house: House) -> None:
    house.write(
        OLD,
        row(7200, "192.0.2.1"),
        row(7100, "192.0.2.2"),
        row(300, "192.0.2.2", path="/api"),
        row(200, "192.0.2.2", path="/api"),
        row(100, "192.0.2.3", "Googlebot/2.1"),
        row(90, "192.0.2.4", "kube-probe/1"),
    )
    result = house.run(moved="1h")
    assert [(one["client"], one["kind"], one["requests"]) for one in result["pinned"]] == [
        ("192.0.2.2", "people", 2),
        ("192.0.2.3", "bots", 1),
    ]
    assert (result["pinned_total"], house.run(moved="1h", most=1)["pinned_total"]) == (2, 2)
    assert house.run()["pinned"] == []


def test_nothing_that_could_not_be_read_is_quiet(house: House) -> None:
    cut = house.write(
        OLD, *[row(90000 - n, f"192.0.2.{n % 250}", str(n * n)) for n in range(500)], name="access.log.1.gz"
    )
    cut.write_bytes(cut.read_bytes()[:3000])
    os.utime(cut, (NOW - 86400, NOW - 86400))
    house.write(row(10), "2026-11-23 garbage\n")
    result = house.run(logs=[f"{house.folder}/access.log*", "/none/*.log"])
    assert not result["complete"]
    assert result["not_checked"] == [
        "no log fits /none/*.log",
        f"{cut} could not be read to its end: Compressed file ended before the end-of-stream marker was reached",
        f"{house.folder}/access.log has 1 lines of another format, such as: 2026-11-23 garbage",
    ]


def test_no_permission_is_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    path = house.write(OLD)

    def refuse(_path: str) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(access_log_info.log_files, "open_log", refuse)
    assert house.run()["not_checked"] == [
        f"{path} could not be read to its end: Permission denied",
        "no log has a request in it, so none can say that nobody came",
    ]


def test_a_log_that_begins_too_late_or_is_empty_says_nothing_of_before(house: House) -> None:
    house.write(row(60))
    assert house.run()["not_checked"] == ["the logs begin at 2026-11-23T11:59:00Z: what came before is not known"]
    house.write()
    assert house.run()["not_checked"] == ["no log has a request in it, so none can say that nobody came"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"since": "yesterday"}, "'yesterday' is no time"),
        ({"moved": "soon"}, "'soon' is no time"),
        ({"format": "%r"}, "the log's format '%r' does not say the client or the time"),
        ({"own": ["10.0.0.0/99"]}, "'10.0.0.0/99' does not appear to be an IPv4 or IPv6 network"),
        ({"bots": ["("]}, "missing \\), unterminated subpattern"),
    ],
)
def test_bad_input_is_refused(house: House, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ModuleFailedError, match=message):
        house.run(**arguments)


def test_more_clients_than_fit_are_counted_and_not_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_count, "MOST_CLIENTS", 3)
    house.write(OLD, *[row(60, f"192.0.2.{number}") for number in range(9)])
    result = house.run()
    assert (result["requests"]["people"], result["clients_total"]) == (9, 3)


class Clock:
    """Time that passes while somebody sleeps."""

    def __init__(self, house: House) -> None:
        self.now = NOW
        for name, when in (("time", lambda: self.now), ("monotonic", lambda: self.now)):
            house.monkeypatch.setattr(access_log_info.time, name, when)
        house.monkeypatch.setattr(access_log_info.time, "sleep", self.sleep)
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_it_waits_until_nobody_has_come_for_that_long(house: House) -> None:
    house.write(OLD, row(7200, "192.0.2.8", "Googlebot/2.1"), row(840))
    clock = Clock(house)
    found = house.run(since="15m", wait=300, pause=20)
    assert (found["requests"]["people"], found["quiet"]) == (0, 900.0)
    assert clock.slept == [20, 20, 20, 20]


def test_a_deadline_that_passes_says_what_was_waited_for(house: House) -> None:
    house.write(OLD, row(60), row(30, "192.0.2.8"))
    Clock(house)
    with pytest.raises(ModuleFailedError) as raised:
        house.run(since="15m", wait=60, names=["shop.test"])
    assert str(raised.value) == (
        "Waited 60 s until nobody had come to shop.test for 15m, in vain: "
        "2 requests of people, the last at 2026-11-23T11:59:30Z, from 192.0.2.7, 192.0.2.8"
    )


def test_logs_that_cannot_be_read_are_no_quiet_to_wait_for(house: House) -> None:
    house.write(OLD, "no request\n", row(5))
    Clock(house)
    with pytest.raises(ModuleFailedError, match=r"in vain: .*has 1 lines of another format"):
        house.run(since="1h", wait=30)


def test_to_wait_for_a_time_that_has_passed_makes_no_sense(house: House) -> None:
    with pytest.raises(
        ModuleFailedError, match=r"^since is '2026-11-23T08:00:00Z': to wait, it must be a span such as"
    ):
        house.run(since="2026-11-23T08:00:00Z", wait=30)
