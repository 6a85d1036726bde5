# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells what is on a server that nobody knows."""

DOCUMENTATION = r"""
---
module: server_info
short_description: Tell what is on a server that nobody knows
description:
  - Reads the whole server over the connection of Ansible alone, installs nothing and changes nothing. Run it as root.
  - What it could not read is listed in C(not_read). Secrets are told by their place and name, never by their value.
version_added: "0.1.0"
author: The ocpizza.cutover team
attributes:
  check_mode:
    support: full
    description: Reads only.
  diff_mode:
    support: none
    description: Nothing is changed.
options: {}
"""

EXAMPLES = r"""
- name: Read the old server
  ocpizza.cutover.server_info:
  become: true
  register: old_server
"""

RETURN = r"""
system:
  description: >-
    C(release) with C(end_of_life) (the last day of security fixes, empty where it is not known), C(units) (enabled,
    masked, failed), C(users), C(mounts), C(firewall) rules by tool, C(listening) sockets with their owners and
    C(addresses).
  type: dict
  returned: success
packages:
  description: >-
    C(installed) versions by name, C(broken) ones that dpkg has not finished with, C(foreign) ones with whose they are,
    configuration files below /etc that are C(changed) or C(gone), files there that are the server's C(own), and of
    these the C(stamps), size and time.
  type: dict
  returned: success
vhosts:
  description: >-
    The virtual hosts of Apache and nginx, each with server, file, line, listen, names, upstreams, proxies,
    document_root, aliases, redirects, logs, tls, certificate (path, names, expires) and last_used (the last request,
    where the log is its own).
  type: list
  elements: dict
  returned: success
applications:
  description: >-
    What is behind them, each with kind, name, pid, user, unit, command, folder, listens, the names in its environment,
    where its secrets are, databases and jobs.
  type: list
  elements: dict
  returned: success
databases:
  description: Database servers that run, each with engine, unit and the names of its databases.
  type: list
  elements: dict
  returned: success
jobs:
  description: >-
    Cron's jobs and systemd's timers, each with kind, source, schedule, user, command, next (by the server's clock) and
    whether it is a dump.
  type: list
  elements: dict
  returned: success
sites:
  description: Each virtual host linked with its certificate, applications (by number), databases and jobs (by source).
  type: list
  elements: dict
  returned: success
now:
  description: The server's clock when it was read, as the times of its jobs are told.
  type: str
  returned: success
not_read:
  description: What could not be read, and why.
  type: list
  elements: str
  returned: success
seconds:
  description: How long it took.
  type: float
  returned: success
"""

import datetime  # noqa: E402
import os  # noqa: E402
import time  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils import (  # noqa: E402
    redaction,
    server_links,
    server_look,
)


def main():
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    begun = time.monotonic()
    look = server_look.Look(module.run_command)
    if os.geteuid() != 0:
        look.not_read.append("much of the server: the task does not run as root")
    system, packages, vhosts = look.system(), look.packages(), look.vhosts()
    jobs, databases = look.jobs(), look.databases()
    links = server_links.Links(look.processes, system["listening"], look.pools(), system["addresses"])
    joined = server_links.join(vhosts, links, databases, jobs)
    unknown = server_links.unread_databases(joined["applications"], databases)
    not_read = look.not_read + links.not_read + ([unknown] if unknown else [])
    # The links need the commands whole; nobody else gets them so.
    for job in jobs:
        job["command"] = redaction.command(redaction.split(job["command"]))
    found = dict(
        joined,
        system=system,
        packages=packages,
        vhosts=vhosts,
        databases=databases,
        jobs=jobs,
        now=datetime.datetime.now().strftime("%Y-%m-%dT%H:%M:%S"),
        not_read=sorted(set(not_read)),
        seconds=round(time.monotonic() - begun, 1),
    )
    module.exit_json(changed=False, **redaction.everything(found))


if __name__ == "__main__":
    main()
