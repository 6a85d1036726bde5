# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Appends one event to the run's journal on the controller; with status ``query`` only reads it."""

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.ocpizza.cutover.plugins.module_utils import journal


class ActionModule(ActionBase):
    """See plugins/modules/journal.py for the documentation."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _result, args = self.validate_argument_spec(
            argument_spec={
                "path": {"type": "path", "required": True},
                "phase": {"type": "str", "required": True, "choices": list(journal.PHASES)},
                "status": {"type": "str", "default": "progress", "choices": [*journal.STATUSES, "query"]},
                "step": {"type": "str", "default": ""},
                "text": {"type": "str", "default": ""},
                "done": {"type": "int"},
                "total": {"type": "int"},
                "time": {"type": "str"},
            }
        )
        status = args.pop("status")
        path = args.pop("path")
        # A check run journals nothing: it did nothing.
        if status != "query" and not self._task.check_mode:
            try:
                journal.append(path, status=status, host=task_vars.get("inventory_hostname", ""), **args)
            except OSError as error:
                raise AnsibleActionFail(
                    "The journal {0} on the controller cannot be written: {1}. "
                    "Set site_run_dir to a folder that you can write.".format(path, error)
                ) from error
        events = journal.read_events(path)
        return {
            "changed": False,
            "phase_status": journal.phase_status(events, args["phase"]),
            "side": journal.side(events),
            "run": events[-1]["run"] if events else "",
        }
