# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores a dump into a database of its own, looks at it, and drops it again."""

DOCUMENTATION = r"""
---
module: restore_drill
short_description: Prove a backup by restoring it
description:
  - Loads a dump into a scratch database, compares its tables and rows with what is expected, and drops it.
    Nothing is left behind, and nothing of it gets to a replica.
version_added: "0.1.0"
author: The ocpizza.cutover team
attributes:
  check_mode:
    support: full
    description: Restores nothing.
  diff_mode:
    support: none
    description: Nothing is changed in the end.
options:
  engine:
    description: The kind of server.
    type: str
    choices: [mariadb, mysql, postgresql]
    default: mariadb
  path:
    description: The dump on this host, as M(ocpizza.cutover.site_backup) made it.
    type: path
    required: true
  sha256:
    description: Its checksum.
    type: str
    required: true
  database:
    description: Name of the database that was dumped; the scratch database is named after it.
    type: str
    required: true
  rows:
    description: For each table the fewest and the most rows that are expected.
    type: dict
    required: true
  charset:
    description: Encoding of a PostgreSQL database. For the other engines each table names its own.
    type: str
    default: ""
  port:
    description: Port of the PostgreSQL server.
    type: int
    default: 5432
  socket:
    description: >-
      The server's socket, for PostgreSQL its folder; what the client has in its configuration by default.
    type: path
"""

EXAMPLES = r"""
- name: Restore the backup to prove it
  ocpizza.cutover.restore_drill:
    path: /var/backups/cutover/ocpizza/database-0.sql.gz
    sha256: "{{ manifest.databases[0].sha256 }}"
    database: ocpizza
    rows: "{{ manifest.databases[0].rows }}"
"""

RETURN = r"""
tables:
  description: How many tables were restored.
  type: int
  returned: success
rows:
  description: How many rows were restored.
  type: int
  returned: success
seconds:
  description: How long the restore took.
  type: float
  returned: success
"""

import time  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils import backup_engines, backup_files  # noqa: E402
from ansible_collections.ocpizza.cutover.plugins.module_utils.table_counts import RefusedError  # noqa: E402


def restore(server, params):
    """Rows by table of the dump, from a database that is there only for that."""
    scratch = server.scratch(params["database"])
    # A drill that was interrupted may have left its database; nobody else uses the name.
    server.drop(scratch)
    server.create(scratch, params["charset"])
    try:
        server.load(scratch, params["path"], params["sha256"])
        return server.count(scratch)
    finally:
        server.drop(scratch)


def main():
    module = AnsibleModule(
        argument_spec={
            "engine": {"type": "str", "choices": ["mariadb", "mysql", "postgresql"], "default": "mariadb"},
            "path": {"type": "path", "required": True},
            "sha256": {"type": "str", "required": True},
            "database": {"type": "str", "required": True},
            "rows": {"type": "dict", "required": True},
            "charset": {"type": "str", "default": ""},
            "port": {"type": "int", "default": 5432},
            "socket": {"type": "path"},
        },
        supports_check_mode=True,
    )
    params = module.params
    if module.check_mode:
        module.exit_json(changed=False, tables=0, rows=0, seconds=0.0)
    started = time.time()
    try:
        server = backup_engines.provider(module, params["engine"], params["port"], params["socket"])
        restored = restore(server, params)
    except (backup_files.IncompleteError, RefusedError, OSError, EOFError) as error:
        module.fail_json(msg="The backup of {0} could not be restored: {1}".format(params["database"], error))
    problems = backup_files.compare_restore(params["rows"], restored)
    if problems:
        module.fail_json(
            msg="The backup of {0} is not what was backed up: {1}. Make another with a new backup_directory, or "
            "remove {2} on the source.".format(params["database"], "; ".join(problems), "manifest.json")
        )
    module.exit_json(
        changed=False, tables=len(restored), rows=sum(restored.values()), seconds=round(time.time() - started, 3)
    )


if __name__ == "__main__":
    main()
