# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the instance that did not come back, and restarts it once where that is wanted."""

DOCUMENTATION = r"""
---
module: service_check
short_description: Find the instance of a service that did not come back
description:
  - Judges every instance of a service, under systemd or supervisor, with its processes, its ports and the errors in its
    logs, and fails with the names of those that are not as they should be.
  - What could not be checked fails as well.
version_added: "0.1.0"
author: The ocpizza.cutover team
attributes:
  check_mode:
    support: full
    description: Restarts nothing, and says what it would restart.
  diff_mode:
    support: none
    description: The result names what was restarted.
options:
  units:
    description: systemd's units, or patterns such as V(worker@*.service); a pattern stands for all that are enabled.
    type: list
    elements: str
    default: []
  programs:
    description: supervisor's programs, groups, or patterns such as V(shop:*).
    type: list
    elements: str
    default: []
  ports:
    description: Ports, addresses with ports, or paths of sockets that somebody must listen on.
    type: list
    elements: str
    default: []
  processes:
    description: Commands of which so many must run.
    type: list
    elements: dict
    default: []
    suboptions:
      command:
        description: A regular expression that the command with its arguments must fit.
        type: str
        required: true
      least:
        description: How many must run.
        type: int
        default: 1
      most:
        description: How many may run.
        type: int
  logs:
    description: Logs, as paths or patterns, whose errors count; those of O(units) in the journal always do.
    type: list
    elements: str
    default: []
  errors:
    description: A regular expression of a line that is an error, upper or lower case.
    type: str
    default: \b(error|critical|fatal|emerg|alert|panic|traceback)\b
  most_errors:
    description: How many errors since O(since) are not yet a problem.
    type: int
    default: 0
  since:
    description:
      - How long ago (V(10m)) or a time with its zone (V(2026-11-23T08:00:00+01:00)).
      - Instances that were started later have come back by themselves, which is a problem, and errors since then count.
        Neither is looked at without it.
    type: str
  restart:
    description: Whether instances that do not run are restarted, once.
    type: bool
    default: false
  wait:
    description: Seconds within which all must be as it should; 0 looks once.
    type: float
    default: 0
"""

EXAMPLES = r"""
- name: See that all workers of the shop came back, and restart the one that did not
  ocpizza.cutover.service_check:
    programs: ["shop:*"]
    units: ["mail@*.service", nginx.service]
    ports: ["8000", "127.0.0.1:8001", /run/gunicorn.sock]
    processes:
      - {command: "gunicorn.*shop.wsgi", least: 5}
    logs: [/var/log/shop/*.log]
    since: 10m
    restart: true
    wait: 30
"""

RETURN = r"""
instances:
  description: >-
    Every instance with manager, name, running, state, pid, started (time in UTC) and restarts (those that systemd
    counts).
  type: list
  elements: dict
  returned: always
restarted:
  description: Names of those that were restarted, or would be.
  type: list
  elements: str
  returned: always
listening:
  description: >-
    Who listens on O(ports), each with protocol, address, port, pid, name, user and unit; the last four are empty where
    the process may not be looked into.
  type: list
  elements: dict
  returned: always
errors:
  description: For each log or unit the number of errors and the last one.
  type: dict
  returned: always
problems:
  description: What is not as it should be.
  type: list
  elements: str
  returned: always
not_checked:
  description: What could not be looked at, and why.
  type: list
  elements: str
  returned: always
"""

import re  # noqa: E402
import time  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils import access_log, services  # noqa: E402
from ansible_collections.ocpizza.cutover.plugins.module_utils.service_look import CLIENTS, Look  # noqa: E402

POLL = 0.5


def restart(module, stopped):
    """Start each instance anew; when that was."""
    begun = {}
    for one in stopped:
        begun[one["name"]] = time.time()
        # That it does not start either is found by looking again.
        module.run_command([module.get_bin_path(CLIENTS[one["manager"]], required=True), "restart", one["name"]])
    return begun


def main():
    texts = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "units": texts,
            "programs": texts,
            "ports": texts,
            "processes": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "command": {"type": "str", "required": True},
                    "least": {"type": "int", "default": 1},
                    "most": {"type": "int"},
                },
            },
            "logs": texts,
            "errors": {"type": "str", "default": services.ERRORS},
            "most_errors": {"type": "int", "default": 0},
            "since": {"type": "str"},
            "restart": {"type": "bool", "default": False},
            "wait": {"type": "float", "default": 0.0},
        },
        supports_check_mode=True,
    )
    params = module.params
    if not any(params[name] for name in ("units", "programs", "ports", "processes", "logs")):
        module.fail_json(msg="There is nothing to check: give units, programs, ports, processes or logs.")
    try:
        since = access_log.parse_since(params["since"], time.time()) if params["since"] else None
        for text in [params["errors"]] + [one["command"] for one in params["processes"]]:
            re.compile(text)
    except (ValueError, re.error) as error:
        module.fail_json(msg=str(error))
    if params["logs"] and since is None:
        module.fail_json(msg="logs are given without since: say since when their errors count, such as 10m.")
    look = Look(module.run_command, params, since, {})
    stopped = look.stopped() if params["restart"] else []
    names = [one["name"] for one in stopped]
    restarted = {}
    if stopped and not module.check_mode:
        restarted = restart(module, stopped)
        look = Look(module.run_command, params, since, restarted)
    deadline = time.monotonic() + params["wait"]
    while (look.problems or look.not_checked) and time.monotonic() + POLL < deadline and not module.check_mode:
        time.sleep(POLL)
        look = Look(module.run_command, params, since, restarted)
    result = dict(look.told(), changed=bool(names), restarted=names)
    bad = look.problems + ["not checked: " + text for text in look.not_checked]
    if bad and not (module.check_mode and names):
        within = " within {0:g} s".format(params["wait"]) if params["wait"] else ""
        again = " after {0} was restarted".format(", ".join(names)) if names else ""
        module.fail_json(msg="Not as it should be{0}{1}: {2}".format(within, again, "; ".join(bad)), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
