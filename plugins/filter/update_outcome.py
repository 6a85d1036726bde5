# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter over update_outcome of module_utils."""

from typing import Any, Dict

from ansible_collections.ocpizza.cutover.plugins.module_utils.operations import update_outcome

DOCUMENTATION = r"""
name: update_outcome
short_description: Tell what came of an update
version_added: 0.1.0
description:
  - What went wrong and what each application server runs now; empty where nothing went wrong.
options:
  _input:
    description: Inventory names of the application servers.
    type: list
    elements: str
    required: true
  known:
    description: C(hostvars), with what the role operations noted of each.
    type: dict
    required: true
author:
  - The ocpizza.cutover team
"""

EXAMPLES = r"""
outcome: "{{ groups['application'] | ocpizza.cutover.update_outcome(hostvars) }}"
"""

RETURN = r"""
_value:
  description: Lines of text.
  type: str
"""


class FilterModule:
    """What this file offers."""

    def filters(self) -> Dict[str, Any]:
        return {"update_outcome": update_outcome}
