# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter over site_status of module_utils."""

import time
from typing import Any, Dict

from ansible_collections.ocpizza.cutover.plugins.module_utils import site_status

DOCUMENTATION = r"""
name: site_status
short_description: Judge what was found on a site's servers
version_added: 0.1.0
description:
  - Rows of what each server has, what of it is wrong, and a table of it.
options:
  _input:
    description: For each host what the role operations found there.
    type: dict
    required: true
  limits:
    description: C(certificate_days), C(disk_percent) and C(backup_age) in seconds.
    type: dict
    required: true
author:
  - The ocpizza.cutover team
"""

EXAMPLES = r"""
status: "{{ found | ocpizza.cutover.site_status({'certificate_days': 14, 'disk_percent': 90, 'backup_age': 172800}) }}"
"""

RETURN = r"""
_value:
  description: >-
    C(when) in seconds since 1970, C(ok), C(problems) as texts, C(rows) with host, what, name, state and ok, and
    C(table) as lines.
  type: dict
"""


def judge(hosts: Dict[str, Any], limits: Dict[str, Any]) -> Dict[str, Any]:
    """The status now."""
    return site_status.site_status(hosts, limits, time.time())


class FilterModule:
    """What this file offers."""

    def filters(self) -> Dict[str, Any]:
        return {"site_status": judge}
