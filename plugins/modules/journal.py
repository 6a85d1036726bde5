# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

DOCUMENTATION = r"""
---
module: journal
short_description: Append one event to the journal of a migration
description:
  - Appends one line to the journal on the controller and tells how the phase stands.
  - The journal is evidence about the run, not state of a host, so the task is never reported as changed.
version_added: "0.1.0"
author: The ocpizza.cutover team
attributes:
  check_mode:
    support: full
    description: Reads the journal; appends nothing.
  diff_mode:
    support: none
    description: There is nothing to compare.
options:
  path:
    description: The journal's file on the controller. Its folder is made if missing.
    type: path
    required: true
  phase:
    description: The phase of the migration.
    type: str
    required: true
    choices: [discover, check, announce, backup, prepare, replicate, verify, cutover, watch, retire, rollback, withdraw]
  status:
    description: What happened. V(query) appends nothing.
    type: str
    default: progress
    choices: [started, progress, passed, failed, skipped, query]
  step:
    description: The step within the phase; empty for the phase itself.
    type: str
    default: ""
  text:
    description: What a person should read. Never a secret.
    type: str
    default: ""
  done:
    description: How much of O(total) is done.
    type: int
  total:
    description: How much there is to do, in whatever unit O(text) names.
    type: int
  time:
    description: The instant of the event where it is not now, UTC in ISO 8601.
    type: str
"""

EXAMPLES = r"""
- name: Say that the replication has begun
  ocpizza.cutover.journal:
    path: run/ocpizza/journal.jsonl
    phase: replicate
    status: started
"""

RETURN = r"""
phase_status:
  description: The status of the phase's last event; empty if it never began.
  type: str
  returned: always
side:
  description: Where the site lives by the journal.
  type: str
  returned: always
  sample: source
run:
  description: The identifier of the run; empty before its first event.
  type: str
  returned: always
"""
