# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether every instance of a service runs, from what systemd and supervisor say."""

import re
from fnmatch import fnmatchcase
from typing import Any, Dict, Iterable, List, Optional, Sequence

PROPERTIES = ("Id", "LoadState", "ActiveState", "SubState", "MainPID", "NRestarts", "ActiveEnterTimestampMonotonic")
UPTIME = re.compile(r"pid (\d+), uptime (?:(\d+) days?, )?(\d+):(\d\d):(\d\d)")
ERRORS = r"\b(error|critical|fatal|emerg|alert|panic|traceback)\b"


def parse_show(text: str) -> List[Dict[str, str]]:
    """The blocks of C(systemctl show)."""
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in text.split("\n\n")]
    return [block for block in blocks if block]


def unit_instance(shown: Dict[str, str], booted: float) -> Dict[str, Any]:
    """One unit; ``booted`` is when the monotonic clock was zero."""
    since = int(shown.get("ActiveEnterTimestampMonotonic") or 0)
    state = shown.get("ActiveState", "unknown")
    return {
        "manager": "systemd",
        "name": shown.get("Id", ""),
        "running": state == "active",
        "state": "{0} ({1})".format(state, shown.get("SubState", ""))
        if shown.get("LoadState") == "loaded"
        else shown.get("LoadState", "unknown"),
        "pid": int(shown.get("MainPID") or 0),
        "started": booted + since / 1e6 if since else None,
        "restarts": int(shown["NRestarts"]) if shown.get("NRestarts", "").isdigit() else None,
    }


def expected_units(listed: str, files: str) -> List[str]:
    """Units that fit a pattern: those that are loaded and those that are enabled, templates themselves not."""
    names = set()
    for line in listed.splitlines():
        words = line.replace("\u25cf", " ").split()
        if len(words) > 1 and words[1] == "loaded":
            names.add(words[0])
    for line in files.splitlines():
        words = line.split()
        if len(words) > 1 and words[1].startswith("enabled"):
            names.add(words[0])
    return sorted(name for name in names if not re.search(r"@\.\w+$", name))


def parse_supervisor(text: str, now: float) -> List[Dict[str, Any]]:
    """The programs of C(supervisorctl status)."""
    found = []
    for line in text.splitlines():
        match = re.match(r"(\S+)\s+([A-Z]{4,})\b\s*(.*)", line)
        if not match:
            continue
        name, state, rest = match.groups()
        up = UPTIME.search(rest)
        days, hours, minutes, seconds = [int(part or 0) for part in up.groups()[1:]] if up else (0, 0, 0, 0)
        found.append(
            {
                "manager": "supervisor",
                "name": name,
                "running": state == "RUNNING",
                "state": " ".join([state.lower(), "" if up else rest]).strip(),
                "pid": int(up.group(1)) if up else 0,
                "started": now - (((days * 24 + hours) * 60 + minutes) * 60 + seconds) if up else None,
                "restarts": None,
            }
        )
    return found


def chosen(instances: Sequence[Dict[str, Any]], pattern: str) -> List[Dict[str, Any]]:
    """The programs that fit a name or a pattern; a group's name stands for all of it."""
    return [one for one in instances if fnmatchcase(one["name"], pattern) or one["name"].split(":")[0] == pattern]


def instance_problems(one: Dict[str, Any], since: Optional[float], started: str) -> List[str]:
    """What is wrong with an instance."""
    if not one["running"]:
        return ["{0} does not run: {1}".format(one["name"], one["state"])]
    if since is not None and one["started"] is not None and one["started"] > since:
        return ["{0} was started again at {1}".format(one["name"], started)]
    return []


def port_problems(wanted: Iterable[str], listening: Sequence[Dict[str, Any]]) -> List[str]:
    """One text for each C(port) or C(address:port) or path of a socket that nobody listens on."""
    problems = []
    for text in wanted:
        address, _colon, port = text.rpartition(":")
        address = address.strip("[]")
        found = any(
            one["address"] == text
            if text.startswith("/")
            else one["protocol"] == "tcp"
            and str(one["port"]) == port
            and (not address or one["address"] in (address, "0.0.0.0", "::"))  # noqa: S104
            for one in listening
        )
        if not found:
            problems.append("nobody listens on {0}".format(text))
    return problems


def process_problems(wanted: Sequence[Dict[str, Any]], commands: Sequence[str]) -> List[str]:
    """One text for each command that runs less or more often than it should."""
    problems = []
    for one in wanted:
        number = sum(bool(re.search(one["command"], command)) for command in commands)
        if number < one["least"]:
            problems.append("{0} of at least {1} processes '{2}' run".format(number, one["least"], one["command"]))
        if one["most"] is not None and number > one["most"]:
            problems.append("{0} of at most {1} processes '{2}' run".format(number, one["most"], one["command"]))
    return problems
