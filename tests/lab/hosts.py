# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which machines the lab has and where they are reached; inventories/lab says the same to Ansible."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.docker import LabError
from tests.lab.engines import engines, suite

CHECKOUT = Path(__file__).resolve().parents[2]
LABEL = "ocpizza.cutover=lab"
ADDRESS = "127.0.0.1"
SUITES = ("bullseye", "bookworm", "trixie")
WEB_SERVERS = ("apache", "nginx")
WAYS = ("proxy", "failover-ip", "dns")


@dataclass(frozen=True)
class Host:
    """One machine: its ssh port and the other ports published, as offsets."""

    name: str
    ssh: int
    published: tuple[tuple[int, int], ...] = ()
    shared_media: bool = False


OLD = "old"
HOSTS = (
    Host(OLD, 10, ((80, 80),)),
    Host("db", 11),
    Host("app1", 12, shared_media=True),
    Host("app2", 13, shared_media=True),
    Host("web1", 14, ((43, 443), (81, 80)), shared_media=True),
)


def web_server() -> str:
    """What the old server's sites stand behind; WEB chooses."""
    return _chosen("WEB", WEB_SERVERS)


def way_to_switch() -> str:
    """What happens to the site's address; WAY chooses."""
    return _chosen("WAY", WAYS)


def _chosen(variable: str, known: tuple[str, ...]) -> str:
    chosen = os.environ.get(variable) or known[0]
    if chosen not in known:
        raise LabError(f"{variable}={chosen}: give one of {', '.join(known)}")
    return chosen


@dataclass(frozen=True)
class Lab:
    """A named lab, its first port, its site's engines and its old web server; several can be up at once."""

    name: str
    port: int
    engines: tuple[str, ...] = field(default_factory=engines)
    web: str = field(default_factory=web_server)
    way: str = field(default_factory=way_to_switch)

    @classmethod
    def from_environment(cls) -> Lab:
        """Read LAB, LAB_PORT, ENGINE, WEB and WAY, as inventories/lab does."""
        return cls(os.environ.get("LAB") or "cutover-lab", int(os.environ.get("LAB_PORT") or "22000"))

    @property
    def directory(self) -> Path:
        """Everything the lab writes on this machine: keys, secrets, certificates."""
        return CHECKOUT / "build" / "lab" / self.name

    @property
    def ssh(self) -> Path:
        """The key pair and known_hosts."""
        return self.directory / "ssh"

    def image(self, host: Host) -> str:
        """What a machine is made from: OLD and NEW name the suites; the old one is as old as its database allows."""
        oldest = suite(self.engines)
        variable, usual = ("OLD", oldest) if host.name == OLD else ("NEW", SUITES[-1])
        chosen = os.environ.get(variable) or usual
        if chosen not in SUITES or SUITES.index(chosen) < SUITES.index(oldest):
            raise LabError(f"{variable}={chosen}: give one of {', '.join(SUITES[SUITES.index(oldest) :])}")
        return f"cutover-lab:{chosen}"

    def container(self, host: Host) -> str:
        """Name of a machine's container."""
        return f"{self.name}-{host.name}"

    def ssh_port(self, host: Host) -> int:
        """Port on this machine that a machine's sshd is published on."""
        return self.port + host.ssh

    def url(self, offset: int, scheme: str = "http") -> str:
        """Address of a port published at an offset."""
        return f"{scheme}://{ADDRESS}:{self.port + offset}"
