# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation only: plugins/action/release_archive_info.py does the work, on the controller."""

DOCUMENTATION = r"""
module: release_archive_info
short_description: Judge an archive on the controller before it goes to a host
version_added: 0.1.0
description:
  - Reads a zip, tar (plain, gzip, bzip2, xz) or wheel on the controller to its end and says what is in it.
  - Fails, naming archive and member, when it is damaged or holds what must not be unpacked, that is absolute
    paths, C(..), links that lead out of its folder, members below a link, devices and pipes.
  - Runs on the controller and changes nothing.
options:
  path:
    description: The archive, on the controller.
    type: path
    required: true
  required_members:
    description: Members that it must have.
    type: list
    elements: str
    default: []
  max_bytes:
    description: Refuse an archive that unpacks to more than this, in bytes.
    type: int
    default: 4294967296
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
- name: Judge the release before anything is changed
  ocpizza.cutover.release_archive_info:
    path: build/artefacts/1.0/ocpizza.zip
    required_members: [manage.py]
  register: __shop_archive
"""

RETURN = r"""
kind:
  description: C(zip), C(tar) or C(wheel).
  returned: success
  type: str
sha256:
  description: Checksum of the archive.
  returned: success
  type: str
root:
  description:
    - Folder inside the archive where the application lies; empty when it is the archive's own.
    - It is the single folder of the archive when that, and not the archive itself, holds C(manage.py),
      C(requirements.txt) or C(pyproject.toml).
  returned: success
  type: str
members:
  description: Number of members.
  returned: success
  type: int
unpacked_bytes:
  description: Size of all files when unpacked, in bytes.
  returned: success
  type: int
"""
