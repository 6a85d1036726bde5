# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the valve's molecule scenarios share: flags, requests, and what a hold under traffic must come to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from testinfra.host import Host

RUNTIME, STATE = "/run/cutover/my-shop", "/var/lib/cutover/my-shop"
FLAGS = {"hold": RUNTIME, "valve": RUNTIME, "moved": STATE}


def curl(host: Host, path: str, domain: str = "shop.test", options: str = "") -> tuple[int, Any]:
    """Status and body, JSON decoded, of what a machine's own web server answers."""
    command = "curl -sS --max-time 10 -w '\\n%%{http_code}' %s -H 'Host: %s' 'http://127.0.0.1%s'"
    text, _newline, status = host.check_output(command % (options, domain, path)).rpartition("\n")
    return int(status), json.loads(text) if text.startswith("{") else text


def flags(host: Host) -> Iterator[Callable[..., None]]:
    """A fixture: have these flags alone; at the end none, and a valve that holds again."""

    def change(*wanted: str) -> None:
        for flag, folder in FLAGS.items():
            host.check_output("%s %s/%s" % ("touch" if flag in wanted else "rm -f", folder, flag))

    yield change
    # In the order of a release.
    change()
    host.check_output(f"systemctl stop cutover-my-shop.service; rm -f {RUNTIME}/environment")


def held(
    host: Host, flags: Callable[..., None], commands: list[str], release_to: str, *left: str
) -> tuple[str, list[str]]:
    """What was answered to commands before the release, and what they print that begin while the site is held.

    ``left`` are the flags that stay after it.
    """
    flags("hold", "valve")
    script = " ".join(f"({command}) >/tmp/held.{number} 2>&1 &" for number, command in enumerate(commands))
    host.check_output("rm -f /tmp/held.*; nohup sh -c %s >/dev/null 2>&1 & sleep 1.5", script + " sleep 9")
    early = host.check_output("cat /tmp/held.*")
    host.check_output(f"echo TARGET={release_to} >{RUNTIME}/environment")
    flags(*left)
    host.check_output("sleep 1")
    return early, [host.check_output(f"cat /tmp/held.{number}") for number in range(len(commands))]


def assert_whole(told: dict[str, Any], side: str) -> None:
    """That nothing failed in a hold under traffic (clients.py), and nothing ran inside it."""
    print(side, told)
    assert told["failed"] == []
    assert told["drained"], told
    # The application's own notes: nothing ran between the end of the drain and the release.
    assert told["ran_inside"] == 0, told
    assert told["slow"] > 5
    assert told["waited"] > 15
    assert told["longest_ms"] >= 600
    server = {"source": "old", "target": "target"}[side]
    assert (told["waited_at"], told["after_at"]) == ([server], [server])
    assert told["after"] > 50
