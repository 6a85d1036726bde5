# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter web_site_problems: what is wrong with a list of web sites."""

from typing import Any, Callable, Dict

from ansible_collections.ocpizza.cutover.plugins.module_utils.web_site import site_problems

DOCUMENTATION = r"""
name: web_site_problems
short_description: What is wrong with a list of web sites
version_added: 0.1.0
description:
  - One text for each thing that keeps the roles nginx and apache from serving these sites, with the remedy.
    An empty list when all can be served.
options:
  _input:
    description: The sites, as in C(nginx_sites) and C(apache_sites).
    type: list
    elements: dict
    required: true
author:
  - The ocpizza.cutover team
"""

EXAMPLES = r"""
- name: Refuse sites that cannot be served
  ansible.builtin.assert:
    that: nginx_sites | ocpizza.cutover.web_site_problems | length == 0
    fail_msg: "nginx_sites: {{ nginx_sites | ocpizza.cutover.web_site_problems | join('; ') }}."
"""

RETURN = r"""
_value:
  description: One text a problem.
  type: list
  elements: str
"""


class FilterModule:
    """Makes the filter known to Ansible."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"web_site_problems": site_problems}
