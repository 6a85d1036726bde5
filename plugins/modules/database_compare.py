# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares the databases of the source with the target's, row by row, while they are written to."""

DOCUMENTATION = r"""
---
module: database_compare
short_description: Prove that databases are equal on both sides, row by row
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
    description: Reads only, but for the marker's row; no point is kept to follow changes from.
  diff_mode:
    support: none
    description: Nothing is changed.
extends_documentation_fragment: ocpizza.cutover.databases
options:
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
    default: 25000
  jobs:
    description: Chunks that are compared at a time, each on a connection of its own to either side.
    type: int
    default: 2
  statement_timeout:
    description: Seconds any single answer of a server may take.
    type: float
    default: 600
"""

EXAMPLES = r"""
- name: Prove that the databases are equal on both sides
  ocpizza.cutover.database_compare:
    credentials: /var/lib/cutover/ocpizza/credentials.json
    site: ocpizza
    databases: [ocpizza]
  environment:
    PYTHONPATH: /var/lib/cutover/ocpizza/agent.pyz
  register: compared
  failed_when: compared.proofs | rejectattr('verdict', 'eq', 'PASSED') | list | length > 0
"""

RETURN = r"""
position:
  description: The point of the source's log before the first row was read; the proof of later changes goes on from it.
  type: str
  returned: success
proofs:
  description: What was proven, for each database.
  type: list
  elements: dict
  returned: success
  contains:
    database: {description: The database., type: str}
    engine: {description: "V(mariadb), V(mysql) or V(postgresql).", type: str}
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
summaries:
  description: The outcome in a sentence, for each database.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils import proof  # noqa: E402
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import words  # noqa: E402
from ansible_collections.ocpizza.cutover.plugins.module_utils.database_side import (  # noqa: E402
    SIDE_OPTIONS,
    open_database,
    open_reader,
)
from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_result import describe  # noqa: E402

SIDES = ("source", "target")


def compare(module, name, caught_up, position, widened):
    """The proof of one database."""
    readers = []
    try:
        for _job in range(module.params["jobs"]):
            readers.append([open_reader(module, side, name, module.params["statement_timeout"]) for side in SIDES])
        return proof.compare_database(
            *readers[0],
            name,
            proof.Settling(caught_up, module.params["rounds"]),
            position=position,
            chunk_rows=module.params["chunk_rows"],
            widened=widened,
            more_pairs=readers[1:],
        )
    except Exception as error:
        module.fail_json(
            msg="Database {0} could not be compared: {1}. "
            "Check that it is there and that the accounts may read it on both sides.".format(name, words(error))
        )
    finally:
        for pair in readers:
            for reader in pair:
                reader.close()


def main():
    options = dict(
        SIDE_OPTIONS,
        live={"type": "bool", "default": True},
        lag_timeout={"type": "float", "default": 10.0},
        rounds={"type": "int", "default": 20},
        chunk_rows={"type": "int", "default": 25000},
        jobs={"type": "int", "default": 2},
        statement_timeout={"type": "float", "default": 600.0},
    )
    del options["side"]
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    if module.params["jobs"] < 1:
        module.fail_json(msg="jobs is {0}. Give 1 or more.".format(module.params["jobs"]))
    caught_up, position = None, ""
    # A wait for the target must not end as a lost connection.
    timeout = max(30.0, module.params["lag_timeout"] + 5.0)
    source = open_database(module, "source", timeout) if module.params["live"] else None
    target = open_database(module, "target", timeout)
    if source:
        if not module.check_mode:
            # A server may keep its log from here on, and give up what it kept for the last proof.
            position = source.changes_from()
        caught_up = proof.follower(source, target, module.params["lag_timeout"])
    proofs = [compare(module, name, caught_up, position, target.widened(name)) for name in module.params["databases"]]
    module.exit_json(changed=False, position=position, proofs=proofs, summaries=[describe(each) for each in proofs])


if __name__ == "__main__":
    main()
