# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns a site's jobs on a host on or off."""

DOCUMENTATION = r"""
---
module: site_jobs
short_description: Turn a site's jobs on a host off, or on again
description:
  - A site's jobs run on one side alone. Those of the other are off, also after a restart of the host.
  - Before they are turned off it waits until none of them runs, and none is due for a while, so that none is broken off
    or left out.
version_added: "0.1.0"
author: The ocpizza.cutover team
attributes:
  check_mode:
    support: full
    description: Says what would be turned; it does not wait.
  diff_mode:
    support: none
    description: Nothing of a job changes but whether it runs.
options:
  jobs:
    description: The jobs, each with one of C(timer) (a unit), C(cron) (a file) and C(crontab) (a user).
    type: list
    elements: dict
    required: true
    suboptions:
      timer:
        description: A timer unit, such as C(shop-nightly.timer).
        type: str
      cron:
        description: A table of cron's, such as C(/etc/cron.d/shop).
        type: path
      crontab:
        description: The user whose own table it is; all of it is the site's.
        type: str
  state:
    description: Whether they run.
    type: str
    choices: ["on", "off"]
    required: true
  folder:
    description: The site's folder on the host, where tables are kept that are off.
    type: path
    required: true
  wait:
    description: Seconds to wait for jobs that run or are about to; then it fails, and nothing has changed.
    type: float
    default: 120
  quiet:
    description: For so many seconds none may be due when they are turned off.
    type: float
    default: 30
  since:
    description: With O(state=on), when they were turned off where they ran before, in seconds of the epoch.
    type: float
    default: 0
"""

EXAMPLES = r"""
- name: Turn the jobs off
  ocpizza.cutover.site_jobs:
    jobs:
      - timer: shop-nightly.timer
      - cron: /etc/cron.d/shop
    state: "off"
    folder: /var/lib/cutover/shop
"""

RETURN = r"""
turned:
  description: The jobs that were turned, or would be.
  type: list
  elements: str
  returned: success
missed:
  description: Lines of cron's tables that were due since O(since), when they were off everywhere, each with its time.
  type: list
  elements: str
  returned: success
since:
  description: When they were turned off on this host, in seconds of the epoch; 0 where they are on.
  type: float
  returned: success
"""

import datetime  # noqa: E402
import os  # noqa: E402
import time  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils import jobs as jobs_utils  # noqa: E402

POLL = 0.5


def uptime():
    """Seconds since the host has started, as systemd counts."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def in_the_way(jobs, folder, quiet):
    """What runs, or is due soon."""
    now = datetime.datetime.now()
    processes = jobs_utils.processes()
    found = []
    for job in jobs:
        found += ["{0} runs ({1})".format(job.text(), what) for what in jobs_utils.running(job, folder, now, processes)]
        if quiet:
            due = jobs_utils.next_due(job, folder, now, uptime())
            if due is not None and (due - now).total_seconds() < quiet:
                found.append("{0} is due at {1}".format(job.text(), due.strftime("%H:%M:%S")))
    return found


def await_quiet(module, jobs, folder, quiet, until):
    """Wait until nothing is in the way, or fail."""
    while True:
        found = in_the_way(jobs, folder, quiet)
        if not found:
            return
        if time.monotonic() > until:
            module.fail_json(
                msg="The site's jobs cannot be turned off within {0:g} s: {1}. Wait until it is over, or choose "
                "another minute, and run the same command again.".format(module.params["wait"], "; ".join(found)),
            )
        time.sleep(POLL)


def off_since(folder):
    """When they were turned off, in seconds of the epoch; 0 where they were not."""
    try:
        return os.stat(os.path.join(folder, "jobs.off")).st_mtime
    except FileNotFoundError:
        return 0.0


def turn(module, jobs, folder, off):
    """Turn them; what was missed meanwhile."""
    mark = os.path.join(folder, "jobs.off")
    if off:
        until = time.monotonic() + module.params["wait"]
        await_quiet(module, jobs, folder, module.params["quiet"], until)
        os.makedirs(folder, mode=0o755, exist_ok=True)
        with open(mark, "w", encoding="ascii"):
            pass
        for job in jobs:
            jobs_utils.turn_off(job, folder)
        # One that had begun in between.
        await_quiet(module, jobs, folder, 0, until)
        return []
    for job in jobs:
        jobs_utils.turn_on(job, folder)
    if os.path.exists(mark):
        os.unlink(mark)
    since, now = module.params["since"], datetime.datetime.now()
    if not since:
        return []
    begun = datetime.datetime.fromtimestamp(since)
    return [text for job in jobs for text in jobs_utils.missed(job, folder, begun, now)]


def main():
    module = AnsibleModule(
        argument_spec={
            "jobs": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {"timer": {"type": "str"}, "cron": {"type": "path"}, "crontab": {"type": "str"}},
            },
            "state": {"type": "str", "choices": ["on", "off"], "required": True},
            "folder": {"type": "path", "required": True},
            "wait": {"type": "float", "default": 120},
            "quiet": {"type": "float", "default": 30},
            "since": {"type": "float", "default": 0},
        },
        supports_check_mode=True,
    )
    folder, off = module.params["folder"], module.params["state"] == "off"
    try:
        jobs = jobs_utils.wanted(module.params["jobs"])
        missing = [job.text() for job in jobs if jobs_utils.is_missing(job, folder)]
        if missing:
            module.fail_json(
                msg="There is no {0} on this host. Correct site_jobs in the inventory.".format(", no ".join(missing))
            )
        turning = [job for job in jobs if jobs_utils.is_off(job, folder) != off]
        missed = turn(module, turning, folder, off) if turning and not module.check_mode else []
    except (OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    turned = [job.text() for job in turning]
    module.exit_json(changed=bool(turning), turned=turned, missed=missed, since=off_since(folder))


if __name__ == "__main__":
    main()
