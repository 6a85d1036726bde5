# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One instance of many that did not come back."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import service_look
from ansible_collections.ocpizza.cutover.plugins.module_utils.access_count import iso
from ansible_collections.ocpizza.cutover.plugins.modules import service_check
from tests.unit.plugins.fakes import ModuleFailedError, run_module


class Host:
    """systemctl, supervisorctl and journalctl of a host with eight workers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.states = dict.fromkeys([f"worker@{number}.service" for number in range(8)], "active")
        self.programs = {"shop:shop_0": "RUNNING", "shop:shop_1": "RUNNING"}
        self.supervisor = True
        self.started: dict[str, float] = {}
        self.heals = True
        self.errors: list[str] = []
        self.acts: list[list[str]] = []
        outer = self

        def run(_self: object, args: list[str], **_more: object) -> tuple[int, str, str]:
            return outer.run(args)

        monkeypatch.setattr(service_check.AnsibleModule, "run_command", run)
        monkeypatch.setattr(service_check.AnsibleModule, "get_bin_path", lambda _self, name, **_more: name)
        monkeypatch.setattr(service_check, "POLL", 0.01)
        # Booted days ago: what has run since then did not come back within the hour.
        now = time.monotonic
        monkeypatch.setattr(service_check.time, "monotonic", lambda: now() + 10 * 86400)

    def run(self, args: list[str]) -> tuple[int, str, str]:
        if args[1] == "restart":
            self.acts.append(args)
            if self.heals:
                self.states.update({args[2]: "active"} if args[2] in self.states else {})
                self.programs.update({args[2]: "RUNNING"} if args[2] in self.programs else {})
                self.started[args[2]] = time.monotonic()
            return 0, "", ""
        if args[0] == "supervisorctl":
            return self.supervisorctl()
        return 0, "\n".join(self.errors) if args[0] == "journalctl" else self.systemctl(args[1], args[3:]), ""

    def supervisorctl(self) -> tuple[int, str, str]:
        if not self.supervisor:
            return 4, "unix:///var/run/supervisor.sock no such file\n", ""
        lines = [f"{name}  {state}  pid 7, uptime 9:00:00\n" for name, state in self.programs.items()]
        return (3 if set(self.programs.values()) != {"RUNNING"} else 0), "".join(lines), ""

    def systemctl(self, verb: str, rest: list[str]) -> str:
        if verb == "show":
            return "\n".join(
                f"Id={name}\nLoadState=loaded\nActiveState={self.states[name]}\nSubState=x\n"
                f"ActiveEnterTimestampMonotonic={int(self.started.get(name, 1) * 1e6)}\n"
                for name in rest
            )
        known = self.states if "worker" in rest[-1] else {}
        if verb == "list-unit-files":
            return "".join(f"{name} enabled enabled\n" for name in known)
        return "".join(f"{name} loaded active running x\n" for name, state in known.items() if state != "inactive")

    def check(self, check: bool = False, **more: Any) -> dict[str, Any]:
        return run_module(service_check, self.monkeypatch, check, **more)

    def fails(self, **more: Any) -> str:
        with pytest.raises(ModuleFailedError) as raised:
            self.check(**more)
        return str(raised.value)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(monkeypatch)


EVERYTHING: dict[str, Any] = {"units": ["worker@*"], "programs": ["shop:*"]}


def test_all_run(host: Host) -> None:
    result = host.check(**EVERYTHING)
    assert (result["changed"], len(result["instances"]), result["problems"], result["restarted"]) == (False, 10, [], [])


def test_the_one_that_did_not_come_back_is_named(host: Host) -> None:
    host.states["worker@5.service"] = "inactive"
    assert host.fails(**EVERYTHING) == "Not as it should be: worker@5.service does not run: inactive (x)"
    host.states["worker@5.service"] = "active"
    host.programs["shop:shop_1"] = "FATAL"
    assert host.fails(**EVERYTHING) == "Not as it should be: shop:shop_1 does not run: fatal"
    assert host.acts == []


def test_it_is_restarted_once_where_that_is_wanted(host: Host) -> None:
    host.states["worker@5.service"] = "failed"
    arguments = {**EVERYTHING, "restart": True, "since": "1h"}
    for check, changed, acts in ((True, True, 0), (False, True, 1), (True, False, 1), (False, False, 1)):
        host.started.clear()
        result = host.check(check, **arguments)
        assert (result["changed"], len(host.acts)) == (changed, acts)
        assert result["restarted"] == (["worker@5.service"] if changed else [])
    assert host.acts == [["systemctl", "restart", "worker@5.service"]]


def test_one_that_does_not_start_either_fails_after_one_try(host: Host) -> None:
    host.heals, host.programs["shop:shop_1"] = False, "BACKOFF"
    message = host.fails(**EVERYTHING, restart=True, wait=0.05)
    assert message == (
        "Not as it should be within 0.05 s after shop:shop_1 was restarted: shop:shop_1 does not run: backoff"
    )
    assert host.acts == [["supervisorctl", "restart", "shop:shop_1"]]


def test_it_waits_until_all_run(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.states["worker@5.service"] = "activating"
    monkeypatch.setattr(
        service_check.time, "sleep", lambda _seconds: host.states.update({"worker@5.service": "active"})
    )
    assert host.check(**EVERYTHING, wait=5)["problems"] == []


def test_one_that_came_back_by_itself_is_a_problem(host: Host) -> None:
    host.started["worker@5.service"] = time.monotonic() - 60
    when = iso(time.time() - 60)[:-4]
    assert f"worker@5.service was started again at {when}" in host.fails(**EVERYTHING, since="10m")
    assert host.check(**EVERYTHING)["problems"] == []


def test_errors_in_the_journal_and_in_logs(host: Host, tmp_path: Path) -> None:
    host.states["nginx"], host.errors = "active", ["one", "it broke"]
    assert "the journal of nginx has 2 errors, the last: it broke" in host.fails(units=["nginx"], since="10m")
    assert host.check(units=["nginx"], since="10m", most_errors=2)["problems"] == []
    host.errors = []
    stamps = [time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() - ago)) for ago in (7200, 60, 50)]
    log = tmp_path / "shop.log"
    log.write_text(f"{stamps[0]} ERROR old\n{stamps[1]} INFO well\n{stamps[2]} WARNING x\nTraceback (most recent)\n")
    assert f"{log} has 1 errors, the last: Traceback (most recent)" in host.fails(logs=[f"{tmp_path}/*"], since="10m")
    assert host.check(logs=[str(log)], since="10m", errors="panic")["errors"][str(log)] == {"number": 0, "last": ""}


def test_ports_and_processes(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = host.check(ports=[f"127.0.0.1:{port}"], processes=[{"command": "pytest|python"}])
        assert [(one["port"], one["pid"]) for one in result["listening"]] == [(port, os.getpid())]
    message = host.fails(ports=[str(port)], processes=[{"command": "no such command as this", "least": 2}])
    assert message == (
        f"Not as it should be: nobody listens on {port}; 0 of at least 2 processes 'no such command as this' run"
    )


def test_what_cannot_be_checked_is_not_fine(host: Host, tmp_path: Path) -> None:
    host.supervisor = False
    log = tmp_path / "odd.log"
    log.write_text("it broke\n")
    message = host.fails(programs=["shop:*"], units=["none@*"], logs=[str(log), f"{tmp_path}/none"], since="10m")
    assert message == (
        "Not as it should be: no unit fits none@*; "
        "not checked: programs: unix:///var/run/supervisor.sock no such file; "
        f"not checked: no log fits {tmp_path}/none; not checked: {log}: its lines have no time that is known"
    )


def test_a_program_that_is_not_there(host: Host) -> None:
    assert host.fails(programs=["annex"]) == "Not as it should be: no program of supervisor fits annex"


def test_a_host_without_systemd_was_not_checked() -> None:
    def run(*_arguments: object, **_more: object) -> tuple[int, str, str]:
        raise FileNotFoundError

    wanted = {"units": ["nginx"], "programs": [], "ports": [], "processes": [], "logs": []}
    look = service_look.Look(run, wanted, None, {})
    assert (look.instances, look.not_checked) == ([], ["units: there is no systemctl on this host"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "There is nothing to check: give units, programs, ports, processes or logs."),
        ({"ports": ["1"], "since": "soon"}, "'soon' is no time"),
        ({"ports": ["1"], "errors": "("}, "missing )"),
        ({"processes": [{"command": "("}]}, "missing )"),
        ({"logs": ["/a"]}, "logs are given without since"),
    ],
)
def test_bad_input_is_refused(host: Host, arguments: dict[str, Any], message: str) -> None:
    assert host.fails(**arguments).startswith(message)
