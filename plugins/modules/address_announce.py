# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the neighbours that an IPv4 address is on this host now."""

DOCUMENTATION = r"""
---
module: address_announce
short_description: Tell the neighbours that an address is here now
description:
  - Sends gratuitous ARP, so that the neighbours no longer look for the address where it was.
  - Needs no package on the host.
version_added: "0.1.0"
author: The ocpizza.cutover team
attributes:
  check_mode:
    support: full
    description: Says what it would announce.
  diff_mode:
    support: none
    description: The host itself is not changed.
options:
  address:
    description: The address, which an interface of this host must have.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Announce the address
  ocpizza.cutover.address_announce:
    address: 192.0.2.80
"""

RETURN = r"""
interface:
  description: The interface on which it was announced.
  type: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils import addresses  # noqa: E402


def main():
    module = AnsibleModule(argument_spec={"address": {"type": "str", "required": True}}, supports_check_mode=True)
    address = module.params["address"]
    _rc, text, _error = module.run_command(["ip", "-o", "-4", "address", "show"], check_rc=True)
    row = addresses.holder(addresses.parse(text), address)
    if not row:
        module.fail_json(msg="{0} is on no interface of this host, so it is not announced".format(address))
    if not module.check_mode:
        try:
            addresses.announce(row.interface, address)
        except OSError as error:
            module.fail_json(msg="{0} could not be announced on {1}: {2}".format(address, row.interface, error))
    module.exit_json(changed=True, interface=row.interface)


if __name__ == "__main__":
    main()
