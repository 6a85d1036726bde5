# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes one side's database follow the other's."""

DOCUMENTATION = r"""
---
module: database_link
short_description: Make one side's database follow the other's
description:
  - Defines and starts the replication of the site's databases from the other side, over TLS, on a named
    connection of its own, so that other replication of the same server is not touched.
  - The target begins where its first copy ended; the source where the target is now.
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
    description: The result says what was done.
extends_documentation_fragment: ocpizza.cutover.databases
options:
  side:
    description: The side that follows.
    type: str
    required: true
    choices: [source, target]
  state:
    description: Whether the link is there.
    type: str
    choices: [present, absent]
    default: present
  account:
    description: JSON file on the host with C(host), C(port), C(user), C(password) and C(ssl_ca) of the other side.
    type: path
"""

EXAMPLES = r"""
- name: Have the target follow the source
  ocpizza.cutover.database_link:
    credentials: /var/lib/cutover/ocpizza/credentials.json
    account: /var/lib/cutover/ocpizza/replicate-from-source.json
    side: target
    site: ocpizza
    databases: [ocpizza]
"""

RETURN = r"""
action:
  description: What was done with the link.
  type: str
  returned: success
  sample: created
lag_seconds:
  description: How far the replica says it is behind; null when it does not know.
  type: int
  returned: success
"""

import json  # noqa: E402
import time  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils.database import words  # noqa: E402
from ansible_collections.ocpizza.cutover.plugins.module_utils.database_side import (  # noqa: E402
    SIDE_OPTIONS,
    open_database,
)

PATIENCE = 20.0


def await_link(database):
    """Wait until the link is healthy; the trouble that remains otherwise."""
    until = time.time() + PATIENCE
    while True:
        trouble = database.link().trouble()
        if not trouble or time.time() > until:
            return trouble
        time.sleep(0.2)


def read_account(module):
    """How the other side is reached."""
    if not module.params["account"]:
        module.fail_json(msg="account is needed to make the link of the {0}".format(module.params["side"]))
    try:
        with open(module.params["account"], encoding="utf-8") as stream:
            return dict(json.load(stream))
    except (OSError, ValueError, TypeError) as error:
        module.fail_json(
            msg="The account of the replication to the {0} cannot be read from {1}: {2}. "
            "Run replicate.yml, which writes it.".format(module.params["side"], module.params["account"], error)
        )


def create(module, database):
    """Define and start the link."""
    account = read_account(module)
    other = open_database(module, "source" if module.params["side"] == "target" else "target")
    try:
        database.follow(other, account)
    except Exception as error:
        module.fail_json(
            msg="Replication to the {0} cannot begin: {1}".format(
                module.params["side"], words(error, account.get("password"))
            )
        )


def asked(module, question):
    """The answer of the side's server, or one clear failure."""
    try:
        return question()
    except Exception as error:
        module.fail_json(
            msg="Replication to the {0} cannot be looked after: {1}".format(module.params["side"], words(error))
        )


def main():
    module = AnsibleModule(
        argument_spec=dict(
            SIDE_OPTIONS,
            state={"type": "str", "choices": ["present", "absent"], "default": "present"},
            account={"type": "path"},
        ),
        supports_check_mode=True,
    )
    database = open_database(module, module.params["side"])
    exists = asked(module, database.has_link)
    if module.params["state"] == "absent":
        if exists and not module.check_mode:
            asked(module, database.unfollow)
        module.exit_json(changed=exists, action="removed" if exists else "none", lag_seconds=None)

    stopped = exists and not asked(module, database.link).applying
    action = "none" if exists and not stopped else "started" if stopped else "created"
    if not module.check_mode:
        if action == "created":
            create(module, database)
        elif action == "started":
            asked(module, database.resume_link)
        trouble = asked(module, lambda: await_link(database))
        if trouble:
            module.fail_json(
                msg="Replication to the {0} does not run: {1}. The other side's log has the reason; "
                "run replicate.yml again once it is gone.".format(module.params["side"], trouble)
            )
    lag = asked(module, database.link).lag_seconds
    module.exit_json(changed=action != "none", action=action, lag_seconds=lag)


if __name__ == "__main__":
    main()
