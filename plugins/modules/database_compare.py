# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares one database of the source with the target's, row by row, while it is written to."""

DOCUMENTATION = r"""
---
module: database_compare
short_description: Prove that a database is equal on both sides, row by row
description:
  - Compares every table in chunks that the servers compute, live under traffic.
  - Chunks that differ are looked into key by key. A row counts as different when it stayed the same on the
    source while the target applied all that the source had done, and still differs; a row that never holds
    still is unsettled and makes the verdict PARTIAL.
  - Compares the definitions too (columns, indexes, foreign keys, triggers, routines, events, views).
  - Differences do not make the module fail; the verdict tells.
version_added: "0.1.0"
author: The ocpizza.cutover team
requirements:
  - PyMySQL, which agent.pyz brings along
attributes:
  check_mode:
    support: full
    description: Reads only.
  diff_mode:
    support: none
    description: Nothing is changed.
options:
  credentials:
    description: JSON file on the host with the connection of each side. Only root should read it.
    type: path
    required: true
  database:
    description: The database; it has the same name on both sides.
    type: str
    required: true
  live:
    description: Whether the target replicates from the source. If not, nothing may write to either side meanwhile.
    type: bool
    default: true
  lag_timeout:
    description: Seconds the target may take to apply what the source had done, each time it is waited for.
    type: float
    default: 10
  rounds:
    description: How often a row that differs is read again before it counts as unsettled.
    type: int
    default: 20
  chunk_rows:
    description: Rows in one chunk.
    type: int
    default: 10000
  statement_timeout:
    description: Seconds any single answer of a server may take.
    type: float
    default: 600
"""

EXAMPLES = r"""
- name: Prove that the database is equal on both sides
  ocpizza.cutover.database_compare:
    credentials: /var/lib/cutover/ocpizza/credentials.json
    database: ocpizza
  environment:
    PYTHONPATH: /var/lib/cutover/ocpizza/agent.pyz
  register: compared
  failed_when: compared.proof.verdict != 'PASSED'
"""

RETURN = r"""
proof:
  description: What was proven.
  type: dict
  returned: success
  contains:
    database: {description: The database., type: str}
    engine: {description: V(mariadb) or V(mysql)., type: str}
    tables: {description: How many tables., type: int}
    rows: {description: How many rows were compared on the source., type: int}
    equal: {description: Whether everything is equal., type: bool}
    verdict: {description: "PASSED, PARTIAL where something is not known, FAILED where something differs.", type: str}
    position: {description: "The source's position before the first row was read.", type: str}
    coverage: {description: "Share of rows whose state is known, 0 to 1.", type: float}
    differences: {description: "Rows that differ, by database, table and key, at most 100.", type: list}
    schema_differences: {description: Definitions that differ., type: list}
    tables_detail: {description: "Status, rows and reason of each table.", type: list}
    seconds: {description: How long it took., type: float}
summary:
  description: The outcome in a sentence.
  type: str
  returned: success
"""

import json  # noqa: E402
import sys  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils import mariadb, proof  # noqa: E402


def open_side(module, side):
    """One side's connection, or one clear failure."""
    path = module.params["credentials"]
    try:
        with open(path, encoding="utf-8") as stream:
            credentials = dict(json.load(stream)[side])
    except (OSError, ValueError, KeyError, TypeError) as error:
        module.fail_json(
            msg="The credentials of the {0}'s database cannot be read from {1}: {2}. "
            "Run replicate.yml, which writes them.".format(side, path, error)
        )
    try:
        return mariadb.connect(credentials, module.params["statement_timeout"], dictionaries=False)
    except Exception as error:
        module.fail_json(
            msg="The {0}'s database at {1} cannot be reached as {2}: {3}".format(
                side, credentials.get("host") or credentials.get("unix_socket"), credentials.get("user"), error
            )
        )


def main():
    module = AnsibleModule(
        argument_spec={
            "credentials": {"type": "path", "required": True},
            "database": {"type": "str", "required": True},
            "live": {"type": "bool", "default": True},
            "lag_timeout": {"type": "float", "default": 10.0},
            "rounds": {"type": "int", "default": 20},
            "chunk_rows": {"type": "int", "default": 10000},
            "statement_timeout": {"type": "float", "default": 600.0},
        },
        supports_check_mode=True,
    )
    if mariadb.pymysql is None:
        module.fail_json(msg=mariadb.MISSING_DRIVER.format(sys.executable))
    source, target = open_side(module, "source"), open_side(module, "target")
    caught_up = proof.follower(source, target, module.params["lag_timeout"]) if module.params["live"] else None
    database = module.params["database"]
    try:
        result = proof.compare_database(
            source,
            target,
            database,
            proof.Settling(caught_up, module.params["rounds"]),
            chunk_rows=module.params["chunk_rows"],
        )
    except mariadb.pymysql.MySQLError as error:
        module.fail_json(
            msg="Database {0} could not be compared: {1}. "
            "Check that it is there and that the accounts may read it on both sides.".format(database, error)
        )
    module.exit_json(changed=False, proof=result, summary=proof.describe(result))


if __name__ == "__main__":
    main()
