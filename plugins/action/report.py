# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes report.json from the journal and the evidence that a run left on the controller."""

import os

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.ocpizza.cutover.plugins.module_utils import run_dir


class ActionModule(ActionBase):
    """See plugins/modules/report.py for the documentation."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        _result, args = self.validate_argument_spec(
            argument_spec={
                "run_dir": {"type": "path", "required": True},
                "site": {"type": "str", "default": ""},
                "verdict": {"type": "list", "elements": "str", "choices": ["PASSED", "PARTIAL", "FAILED"]},
            }
        )
        folder, wanted = args["run_dir"], args["verdict"]
        if not os.path.isdir(folder):
            raise AnsibleActionFail(
                "The run directory {0} does not exist on the controller. "
                "Set run_dir to the site_run_dir of the migration.".format(folder)
            )
        path = os.path.join(folder, run_dir.REPORT)
        try:
            report = run_dir.make_report(folder, args["site"])
            before = _current(path)
            if not self._task.check_mode:
                run_dir.write_report(folder, report)
        except OSError as error:
            raise AnsibleActionFail(
                "The report {0} on the controller cannot be made: {1}. "
                "Give yourself access to the run directory, or choose another.".format(path, error)
            ) from error
        result = {
            "changed": False,
            "path": path,
            "verdict": report["verdict"],
            "reasons": report["reasons"],
        }
        if self._task.diff:
            after = run_dir.render(report)
            result["diff"] = {"before": before, "after": after, "before_header": path, "after_header": path}
        if wanted and report["verdict"] not in wanted:
            result["failed"] = True
            result["msg"] = "The verdict is {0}, not {1}: {2}. The evidence is in {3}.".format(
                report["verdict"], " or ".join(wanted), "; ".join(report["reasons"]) or "no reason given", folder
            )
        return result


def _current(path):
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""
