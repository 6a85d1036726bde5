# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells where an IPv4 address is, seen from one host, and who answers for it on the local network."""

DOCUMENTATION = r"""
---
module: address_info
short_description: Tell who has an IPv4 address on the local network
description:
  - Reads whether this host has the address, on which interface it is or could be, and asks the neighbours by ARP who
    answers for it, without leaving a trace with them.
version_added: "0.1.0"
author: The ocpizza.cutover team
attributes:
  check_mode:
    support: full
    description: Reads and asks only.
  diff_mode:
    support: none
    description: Nothing is changed.
options:
  address:
    description: The address.
    type: str
    required: true
  neighbours:
    description: Further addresses to ask for.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds to wait for answers, for each address.
    type: float
    default: 1
"""

EXAMPLES = r"""
- name: See whether the address is free
  ocpizza.cutover.address_info:
    address: 192.0.2.80
  register: failover

- name: Refuse an address that somebody has
  ansible.builtin.assert:
    that: failover.answering['192.0.2.80'] | length == 0
"""

RETURN = r"""
held:
  description: Whether an interface of this host has the address, the loopback interface aside.
  type: bool
  returned: success
interface:
  description: The interface that has the address, or whose network it belongs to; empty where there is none.
  type: str
  returned: success
prefix:
  description: Length of that network's prefix.
  type: int
  returned: success
own:
  description: The host's other addresses on that interface.
  type: list
  elements: str
  returned: success
mac:
  description: The interface's hardware address, as twelve digits.
  type: str
  returned: success
answering:
  description: For each address asked for, the hardware addresses of the other machines that answer for it.
  type: dict
  returned: success
settings:
  description: What the kernel does on that interface, by C(arp_ignore), C(arp_announce) and C(promote_secondaries).
  type: dict
  returned: success
writable:
  description: Whether these can be changed; in a container they often cannot.
  type: bool
  returned: success
written:
  description: Lines of the network's configuration that have the address, as C(file:line).
  type: list
  elements: str
  returned: success
"""

import glob  # noqa: E402
import os  # noqa: E402
import re  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils import addresses  # noqa: E402

SETTINGS = ("arp_ignore", "arp_announce", "promote_secondaries")
CONFIGURATION = (
    "/etc/network/interfaces",
    "/etc/network/interfaces.d/*",
    "/etc/systemd/network/*.network",
    "/etc/systemd/network/*.network.d/*.conf",
    "/etc/netplan/*.yaml",
    "/etc/NetworkManager/system-connections/*",
    "/etc/sysconfig/network-scripts/ifcfg-*",
    "/etc/keepalived/keepalived.conf",
)


def written(address, patterns=CONFIGURATION):
    """Where the network's configuration has the address."""
    word = re.compile(r"(?<![\d.]){0}(?![\d.])".format(re.escape(address)))
    found = []
    for path in sorted(path for pattern in patterns for path in glob.glob(pattern) if os.path.isfile(path)):
        with open(path, errors="replace") as lines:
            found += ["{0}:{1}".format(path, number) for number, line in enumerate(lines, 1) if word.search(line)]
    return found


def settings(interface):
    """The kernel's settings that matter when an address moves, and whether they can be changed."""
    folder = os.path.join("/proc/sys/net/ipv4/conf", interface)
    found = {}
    for name in SETTINGS:
        with open(os.path.join(folder, name)) as kept:
            found[name] = int(kept.read())
    # The file system may be read-only, whatever the mode says.
    return found, all(os.access(os.path.join(folder, name), os.W_OK) for name in SETTINGS)


def look(module):
    """What this host knows of the address."""
    params = module.params
    _rc, text, _error = module.run_command(["ip", "-o", "-4", "address", "show"], check_rc=True)
    rows = addresses.parse(text)
    row = addresses.holder(rows, params["address"]) or addresses.beside(rows, params["address"])
    found = {
        "held": addresses.holder(rows, params["address"]) is not None,
        "interface": row.interface if row else "",
        "prefix": row.prefix if row else 0,
        "own": [],
        "mac": "",
        "answering": {},
        "settings": {},
        "writable": False,
        "written": written(params["address"]),
    }
    if row:
        found["own"] = [one.address for one in rows if one.interface == row.interface]
        found["own"] = [one for one in found["own"] if one != params["address"]]
        found["mac"] = addresses.mac_of(row.interface)
        found["settings"], found["writable"] = settings(row.interface)
        for address in [params["address"]] + params["neighbours"]:
            found["answering"][address] = sorted(addresses.who_has(row.interface, address, params["timeout"]))
    return found


def main():
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "neighbours": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "float", "default": 1.0},
        },
        supports_check_mode=True,
    )
    try:
        found = look(module)
    except (OSError, ValueError) as error:
        module.fail_json(msg="who has {0} could not be found out: {1}".format(module.params["address"], error))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
