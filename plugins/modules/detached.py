# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

DOCUMENTATION = r"""
---
module: detached
short_description: Run one operation of the agent on the host, detached, and watch it
description:
  - Starts the operation as a transient systemd unit, so that neither the loss of the controller nor of its
    connection touches it, and copies its journal here as it grows.
  - Where the unit runs already, an earlier run's operation, it is watched and not started again.
version_added: "0.1.0"
author: The ocpizza.cutover team
attributes:
  check_mode:
    support: partial
    description: Starts nothing; says that the operation would be started.
  diff_mode:
    support: none
    description: The outcome says what was done.
options:
  agent:
    description: The agent's file on the host, as M(ocpizza.cutover.agent) put it there.
    type: path
    required: true
  operation:
    description: What to run.
    type: str
    required: true
    choices: [switchover, restart, seed, media]
  plan:
    description: The plan's file on the host, JSON.
    type: path
    required: true
  unit:
    description: Name of the transient unit.
    type: str
    required: true
  journal:
    description: The journal that the operation writes on the host.
    type: path
    required: true
  result:
    description: The file that the operation writes at its end, JSON.
    type: path
    required: true
  journal_here:
    description: The run's journal on the controller.
    type: path
    required: true
  phase:
    description: The phase that the events belong to.
    type: str
    required: true
    choices: [discover, check, announce, backup, prepare, replicate, verify, cutover, watch, retire, rollback]
  timeout:
    description: Seconds to watch. The operation itself is not ended when they are over.
    type: int
    default: 3600
"""

EXAMPLES = r"""
- name: Copy the databases
  ocpizza.cutover.detached:
    agent: /var/lib/cutover/ocpizza/agent.pyz
    operation: seed
    plan: /var/lib/cutover/ocpizza/seed.json
    unit: cutover-ocpizza-seed
    journal: /var/lib/cutover/ocpizza/journal.jsonl
    result: /var/lib/cutover/ocpizza/seed-result.json
    journal_here: run/ocpizza/journal.jsonl
    phase: replicate
"""

RETURN = r"""
outcome:
  description: What the operation wrote as its result.
  type: dict
  returned: when the operation ended
"""
