# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells which name servers answer with the new addresses, and who still has the old ones."""

DOCUMENTATION = r"""
---
module: dns_propagation
short_description: Tell who still answers with the old address of a name
description:
  - Asks the authoritative servers of each name and a list of resolvers, and tells who answers with the new addresses,
    who with the old ones and for how long yet.
  - A server that does not answer was not checked, which is never fine.
  - Needs dnspython (2.1 or newer) where it runs, which is best the controller (C(delegate_to), C(localhost)).
version_added: "0.1.0"
author: The ocpizza.cutover team
attributes:
  check_mode:
    support: full
    description: Reads only.
  diff_mode:
    support: none
    description: Nothing is changed.
options:
  names:
    description: The names.
    type: list
    elements: str
    required: true
  old:
    description: The addresses from which the names move.
    type: list
    elements: str
    required: true
  new:
    description: The addresses to which they move. Of a type of which there is none here, no server may have an address.
    type: list
    elements: str
    required: true
  resolvers:
    description: Resolvers that are asked, as addresses, with a port where it is not 53.
    type: list
    elements: str
    default: [1.1.1.1, 8.8.8.8, 9.9.9.9]
  authoritative:
    description: The authoritative servers, alike; found by the system's resolver where not given.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds to wait for one answer.
    type: float
    default: 3
  wait:
    description: >-
      Seconds within which all must answer with the new addresses, else the module fails and says who does not; 0 looks
      once and does not fail.
    type: float
    default: 0
  pause:
    description: Seconds between two looks.
    type: float
    default: 15
"""

EXAMPLES = r"""
- name: Wait until DNS has moved everywhere
  ocpizza.cutover.dns_propagation:
    names: [shop.example, www.shop.example]
    old: [198.51.100.7]
    new: [192.0.2.14, "2001:db8::14"]
    resolvers: [1.1.1.1, 8.8.8.8, 203.0.113.53]
    wait: 3600
  delegate_to: localhost
  become: false
"""

RETURN = r"""
answers:
  description: >-
    What each server said, with name, type, server, role (V(authoritative), V(resolver)), addresses, ttl (seconds left),
    state (V(new), V(old), V(other), V(none), V(not checked)) and reason.
  type: list
  elements: dict
  returned: always
problems:
  description: Who answers with something else than the new addresses.
  type: list
  elements: str
  returned: always
not_checked:
  description: Who did not answer, and why.
  type: list
  elements: str
  returned: always
ttl_left:
  description: For how many seconds at most the old addresses may still be answered; 0 where nobody has them.
  type: int
  returned: always
ttl:
  description: The longest lifetime that the authoritative servers give, in seconds.
  type: int
  returned: always
propagated:
  description: Whether every server was asked and answers with the new addresses alone.
  type: bool
  returned: always
"""

import ipaddress  # noqa: E402
import time  # noqa: E402
from concurrent.futures import ThreadPoolExecutor  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils import dns_answers, dns_queries  # noqa: E402
from ansible_collections.ocpizza.cutover.plugins.module_utils.access_count import ascii_name  # noqa: E402
from ansible_collections.ocpizza.cutover.plugins.module_utils.hosts import host_offences  # noqa: E402

TYPES = ("A", "AAAA")
AT_ONCE = 16


def refuse(params):
    """What is wrong with the input."""
    problems = host_offences([ascii_name(name) for name in params["names"]], allow_suffix=False)
    for key in ("old", "new"):
        for text in params[key]:
            try:
                ipaddress.ip_address(text)
            except ValueError:
                problems.append("{0} has '{1}', which is no IP address".format(key, text))
    for text in params["resolvers"] + params["authoritative"]:
        try:
            dns_queries.split_server(text)
        except ValueError:
            problems.append("'{0}' is no name server; write 192.0.2.53, or [2001:db8::53]:5353".format(text))
    both = sorted(set(params["old"]) & set(params["new"]))
    if both:
        problems.append("{0} is old and new".format(", ".join(both)))
    if not params["resolvers"] and not params["authoritative"]:
        problems.append("there is no resolver to ask; give resolvers or authoritative")
    return problems


def questions(params):
    """Who is asked for what, and what could not be found out."""
    asked, unknown = [], []
    for name in map(ascii_name, params["names"]):
        servers = [(name, server, "authoritative", server) for server in params["authoritative"]]
        if not params["authoritative"]:
            try:
                final, found = dns_queries.authorities(name, params["timeout"] * 3)
            except ValueError as error:
                found, final = [], name
                unknown.append(
                    dns_answers.Answer(name, "NS", "the system's resolver", "authoritative", (), 0, str(error))
                )
            servers += [
                (final, "[{0}]".format(address) if ":" in address else address, "authoritative", label + " " + address)
                for label, address in found
            ]
        servers += [(name, server, "resolver", server) for server in params["resolvers"]]
        asked += [(subject, kind, server, role, label) for subject, server, role, label in servers for kind in TYPES]
    return asked, unknown


def look(params):
    """One look at all servers."""
    asked, unknown = questions(params)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures = [
            pool.submit(dns_queries.ask, name, kind, server, role, params["timeout"], label)
            for name, kind, server, role, label in asked
        ]
        answers = unknown + [future.result() for future in futures]
    return dns_answers.judge(answers, params["old"], params["new"])


def main():
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True},
            "old": {"type": "list", "elements": "str", "required": True},
            "new": {"type": "list", "elements": "str", "required": True},
            "resolvers": {"type": "list", "elements": "str", "default": ["1.1.1.1", "8.8.8.8", "9.9.9.9"]},
            "authoritative": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "float", "default": 3.0},
            "wait": {"type": "float", "default": 0.0},
            "pause": {"type": "float", "default": 15.0},
        },
        supports_check_mode=True,
    )
    params = module.params
    if dns_queries.MISSING:
        module.fail_json(msg=missing_required_lib("dnspython"), exception=dns_queries.MISSING)
    problems = refuse(params)
    if problems:
        module.fail_json(msg="; ".join(problems))
    deadline = time.monotonic() + params["wait"]
    found = look(params)
    while not found["propagated"] and time.monotonic() + params["pause"] < deadline:
        time.sleep(params["pause"])
        found = look(params)
    if params["wait"] and not found["propagated"]:
        left = found["problems"] + ["not checked: " + text for text in found["not_checked"]]
        module.fail_json(msg="DNS has not moved within {0:g} s: {1}".format(params["wait"], "; ".join(left)), **found)
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
