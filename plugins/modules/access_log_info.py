# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells who asked this web server for a site since a time."""

DOCUMENTATION = r"""
---
module: access_log_info
short_description: Tell who asked a web server for a site
description:
  - Counts the requests to a site since a time from the web server's access logs, by client; bots, health checks and
    your own machines apart.
  - Reads rotated and compressed logs (gzip, bzip2, xz) too. Of a plain log only the part since then is read, and
    never more than a line of it is in memory.
  - What could not be read is listed in C(not_checked), and C(complete) is false then; no requests does not mean
    quiet then.
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
  logs:
    description: Logs, as paths or patterns that also fit the rotated ones.
    type: list
    elements: str
    required: true
  since:
    description: How long ago (V(90m), V(12h), V(7d)), or a time with its zone (V(2026-11-23T08:00:00+01:00)).
    type: str
    required: true
  names:
    description:
      - The site's domains; C(*) stands for any letters. All requests by default.
      - A log that does not say for which name a request was counts whole; C(files[].by_name) says which do.
    type: list
    elements: str
    default: []
  format:
    description:
      - V(auto) for common, combined, vhost_common, vhost_combined and V(json), line by line. Else one of these names,
        or a LogFormat of Apache or log_format of nginx, which must say client and time.
    type: str
    default: auto
  moved:
    description:
      - The time since which no resolver should answer with this server's address any more, written as O(since).
        Who came later is in C(pinned), for instance for a line in /etc/hosts.
    type: str
  own:
    description: Addresses and networks of your own machines, whose requests are counted apart.
    type: list
    elements: str
    default: [127.0.0.0/8, "::1"]
  health_paths:
    description: Paths that only health checks ask for.
    type: list
    elements: str
    default: []
  bots:
    description: Regular expressions of bots' User-Agents, beside those that are known.
    type: list
    elements: str
    default: []
  most:
    description: How many clients are listed.
    type: int
    default: 20
  wait:
    description:
      - Seconds to wait until no person has come for as long as O(since) says, which must be a span then. The logs are
        read again and again; where the time is over, or they cannot be read, the module fails and says what it waited
        for.
    type: float
    default: 0
  pause:
    description: Seconds between two looks.
    type: float
    default: 10
"""

EXAMPLES = r"""
- name: See who still comes through the old server
  ocpizza.cutover.access_log_info:
    logs: ["/var/log/apache2/shop-access.log*"]
    names: [shop.example, "*.shop.example"]
    since: 7d
    moved: "2026-11-23T08:00:00+01:00"
    health_paths: [/healthz]
  register: old_visits

- name: Wait until nobody has come for a quarter of an hour
  ocpizza.cutover.access_log_info:
    logs: ["/var/log/apache2/shop-access.log*"]
    since: 15m
    wait: 7200

- name: Refuse to go on while somebody comes
  ansible.builtin.assert:
    that: old_visits.complete and not old_visits.requests.people
    fail_msg: "Last request: {{ old_visits.last.people }}. Not read: {{ old_visits.not_checked | join('; ') }}"
"""

RETURN = r"""
requests:
  description: Number of requests of C(people), C(bots), C(health) checks and your C(own) machines.
  type: dict
  returned: success
last:
  description: Time of the last request of each of these kinds; empty for none.
  type: dict
  returned: success
quiet:
  description: Seconds since the last request of people; since O(since) where there was none.
  type: float
  returned: success
clients:
  description: Those with the most requests, each with client, kind, requests, first, last, agent and path of the last.
  type: list
  elements: dict
  returned: success
clients_total:
  description: How many clients there were; of more than 50,000 the requests are counted and not the clients.
  type: int
  returned: success
pinned:
  description: Clients since O(moved), alike; C(requests) are those since then.
  type: list
  elements: dict
  returned: success
pinned_total:
  description: How many these are.
  type: int
  returned: success
files:
  description: For each log path, format, lines (read), unknown (lines of another format) and by_name.
  type: list
  elements: dict
  returned: success
not_checked:
  description: What could not be read, and why.
  type: list
  elements: str
  returned: success
complete:
  description: Whether all was read that there is to read.
  type: bool
  returned: success
"""

import os  # noqa: E402
import re  # noqa: E402
import time  # noqa: E402
import zlib  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils import access_count, access_log, log_files  # noqa: E402


def read_log(path, form, tally):
    """What became of a log; its requests are counted."""
    parser = access_log.Parser(form)
    told = {"path": path, "format": "", "lines": 0, "unknown": 0, "by_name": False, "first": "", "error": ""}

    def when(line):
        request = parser.parse(line)
        return request.time if request else None

    try:
        told["first"] = access_count.iso(first_time(path, when))
        if os.path.getmtime(path) < tally.since:
            return told
        for line in log_files.read_since(path, tally.since, when):
            told["lines"] += 1
            request = parser.parse(line)
            if request is None:
                told["unknown"] += bool(line.strip())
                told.setdefault("example", line[:200])
                continue
            told["by_name"] = told["by_name"] or bool(request.vhost)
            told["format"] = parser.form
            tally.take(request)
    except (OSError, EOFError, zlib.error, log_files.lzma.LZMAError) as error:
        told["error"] = getattr(error, "strerror", None) or str(error)
    return told


def first_time(path, when):
    """The time of the first line that has one."""
    with log_files.open_log(path) as stream:
        for _turn, line in zip(range(log_files.TRIES), log_files.lines(stream)):
            found = when(line)
            if found is not None:
                return found
    return None


def problems(files, none, since):
    """What could not be read, and why."""
    texts = ["no log fits {0}".format(pattern) for pattern in none]
    for one in files:
        if one["error"]:
            texts.append("{0} could not be read to its end: {1}".format(one["path"], one["error"]))
        elif one["unknown"]:
            texts.append(
                "{0} has {1} lines of another format, such as: {2}".format(one["path"], one["unknown"], one["example"])
            )
    begun = sorted(one["first"] for one in files if one["first"])
    if begun and begun[0] > access_count.iso(since):
        texts.append("the logs begin at {0}: what came before is not known".format(begun[0]))
    if files and not begun:
        texts.append("no log has a request in it, so none can say that nobody came")
    return texts


def look(params, now):
    """One look at the logs."""
    since = access_log.parse_since(params["since"], now)
    moved = access_log.parse_since(params["moved"], now) if params["moved"] else None
    rules = access_count.Rules(params["own"], params["health_paths"], params["bots"])
    tally = access_count.Tally(params["names"], since, moved, rules)
    paths, none = log_files.expand(params["logs"])
    files = [read_log(path, params["format"], tally) for path in paths]
    not_checked = problems(files, none, since)
    last = tally.last["people"]
    return {
        "changed": False,
        "requests": tally.requests,
        "last": {kind: access_count.iso(seconds) for kind, seconds in tally.last.items()},
        "quiet": now - (since if last is None else last),
        "clients": tally.by_client(params["most"]),
        "clients_total": len(tally.clients),
        "pinned": tally.pinned(params["most"]),
        "pinned_total": len(tally.pinned(len(tally.clients))),
        "files": files,
        "not_checked": not_checked,
        "complete": not not_checked,
    }


def waited_for(params, found):
    """What was waited for in vain."""
    who = [one["client"] for one in found["clients"] if one["kind"] == "people"]
    seen = list(found["not_checked"])
    if who:
        text = "{0} requests of people, the last at {1}, from {2}"
        seen.insert(0, text.format(found["requests"]["people"], found["last"]["people"], ", ".join(who[:5])))
    return "Waited {0:g} s until nobody had come to {1} for {2}, in vain: {3}".format(
        params["wait"], ", ".join(params["names"]) or "any site", params["since"], "; ".join(seen)
    )


def main():
    module = AnsibleModule(
        argument_spec={
            "logs": {"type": "list", "elements": "str", "required": True},
            "since": {"type": "str", "required": True},
            "names": {"type": "list", "elements": "str", "default": []},
            "format": {"type": "str", "default": "auto"},
            "moved": {"type": "str"},
            "own": {"type": "list", "elements": "str", "default": ["127.0.0.0/8", "::1"]},
            "health_paths": {"type": "list", "elements": "str", "default": []},
            "bots": {"type": "list", "elements": "str", "default": []},
            "most": {"type": "int", "default": 20},
            "wait": {"type": "float", "default": 0.0},
            "pause": {"type": "float", "default": 10.0},
        },
        supports_check_mode=True,
    )
    params, begun = module.params, time.monotonic()
    if params["wait"] > 0 and not access_log.AGE.match(params["since"].strip()):
        module.fail_json(msg="since is '{0}': to wait, it must be a span such as 15m".format(params["since"]))
    try:
        access_log.Parser(params["format"])
        found = look(params, time.time())
        while params["wait"] > 0 and (found["requests"]["people"] or not found["complete"]):
            left = params["wait"] - (time.monotonic() - begun)
            if left <= 0:
                module.fail_json(msg=waited_for(params, found), **found)
            time.sleep(min(max(params["pause"], 0.05), left))
            found = look(params, time.time())
    except (ValueError, re.error) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**found)


if __name__ == "__main__":
    main()
