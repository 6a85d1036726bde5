# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between two readings of a server, or of two servers, as server_info gives them."""

from typing import Any, Dict, List

Found = Dict[str, Any]
VHOST = ("upstreams", "document_root", "aliases", "redirects", "tls", "certificate")


def _pairs(found: Found) -> Dict[str, Dict[str, Any]]:
    """By kind what there is, by a name that stays the same, with what may change of it."""
    system, packages = found["system"], found["packages"]
    units = system["units"]
    return {
        "package": dict(packages["installed"]),
        # Of readings that did not note it, only whether a file is there is known.
        "file": {path: packages.get("stamps", {}).get(path) for path in packages["own"] + packages["changed"]},
        "file of a package that is gone": dict.fromkeys(packages["gone"]),
        "unit": {name: state for state in ("enabled", "masked") for name in units[state]},
        "failed unit": dict.fromkeys(units["failed"]),
        "user": {
            one["name"]: "{0}, {1}".format("may log in" if one["login"] else "may not log in", " ".join(one["groups"]))
            for one in system["users"]
        },
        "mount": {one["path"]: "{0} ({1})".format(one["device"], one["type"]) for one in system["mounts"]},
        "listener": {
            "{0} {1}:{2}".format(one["protocol"], one["address"], one["port"]): one["name"]
            for one in system["listening"]
            if one["protocol"] in ("tcp", "udp")
        },
        "firewall rule": {tool + " " + rule: None for tool, rules in system["firewall"].items() for rule in rules},
        "virtual host": {_vhost(one): {name: one[name] for name in VHOST} for one in found["vhosts"]},
        "database": {
            "{0} {1}".format(server["engine"], one["name"]): "{0} {1}".format(one["charset"], one["collation"])
            for server in found["databases"]
            for one in server["databases"]
        },
        "account": {
            "{0} {1}".format(server["engine"], name): None
            for server in found["databases"]
            for name in server["accounts"]
        },
        "job": {_job(one): None for one in found["jobs"]},
    }


def _vhost(one: Found) -> str:
    return "{0} {1} on {2}".format(one["server"], " ".join(one["names"]) or "without a name", " ".join(one["listen"]))


def _job(one: Found) -> str:
    # Not by its line, which moves with the lines above it.
    place = one["source"].rpartition(":")[0] or one["source"]
    words = (place, one["schedule"], one["user"], one["command"])
    return " ".join(word for word in words if word)


def _changed(before: Any, after: Any) -> str:
    if isinstance(before, dict) and isinstance(after, dict):
        parts = [
            "{0}: {1} → {2}".format(name, _text(before[name]), _text(after.get(name)))
            for name in sorted(before)
            if before[name] != after.get(name)
        ]
        return "; ".join(parts)
    return "{0} → {1}".format(_text(before), _text(after))


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join("{0} {1}".format(name, _text(inner)) for name, inner in sorted(value.items())) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(one) for one in value) or "none"
    return str(value) if value not in ("", None) else "none"


def changes(earlier: Found, later: Found) -> List[Found]:
    """Each with C(kind), C(what) (new, gone, changed) and C(text)."""
    before, after = _pairs(earlier), _pairs(later)
    found = []
    for kind, now in after.items():
        then = before[kind]
        for name in sorted(set(now) - set(then)):
            found.append({"kind": kind, "what": "new", "text": name})
        for name in sorted(set(then) - set(now)):
            found.append({"kind": kind, "what": "gone", "text": name})
        for name in sorted(set(now) & set(then)):
            if now[name] != then[name] and None not in (now[name], then[name]):
                text = "" if kind == "file" else ": " + _changed(then[name], now[name])
                found.append({"kind": kind, "what": "changed", "text": name + text})
    return found
