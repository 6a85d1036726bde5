# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a gunicorn that runs was started, and what of an application's environment is no secret and worth keeping."""

import os
import re
from typing import Any, Dict, List, Optional, Sequence

from ansible_collections.ocpizza.cutover.plugins.module_utils import redaction

LETTERS = {"w": "workers", "k": "worker_class", "b": "bind", "c": "config", "t": "timeout"}
NUMBERS = ("workers", "threads", "keepalive", "timeout", "max_requests", "max_requests_jitter")
TEXTS = ("worker_class", "bind")
APPLICATION = re.compile(r"[A-Za-z_][\w.]*(:[A-Za-z_][\w.]*(\(\))?)?\Z")
# Only what says by its name that it is no secret is shown with its value.
PLAIN = re.compile(
    r"(\w+_)?(HOST|HOSTS|PORT|NAME|USER|ENGINE|DIR|ROOT|PATH|MODULE|BACKEND|CA|DOMAINS?|ORIGINS|ENV|LANGUAGE|DEBUG)\Z"
)
# What systemd, supervisor or a shell have put there.
GIVEN = re.compile(
    r"(HOME|PATH|PWD|OLDPWD|SHELL|SHLVL|USER|LOGNAME|LANG|LC_\w+|TERM|_|\w*XDG_\w+|INVOCATION_ID|JOURNAL_STREAM|"
    r"SUPERVISOR_\w+|RUNTIME_DIRECTORY|STATE_DIRECTORY|NOTIFY_SOCKET|MAINPID|SYSTEMD_\w+|MEMORY_PRESSURE_\w+|"
    r"LISTEN_\w+|SERVER_SOFTWARE|PYTHONUNBUFFERED|GUNICORN_\w+|VIRTUAL_ENV)\Z"
)


def settings(environment: Optional[Dict[str, str]]) -> Dict[str, str]:
    """What the application itself is told by its environment and is plainly no secret, with its value."""
    return {
        name: value
        for name, value in sorted((environment or {}).items())
        if PLAIN.match(name)
        and not GIVEN.match(name)
        and len(value) < 200
        and redaction.command([name + "=" + value, value]) == "{0}={1} {1}".format(name, value)
    }


def own(names: Sequence[str]) -> List[str]:
    """The names of an environment that are the application's own."""
    return [name for name in names if not GIVEN.match(name)]


def options(command: Sequence[str], folder: str) -> Dict[str, Any]:
    """Workers, threads, class, address and application of a gunicorn's command and of the file that it names."""
    found: Dict[str, Any] = {}
    words = list(command)
    start = next((at for at, word in enumerate(words) if os.path.basename(word) == "gunicorn"), -1)
    rest = words[start + 1 :] if start >= 0 else []
    while rest:
        word = rest.pop(0)
        long = re.match(r"--([a-z-]+)(?:=(.*))?\Z", word)
        short = re.match(r"-([a-z])(.*)\Z", word)
        name = long.group(1).replace("-", "_") if long else LETTERS.get(short.group(1), "") if short else ""
        name = "keepalive" if name == "keep_alive" else name
        if name in (*NUMBERS, *TEXTS, "config"):
            value = (long.group(2) if long else short.group(2) if short else "") or (rest.pop(0) if rest else "")
            found[name] = value
        elif not long and not short and APPLICATION.match(word) and (":" in word or not rest):
            found["application"] = word
    path = re.sub(r"^file:", "", found.pop("config", ""))
    told = _file(os.path.join(folder, path)) if path else {}
    told.update(found)
    return {name: int(value) if name in NUMBERS and value.isdigit() else value for name, value in told.items()}


def _file(path: str) -> Dict[str, Any]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            text = stream.read(65536)
    except OSError:
        return {}
    pattern = r"^({0})\s*=\s*[\"']?([\w.:/\[\]-]+)[\"']?\s*(?:#.*)?$".format("|".join(NUMBERS + TEXTS))
    return dict(re.findall(pattern, text, re.MULTILINE))
