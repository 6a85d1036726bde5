# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that write parts of the agent's plans."""

from typing import Any, Dict, List

from ansible_collections.ocpizza.cutover.plugins.module_utils import upstreams

DOCUMENTATION = r"""
name: local_endpoint
short_description: An application's address as the agent counts its requests
description:
  - Turns C(site_upstream) of an application on this host into the endpoint of a plan.
version_added: "0.1.0"
author: The ocpizza.cutover team
options:
  _input:
    description: What C(site_upstream) says.
    type: str
    required: true
  runtime:
    description: The site's folder of flags.
    type: str
    required: true
"""

EXAMPLES = r"""
endpoint: "{{ '127.0.0.1:8000' | ocpizza.cutover.local_endpoint('/run/cutover/shop') }}"
"""

RETURN = r"""
_value:
  description: C(address), C(port) and C(local), or C(path), or C(folder).
  type: dict
"""


# What answers a request again, whose application speaks no HTTP, listens so much above its valve.
AGAIN = 1000
FIRST_NEIGHBOUR = 18010


def local_endpoint(upstream: str, runtime: str) -> Dict[str, Any]:
    """The endpoint of an application on this host; ``runtime`` is its site's folder of flags."""
    return upstreams.endpoint(upstreams.parse(upstream), runtime)


def neighbour_endpoints(neighbours: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """The endpoints of sites that stay."""
    return [local_endpoint(one["upstream"], "/run/cutover/" + one["name"]) for one in neighbours]


def release_target(upstream: str, valve_port: int) -> str:
    """Where a valve leads what an application on this host is to answer."""
    return upstreams.release_target(upstreams.parse(upstream), int(valve_port) + AGAIN)


def source_health(upstream: str, path: str, host: str, web: str, state: str) -> Dict[str, str]:
    """How an application on this host is asked whether it is well."""
    return upstreams.health(upstreams.parse(upstream), path, host, web, state)


def neighbour_valves(neighbours: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """The valves of sites that stay."""
    return [
        {
            "site": one["name"],
            "runtime": "/run/cutover/" + one["name"],
            "state": "/var/lib/cutover/" + one["name"],
            "unit": "cutover-" + one["name"],
            "targets": {"source": release_target(one["upstream"], FIRST_NEIGHBOUR + number)},
        }
        for number, one in enumerate(neighbours)
    ]


def lacking(wanted: Dict[str, Any], found: Dict[str, Any]) -> List[str]:
    """The settings of a server that are not as wanted; ``found`` names them as SELECT @@name does.

    A list names values that will not do, such as a bind address that only this host can reach.
    """
    names = []
    for name, value in sorted(wanted.items()):
        present = str(found.get("@@" + name))
        if present in [str(bad) for bad in value] if isinstance(value, list) else present != str(value):
            names.append(name)
    return names


def pg_literal(text: str) -> str:
    """A string as PostgreSQL's SQL, whatever is in it."""
    if "\0" in text:
        raise ValueError("PostgreSQL keeps no text with a zero byte")
    # E'' means the same whatever standard_conforming_strings says.
    return "E'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


class FilterModule:
    """Makes the functions known to templates."""

    def filters(self):
        """The filters by name."""
        return {
            "local_endpoint": local_endpoint,
            "neighbour_endpoints": neighbour_endpoints,
            "release_target": release_target,
            "source_health": source_health,
            "upstream_protocol": lambda upstream: upstreams.parse(upstream).protocol,
            "neighbour_valves": neighbour_valves,
            "lacking": lacking,
            "pg_literal": pg_literal,
        }
