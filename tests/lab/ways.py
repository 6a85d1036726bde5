# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site's address in the lab, and clients that use it from inside the lab's network."""

from __future__ import annotations

import ipaddress
import os

from tests.lab import names
from tests.lab.docker import docker, execute
from tests.lab.hosts import HOSTS, OLD, Lab

CLIENT = "app2"
FAILOVER = 200


def network_of(lab: Lab) -> str:
    """The lab's network, as address and prefix."""
    return docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", lab.name).strip()


def failover_address(lab: Lab) -> str:
    """The address that moves; inventories/lab says the same."""
    return address_of(lab, OLD).rpartition(".")[0] + f".{FAILOVER}"


def address_of(lab: Lab, host: str) -> str:
    """A machine's own address."""
    form = f'{{{{(index .NetworkSettings.Networks "{lab.name}").IPAddress}}}}'
    return docker("container", "inspect", "--format", form, _container(lab, host)).strip()


def give_addresses(lab: Lab) -> None:
    """What the site is found by: an address of the old server's that can move, or names."""
    if lab.way == "dns":
        names.serve_names(lab, address_of(lab, OLD))
    if lab.way != "failover-ip":
        return
    # As on a real server, its network may be changed.
    prefix = ipaddress.ip_network(network_of(lab)).prefixlen
    execute(_container(lab, OLD), "mount", "-o", "remount,rw", "/proc/sys")
    execute(_container(lab, OLD), "ip", "address", "replace", f"{failover_address(lab)}/{prefix}", "dev", "eth0")


def inside(lab: Lab) -> list[str]:
    """What runs a command where the site's clients are: on this machine, or in the lab's network."""
    if lab.way == "proxy":
        return []
    pid = docker("container", "inspect", "--format", "{{.State.Pid}}", _container(lab, CLIENT)).strip()
    return ["nsenter", f"--net=/proc/{pid}/ns/net"]


def outside(lab: Lab) -> list[str]:
    """What runs a command on this machine again, for one that is inside."""
    return [] if lab.way == "proxy" else ["nsenter", f"--net=/proc/{os.getpid()}/ns/net"]


def where_clients_go(lab: Lab) -> list[str]:
    """Where traffic goes, as its arguments."""
    if lab.way == "proxy":
        return [f"--url={lab.url(80)}"]
    if lab.way == "dns":
        found_by = [f"--resolver={resolver}" for resolver in names.resolvers(lab)]
        return [f"--url=http://{address_of(lab, OLD)}", *found_by, f"--within={network_of(lab)}"]
    return [
        f"--url=http://{failover_address(lab)}",
        f"--neighbour-url=http://{address_of(lab, OLD)}",
        f"--within={network_of(lab)}",
    ]


def _container(lab: Lab, host: str) -> str:
    return lab.container(next(each for each in HOSTS if each.name == host))
