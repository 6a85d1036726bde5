# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps on the controller what the module has read; documented in plugins/modules/folder_archive.py."""

import base64
import os
import tempfile
from typing import Any, Dict, Optional

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase


def keep(path: str, content: bytes) -> bool:
    """Put it there, for its owner alone; whether anything was changed."""
    if os.path.exists(path):
        with open(path, "rb") as stream:
            if stream.read() == content:
                return False
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), delete=False) as stream:
        stream.write(content)
    os.replace(stream.name, path)
    return True


class ActionModule(ActionBase):
    """Nothing is written on the host; the archive goes through no log."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        result = super().run(tmp, task_vars)
        args = dict(self._task.args)
        dest = args.get("dest")
        result.update(
            self._execute_module(
                module_name="ocpizza.cutover.folder_archive", module_args=args, task_vars=task_vars, tmp=tmp
            )
        )
        content = base64.b64decode(result.pop("content", ""))
        if result.get("failed") or not content or not dest:
            return result
        path = os.path.abspath(self._loader.path_dwim(dest))
        if not os.path.isdir(os.path.dirname(path)):
            result.update(
                failed=True, msg="There is no folder {0} on this machine. Make it first.".format(os.path.dirname(path))
            )
            return result
        wanted = not os.path.exists(path) or boolean(args.get("force", True), strict=False)
        result["changed"] = wanted and not self._task.check_mode and keep(path, content)
        return result
