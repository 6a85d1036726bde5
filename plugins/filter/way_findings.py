# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter over what stands in the way of a site's address."""

from typing import Any, Dict, List, Sequence

from ansible_collections.ocpizza.cutover.plugins.module_utils import findings, findings_way

DOCUMENTATION = r"""
name: way_findings
short_description: Decide what stands in the way of moving a site's address
description:
  - Decides from what the role way saw. The filter P(ocpizza.cutover.findings#filter) does so too, beside all else.
version_added: "0.1.0"
author: The ocpizza.cutover team
options:
  _input:
    description: The fact C(way_result).
    type: dict
    required: true
  waive:
    description: Keys of findings that are waived.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
found: "{{ way_result | ocpizza.cutover.way_findings(waive=['way.address_shared']) }}"
"""

RETURN = r"""
_value:
  description: Findings with key, severity, title, reason, remedy, waived and text.
  type: list
  elements: dict
"""


def way_findings(seen: Dict[str, Any], waive: Sequence[str] = ()) -> List[Dict[str, Any]]:
    """The findings as plain dictionaries, each with its text."""
    return findings.plain(findings.mark(findings_way.decide({"way": seen}), waive))


class FilterModule:
    """What this file offers."""

    def filters(self) -> Dict[str, Any]:
        return {"way_findings": way_findings}
