# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is like, told from files and commands that are played."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.ocpizza.cutover.plugins.modules import host_info
from tests.unit.plugins.fakes import run_module

FILES = {
    "/etc/machine-id": "0123\n",
    "/etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 11"\nID=debian\nVERSION_ID="11"\n',
}
POLICY = "mariadb-server:\n  Installed: {0}\n  Candidate: 1:10.5.29-0+deb11u1\n  Version table:\n     1:10.5.29 500\n"


class Host:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.files = dict(FILES)
        self.programs = {"apt-cache": POLICY.format("(none)"), "systemctl": "systemd 247 (247.3-7)\n+PAM\n"}
        self.commands: list[tuple[Any, ...]] = []
        monkeypatch.setattr(host_info, "read", lambda path: self.files.get(path, ""))
        monkeypatch.setattr(AnsibleModule, "get_bin_path", lambda _self, name: name if name in self.programs else None)
        monkeypatch.setattr(AnsibleModule, "run_command", self.answer)

    def answer(self, command: list[str], environ_update: dict[str, str] | None = None) -> tuple[int, str, str]:
        self.commands.append((command, environ_update))
        return 0, self.programs[command[0]], ""

    def run(self, check: bool = False, **more: Any) -> dict[str, Any]:
        return run_module(host_info, self.monkeypatch, check, **more)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(monkeypatch)


def test_the_host_itself_check_mode_or_not(host: Host) -> None:
    host.monkeypatch.setattr(host_info.time, "time", lambda: 12.5)
    results = [host.run(check) for check in (True, False, True, False)]
    assert results[1:] == results[:1] * 3
    told = {key: results[0][key] for key in ("changed", "machine_id", "release", "time", "systemd")}
    assert told == {"changed": False, "machine_id": "0123", "release": "debian 11", "time": 12.5, "systemd": 247}
    assert (results[0]["paths"], results[0]["packages"], results[0]["reach"]) == ({}, {}, {})


def test_a_host_that_tells_little(host: Host) -> None:
    host.files.clear()
    host.programs.clear()
    host.monkeypatch.setattr(host_info, "PROXYD", ("/none/a",))
    result = host.run(packages=["nginx"])
    assert (result["machine_id"], result["release"], result["systemd"], result["socket_proxyd"]) == (
        "",
        "unknown",
        0,
        "",
    )
    assert result["packages"] == {"nginx": {"installed": "", "candidate": ""}}


def test_a_release_without_a_version(host: Host) -> None:
    host.files["/etc/os-release"] = "ID=debian\n"
    assert host.run()["release"] == "debian"


def test_a_systemctl_that_is_none(host: Host) -> None:
    host.programs["systemctl"] = "this is no systemd\n"
    assert host.run()["systemd"] == 0


def test_the_first_proxy_that_can_be_run(host: Host, tmp_path: Path) -> None:
    plain, program = tmp_path / "plain", tmp_path / "program"
    plain.write_text("")
    plain.chmod(0o644)
    program.write_text("")
    program.chmod(0o755)
    host.monkeypatch.setattr(host_info, "PROXYD", (str(tmp_path / "none"), str(plain), str(program)))
    assert host.run()["socket_proxyd"] == str(program)


@pytest.mark.parametrize(("installed", "told"), [("(none)", ""), ("1:10.5.28-0", "1:10.5.28-0")])
def test_versions_of_a_package_in_a_language_that_is_known(host: Host, installed: str, told: str) -> None:
    host.programs["apt-cache"] = POLICY.format(installed)
    packages = host.run(packages=["mariadb-server"])["packages"]
    assert packages == {"mariadb-server": {"installed": told, "candidate": "1:10.5.29-0+deb11u1"}}
    assert (["apt-cache", "policy", "mariadb-server"], {"LC_ALL": "C"}) in host.commands


def test_a_package_that_apt_does_not_know(host: Host) -> None:
    host.programs["apt-cache"] = ""
    assert host.run(packages=["none"])["packages"] == {"none": {"installed": "", "candidate": ""}}


def test_size_and_free_space(host: Host, tmp_path: Path) -> None:
    (tmp_path / "data" / "below").mkdir(parents=True)
    (tmp_path / "data" / "a").write_bytes(b"x" * 100)
    (tmp_path / "data" / "below" / "b").write_bytes(b"x" * 20)
    asked = []

    def usage(path: str) -> Any:
        asked.append(path)
        return type("Usage", (), {"free": 7})

    host.monkeypatch.setattr(host_info.shutil, "disk_usage", usage)
    data, none = str(tmp_path / "data"), str(tmp_path / "none" / "below")
    one = str(tmp_path / "data" / "a")
    device = tmp_path.stat().st_dev
    assert host.run(paths=[data, none, one])["paths"] == {
        data: {"used": 120, "free": 7, "device": device, "exists": True},
        none: {"used": 0, "free": 7, "device": device, "exists": False},
        one: {"used": 100, "free": 7, "device": device, "exists": True},
    }
    assert asked == [data, str(tmp_path), one]


def test_a_relative_path_comes_to_an_end(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    turns = iter(range(50))
    exists = os.path.exists
    monkeypatch.setattr(host_info.os.path, "exists", lambda path: next(turns) is not None and exists(path))
    assert host_info.space("none")["exists"] is False


def test_a_port_that_listens_and_one_that_does_not(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"127.0.0.1:{server.getsockname()[1]}"
        assert host.run(reach=[endpoint])["reach"] == {endpoint: "open"}
    assert host.run(reach=[endpoint])["reach"] == {endpoint: "refused"}


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "refused"),
        (TimeoutError("timed out"), "no answer within 0.5 s"),
        (OSError(113, "No route to host"), "[Errno 113] No route to host"),
    ],
)
def test_why_a_host_is_not_reached(host: Host, error: Exception, told: str) -> None:
    seen = []

    def connect(address: tuple[str, int], timeout: float) -> None:
        seen.append((address, timeout))
        raise error

    host.monkeypatch.setattr(host_info.socket, "create_connection", connect)
    assert host.run(reach=["[2001:db8::1]:3306"], timeout=0.5)["reach"] == {"[2001:db8::1]:3306": told}
    assert seen == [(("2001:db8::1", 3306), 0.5)]


def test_an_endpoint_without_a_port_says_so(host: Host) -> None:
    assert "invalid literal" in host.run(reach=["192.0.2.1:"])["reach"]["192.0.2.1:"]


def test_a_file_that_is_missing_is_empty(tmp_path: Path) -> None:
    assert host_info.read(str(tmp_path / "none")) == ""
    (tmp_path / "odd").write_bytes(b"caf\xe9\n")
    assert host_info.read(str(tmp_path / "odd")) == "caf\ufffd\n"
