# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a folder as an archive; plugins/action/folder_archive.py keeps it on the controller."""

DOCUMENTATION = r"""
---
module: folder_archive
short_description: Bring a folder from a server as an archive, writing nothing there
description:
  - Makes a compressed archive (tar, gzip) of a folder, such as an application's code, on the controller. Not even a
    temporary file is written on the server.
  - Caches, working copies' histories and virtual environments stay behind, and whatever cannot be unpacked safely.
    C(left_out) names the rest that does.
version_added: "0.1.0"
author: The ocpizza.cutover team
attributes:
  check_mode:
    support: full
    description: Reads only, and keeps nothing.
  diff_mode:
    support: none
    description: Nothing is changed.
options:
  folder:
    description: The folder.
    type: path
    required: true
  dest:
    description: The archive on the controller, in a folder that is there. It is readable by its owner alone.
    type: path
    required: true
  force:
    description: Whether an archive that is there is replaced. If not, what would be in it is told all the same.
    type: bool
    default: true
  without:
    description: Paths of files and folders that stay behind; C(*) stands for any letters.
    type: list
    elements: str
    default: []
  below:
    description: Folder in the archive in which all lies.
    type: str
    default: ""
  pid:
    description:
      - Number of a process of the application. Where the folder has no C(requirements.txt), the archive gets one, from
        the virtual environment that the process runs in.
    type: int
    default: 0
  most:
    description: So many megabytes at most; a larger folder is not brought.
    type: int
    default: 100
"""

EXAMPLES = r"""
- name: Bring the shop's code
  ocpizza.cutover.folder_archive:
    folder: /srv/shop
    dest: files/shop.tar.gz
    without: [/srv/shop/.env, /srv/shop/media]
  become: true
"""

RETURN = r"""
files:
  description: How many files are in it.
  type: int
  returned: success
left_out:
  description: What stayed behind, and why.
  type: list
  elements: str
  returned: success
requirements:
  description: C(folder) or C(environment), whichever the requirements are from; empty for none.
  type: str
  returned: success
problem:
  description: Why there is no archive; empty where there is one.
  type: str
  returned: success
"""

import base64  # noqa: E402
import os  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils import folder_archive  # noqa: E402


def command_of(pid):
    """The words of a process's command."""
    try:
        with open("/proc/{0}/cmdline".format(pid), encoding="utf-8", errors="replace") as stream:
            return [word for word in stream.read().split("\0") if word]
    except OSError:
        return []


def read(params):
    """The archive and what is to say of it."""
    folder, more = os.path.realpath(params["folder"]), {}
    nothing = {"content": "", "files": 0, "left_out": [], "requirements": "", "problem": ""}
    if not os.path.isdir(folder):
        return dict(nothing, problem="{0} is no folder".format(params["folder"]))
    try:
        kept = folder_archive.choose(folder, params["without"], params["most"] * 1000000)
    except folder_archive.TooLargeError as error:
        return dict(nothing, problem=str(error))
    if not kept.names:
        return dict(nothing, left_out=kept.left_out, problem="{0} has no file that can be read".format(folder))
    origin = "folder" if folder_archive.REQUIREMENTS in kept.names else ""
    if not origin and params["pid"]:
        text = folder_archive.requirements(command_of(params["pid"]))
        if text:
            origin, more = "environment", {folder_archive.REQUIREMENTS: text}
    try:
        content = folder_archive.pack(folder, kept.names, params["below"], more)
    except OSError as error:
        return dict(nothing, problem="{0}: {1}".format(error.filename or folder, error.strerror))
    return dict(
        nothing,
        content=base64.b64encode(content).decode("ascii"),
        files=len(kept.names),
        left_out=kept.left_out,
        requirements=origin,
    )


def main():
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "dest": {"type": "path", "required": True},
            "force": {"type": "bool", "default": True},
            "without": {"type": "list", "elements": "str", "default": []},
            "below": {"type": "str", "default": ""},
            "pid": {"type": "int", "default": 0},
            "most": {"type": "int", "default": 100},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, **read(module.params))


if __name__ == "__main__":
    main()
