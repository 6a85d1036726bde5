# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of a site's servers as rows, each of which is all right or not."""

import calendar
import time
from typing import Any, Dict, List

from ansible_collections.ocpizza.cutover.plugins.module_utils import backup_store

Row = Dict[str, Any]
DAY = 86400
# The same disk once more: for each container, and in one.
ELSEWHERE = ("/var/lib/docker/", "/etc/")
COLUMNS = ("host", "what", "name", "state")


def _services(found: Dict[str, Any]) -> List[Row]:
    looked = found.get("services") or {}
    rows = [
        {"what": "service", "name": one["name"], "state": one["state"], "ok": one["running"]}
        for one in looked.get("instances", [])
    ]
    # Those of an instance that does not run are told by its state.
    said = " does not run: "
    texts = [text for text in looked.get("problems", []) if said not in text] + looked.get("not_checked", [])
    if not rows and not texts and looked.get("failed"):
        texts = [looked.get("msg", "it could not be looked at")]
    return rows + [{"what": "service", "name": "", "state": text, "ok": False} for text in texts]


def _disks(text: str, most: int) -> List[Row]:
    rows = []
    for line in text.splitlines()[1:]:
        used, _space, mount = line.strip().partition("% ")
        if used.isdigit() and mount and not mount.strip().startswith(ELSEWHERE):
            rows.append(
                {"what": "disk", "name": mount.strip(), "state": "{0} % used".format(used), "ok": int(used) < most}
            )
    return rows or [{"what": "disk", "name": "", "state": "could not be read", "ok": False}]


def _certificate(path: str, text: str, now: float, days: int) -> Row:
    try:
        end = " ".join(text.strip().partition("=")[2].split())
        left = (calendar.timegm(time.strptime(end, "%b %d %H:%M:%S %Y GMT")) - now) / DAY
    except ValueError:
        return {"what": "certificate", "name": path, "state": "could not be read", "ok": False}
    state = "{0:.0f} days left".format(left) if left >= 0 else "expired {0:.0f} days ago".format(-left)
    return {"what": "certificate", "name": path, "state": state, "ok": left >= days}


def _age(seconds: float) -> str:
    return "{0:.0f} h ago".format(seconds / 3600) if seconds < 2 * DAY else "{0:.0f} days ago".format(seconds / DAY)


def _backup(status: Any, now: float, oldest: int) -> List[Row]:
    if not isinstance(status, dict):
        return [
            {"what": what, "name": "", "state": "none has run", "ok": False} for what in ("backup", "restore drill")
        ]
    rows = []
    newest = (status.get("backups") or {}).get("newest")
    age = now - backup_store.when(newest) if newest else None
    rows.append(
        {
            "what": "backup",
            "name": newest or "",
            "state": _age(age) if age is not None else "there is none",
            "ok": age is not None and age < oldest,
        }
    )
    for verb, what in (("run", "last backup run"), ("drill", "restore drill"), ("copy", "copy of backups")):
        last = status.get(verb)
        if last is None and verb == "drill":
            rows.append({"what": what, "name": "", "state": "none has run", "ok": False})
        if last is None:
            continue
        age, passed = now - float(last.get("when", 0)), last.get("verdict") == "PASSED"
        said = "{0} {1}".format(last.get("verdict", "UNKNOWN"), _age(age))
        if not passed and last.get("text"):
            said += ": {0}".format(last["text"])
        rows.append({"what": what, "name": str(last.get("backup") or ""), "state": said, "ok": passed and age < oldest})
    return rows


def _external(name: str, looked: Dict[str, Any]) -> Row:
    problems = looked.get("problems")
    if looked.get("failed") or problems or "status" not in looked:
        said = (problems or [looked.get("msg") or "it could not be asked"])[0]
        unreached = said.startswith("no answer") and "certificate" not in said.lower()
        return {"what": "external", "name": name, "state": ("not reachable: " if unreached else "") + said, "ok": False}
    ends = min([one["expires"] for one in looked.get("chain") or []] or [0])
    state = "answers {0}".format(looked["status"])
    if ends:
        state += ", TLS until {0}".format(time.strftime("%Y-%m-%d", time.gmtime(ends)))
    return {"what": "external", "name": name, "state": state, "ok": True}


def _replication(engine: str, looked: Dict[str, Any]) -> Row:
    links = looked.get("links") or {}
    texts = [
        "to the {0}: {1:.1f} s behind, a row in {2:.0f} ms".format(side, link["lag_seconds"], link["canary_ms"])
        for side, link in sorted(links.items())
        if link.get("lag_seconds") is not None and link.get("canary_ms") is not None
    ]
    if looked.get("failed") or len(texts) != 2:
        texts = [looked.get("msg") or "it could not be asked"]
    return {
        "what": "replication",
        "name": engine,
        "state": "; ".join(texts),
        "ok": not looked.get("failed") and len(texts) == 2,
    }


def host_rows(found: Dict[str, Any], limits: Dict[str, Any], now: float) -> List[Row]:
    """What one host has, and whether it is all right."""
    if not found or (found.get("services") or {}).get("unreachable"):
        return [{"what": "host", "name": "", "state": "not reachable", "ok": False}]
    rows = _services(found)
    if "release" in found:
        release = found["release"] or ""
        rows.append({"what": "release", "name": "", "state": release.rpartition("/")[2] or "none", "ok": bool(release)})
    for path, text in (found.get("certificates") or {}).items():
        rows.append(_certificate(path, text, now, limits["certificate_days"]))
    rows += _disks(found.get("disks") or "", limits["disk_percent"])
    if "backup" in found:
        rows += _backup(found["backup"], now, limits["backup_age"])
    rows += [_replication(engine, looked) for engine, looked in (found.get("replication") or {}).items()]
    for name, looked in (found.get("external") or {}).items():
        rows.append(_external(name, looked))
    return rows


def site_status(hosts: Dict[str, Any], limits: Dict[str, Any], now: float) -> Dict[str, Any]:
    """All rows, those that are not all right among them as texts, and the table."""
    rows = [
        dict(row, host=host, state=" ".join(row["state"].split()))
        for host in sorted(hosts)
        for row in host_rows(hosts[host], limits, now)
    ]
    problems = [
        " ".join(filter(None, [row["host"], row["what"], row["name"]])) + ": " + row["state"]
        for row in rows
        if not row["ok"]
    ]
    return {
        "when": int(now),
        "ok": not problems,
        "problems": problems,
        "rows": rows,
        "table": table(rows),
    }


def table(rows: List[Row]) -> List[str]:
    """The rows for people, what is wrong marked."""
    cells = [[name.upper() for name in COLUMNS]] + [[str(row[name]) for name in COLUMNS] for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(COLUMNS) - 1)]
    marks = ["  "] + ["  " if row["ok"] else "! " for row in rows]
    return [
        (mark + "  ".join([text.ljust(width) for text, width in zip(line, widths)] + line[-1:])).rstrip()
        for mark, line in zip(marks, cells)
    ]
