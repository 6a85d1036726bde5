# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd, supervisor and /proc say of a service."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import log_times, proc, services

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC).timestamp()
STATUS = """shop:shop_0                      RUNNING   pid 410, uptime 0:01:40
shop:shop_1                      FATAL     Exited too quickly (process log may have details)
mail                             RUNNING   pid 9, uptime 12 days, 3:04:05
night                            STOPPED   Not started
"""


def test_supervisors_programs() -> None:
    found = services.parse_supervisor(STATUS, NOW)
    assert [(one["name"], one["running"], one["state"], one["pid"]) for one in found] == [
        ("shop:shop_0", True, "running", 410),
        ("shop:shop_1", False, "fatal Exited too quickly (process log may have details)", 0),
        ("mail", True, "running", 9),
        ("night", False, "stopped Not started", 0),
    ]
    assert [NOW - (one["started"] or NOW) for one in found] == [100, 0, ((12 * 24 + 3) * 60 + 4) * 60 + 5, 0]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("shop:*", ["shop:shop_0", "shop:shop_1"]),
        ("shop", ["shop:shop_0", "shop:shop_1"]),
        ("mail", ["mail"]),
        ("mai", []),
    ],
)
def test_which_programs_are_meant(pattern: str, names: list[str]) -> None:
    assert [one["name"] for one in services.chosen(services.parse_supervisor(STATUS, NOW), pattern)] == names


def test_no_answer_of_supervisor_is_no_program() -> None:
    assert services.parse_supervisor("unix:///var/run/supervisor.sock no such file\n", NOW) == []


def test_units() -> None:
    text = "\n".join(
        [
            "Id=worker@1.service\nLoadState=loaded\nActiveState=active\nSubState=running\nMainPID=7\nNRestarts=2",
            "ActiveEnterTimestampMonotonic=5000000\n",
            "Id=gone.service\nLoadState=not-found\nActiveState=inactive\nSubState=dead",
            "ActiveEnterTimestampMonotonic=0\n",
            "Id=old.service\nLoadState=loaded\nActiveState=failed\nSubState=failed\nNRestarts=",
        ]
    )
    found = [services.unit_instance(block, 1000.0) for block in services.parse_show(text)]
    assert [(one["name"], one["running"], one["state"], one["started"], one["restarts"]) for one in found] == [
        ("worker@1.service", True, "active (running)", 1005.0, 2),
        ("gone.service", False, "not-found", None, None),
        ("old.service", False, "failed (failed)", None, None),
    ]


def test_a_pattern_stands_for_what_is_loaded_or_enabled_and_for_no_template() -> None:
    listed = "worker@1.service loaded active running One\n\u25cf worker@9.service not-found failed failed Nine\n"
    files = "worker@.service indirect enabled\nworker@2.service enabled enabled\nworker@3.service disabled enabled\n"
    assert services.expected_units(listed, files) == ["worker@1.service", "worker@2.service"]


def listener(address: str, port: int, protocol: str = "tcp") -> dict[str, Any]:
    return {"protocol": protocol, "address": address, "port": port}


@pytest.mark.parametrize(
    ("wanted", "heard", "free"),
    [
        ("8000", listener("127.0.0.1", 8000), True),
        ("8000", listener("127.0.0.1", 8000, "udp"), False),
        ("127.0.0.1:8000", listener("0.0.0.0", 8000), True),  # noqa: S104
        ("127.0.0.1:8000", listener("192.0.2.1", 8000), False),
        ("[2001:db8::1]:80", listener("2001:db8::1", 80), True),
        ("2001:db8::1:80", listener("::", 80), True),
        ("/run/a.sock", listener("/run/a.sock", 0, "unix"), True),
        ("/run/a.sock", listener("/run/b.sock", 0, "unix"), False),
    ],
)
def test_who_listens(wanted: str, heard: dict[str, Any], free: bool) -> None:
    assert services.port_problems([wanted], [heard]) == ([] if free else [f"nobody listens on {wanted}"])


def test_how_many_processes() -> None:
    wanted = [{"command": "gunicorn.*shop", "least": 3, "most": None}, {"command": "cron", "least": 0, "most": 0}]
    assert services.process_problems(
        wanted, ["gunicorn: worker [shop]", "gunicorn -b :80 shop", "/usr/sbin/cron -f"]
    ) == [
        "2 of at least 3 processes 'gunicorn.*shop' run",
        "1 of at most 0 processes 'cron' run",
    ]


@given(st.ip_addresses(), st.integers(0, 65535), st.sampled_from(["0A", "01", "06", "07"]))
def test_every_address_is_read(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int, state: str) -> None:
    words = b"".join(
        struct.pack("=I", int.from_bytes(address.packed[at : at + 4], "big")) for at in range(0, len(address.packed), 4)
    )
    native = "".join(
        f"{int.from_bytes(address.packed[at : at + 4], 'little'):08X}" for at in range(0, len(address.packed), 4)
    )
    assert len(words) == len(address.packed)
    line = (
        f"   0: {native}:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 777 1"
    )
    found = list(proc.parse_sockets("header\n" + line, "tcp" if address.version == 4 else "tcp6"))
    if state == "0A":
        expected = socket.inet_ntop(socket.AF_INET if address.version == 4 else socket.AF_INET6, address.packed)
        assert found == [{"protocol": "tcp", "address": expected, "port": port, "inode": "777"}]
    else:
        assert found == []


def test_this_process_is_found_with_the_port_that_it_listens_on(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        local.bind(str(tmp_path / "s"))
        local.listen()
        found = proc.Processes()
        ports = {one["port"]: one for one in found.listening() if one["address"] == "127.0.0.1"}
        own = ports[server.getsockname()[1]]
        assert (own["pid"], own["name"]) == (os.getpid(), found.by_pid[os.getpid()]["name"])
        assert any(one["address"] == str(tmp_path / "s") and one["pid"] == os.getpid() for one in found.listening())
    assert found.folder(os.getpid()) == str(Path.cwd())
    assert found.environment(os.getpid())
    assert found.environment(2**31 - 1) is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[2026-11-22 10:30:01 +0100] [410] [ERROR] Worker", datetime(2026, 11, 22, 9, 30, 1, tzinfo=UTC)),
        ("2026-11-22T09:30:01.5Z error", datetime(2026, 11, 22, 9, 30, 1, tzinfo=UTC)),
        ("2026-11-22 09:30:01.123 UTC [77] ERROR:", datetime(2026, 11, 22, 9, 30, 1, tzinfo=UTC)),
        ("2026-11-22 09:30:01,123 ERROR", datetime(2026, 11, 22, 9, 30, 1)),
        ("2026-11-22  9:30:01 0 [ERROR] Aborting", datetime(2026, 11, 22, 9, 30, 1)),
        ("2026/11/22 09:30:01 [error] 4#4: upstream", datetime(2026, 11, 22, 9, 30, 1)),
        ("[Sun Nov 22 09:30:01.123456 2026] [core:error]", datetime(2026, 11, 22, 9, 30, 1)),
        ("Nov 22 09:30:01 old supervisord: error", datetime(2026, 11, 22, 9, 30, 1)),
        ("Dec 31 09:30:01 old supervisord: error", datetime(2025, 12, 31, 9, 30, 1)),
        ("Nov  2 09:30:01 old x", datetime(2026, 11, 2, 9, 30, 1)),
    ],
)
def test_the_time_of_a_line(line: str, expected: datetime) -> None:
    # Without a zone it is that of this host.
    seconds = expected.timestamp() if expected.tzinfo else time.mktime(expected.timetuple())
    assert log_times.line_time(line, NOW) == seconds


@pytest.mark.parametrize("line", ["", "error", "  File x.py", "2026-13-41 25:61:61 x", "Xyz 22 09:30:01 a"])
def test_a_line_without_a_time(line: str) -> None:
    assert log_times.line_time(line, NOW) is None


@given(st.text())
def test_no_line_is_too_odd(line: str) -> None:
    log_times.line_time(line, NOW)
    services.parse_supervisor(line, NOW)
    services.expected_units(line, line)
    services.parse_show(line)
