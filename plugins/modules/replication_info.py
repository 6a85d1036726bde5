# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells how replication between the two sides stands, by a row that really went over."""

DOCUMENTATION = r"""
---
module: replication_info
short_description: Tell how replication between two sides stands
description:
  - Reads the state of both links and sends a canary over each, a row of the site's marker table, because a
    link that says it runs may break at its first write.
  - Waits up to O(timeout) for both; fails with what it waited for.
version_added: "0.1.0"
author: The ocpizza.cutover team
requirements:
  - PyMySQL, which agent.pyz brings along
attributes:
  check_mode:
    support: full
    description: Reads only, but for the canary's row in the collection's own table.
  diff_mode:
    support: none
    description: Nothing is changed.
extends_documentation_fragment: ocpizza.cutover.databases
options:
  timeout:
    description: Seconds to wait for the canaries.
    type: float
    default: 30
"""

EXAMPLES = r"""
- name: See a row go both ways
  ocpizza.cutover.replication_info:
    credentials: /var/lib/cutover/ocpizza/credentials.json
    site: ocpizza
    databases: [ocpizza]
"""

RETURN = r"""
links:
  description: For each side that follows, C(lag_seconds), C(canary_ms) and C(position) of the canary.
  type: dict
  returned: success
"""

import time  # noqa: E402
import uuid  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils.database import words  # noqa: E402
from ansible_collections.ocpizza.cutover.plugins.module_utils.database_side import (  # noqa: E402
    SIDE_OPTIONS,
    open_database,
)


def try_link(giver, taker, timeout):
    """Send one canary; (what came of it, trouble or '')."""
    token = uuid.uuid4().hex
    server = giver.server()
    begun = time.time()
    position = giver.mark(token)
    while taker.marked(server) != token:
        trouble = taker.link().trouble()
        if time.time() - begun > timeout:
            return {}, trouble or "a row that was written did not arrive within {0:g} s".format(timeout)
        time.sleep(0.02)
    took = round((time.time() - begun) * 1000, 1)
    link = taker.link()
    return {"lag_seconds": link.lag_seconds, "canary_ms": took, "position": position}, link.trouble()


def main():
    options = dict(SIDE_OPTIONS, timeout={"type": "float", "default": 30.0})
    del options["side"]
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    sides = {name: open_database(module, name) for name in ("source", "target")}
    links, problems = {}, []
    for giver, taker in (("source", "target"), ("target", "source")):
        try:
            links[taker], trouble = try_link(sides[giver], sides[taker], module.params["timeout"])
        except Exception as error:
            links[taker], trouble = {}, words(error)
        if trouble:
            problems.append("from the {0} to the {1}: {2}".format(giver, taker, trouble))
    if problems:
        module.fail_json(msg="Replication is not healthy: {0}".format("; ".join(problems)), links=links)
    module.exit_json(changed=False, links=links)


if __name__ == "__main__":
    main()
