# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Joins what was found on a server: virtual host, application, database, jobs and certificate of each site."""

import os
from typing import Any, Dict, List, Optional, Sequence

from ansible_collections.ocpizza.cutover.plugins.module_utils import applications
from ansible_collections.ocpizza.cutover.plugins.module_utils.proc import Processes

Found = Dict[str, Any]


class Links:
    """Finds the application behind a virtual host, each read once."""

    def __init__(
        self,
        processes: Processes,
        listening: Sequence[Found],
        pools: Sequence[Found],
        addresses: Sequence[str],
    ) -> None:
        self.processes = processes
        self.pools = {pool.get("listen", ""): pool for pool in pools}
        self.addresses = addresses
        self.sockets: Dict[str, Found] = {}
        for one in listening:
            key = one["address"] if one["protocol"] == "unix" else str(one["port"])
            if one["protocol"] in ("unix", "tcp"):
                self.sockets.setdefault(key, one)
        self.known: Dict[str, Found] = {}
        self.not_read: List[str] = []

    def behind(self, vhost: Found) -> List[Found]:
        """The applications of a virtual host."""
        found = [self._behind(address) for address in vhost["upstreams"] + vhost.get("handlers", [])]
        found += [self._script(path) for path in vhost.get("wsgi_scripts", [])]
        root = vhost["document_root"]
        if vhost.get("php") and not found and root and _has_php(root):
            found.append(self._remember("mod_php " + root, {"kind": "mod_php", "name": "apache", "folder": root}))
        for one in found:
            one["secrets"] += [secret for secret in vhost["secrets"] if secret not in one["secrets"]]
            one["mentions"] += vhost["mentions"]
            if one["kind"] == "php-fpm" and root and root not in one["roots"]:
                one["roots"].append(root)
        return found

    def _behind(self, address: str) -> Found:
        kind, place = applications.endpoint(address)
        host, _space, port = place.rpartition(" ") if kind == "tcp" else ("", "", place)
        if not kind or (kind == "tcp" and not applications.is_local(host, self.addresses)):
            return self._remember(address, {"kind": "elsewhere", "name": address})
        listener = self.sockets.get(port)
        if listener is None or not listener["pid"]:
            self.not_read.append("what is behind {0}: nobody is seen to listen there".format(address))
            return self._remember(address, {"kind": "unknown", "name": address})
        pid = applications.eldest(listener["pid"], self.processes.by_pid)
        pool = self.pools.get(port, {})
        key = "{0} {1}".format(pid, pool.get("name", ""))
        if key in self.known:
            return self.known[key]
        environment = self.processes.environment(pid)
        if environment is None:
            self.not_read.append("the environment of process {0}".format(pid))
        one = applications.of_process(self.processes.by_pid[pid], self.processes.folder(pid), environment)
        if pool:
            one.update(name="php-fpm " + pool["name"], user=pool.get("user", ""), folder=pool.get("chdir", ""))
            one.update(secrets=one["secrets"] + pool["secrets"], mentions=one["mentions"] + pool["mentions"])
        return self._remember(key, dict(one, listens=place.strip()))

    def _script(self, path: str) -> Found:
        return self._remember(path, {"kind": "mod_wsgi", "name": path, "folder": os.path.dirname(path)})

    def _remember(self, key: str, found: Found) -> Found:
        empty: Found = {"pid": 0, "user": "", "unit": "", "command": [], "folder": "", "environment": [], "listens": ""}
        lists: Found = {"secrets": [], "mentions": [], "roots": [], "settings": {}, "options": {}, "repository": {}}
        return self.known.setdefault(key, dict(empty, **dict(lists, **found)))

    def read_settings(self) -> None:
        """Look through the settings of every application, once all of their folders are known."""
        for one in self.known.values():
            for folder in sorted({one["folder"], *one["roots"]} - {"", "/"}):
                secrets, databases, unread = applications.read_settings(folder)
                one["secrets"] = one["secrets"] + secrets
                one["mentions"] = sorted({*one["mentions"], *databases})
                self.not_read += unread


def _has_php(root: str) -> bool:
    try:
        return any(name.endswith(".php") for name in os.listdir(root))
    except OSError:
        return False


def join(
    vhosts: Sequence[Found], links: Links, databases: Sequence[Found], jobs: Sequence[Found]
) -> Dict[str, List[Found]]:
    """C(applications), and C(sites): each virtual host with the numbers of its applications, databases and jobs."""
    behind = [links.behind(vhost) for vhost in vhosts]
    links.read_settings()
    every = list(links.known.values())
    names = {(one["engine"], name) for one in databases for name in one["names"]}
    for application in every:
        application["databases"] = [
            {"engine": engine, "name": name} for engine, name in sorted(names) if name in application["mentions"]
        ]
        own = [one["name"] for one in application["databases"]]
        application["jobs"] = applications.jobs_of(application, own, jobs)
    sites = []
    for vhost, own_applications in zip(vhosts, behind):
        sites.append(
            {
                "names": vhost["names"],
                "vhost": "{0}:{1}".format(vhost["file"], vhost["line"]),
                "server": vhost["server"],
                "certificate": vhost["certificate"],
                "last_used": vhost["last_used"],
                "applications": sorted({every.index(one) for one in own_applications}),
                "databases": _unique(database for one in own_applications for database in one["databases"]),
                "jobs": sorted({job for one in own_applications for job in one["jobs"]}),
            }
        )
    for one in (*every, *vhosts):
        one.pop("mentions")
    return {"applications": every, "sites": sites}


def _unique(found: Any) -> List[Found]:
    kept: List[Found] = []
    for one in found:
        if one not in kept:
            kept.append(one)
    return kept


def unread_databases(applications_: Sequence[Found], databases: Sequence[Found]) -> Optional[str]:
    """That applications run whose databases are not known, while there are databases."""
    lost = [
        one["name"] for one in applications_ if one["kind"] not in ("elsewhere", "unknown") and not one["databases"]
    ]
    if not lost or not any(one["names"] for one in databases):
        return None
    return "which databases these use: {0}".format(", ".join(sorted(set(lost))[:10]))
