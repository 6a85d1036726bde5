# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab is defined once for Docker and once for Ansible; both must say the same."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.lab import engines
from tests.lab.__main__ import main
from tests.lab.demo import databases, traffic_arguments, windows
from tests.lab.docker import LabError
from tests.lab.hosts import CHECKOUT, HOSTS, Lab
from tests.lab.machines import ssh_command
from tests.lab.traffic.__main__ import parse
from tests.lab.traffic.timeline import Window

INVENTORIES = CHECKOUT / "inventories"


def hosts_of(group: dict[str, Any]) -> dict[str, Any]:
    found = dict(group.get("hosts", {}))
    for child in group.get("children", {}).values():
        found.update(hosts_of(child))
    return found


def groups_of(group: dict[str, Any]) -> set[str]:
    children = group.get("children", {})
    return set(children).union(*(groups_of(child) for child in children.values()))


@pytest.fixture(params=["lab", "example"])
def inventory(request: pytest.FixtureRequest) -> dict[str, Any]:
    loaded = yaml.safe_load((INVENTORIES / request.param / "hosts.yml").read_text())
    assert isinstance(loaded, dict)
    return dict(loaded["all"])


def test_inventory_has_the_machines_and_their_ports() -> None:
    loaded = yaml.safe_load((INVENTORIES / "lab" / "hosts.yml").read_text())
    ports = {name: variables["lab_port"] for name, variables in hosts_of(loaded["all"]).items()}
    assert ports == {host.name: host.ssh for host in HOSTS}


def test_groups_are_those_of_the_playbooks(inventory: dict[str, Any]) -> None:
    assert groups_of(inventory) == {"source", "target", "database", "application", "web"}
    assert not groups_of(inventory) & set(hosts_of(inventory))


def test_example_leaves_no_secret_and_no_name_that_could_work() -> None:
    secrets = yaml.safe_load((INVENTORIES / "example/group_vars/all/secrets.yml").read_text())
    assert set(secrets.values()) == {"CHANGE-ME"}
    assert not re.fullmatch(r"[a-z0-9.-]+", "CHANGE-ME")


def test_published_ports_differ() -> None:
    offsets = [host.ssh for host in HOSTS] + [offset for host in HOSTS for offset, _ in host.published]
    assert len(offsets) == len(set(offsets))


def test_host_keys_are_checked() -> None:
    command = ssh_command(Lab("other", 30000), "db", "true")
    assert "StrictHostKeyChecking=yes" in command
    assert command[-3:] == ["30011", "admin@127.0.0.1", "true"]


def test_unknown_machine_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ssh", "nowhere", "true"]) == 1
    assert "no machine 'nowhere'; there are old, db, app1, app2, web1" in capsys.readouterr().err


def test_demo_loads_the_old_server_and_asks_the_new_database(tmp_path: Any) -> None:
    lab = Lab("other", 30000)
    token = tmp_path / "token"
    token.write_text("secret")
    arguments = [each for each in traffic_arguments(lab, tmp_path, 60) if "staff" not in each and "session" not in each]
    plan = parse([*arguments, f"--staff-token-file={token}", f"--session-file={token}"])
    assert (plan.server.port, plan.server.host) == (30080, "ocpizza.test")
    assert plan.database is not None
    assert plan.database.command[-1].endswith("mariadb --batch --skip-column-names ocpizza")
    assert "30011" in plan.database.command


def test_windows_span_phases_and_steps() -> None:
    def event(second: int, status: str, step: str = "") -> dict[str, object]:
        time = f"1970-01-01T00:00:{second:02}.500Z"
        return {"time": time, "phase": "cutover", "step": step, "status": status}

    events = [
        event(1, "started"),
        event(2, "started", "hold"),
        event(3, "passed", "hold"),
        event(4, "progress"),
        event(5, "failed"),
        event(6, "passed"),
    ]
    assert list(windows(events)) == [Window("cutover/hold", 2.5, 3.5), Window("cutover", 1.5, 5.5)]


def test_the_engine_decides_how_old_the_old_server_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def images() -> list[str]:
        lab = Lab("other", 30000)
        return [lab.image(host) for host in HOSTS[:2]]

    assert images() == ["cutover-lab:bullseye", "cutover-lab:trixie"]
    monkeypatch.setenv("ENGINE", "mysql")
    assert images() == ["cutover-lab:trixie", "cutover-lab:trixie"]
    monkeypatch.setenv("ENGINE", "mariadb,postgresql")
    assert images() == ["cutover-lab:bullseye", "cutover-lab:trixie"]


@pytest.mark.parametrize("engine", ["oracle", "mariadb,mysql", "postgresql,postgresql", "mariadb,", "mysql,mariadb"])
def test_unknown_engines_are_refused(
    engine: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENGINE", engine)
    assert main(["status"]) == 1
    assert f"ENGINE={engine}: give mariadb, mysql or postgresql" in capsys.readouterr().err


def test_each_database_is_asked_on_its_own_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE", "mariadb,postgresql")
    where = databases(Lab("other", 30000), "db")
    assert where["database"].endswith("mariadb --batch --skip-column-names ocpizza'")
    assert "psql -AtqX" in where["stock_database"]
    assert where["stock_database"].endswith(" stock'")


def test_old_and_new_name_the_suites(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE", "mariadb")
    monkeypatch.setenv("OLD", "bookworm")
    monkeypatch.setenv("NEW", "bookworm")
    lab = Lab("any", 22000)
    assert [lab.image(host) for host in HOSTS[:2]] == ["cutover-lab:bookworm", "cutover-lab:bookworm"]
    monkeypatch.setenv("ENGINE", "mysql")
    with pytest.raises(LabError, match="OLD=bookworm: give one of trixie"):
        Lab("any", 22000).image(HOSTS[0])


def test_a_target_of_another_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE", "mariadb")
    monkeypatch.setenv("TARGET_ENGINE", "mysql")
    assert engines.engines() == ("mariadb",)
    assert [engines.engine_on(host, "mariadb") for host in ("old", "db")] == ["mariadb", "mysql"]
    monkeypatch.setenv("ENGINE", "postgresql")
    with pytest.raises(LabError, match="TARGET_ENGINE=mysql: nothing but mysql, and only beside ENGINE=mariadb"):
        engines.engines()


def test_web_names_the_old_web_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEB", raising=False)
    assert Lab("any", 22000).web == "apache"
    monkeypatch.setenv("WEB", "nginx")
    assert Lab("any", 22000).web == "nginx"
    monkeypatch.setenv("WEB", "squid")
    with pytest.raises(LabError, match="WEB=squid: give one of apache, nginx"):
        Lab("any", 22000)
