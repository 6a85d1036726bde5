# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds agent.pyz: our module_utils with the pure-Python drivers that they need, in one file.

So nothing has to be installed on an old server. The same content gives the same bytes.
"""

import importlib
import io
import os
import zipfile
from typing import Dict, List

PACKAGE = "ansible_collections/ocpizza/cutover/plugins/module_utils"
DRIVERS = ("pymysql", "pymysqlreplication", "packaging")
MAIN = (
    "import sys\n"
    "from ansible_collections.ocpizza.cutover.plugins.module_utils.agent import main\n"
    "sys.exit(main(sys.argv[1:]))\n"
)
EPOCH = (1980, 1, 1, 0, 0, 0)


def python_files(folder: str) -> List[str]:
    """The Python files below a folder, tests left out, as paths relative to it."""
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in ("__pycache__", "tests"))
        found += [os.path.relpath(os.path.join(root, name), folder) for name in names if name.endswith(".py")]
    return sorted(found)


def contents(module_utils: str) -> Dict[str, bytes]:
    """Every member of the archive."""
    members = {"__main__.py": MAIN.encode("ascii")}
    parts = PACKAGE.split("/")
    for depth in range(1, len(parts) + 1):
        members["/".join([*parts[:depth], "__init__.py"])] = b""
    folders = {PACKAGE: module_utils}
    for driver in DRIVERS:
        try:
            module = importlib.import_module(driver)
        except ImportError as error:
            raise RuntimeError(
                "{0} is not installed beside Ansible on the controller; run 'pip install PyMySQL "
                "mysql-replication' with the same Python".format(driver)
            ) from error
        folders[driver] = os.path.dirname(str(module.__file__))
    for prefix, folder in folders.items():
        for name in python_files(folder):
            with open(os.path.join(folder, name), "rb") as stream:
                members["{0}/{1}".format(prefix, name)] = stream.read()
    return members


def build(module_utils: str) -> bytes:
    """The archive's bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(contents(module_utils).items()):
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
