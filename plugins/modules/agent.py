# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

DOCUMENTATION = r"""
---
module: agent
short_description: Put the agent of the switchover on a host
description:
  - Builds one file on the controller from the collection's module_utils, PyMySQL and mysql-replication,
    and copies it to the host, where only Python is needed.
  - It holds no secret and does nothing by itself.
version_added: "0.1.0"
author: The ocpizza.cutover team
requirements:
  - PyMySQL and mysql-replication beside Ansible on the controller
attributes:
  check_mode:
    support: full
    description: Says whether the file would change.
  diff_mode:
    support: none
    description: The file is an archive.
options:
  path:
    description: Where the agent lies on the host. Its folder must exist.
    type: path
    required: true
  program:
    description: >-
      What it does when it is started. V(backup_program) keeps a site's backups, V(media_service) is the target's end of
      the media link; neither needs the requirements.
    type: str
    choices: [agent, backup_program, media_service]
    default: agent
"""

EXAMPLES = r"""
- name: Put the agent on the source
  ocpizza.cutover.agent:
    path: /var/lib/cutover/ocpizza/agent.pyz
"""

RETURN = r"""
checksum:
  description: SHA-1 of the file.
  type: str
  returned: success
"""
