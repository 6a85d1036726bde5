# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter host_offences: what in a list of domains is no host name."""

from typing import Any, Callable, Dict

from ansible_collections.ocpizza.cutover.plugins.module_utils.hosts import host_offences

DOCUMENTATION = r"""
name: host_offences
short_description: What in a list of domains is no host name
version_added: 0.1.0
description:
  - One text for each entry that is neither a host name nor an IP address, saying what is wrong with it.
    An empty list when all are right.
options:
  _input:
    description: Names, as a list or as text with commas.
    type: raw
    required: true
  allow_suffix:
    description: Whether C(.example.org), a domain and all below it, is allowed.
    type: bool
    default: true
author:
  - The ocpizza.cutover team
"""

EXAMPLES = r"""
- name: Refuse what is no domain
  ansible.builtin.assert:
    that: site_domains | ocpizza.cutover.host_offences | length == 0
    fail_msg: "site_domains: {{ site_domains | ocpizza.cutover.host_offences | join('; ') }}."
"""

RETURN = r"""
_value:
  description: One text for each entry that is no host name.
  type: list
  elements: str
"""


class FilterModule:
    """Makes the filter known to Ansible."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"host_offences": host_offences}
