# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells what a migration has to know of one host, and which of the others it reaches."""

DOCUMENTATION = r"""
---
module: host_info
short_description: Tell what a migration has to know of a host
description:
  - Reads release, identity, clock, systemd, disk space and package candidates, and tries TCP connections.
version_added: "0.1.0"
author: The ocpizza.cutover team
attributes:
  check_mode:
    support: full
    description: Reads only.
  diff_mode:
    support: none
    description: Nothing is changed.
options:
  paths:
    description: Paths whose size and whose file system's free space are wanted; the nearest folder that exists counts.
    type: list
    elements: path
    default: []
  packages:
    description: Packages whose installed and candidate versions are wanted.
    type: list
    elements: str
    default: []
  reach:
    description: Addresses and ports, C(address:port), to connect to.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds to wait for each connection.
    type: float
    default: 3
"""

EXAMPLES = r"""
- name: Tell what there is to know of this host
  ocpizza.cutover.host_info:
    paths: [/var/lib/mysql]
    packages: [mariadb-server]
    reach: ["192.0.2.11:3306"]
"""

RETURN = r"""
machine_id:
  description: The host's machine-id.
  type: str
  returned: success
release:
  description: ID and VERSION_ID of the distribution, as V(debian 11).
  type: str
  returned: success
time:
  description: The host's clock, in seconds since 1970.
  type: float
  returned: success
python:
  description: Version of the Python that runs the module.
  type: str
  returned: success
systemd:
  description: Version of systemd; 0 where it does not run.
  type: int
  returned: success
socket_proxyd:
  description: Path of systemd-socket-proxyd; empty where it is missing.
  type: str
  returned: success
memory:
  description: The host's memory in bytes, C(total) and C(available); 0 where it does not say.
  type: dict
  returned: success
mail_queued:
  description: Messages that wait to be sent by a mail server of the host.
  type: int
  returned: success
paths:
  description: >-
    For each path its size (C(used)) and the free space of its file system (C(free)), in bytes, and the number of that
    file system (C(device)).
  type: dict
  returned: success
packages:
  description: For each package its C(installed) and C(candidate) versions.
  type: dict
  returned: success
reach:
  description: For each address and port V(open), V(refused) (the host answers) or the reason why not.
  type: dict
  returned: success
"""

import os  # noqa: E402
import platform  # noqa: E402
import re  # noqa: E402
import shutil  # noqa: E402
import socket  # noqa: E402
import time  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils import mail  # noqa: E402

PROXYD = ("/lib/systemd/systemd-socket-proxyd", "/usr/lib/systemd/systemd-socket-proxyd")


def read(path):
    """A file's text, or nothing."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def release():
    """The distribution and its version."""
    values = dict(re.findall(r'^(\w+)="?(.*?)"?$', read("/etc/os-release"), re.MULTILINE))
    return "{0} {1}".format(values.get("ID", "unknown"), values.get("VERSION_ID", "")).strip()


def memory():
    """What the kernel says of its memory."""
    values = dict(re.findall(r"^(MemTotal|MemAvailable):\s*(\d+) kB", read("/proc/meminfo"), re.MULTILINE))
    return {"total": int(values.get("MemTotal", 0)) * 1024, "available": int(values.get("MemAvailable", 0)) * 1024}


def space(path):
    """Size of what is there and free bytes of the file system it is, or would be, on."""
    # os.walk finds nothing in a single file.
    used = os.path.getsize(path) if os.path.isfile(path) else 0
    for base, _folders, names in os.walk(path):
        for name in names:
            try:
                used += os.lstat(os.path.join(base, name)).st_size
            except OSError:
                continue
    # The parents of a relative path would end in '', which never exists.
    existing = os.path.abspath(path)
    while not os.path.exists(existing):
        existing = os.path.dirname(existing)
    return {
        "used": used,
        "free": shutil.disk_usage(existing).free,
        "device": os.stat(existing).st_dev,
        "exists": os.path.exists(path),
    }


def reach(endpoint, timeout):
    """What came of a connection."""
    address, _colon, port = endpoint.rpartition(":")
    try:
        socket.create_connection((address.strip("[]"), int(port)), timeout).close()
    except ConnectionRefusedError:
        return "refused"
    except socket.timeout:
        return "no answer within {0:g} s".format(timeout)
    except (OSError, ValueError) as error:
        return str(error)
    return "open"


def versions(module, packages):
    """Installed and candidate version of each package, by apt."""
    found = {name: {"installed": "", "candidate": ""} for name in packages}
    client = module.get_bin_path("apt-cache")
    if not client or not packages:
        return found
    for name in packages:
        _code, output, _error = module.run_command([client, "policy", name], environ_update={"LC_ALL": "C"})
        for field, value in re.findall(r"^\s+(Installed|Candidate):\s*(\S+)", output, re.MULTILINE):
            found[name][field.lower()] = "" if value == "(none)" else value
    return found


def systemd_version(module):
    """The version of systemd."""
    client = module.get_bin_path("systemctl")
    if not client:
        return 0
    _code, output, _error = module.run_command([client, "--version"])
    match = re.match(r"systemd (\d+)", output)
    return int(match.group(1)) if match else 0


def main():
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "path", "default": []},
            "packages": {"type": "list", "elements": "str", "default": []},
            "reach": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "float", "default": 3.0},
        },
        supports_check_mode=True,
    )
    module.exit_json(
        changed=False,
        machine_id=read("/etc/machine-id").strip(),
        release=release(),
        time=time.time(),
        python=platform.python_version(),
        systemd=systemd_version(module),
        socket_proxyd=next((path for path in PROXYD if os.access(path, os.X_OK)), ""),
        memory=memory(),
        mail_queued=mail.queued(),
        paths={path: space(path) for path in module.params["paths"]},
        packages=versions(module, module.params["packages"]),
        reach={endpoint: reach(endpoint, module.params["timeout"]) for endpoint in module.params["reach"]},
    )


if __name__ == "__main__":
    main()
