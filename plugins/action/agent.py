# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds agent.pyz on the controller and puts it on the host."""

import os
import tempfile

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.ocpizza.cutover.plugins.module_utils import agent_archive


class ActionModule(ActionBase):
    """See plugins/modules/agent.py for the documentation."""

    TRANSFERS_FILES = True

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        _result, args = self.validate_argument_spec(
            argument_spec={
                "path": {"type": "path", "required": True},
                "program": {"type": "str", "choices": list(agent_archive.PROGRAMS), "default": "agent"},
            }
        )
        try:
            content = agent_archive.build(os.path.dirname(agent_archive.__file__), args["program"])
        except RuntimeError as error:
            raise AnsibleActionFail(str(error)) from error
        with tempfile.NamedTemporaryFile(suffix=".pyz") as stream:
            stream.write(content)
            stream.flush()
            task = self._task.copy()
            task.args = {"src": stream.name, "dest": args["path"], "mode": "0644"}
            # An archive says nothing to a reader of a diff.
            task.diff = False
            copy = self._shared_loader_obj.action_loader.get(
                "ansible.legacy.copy",
                task=task,
                connection=self._connection,
                play_context=self._play_context,
                loader=self._loader,
                templar=self._templar,
                shared_loader_obj=self._shared_loader_obj,
            )
            result = copy.run(task_vars=task_vars)
        return {key: result[key] for key in ("changed", "failed", "msg", "checksum") if key in result}
