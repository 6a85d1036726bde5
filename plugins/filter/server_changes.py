# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that compares two readings of servers."""

from typing import Any, Dict, List

from ansible.errors import AnsibleFilterError

from ansible_collections.ocpizza.cutover.plugins.module_utils import server_changes

DOCUMENTATION = r"""
name: server_changes
short_description: Tell what differs between two readings of a server
description:
  - Compares what P(ocpizza.cutover.server_info#module) found with what it found earlier, or on another server.
  - These are compared - packages, files below /etc, units, users, mounts, listeners, firewall, virtual hosts with their
    certificates, databases, accounts, jobs.
version_added: "0.1.0"
author: The ocpizza.cutover team
options:
  _input:
    description: What the module returned.
    type: dict
    required: true
  earlier:
    description: What it had returned earlier, or a C(report.json) of the role survey.
    type: dict
    required: true
"""

EXAMPLES = r"""
since: >-
  {{ old_server | ocpizza.cutover.server_changes(lookup('ansible.builtin.file', 'report.json') | from_json) }}
"""

RETURN = r"""
_value:
  description: Each with C(kind), C(what) (new, gone or changed) and C(text).
  type: list
  elements: dict
"""


def changes(found: Dict[str, Any], earlier: Dict[str, Any]) -> List[Dict[str, Any]]:
    """What is new, gone or changed since."""
    try:
        return server_changes.changes(earlier, found)
    except (KeyError, TypeError, AttributeError) as error:
        raise AnsibleFilterError("one of both is no reading of server_info: it lacks {0}".format(error)) from error


class FilterModule:
    """What this file offers."""

    def filters(self) -> Dict[str, Any]:
        return {"server_changes": changes}
