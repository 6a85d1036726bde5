# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an application server is restarted without a request being refused, and what came of an update."""

from typing import Any, Dict, Mapping, Sequence

DRAIN, ALONE = "/run/cutover/drain/", "Alone: "
LOOPBACK = "127.0.0.1"


def restart_way(told: Mapping[str, Sequence[str]], host: str, address: str, port: str) -> Dict[str, Any]:
    """How the application server ``host`` is restarted: ``way``, and ``flags`` as pairs of web server and path.

    ``told`` has for each web server what its configuration says: the flags by which it leaves a server out, and those
    that are alone with a site. Loopback is the application beside a web server. All of it may be restarted where every
    web server has others to send requests to, for each of its sites; its workers may be replaced anywhere.
    """
    flags, without = [], set()
    for web, lines in told.items():
        names = ["%s_%s" % (one, port) for one in ([address, LOOPBACK] if web == host else [address])]
        own = sorted({line for line in lines if line.startswith(DRAIN) and line[len(DRAIN) :] in names})
        flags += [[web, flag] for flag in own]
        if own and not any(line.startswith(ALONE) and line[len(ALONE) :] in names for line in lines):
            without.add(web)
    if told and without == set(told):
        return {"way": "restart", "flags": flags}
    return {"way": "workers", "flags": []}


def update_outcome(hosts: Sequence[str], known: Mapping[str, Mapping[str, Any]]) -> str:
    """What went wrong, and what every application server runs now; nothing where all went well.

    ``known`` has each server's variables, ``__operations_update`` among them where the update came to it: ``problem``,
    ``answers``, ``taken_out`` and ``now``, the release that it runs.
    """
    updates = {host: known.get(host, {}).get("__operations_update") for host in hosts}
    failed = {host: update["problem"] for host, update in updates.items() if update and update["problem"]}
    if not failed:
        return ""
    lines = ["%s: %s" % (host, problem) for host, problem in failed.items()]
    for host, update in updates.items():
        if not update:
            lines.append("%s was not touched." % host)
        elif update["answers"]:
            lines.append("%s runs %s." % (host, update.get("now") or "nothing"))
        elif update["taken_out"]:
            lines.append(
                "%s does not answer; the web servers leave it out until start.yml --tags application finds it well."
                % host
            )
        else:
            lines.append("%s does not answer, and no other has its requests." % host)
    return "\n".join(lines)
