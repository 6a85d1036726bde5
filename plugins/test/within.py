# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test ``address is ocpizza.cutover.within(network)``."""

import ipaddress
from typing import Callable, Dict

DOCUMENTATION = r"""
name: within
short_description: Whether an address lies in a network
version_added: 0.1.0
description:
  - True when the address is the network's own or lies in it; false as well when either is none.
positional: network
options:
  _input:
    description: The address.
    type: str
    required: true
  network:
    description: The network, or a single address.
    type: str
    required: true
author:
  - The ocpizza.cutover team
"""

EXAMPLES = r"""
- name: Say that the database is near
  ansible.builtin.debug:
    msg: near
  when: site_address is ocpizza.cutover.within('10.0.0.0/24')
"""

RETURN = r"""
_value:
  description: Whether it lies in it.
  type: bool
"""


def within(address: str, network: str) -> bool:
    """Whether an address lies in a network; what cannot be read lies nowhere."""
    try:
        return ipaddress.ip_address(address.strip()) in ipaddress.ip_network(network.strip(), strict=False)
    except ValueError:
        return False


class TestModule:
    """The tests of this file."""

    def tests(self) -> Dict[str, Callable[..., bool]]:
        """Tests by name."""
        return {"within": within}
