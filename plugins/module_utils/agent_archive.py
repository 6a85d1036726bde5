# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds agent.pyz: our module_utils with the pure-Python drivers that they need, in one file.

So nothing has to be installed on an old server. The same content gives the same bytes.
"""

import importlib
import io
import os
import re
import zipfile
from typing import Dict, List

try:
    import importlib.metadata as importlib_metadata
except ImportError:  # Python 3.7, where no archive is made
    importlib_metadata = None  # type: ignore[assignment]

PACKAGE = "ansible_collections/ocpizza/cutover/plugins/module_utils"
DRIVERS = (
    "pymysql",
    "pymysqlreplication",
    "packaging",
    # The last versions that run on Python 3.9; newer ones import names that came with 3.10.
    "pg8000",
    "scramp",
    "asn1crypto",
    "dateutil",
    "six",
)
# These ask for their own version as installed distributions.
VERSIONED = ("pg8000", "scramp")
# What newer versions of a driver need, and the old server may not have.
NEWEST = {"pg8000": (1, 31, 2), "scramp": (1, 4, 5)}
# What can be started: a module with a main, and whether it needs the drivers.
PROGRAMS = {"agent": True, "backup_program": False, "media_service": False}
MAIN = (
    "import sys\n"
    "from ansible_collections.ocpizza.cutover.plugins.module_utils.{0} import main\n"
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


def metadata(driver: str) -> Dict[str, bytes]:
    """The file by which a distribution is known to be installed, with nothing but its version in it."""
    version = importlib_metadata.version(driver)
    if tuple(int(part) for part in re.findall(r"\d+", version)[:3]) > NEWEST[driver]:
        newest = ".".join(str(part) for part in NEWEST[driver])
        raise RuntimeError(
            "{0} {1} does not run on Python 3.9, which old servers have; run 'pip install {0}=={2}' with the Python "
            "that runs Ansible".format(driver, version, newest)
        )
    text = "Metadata-Version: 2.1\nName: {0}\nVersion: {1}\n".format(driver, version)
    return {"{0}-{1}.dist-info/METADATA".format(driver, version): text.encode("ascii")}


def contents(module_utils: str, program: str = "agent") -> Dict[str, bytes]:
    """Every member of the archive."""
    members = {"__main__.py": MAIN.format(program).encode("ascii")}
    parts = PACKAGE.split("/")
    for depth in range(1, len(parts) + 1):
        members["/".join([*parts[:depth], "__init__.py"])] = b""
    folders = {PACKAGE: module_utils}
    for driver in DRIVERS if PROGRAMS[program] else ():
        try:
            module = importlib.import_module(driver)
        except ImportError as error:
            raise RuntimeError(
                "{0} is not installed beside Ansible on the controller; run 'pip install PyMySQL "
                "mysql-replication pg8000==1.31.2 scramp==1.4.5' with the same Python".format(driver)
            ) from error
        path = str(module.__file__)
        if os.path.basename(path) == "__init__.py":
            folders[driver] = os.path.dirname(path)
        else:
            with open(path, "rb") as stream:
                members[driver + ".py"] = stream.read()
    for driver in VERSIONED if PROGRAMS[program] else ():
        members.update(metadata(driver))
    for prefix, folder in folders.items():
        for name in python_files(folder):
            with open(os.path.join(folder, name), "rb") as stream:
                members["{0}/{1}".format(prefix, name)] = stream.read()
    return members


def build(module_utils: str, program: str = "agent") -> bytes:
    """The archive's bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(contents(module_utils, program).items()):
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
