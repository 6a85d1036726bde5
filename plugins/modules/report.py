# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

DOCUMENTATION = r"""
---
module: report
short_description: Write the report of a migration and judge it
description:
  - Reads the journal and the evidence in the run directory on the controller and writes C(report.json) there,
    whole or not at all, by the schema C(docs/report.schema.json).
  - Something found wrong, or that never happened, makes the verdict V(FAILED); something that could not be checked
    makes it V(PARTIAL).
  - The report is evidence about the run, not state of a host, so the task is never reported as changed.
version_added: "0.1.0"
author: The ocpizza.cutover team
attributes:
  check_mode:
    support: full
    description: Judges; writes nothing.
  diff_mode:
    support: full
    description: Shows the report before and after.
options:
  run_dir:
    description: The run directory on the controller. It must exist.
    type: path
    required: true
  site:
    description:
      - The name of the site.
      - If empty, the name in the report that is there, else the name of the directory.
    type: str
    default: ""
  verdict:
    description: The verdicts to accept. With any other the task fails and says why; unset, it never fails for that.
    type: list
    elements: str
    choices: [PASSED, PARTIAL, FAILED]
"""

EXAMPLES = r"""
- name: Write the report, and stop unless everything was proven
  ocpizza.cutover.report:
    run_dir: run/ocpizza
    site: ocpizza
    verdict: [PASSED]
"""

RETURN = r"""
path:
  description: The report's file on the controller.
  type: str
  returned: always
verdict:
  description: V(PASSED), V(PARTIAL) or V(FAILED).
  type: str
  returned: always
reasons:
  description: What speaks against the run, failures first; empty if it passed.
  type: list
  elements: str
  returned: always
  sample: ["phase verify failed"]
"""
