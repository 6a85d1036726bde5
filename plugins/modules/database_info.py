# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells what a database server is set to and what is in the site's databases."""

DOCUMENTATION = r"""
---
module: database_info
short_description: Tell the settings of a database server and what is in the site's databases
description:
  - Asks the server on this host through its own client and socket, so that nothing has to be installed on an
    old server and no password is needed. Run it as root, which becomes C(postgres) for PostgreSQL.
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
  engine:
    description: The kind of server.
    type: str
    choices: [mariadb, mysql, postgresql]
    default: mariadb
  databases:
    description: The site's databases.
    type: list
    elements: str
    required: true
  site:
    description: Name of the site, to tell whether its fence is set here.
    type: str
    default: ""
  port:
    description: Port of the PostgreSQL server, which tells it from others on the host. Other engines take O(socket).
    type: int
    default: 5432
  socket:
    description: >-
      The server's socket, for PostgreSQL its folder; what the client has in its configuration by default.
    type: path
"""

EXAMPLES = r"""
- name: Read the state of the database server
  ocpizza.cutover.database_info:
    databases: [ocpizza]
  become: true

- name: Read the state of a PostgreSQL server that does not listen on the usual port
  ocpizza.cutover.database_info:
    engine: postgresql
    port: 5433
    databases: [stock]
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
  description: Settings that a migration depends on, as text; C(version) is there for every engine.
  type: dict
  returned: success
databases:
  description: >-
    For each database whether it exists, its size in bytes, an estimate of its rows, charset and collation, and the
    names of tables, tables without key, views, triggers, routines, events and those enabled, accounts; for MariaDB
    and MySQL the tables by engine, those with vectors and with a history; for PostgreSQL, whose names are those that
    SQL takes, also unlogged and foreign tables, materialized views, sequences, extensions, generated columns, settings
    of the database, what does not replicate, and the number of large objects.
  type: dict
  returned: success
other_databases:
  description: Databases on the server that are not the site's.
  type: list
  returned: success
accounts:
  description: >-
    The server's accounts but its own, by name, each with C(user), C(host), C(login), C(methods) (authentication
    plugins), C(rights) on the site's databases, C(everywhere) (rights beyond them), C(owns) (what runs as it or belongs
    to it) and whether it C(exists). Never a password or its hash.
  type: dict
  returned: success
log_filtered:
  description: Whether the binary log leaves databases out; never for PostgreSQL, which has none.
  type: bool
  returned: success
authentication:
  description: Authentication plugins of the server; for PostgreSQL how a password may be kept.
  type: list
  returned: success
used:
  description: How many replication C(slots) and C(senders) are in use.
  type: dict
  returned: for PostgreSQL
roles:
  description: The server's roles.
  type: list
  returned: for PostgreSQL
available_extensions:
  description: Extensions that the server could create.
  type: list
  returned: for PostgreSQL
fenced:
  description: Whether the site's fence is set, for PostgreSQL in each of its databases that is there.
  type: bool
  returned: success
"""

import json  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils import (  # noqa: E402
    client_postgresql,
    database_facts,
    database_facts_postgresql,
    findings_databases,
    rights,
    rights_mysql,
)
from ansible_collections.ocpizza.cutover.plugins.module_utils.table_counts import RefusedError  # noqa: E402

STATE = {"changed": False, "installed": False, "running": False, "error": "", "fenced": False, "log_filtered": False}
REFUSED = "The database server refused a question: {0}. Run the task as root."


def read_mysql(module):
    """What a MariaDB or MySQL server tells."""
    databases = module.params["databases"]
    result = dict(database_facts.parse("", databases), **STATE)
    client = module.get_bin_path("mariadb") or module.get_bin_path("mysql")
    if not client:
        return result
    command = [client, "--batch", "--raw", "--skip-column-names", "--default-character-set=utf8mb4"]
    if module.params["socket"]:
        command.append("--socket={0}".format(module.params["socket"]))

    def ask(*statements):
        code, output, error = module.run_command(command, data=";\n".join(statements) + ";\n")
        return output if code == 0 else None, error.strip()

    result["installed"] = True
    version, result["error"] = ask("SELECT VERSION()")
    if version is None:
        return result
    result["running"] = True
    # Where the list of variables is depends on the flavour; MySQL has taken it out of information_schema.
    mariadb = "mariadb" in version.lower()
    variables = "information_schema.GLOBAL_VARIABLES" if mariadb else "performance_schema.global_variables"
    statements = database_facts.queries(databases, module.params["site"], mariadb)
    statements[0] = statements[0].format(variables=variables)
    output, error = ask(*statements)
    if output is None:
        module.fail_json(msg=REFUSED.format(error))
    result.update(database_facts.parse(output, databases))
    result.update(read_accounts(module, ask, version))
    # Its name has changed; either is refused by servers that do not know it.
    status = [ask("SHOW {0} STATUS".format(name))[0] for name in ("MASTER", "BINARY LOG")]
    result["log_filtered"] = any(any(line.split("\t")[2:4]) for line in "".join(filter(None, status)).split("\n"))
    schema = result.pop("fence_schema", "")
    if schema:
        count, _error = ask("SELECT JSON_ARRAY(COUNT(*)) FROM `{0}`.fence".format(schema))  # noqa: S608 - a-z, 0-9, _
        result["fenced"] = bool(count and json.loads(count)[0])
    return result


def read_accounts(module, ask, version):
    """Who may do what in the databases; servers that are too old for a move are not asked."""
    flavour, databases = findings_databases.flavour(version), module.params["databases"]
    if findings_databases.version(version) < findings_databases.OLDEST[flavour]:
        return {}
    output, error = ask(*rights_mysql.queries(databases, flavour))
    if output is None:
        module.fail_json(msg=REFUSED.format(error))
    rows = [json.loads(line) for line in output.split("\n") if line.startswith("[")]
    accounts, methods = rights_mysql.parse(rows, databases)
    return {"accounts": rights.facts(accounts), "authentication": methods}


def read_postgresql(module):
    """What a PostgreSQL server tells."""
    databases = module.params["databases"]
    result = dict(database_facts_postgresql.parse([], databases), **STATE)
    if not module.get_bin_path("psql"):
        return result
    result["installed"] = True
    try:
        client = client_postgresql.Client(module, module.params["port"], module.params["socket"])
        rows = client.ask(database_facts_postgresql.server_script(databases))
    except RefusedError as error:
        return dict(result, error=str(error))
    result["running"] = True
    result.update(database_facts_postgresql.parse(rows, databases))
    if not database_facts_postgresql.can_describe(result["settings"]):
        return result
    script = database_facts_postgresql.database_script(module.params["site"])
    fences = []
    for name, database in result["databases"].items():
        if not database["exists"]:
            continue
        try:
            fences.append(database_facts_postgresql.add_contents(database, client.ask(script, name)))
        except RefusedError as error:
            module.fail_json(msg=REFUSED.format(error))
    result["fenced"] = bool(fences) and all(fences)
    return result


def main():
    module = AnsibleModule(
        argument_spec={
            "engine": {"type": "str", "choices": ["mariadb", "mysql", "postgresql"], "default": "mariadb"},
            "databases": {"type": "list", "elements": "str", "required": True},
            "site": {"type": "str", "default": ""},
            "port": {"type": "int", "default": 5432},
            "socket": {"type": "path"},
        },
        supports_check_mode=True,
    )
    read = read_postgresql if module.params["engine"] == "postgresql" else read_mysql
    module.exit_json(**read(module))


if __name__ == "__main__":
    main()
