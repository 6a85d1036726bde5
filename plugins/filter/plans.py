# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that write parts of the agent's plans."""

from typing import Any, Dict, List

DOCUMENTATION = r"""
name: local_endpoint
short_description: An application's port as the agent counts its requests
description:
  - Turns C(address:port) of an application on this host into the endpoint of a plan.
version_added: "0.1.0"
author: The ocpizza.cutover team
options:
  _input:
    description: Address and port.
    type: str
    required: true
"""

EXAMPLES = r"""
endpoint: "{{ '127.0.0.1:8000' | ocpizza.cutover.local_endpoint }}"
"""

RETURN = r"""
_value:
  description: C(address), C(port) and C(local).
  type: dict
"""


def local_endpoint(upstream: str) -> Dict[str, Any]:
    """The endpoint of an application on this host."""
    address, _colon, port = upstream.rpartition(":")
    if not address or not port.isdigit():
        raise ValueError("'{0}' is not an address and a port, such as 127.0.0.1:8000".format(upstream))
    return {"address": address, "port": int(port), "local": True}


def neighbour_valve(neighbour: Dict[str, Any]) -> Dict[str, Any]:
    """The valve of a site that stays."""
    name = neighbour["name"]
    return {
        "site": name,
        "runtime": "/run/cutover/" + name,
        "state": "/var/lib/cutover/" + name,
        "unit": "cutover-" + name,
        "targets": {"source": neighbour["upstream"]},
    }


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
            "neighbour_valve": neighbour_valve,
            "lacking": lacking,
            "pg_literal": pg_literal,
        }
