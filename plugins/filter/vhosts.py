# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that edit the text of virtual hosts."""

import base64
from typing import Any, Dict, List

from ansible_collections.ocpizza.cutover.plugins.module_utils import nginx_passes, nginx_valve, vhost_edit

DOCUMENTATION = r"""
name: add_include
short_description: Put an Include into the virtual hosts of a site
description:
  - Returns Apache configuration with an C(Include) first in each virtual host that serves one of the domains.
    Every other byte stays as it was.
version_added: "0.1.0"
author: The ocpizza.cutover team
options:
  _input:
    description: The configuration's text.
    type: str
    required: true
  domains:
    description: The site's domains.
    type: list
    elements: str
    required: true
  path:
    description: The file to include.
    type: str
    required: true
"""

EXAMPLES = r"""
edited: "{{ content | ocpizza.cutover.add_include(['shop.example'], '/etc/apache2/cutover/shop.conf') }}"
"""

RETURN = r"""
_value:
  description: The text with the lines put in.
  type: str
"""


def with_include(slurped: List[Dict[str, Any]], domains: List[str], path: str) -> List[Dict[str, str]]:
    """Files read by slurp in a loop, as web_config wants them, with the Include; those of other sites are left out."""
    edited = [{"path": one["item"], "content": vhost_edit.add_include(_text(one), domains, path)} for one in slurped]
    return [one for one in edited if vhost_edit.include_lines(path) in one["content"]]


def without_include(slurped: List[Dict[str, Any]], path: str) -> List[Dict[str, str]]:
    """Files read by slurp in a loop, as web_config wants them, without the Include."""
    return [
        {
            "path": one["item"],
            "content": vhost_edit.remove_include(base64.b64decode(one["content"]).decode("utf-8"), path),
        }
        for one in slurped
    ]


def _text(one: Dict[str, Any]) -> str:
    return base64.b64decode(one["content"]).decode("utf-8")


def with_nginx_valve(slurped: List[Dict[str, Any]], name: str, found: Dict[str, Any]) -> List[Dict[str, str]]:
    """Files of nginx read by slurp in a loop, as web_config wants them, the valve where vhost_info found its places."""
    servers, edited = found["vhosts"], []
    for one in slurped:
        path = one["item"]
        passes = {
            place["line"]: place["beside"]
            for place in found["passes"]
            if place["file"] == path and not place["problem"] and not place["changed"]
        }
        locations = [
            (place["changed"]["line"], place["changed"]["opens"])
            for place in found["passes"]
            if place["changed"] and place["changed"]["file"] == path and not place["problem"]
        ]
        lines = [server["line"] for server in servers if server["file"] == path]
        first = bool(servers) and servers[0]["file"] == path
        # The lines are those of the text without the valve.
        plain = nginx_valve.remove(_text(one), name)
        edited.append({"path": path, "content": nginx_valve.add(plain, name, lines, passes, first, locations)})
    return edited


def without_nginx_valve(slurped: List[Dict[str, Any]], name: str) -> List[Dict[str, str]]:
    """Files of nginx read by slurp in a loop, as web_config wants them, without the valve."""
    return [{"path": one["item"], "content": nginx_valve.remove(_text(one), name)} for one in slurped]


class FilterModule:
    """Makes the functions known to templates."""

    def filters(self):
        """The filters by name."""
        return {
            "add_include": vhost_edit.add_include,
            "with_include": with_include,
            "without_include": without_include,
            "headers_to_target": nginx_passes.headers_to_target,
            "with_nginx_valve": with_nginx_valve,
            "without_nginx_valve": without_nginx_valve,
        }
