# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares secrets with those of a running application, and tells no secret."""

DOCUMENTATION = r"""
---
module: application_secrets
short_description: Compare secrets with those that a running application has in its environment
description:
  - Says by name which are the same, which are others and which it could not compare. No value leaves the host.
  - Reads the environment of the process that listens at the address, so it wants root.
version_added: "0.1.0"
author: The ocpizza.cutover team
attributes:
  check_mode:
    support: full
    description: It changes nothing in any case.
  diff_mode:
    support: none
    description: It changes nothing.
options:
  upstream:
    description: Address and port of the application.
    type: str
    required: true
  wanted:
    description: The secrets by name, as they are to be.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Compare the keys that sessions are signed with
  ocpizza.cutover.application_secrets:
    upstream: 127.0.0.1:8000
    wanted: {SECRET_KEY: "{{ application_secret_key }}"}
  no_log: true
"""

RETURN = r"""
same:
  description: Names of secrets that are the same.
  type: list
  elements: str
  returned: success
differing:
  description: Names of secrets that are others.
  type: list
  elements: str
  returned: success
unknown:
  description: Names of secrets that the application does not have in its environment, or that could not be read.
  type: list
  elements: str
  returned: success
"""

import hmac  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils.proc import Processes  # noqa: E402


def environment_of(upstream):
    """The environment of who listens at the address; an empty one where that cannot be told."""
    port = upstream.rpartition(":")[2]
    processes = Processes()
    for one in processes.listening():
        if one["protocol"] == "tcp" and str(one["port"]) == port and one["pid"]:
            return processes.environment(one["pid"]) or {}
    return {}


def compare(wanted, found):
    """The names, sorted by what was seen."""
    result = {"same": [], "differing": [], "unknown": []}
    for name, value in sorted(wanted.items()):
        if name not in found:
            result["unknown"].append(name)
        else:
            equal = hmac.compare_digest(str(value).encode(), found[name].encode())
            result["same" if equal else "differing"].append(name)
    return result


def main():
    module = AnsibleModule(
        argument_spec={
            "upstream": {"type": "str", "required": True},
            "wanted": {"type": "dict", "required": True, "no_log": True},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, **compare(module.params["wanted"], environment_of(module.params["upstream"])))


if __name__ == "__main__":
    main()
