"""What every scenario's tests share: the machines, and the journal of a machine whose test failed."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest
import testinfra
import yaml
from testinfra.host import Host

from tests.lab.hosts import HOSTS


def _machines() -> dict[str, str]:
    scenario = os.environ["MOLECULE_SCENARIO_NAME"]
    if scenario.startswith("migrate-"):
        # A scenario of the whole migration: its machines are the lab's.
        return {host.name: f"docker://{os.environ['LAB']}-{host.name}" for host in HOSTS}
    text = Path(os.environ["MOLECULE_INVENTORY_FILE"]).read_text(encoding="utf-8")
    return {name: f"docker://cutover-molecule-{scenario}-{name}" for name in yaml.safe_load(text)["all"]["hosts"]}


def pytest_configure(config: pytest.Config) -> None:
    # testinfra asks ansible-inventory, which leaves the template in ansible_host as it is.
    config.option.hosts = ",".join(_machines().values())


@pytest.fixture(scope="session")
def machines() -> dict[str, Host]:
    """The scenario's machines by name, for tests that need a certain one."""
    return {name: testinfra.get_host(address) for name, address in _machines().items()}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call" and report.failed:
        for name, address in _machines().items():
            journal = testinfra.get_host(address).run("journalctl --no-pager -n 60").stdout
            report.sections.append((f"journal of {name}", journal))
    return report
