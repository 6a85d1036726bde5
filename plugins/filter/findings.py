# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter over the findings of module_utils."""

from typing import Any, Dict, List, Sequence

from ansible.errors import AnsibleFilterError

from ansible_collections.ocpizza.cutover.plugins.module_utils import findings as findings_utils

DOCUMENTATION = r"""
name: findings
short_description: Decide what stands in the way of a move
description:
  - Decides from facts about the site, its source and its targets what stands in the way of moving it.
version_added: "0.1.0"
author: The ocpizza.cutover team
options:
  _input:
    description: Facts with C(site), C(source) and C(targets).
    type: dict
    required: true
  waive:
    description: Keys of findings that are waived.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
found: "{{ facts | ocpizza.cutover.findings(waive=['clock.skew']) }}"
"""

RETURN = r"""
_value:
  description: Findings with key, severity, title, reason, remedy, waived and text.
  type: list
  elements: dict
"""


def findings(facts: Dict[str, Any], waive: Sequence[str] = ()) -> List[Dict[str, Any]]:
    """The findings as plain dictionaries, each with its text."""
    try:
        return findings_utils.plain(findings_utils.decide(facts, waive))
    except (KeyError, TypeError) as error:
        raise AnsibleFilterError(
            "the facts lack {0}; run discover.yml in the same run, it gathers them".format(error)
        ) from error


class FilterModule:
    """What this file offers."""

    def filters(self) -> Dict[str, Any]:
        return {"findings": findings}
