# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells where addresses are written."""

DOCUMENTATION = r"""
---
module: mention_info
short_description: Tell where an address is written in files, environments and databases
description:
  - Looks for texts, such as the addresses of a server that is to go, in files, in the environments of processes and in
    every column of text of databases. Texts are found whole (V(10.0.0.1) is not in V(10.0.0.12)), capital or small.
  - Places are told, never what else stands there. What could not be searched, or not within O(seconds), is in
    C(not_read). Files with null characters and those of more than 2 MB are taken for data and left out.
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
  texts:
    description: What to look for. Without any nothing is looked at.
    type: list
    elements: str
    required: true
  paths:
    description: Files and folders.
    type: list
    elements: path
    default: []
  pids:
    description: Numbers of processes.
    type: list
    elements: int
    default: []
  databases:
    description: Names of databases by engine (mariadb, mysql, postgresql), asked over the server's own socket as root.
    type: dict
    default: {}
  port:
    description: Port of the PostgreSQL server, which tells it from others on the host.
    type: int
    default: 5432
  sockets:
    description: The servers' sockets by engine, where they are not the usual ones.
    type: dict
    default: {}
  seconds:
    description: So long at most the files are searched, and each database. A server's tables are read whole for it.
    type: float
    default: 10
"""

EXAMPLES = r"""
- name: Find where the old server's address is written
  ocpizza.cutover.mention_info:
    texts: [198.51.100.7]
    paths: [/srv/shop, /etc/shop]
    databases: {mariadb: [shop]}
  become: true
  register: written
"""

RETURN = r"""
places:
  description: Each C(file:line), variable of a process, or column of a table.
  type: list
  elements: str
  returned: success
not_read:
  description: What could not be searched, and why.
  type: list
  elements: str
  returned: success
"""

import json  # noqa: E402
import time  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils import client_postgresql, mentions  # noqa: E402
from ansible_collections.ocpizza.cutover.plugins.module_utils.table_counts import RefusedError  # noqa: E402


def mysql_asker(module, socket):
    """Asks the server of MariaDB or MySQL."""
    client = module.get_bin_path("mariadb") or module.get_bin_path("mysql")
    if not client:
        raise RefusedError("there is no client on this host")
    command = [client, "--batch", "--raw", "--skip-column-names", "--default-character-set=utf8mb4"]
    command += ["--socket={0}".format(socket)] if socket else []

    def ask(statement, _database):
        code, output, error = module.run_command(command, data=statement + ";\n")
        if code != 0:
            raise RefusedError(error.strip()[:300])
        return [json.loads(line) for line in output.split("\n") if line.startswith("[")]

    return ask


def asker(module, engine):
    """Asks an engine's server for rows of a database."""
    socket = module.params["sockets"].get(engine)
    if engine == "postgresql":
        return client_postgresql.Client(module, module.params["port"], socket).ask
    return mysql_asker(module, socket)


def main():
    module = AnsibleModule(
        argument_spec={
            "texts": {"type": "list", "elements": "str", "required": True},
            "paths": {"type": "list", "elements": "path", "default": []},
            "pids": {"type": "list", "elements": "int", "default": []},
            "databases": {"type": "dict", "default": {}},
            "port": {"type": "int", "default": 5432},
            "sockets": {"type": "dict", "default": {}},
            "seconds": {"type": "float", "default": 10.0},
        },
        supports_check_mode=True,
    )
    params = module.params
    texts = [text for text in params["texts"] if text.strip()]
    unknown = sorted(set(params["databases"]) - {"mariadb", "mysql", "postgresql"})
    if unknown:
        module.fail_json(msg="databases has {0}: it is mariadb, mysql or postgresql".format(", ".join(unknown)))
    if not texts:
        module.exit_json(changed=False, places=[], not_read=[])
    wanted = mentions.pattern(texts)
    found = [mentions.files(params["paths"], wanted, time.monotonic() + params["seconds"])]
    found += [mentions.environment(pid, wanted) for pid in params["pids"]]
    for engine, names in sorted(params["databases"].items()):
        try:
            ask = asker(module, engine)
        except RefusedError as error:
            found.append(mentions.Found([], ["{0}: {1}".format(engine, error)]))
            continue
        found += [mentions.tables(engine, name, texts, ask, params["seconds"]) for name in names]
    module.exit_json(
        changed=False,
        places=[place for one in found for place in one.places],
        not_read=[text for one in found for text in one.not_read],
    )


if __name__ == "__main__":
    main()
