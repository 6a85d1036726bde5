# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters over what server_info has found."""

import datetime
from typing import Any, Dict, List

from ansible_collections.ocpizza.cutover.plugins.module_utils import site_drafts

DOCUMENTATION = r"""
name: site_drafts
short_description: Draft the variables of a migration from what was found on a server
description:
  - Returns for each site that P(ocpizza.cutover.server_info#module) has found what a migration has to know of it, with
    what is still open, and the sites that cannot be moved with the reason.
version_added: "0.1.0"
author: The ocpizza.cutover team
options:
  _input:
    description: What the module returned.
    type: dict
    required: true
  brought:
    description: >-
      What became of each archive of a site, by C(site/archive), as M(ocpizza.cutover.folder_archive) returns it.
    type: dict
"""

EXAMPLES = r"""
drafts: "{{ old_server | ocpizza.cutover.site_drafts }}"
"""

RETURN = r"""
_value:
  description: C(sites) and C(others).
  type: dict
"""


def unused_for(found: Dict[str, Any], days: int, now: float) -> List[Dict[str, Any]]:
    """The virtual hosts for which nobody came for so many days, C(since) when; C(log): nobody is in the log at all."""
    limit = datetime.datetime.fromtimestamp(now, datetime.timezone.utc) - datetime.timedelta(days=days)
    text = limit.strftime("%Y-%m-%dT%H:%M:%SZ")
    return [
        dict(vhost, since=vhost["last_used"] or vhost["quiet_since"], log=not vhost["last_used"])
        for vhost in found["vhosts"]
        if "" < (vhost["last_used"] or vhost["quiet_since"]) < text
    ]


class FilterModule:
    """What this file offers."""

    def filters(self) -> Dict[str, Any]:
        """The filters by name."""
        return {"site_drafts": site_drafts.drafts, "unused_for": unused_for}
