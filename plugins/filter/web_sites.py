# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter web_sites: web sites with every default filled in."""

from typing import Any, Callable, Dict

from ansible_collections.ocpizza.cutover.plugins.module_utils.web_site import complete_sites

DOCUMENTATION = r"""
name: web_sites
short_description: Web sites with every default filled in
version_added: 0.1.0
description:
  - What the templates of the roles nginx and apache take, from sites of which only C(name) and C(domains) must be set.
  - Does not judge them; C(ocpizza.cutover.web_site_problems) does.
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
- name: Ports that the sites listen on
  ansible.builtin.debug:
    msg: "{{ nginx_sites | ocpizza.cutover.web_sites | map(attribute='ports') | flatten | unique }}"
"""

RETURN = r"""
_value:
  description: The sites, each with all keys, and C(ports), C(id), C(upstream_scheme) and C(client_max_body_bytes).
  type: list
  elements: dict
"""


class FilterModule:
    """Makes the filter known to Ansible."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"web_sites": complete_sites}
