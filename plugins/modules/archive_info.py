#!/usr/bin/python
# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells whether a zip is fit to be unpacked."""

DOCUMENTATION = r"""
module: archive_info
short_description: Check a zip before anything is made of it
version_added: 0.1.0
description:
  - Reads the whole archive. Fails when it is missing or corrupt, when it holds links or paths outside its
    folder, and when a member is missing that it must have.
options:
  path:
    description: The archive, on the machine where the task runs.
    type: path
    required: true
  members:
    description: Names that the archive must have.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Does the same in check mode.
    support: full
  diff_mode:
    description: There is nothing to differ.
    support: none
author:
  - The ocpizza.cutover team
"""

EXAMPLES = r"""
- name: Check the archive before the server is touched
  ocpizza.cutover.archive_info:
    path: files/BDD.zip
    members: [ocpizza_dump.sql, base_data.sql]
  delegate_to: localhost
"""

RETURN = r"""
members:
  description: All names in the archive, in its order.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils.archive import ArchiveError, check_zip  # noqa: E402


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "members": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        names = check_zip(module.params["path"], module.params["members"])
    except ArchiveError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, members=names)


if __name__ == "__main__":
    main()
