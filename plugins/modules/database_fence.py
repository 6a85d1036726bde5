# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prepares the fence of one side's databases, and closes or opens them."""

DOCUMENTATION = r"""
---
module: database_fence
short_description: Prepare the fence of a site's databases, close or open them
description:
  - Makes the triggers that refuse every write, a superuser's too, once the fence is set; until then they let
    everything through. The replication applier is never refused.
  - With O(closed) the databases are closed or opened, restarts included.
  - Nothing of it replicates.
version_added: "0.1.0"
author: The ocpizza.cutover team
requirements:
  - PyMySQL, which agent.pyz brings along
attributes:
  check_mode:
    support: full
    description: Says what would change.
  diff_mode:
    support: none
    description: The result names how many triggers are missing.
extends_documentation_fragment: ocpizza.cutover.databases
options:
  side:
    description: Whose databases.
    type: str
    required: true
    choices: [source, target]
  state:
    description: Whether triggers, marker and fence are there. Once they are gone the next copy starts anew.
    type: str
    choices: [present, absent]
    default: present
  closed:
    description: Whether the databases refuse writes. Left as it is if not given.
    type: bool
"""

EXAMPLES = r"""
- name: Close the target's databases until the cutover
  ocpizza.cutover.database_fence:
    credentials: /var/lib/cutover/ocpizza/credentials.json
    side: target
    site: ocpizza
    databases: [ocpizza]
    closed: true
"""

RETURN = r"""
triggers_made:
  description: How many triggers were missing.
  type: int
  returned: success
closed:
  description: Whether the databases refuse writes now.
  type: bool
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils.database import words  # noqa: E402
from ansible_collections.ocpizza.cutover.plugins.module_utils.database_side import (  # noqa: E402
    SIDE_OPTIONS,
    open_database,
)


def remove(module, database):
    """Take triggers, marker and fence away."""
    present = bool(database.fence_triggers()) or database.has_schema()
    if present and not module.check_mode:
        database.drop_fence()
        database.drop_schema()
    return {"changed": present, "triggers_made": 0, "closed": False}


def prepare(module, database):
    """Make what is missing, and close or open."""
    has_schema = database.has_schema()
    missing = len(database.missing_triggers())
    closed = has_schema and database.is_closed()
    wanted = closed if module.params["closed"] is None else module.params["closed"]
    if not module.check_mode:
        if not has_schema:
            database.make_schema()
        if missing:
            database.make_triggers()
        if wanted != closed:
            (database.close if wanted else database.open)()
    changed = not has_schema or bool(missing) or wanted != closed
    return {"changed": changed, "triggers_made": missing, "closed": wanted}


def main():
    module = AnsibleModule(
        argument_spec=dict(
            SIDE_OPTIONS,
            state={"type": "str", "choices": ["present", "absent"], "default": "present"},
            closed={"type": "bool"},
        ),
        supports_check_mode=True,
    )
    database = open_database(module, module.params["side"])
    act = remove if module.params["state"] == "absent" else prepare
    try:
        result = act(module, database)
    except Exception as error:
        module.fail_json(
            msg="The fence of the {0}'s database cannot be {1}: {2}".format(
                module.params["side"], "removed" if act is remove else "prepared", words(error)
            )
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
