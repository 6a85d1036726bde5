# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter over restart_way of module_utils."""

from typing import Any, Dict

from ansible_collections.ocpizza.cutover.plugins.module_utils.operations import restart_way

DOCUMENTATION = r"""
name: restart_way
short_description: Decide how an application server is restarted
version_added: 0.1.0
description:
  - All of it, where every web server can send its requests to another meanwhile; else its workers alone.
options:
  _input:
    description: For each web server, by its inventory name, what its configuration says of application servers.
    type: dict
    required: true
  host:
    description: Inventory name of the application server.
    type: str
    required: true
  address:
    description: Its address, as web servers name it.
    type: str
    required: true
  port:
    description: Its port.
    type: str
    required: true
author:
  - The ocpizza.cutover team
"""

EXAMPLES = r"""
way: "{{ {'web1': ['/run/cutover/drain/10.0.0.5_8000']} | ocpizza.cutover.restart_way('app1', '10.0.0.5', '8000') }}"
"""

RETURN = r"""
_value:
  description: >-
    C(way), which is C(restart) or C(workers), and C(flags), pairs of a web server and the file there that takes it out.
  type: dict
"""


class FilterModule:
    """What this file offers."""

    def filters(self) -> Dict[str, Any]:
        return {"restart_way": restart_way}
