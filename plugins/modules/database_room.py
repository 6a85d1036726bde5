# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells how far widened keys have come, and lets them grow beyond the source's range where that is wanted."""

DOCUMENTATION = r"""
---
module: database_room
short_description: Tell how far widened keys have come, and let them grow
description:
  - Names each widened key on the target with its largest value and the limit of the source's column. Until a value
    is beyond it the site can go back.
  - The target keeps larger values out for as long as the way back is open. Letting them in ends it, since the source
    cannot hold them.
version_added: "0.1.0"
author: The ocpizza.cutover team
requirements:
  - PyMySQL, which agent.pyz brings along
attributes:
  check_mode:
    support: full
    description: Says whether limits would go.
  diff_mode:
    support: none
    description: The result has the keys with their limits.
extends_documentation_fragment: ocpizza.cutover.databases
options:
  way_back:
    description:
      - V(false) ends the way back for good. Replication to the source ends, then the target's limits go.
      - Refused while the site lives on the source. Nothing is changed if not given, or V(true).
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: See how long the way back will work
  ocpizza.cutover.database_room:
    credentials: /var/lib/cutover/ocpizza/credentials.json
    site: ocpizza
    databases: [ocpizza]
  environment:
    PYTHONPATH: /var/lib/cutover/ocpizza/agent.pyz

- name: End the way back, so that keys may grow
  ocpizza.cutover.database_room:
    credentials: /var/lib/cutover/ocpizza/credentials.json
    site: ocpizza
    databases: [ocpizza]
    way_back: false
  environment:
    PYTHONPATH: /var/lib/cutover/ocpizza/agent.pyz
"""

RETURN = r"""
keys:
  description: The widened keys of the target; those that refer to another of them are no further than it.
  type: list
  elements: dict
  returned: success
  contains:
    column: {description: "Database, table and column.", type: str}
    largest: {description: Its largest value now., type: int}
    limit: {description: The largest value that the source can hold., type: int}
    share: {description: "Share of the source's range that is used, 0 to 1.", type: float}
    limited: {description: Whether larger values are kept out., type: bool}
"""

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils.database import words  # noqa: E402
from ansible_collections.ocpizza.cutover.plugins.module_utils.database_side import (  # noqa: E402
    SIDE_OPTIONS,
    open_database,
)

# A key that leads no index is looked for in the whole table.
SECONDS = 600.0


def main():
    options = dict(SIDE_OPTIONS, way_back={"type": "bool", "default": True})
    del options["side"]
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    target = open_database(module, "target", SECONDS)
    refusal = ""
    try:
        rooms = target.room()
        changed = not module.params["way_back"] and any(room.limited for room in rooms)
        if changed and target.is_closed():
            refusal = (
                "The site lives on the source, so there is no way back to end. Leave way_back out until cutover.yml "
                "has moved the site."
            )
        elif changed and not module.check_mode:
            # In this order: the source's server would cut larger keys without a word.
            open_database(module, "source").unfollow()
            target.let_keys_grow()
            rooms = target.room()
    except Exception as error:
        refusal = (
            "The widened keys of {0} cannot be told or let grow: {1}. Check that the accounts of replicate.yml are "
            "still there.".format(", ".join(module.params["databases"]), words(error))
        )
    if refusal:
        module.fail_json(msg=refusal)
    module.exit_json(changed=changed, keys=[dict(room.facts(), limited=room.limited) for room in rooms])


if __name__ == "__main__":
    main()
