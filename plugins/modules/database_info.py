# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells what a MariaDB or MySQL server is set to and what is in the site's databases."""

DOCUMENTATION = r"""
---
module: database_info
short_description: Tell the settings of a database server and what is in the site's databases
description:
  - Asks the server on this host through its own client and socket, as the user that runs the module, so
    that nothing has to be installed on an old server. Run it as root.
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
  databases:
    description: The site's databases.
    type: list
    elements: str
    required: true
  site:
    description: Name of the site, to tell whether its fence is set here.
    type: str
    default: ""
  socket:
    description: The server's socket; what the client has in its configuration by default.
    type: path
"""

EXAMPLES = r"""
- name: Read the state of the database server
  ocpizza.cutover.database_info:
    databases: [ocpizza]
  become: true
"""

RETURN = r"""
installed:
  description: Whether there is a client. Without one nothing else is returned but empty facts.
  type: bool
  returned: success
running:
  description: Whether the server answers.
  type: bool
  returned: success
error:
  description: What the client said where the server does not answer.
  type: str
  returned: success
settings:
  description: Global variables that a migration depends on, as text.
  type: dict
  returned: success
databases:
  description: >-
    For each database whether it exists, its size in bytes, an estimate of its rows, and the names of tables, tables
    without primary key, views, triggers, routines, events, accounts; tables by engine.
  type: dict
  returned: success
other_databases:
  description: Databases on the server that are not the site's.
  type: list
  returned: success
fenced:
  description: Whether the site's fence is set.
  type: bool
  returned: success
"""

import json  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils import database_facts  # noqa: E402


def main():
    module = AnsibleModule(
        argument_spec={
            "databases": {"type": "list", "elements": "str", "required": True},
            "site": {"type": "str", "default": ""},
            "socket": {"type": "path"},
        },
        supports_check_mode=True,
    )
    databases = module.params["databases"]
    result = dict(
        database_facts.parse("", databases), changed=False, installed=False, running=False, error="", fenced=False
    )
    client = module.get_bin_path("mariadb") or module.get_bin_path("mysql")
    if not client:
        module.exit_json(**result)
    command = [client, "--batch", "--raw", "--skip-column-names", "--default-character-set=utf8mb4"]
    if module.params["socket"]:
        command.append("--socket={0}".format(module.params["socket"]))

    def ask(*statements):
        code, output, error = module.run_command(command, data=";\n".join(statements) + ";\n")
        return output if code == 0 else None, error.strip()

    result["installed"] = True
    version, result["error"] = ask("SELECT VERSION()")
    if version is None:
        module.exit_json(**result)
    result["running"] = True
    # Where the list of variables is depends on the flavour; MySQL has taken it out of information_schema.
    variables = (
        "information_schema.GLOBAL_VARIABLES" if "mariadb" in version.lower() else "performance_schema.global_variables"
    )
    statements = database_facts.queries(databases, module.params["site"])
    statements[0] = statements[0].format(variables=variables)
    output, error = ask(*statements)
    if output is None:
        module.fail_json(msg="The database server refused a question: {0}. Run the task as root.".format(error))
    result.update(database_facts.parse(output, databases))
    schema = result.pop("fence_schema", "")
    if schema:
        count, _error = ask("SELECT JSON_ARRAY(COUNT(*)) FROM `{0}`.fence".format(schema))  # noqa: S608 - a-z, 0-9, _
        result["fenced"] = bool(count and json.loads(count)[0])
    module.exit_json(**result)


if __name__ == "__main__":
    main()
