# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judges an archive on the controller; documented in plugins/modules/release_archive_info.py."""

import hashlib
from typing import Any, Dict, Optional

from ansible.plugins.action import ActionBase

from ansible_collections.ocpizza.cutover.plugins.module_utils.release_archive import (
    CHUNK,
    MAX_BYTES,
    ArchiveError,
    application_root,
    inspect,
)


def sha256_of(path: str) -> str:
    """Checksum of a file, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()


class ActionModule(ActionBase):
    """Reads the archive where the play runs, so that a bad one never reaches a host."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        result = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(
            argument_spec={
                "path": {"type": "path", "required": True},
                "required_members": {"type": "list", "elements": "str", "default": []},
                "max_bytes": {"type": "int", "default": MAX_BYTES},
            }
        )
        path = self._loader.path_dwim(args["path"])
        try:
            archive = inspect(path, args["required_members"], args["max_bytes"])
        except ArchiveError as error:
            result.update(failed=True, changed=False, msg=str(error))
            return result

        result.update(
            changed=False,
            kind=archive.kind,
            sha256=sha256_of(path),
            root=application_root(member.name for member in archive.members),
            members=len(archive.members),
            unpacked_bytes=sum(member.size for member in archive.members),
        )
        return result
