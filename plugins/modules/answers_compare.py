# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends the same requests to both sides and compares the answers."""

DOCUMENTATION = r"""
---
module: answers_compare
short_description: Compare the answers of two web servers to the same requests
description:
  - Sends each request to both servers by address, with the site's name, and compares status, the headers
    that matter and the body. Tokens against request forgery and the scheme in links may differ.
  - A page that differs is asked for again, because a site under traffic changes between two requests.
  - Differences do not make the module fail; C(differences) tells.
version_added: "0.1.0"
author: The ocpizza.cutover team
attributes:
  check_mode:
    support: full
    description: Sends GET requests only.
  diff_mode:
    support: none
    description: Nothing is changed.
options:
  source:
    description: Scheme, address and port of the source's web server.
    type: str
    required: true
  target:
    description: Scheme, address and port of the target's web server.
    type: str
    required: true
  host:
    description: The site's name, sent as Host and by TLS.
    type: str
    required: true
  paths:
    description: The paths to ask for.
    type: list
    elements: str
    required: true
  ca:
    description: Certificates on the host that both servers' certificates are checked against; the system's by default.
    type: path
  volatile:
    description: Regular expressions of text that may differ.
    type: list
    elements: str
    default: []
  tries:
    description: How often a page that differs is asked for.
    type: int
    default: 5
  timeout:
    description: Seconds to wait for one answer.
    type: float
    default: 10
"""

EXAMPLES = r"""
- name: Compare the answers of both sides
  ocpizza.cutover.answers_compare:
    source: http://127.0.0.1
    target: https://192.0.2.14
    host: ocpizza.example
    paths: [/, /pizza/1/]
"""

RETURN = r"""
differences:
  description: One text for each path whose answers differ.
  type: list
  elements: str
  returned: success
compared:
  description: How many paths were compared.
  type: int
  returned: success
"""

import re  # noqa: E402
import time  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils import answers  # noqa: E402


def compare_path(params, path):
    """What differs for one path after all tries; '' when nothing does."""
    text = ""
    for turn in range(max(1, params["tries"])):
        if turn:
            time.sleep(0.3 * turn)
        got = {}
        for side in ("source", "target"):
            try:
                got[side] = answers.ask(params[side], params["host"], path, params["timeout"], params["ca"])
            except Exception as error:
                text = answers.unanswered(side, params[side], error)
                break
        if len(got) == 2:
            text = answers.compare_answers(got["source"], got["target"], params["volatile"])
            if not text:
                return ""
    return text


def main():
    module = AnsibleModule(
        argument_spec={
            "source": {"type": "str", "required": True},
            "target": {"type": "str", "required": True},
            "host": {"type": "str", "required": True},
            "paths": {"type": "list", "elements": "str", "required": True},
            "ca": {"type": "path"},
            "volatile": {"type": "list", "elements": "str", "default": []},
            "tries": {"type": "int", "default": 5},
            "timeout": {"type": "float", "default": 10.0},
        },
        supports_check_mode=True,
    )
    for pattern in module.params["volatile"]:
        try:
            re.compile(pattern)
        except re.error as error:
            module.fail_json(msg="volatile has '{0}', which is no regular expression: {1}".format(pattern, error))
    found = {path: compare_path(module.params, path) for path in module.params["paths"]}
    module.exit_json(changed=False, differences=answers.describe_all(found), compared=len(found))


if __name__ == "__main__":
    main()
