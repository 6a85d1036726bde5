# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that compares the findings of two checks."""

from typing import Any, Dict, List

from ansible_collections.ocpizza.cutover.plugins.module_utils import findings

DOCUMENTATION = r"""
name: findings_since
short_description: Tell which findings are new since an earlier check, gone or changed
description:
  - Compares what an earlier check has written into C(findings.json) with what was found now, by key and reason.
version_added: "0.1.0"
author: The ocpizza.cutover team
options:
  _input:
    description: What is in the earlier file.
    type: dict
    required: true
  now:
    description: What was found now.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
since: "{{ lookup('ansible.builtin.file', 'findings.json') | from_json | ocpizza.cutover.findings_since(found) }}"
"""

RETURN = r"""
_value:
  description: C(new), C(gone) and C(changed) keys, and a C(text) that says so; empty where there is no earlier check.
  type: dict
"""


def findings_since(earlier: Any, now: List[Dict[str, Any]]) -> Dict[str, Any]:
    """What has changed since then."""
    if not isinstance(earlier, dict) or not isinstance(earlier.get("findings"), list):
        return {"new": [], "gone": [], "changed": [], "text": ""}
    compared = findings.compare(earlier["findings"], now)
    return dict(compared, text=findings.tell(compared, str(earlier.get("time", ""))[:16] or "an unknown time"))


class FilterModule:
    """What this file offers."""

    def filters(self) -> Dict[str, Any]:
        return {"findings_since": findings_since}
