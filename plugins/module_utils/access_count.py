# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who asked for a site since a time, people apart from bots and health checks."""

import datetime
import ipaddress
import re
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Dict, List, Optional, Sequence

from ansible_collections.ocpizza.cutover.plugins.module_utils.access_log import Request

KINDS = ("people", "bots", "health", "own")
BOTS = r"bot\b|bot/|crawl|spider|slurp|facebookexternalhit|feedfetcher|preview|archiver|scrapy|semrush|ahrefs"
CHECKS = (
    r"internal dummy connection|health-?check|kube-probe|nagios|check_http|icinga|zabbix|uptime|pingdom|"
    r"statuscake|monit/|blackbox|prometheus|haproxy|site24x7|ocpizza\.cutover"
)
# More clients than these are counted together, so that no log fills the memory.
MOST_CLIENTS = 50000


def iso(seconds: Optional[float]) -> str:
    """A time as text, in UTC; '' for none."""
    if seconds is None:
        return ""
    epoch = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=int(seconds))
    return epoch.strftime("%Y-%m-%dT%H:%M:%SZ")


def ascii_name(name: str) -> str:
    """A name as it comes in requests: lower case, other scripts as punycode."""
    try:
        return name.lower().rstrip(".").encode("idna").decode("ascii")
    except UnicodeError:
        return name.lower()


def is_ours(vhost: str, names: Sequence[str]) -> bool:
    """Whether a request is for one of the names; a log that does not say for which is all the site's."""
    return not names or not vhost or any(fnmatchcase(vhost, name) for name in names)


class Rules:
    """What says of which kind a client is."""

    def __init__(self, own: Sequence[str], health_paths: Sequence[str], bots: Sequence[str]) -> None:
        self.networks = [ipaddress.ip_network(text, strict=False) for text in own]
        self.paths = tuple(health_paths)
        self.bots = re.compile("|".join([BOTS, *bots]), re.IGNORECASE)
        self.checks = re.compile(CHECKS, re.IGNORECASE)
        # The same few come again and again.
        self.is_own = lru_cache(MOST_CLIENTS)(self._is_own)
        self.by_agent = lru_cache(10000)(self._by_agent)

    def _is_own(self, client: str) -> bool:
        try:
            address = ipaddress.ip_address(client)
        except ValueError:
            return False
        return any(address in network for network in self.networks)

    def _by_agent(self, agent: str) -> str:
        if self.checks.search(agent):
            return "health"
        return "bots" if self.bots.search(agent) else "people"

    def kind(self, request: Request) -> str:
        """Of which kind the request is; whatever is not known to be something else is somebody's."""
        if request.path.split("?")[0] in self.paths:
            return "health"
        kind = self.by_agent(request.agent)
        return "own" if kind != "health" and self.is_own(request.client) else kind


class Tally:
    """Requests since a time, and who still comes after the name has moved."""

    def __init__(self, names: Sequence[str], since: float, moved: Optional[float], rules: Rules) -> None:
        self.names = [ascii_name(name) for name in names]
        self.since = since
        self.moved = moved
        self.rules = rules
        self.requests = dict.fromkeys(KINDS, 0)
        self.last = dict.fromkeys(KINDS)  # type: Dict[str, Optional[float]]
        self.clients = {}  # type: Dict[Any, Dict[str, Any]]
        self.uncounted = 0

    def take(self, request: Request) -> None:
        """Count a request if it is the site's and young enough."""
        if request.time < self.since or not is_ours(request.vhost, self.names):
            return
        kind = self.rules.kind(request)
        self.requests[kind] += 1
        self.last[kind] = max(request.time, self.last[kind] or request.time)
        key = (request.client, kind)
        one = self.clients.get(key)
        if one is None:
            if len(self.clients) >= MOST_CLIENTS:
                self.uncounted += 1
                return
            one = self.clients[key] = {"requests": 0, "first": request.time, "last": request.time, "moved": 0}
        one["requests"] += 1
        one["moved"] += self.moved is not None and request.time >= self.moved
        one["first"] = min(one["first"], request.time)
        if request.time >= one["last"]:
            one.update(last=request.time, agent=request.agent[:200], path=request.path[:200])

    def by_client(self, most: int) -> List[Dict[str, Any]]:
        """The clients with the most requests."""
        return self._told(self.clients, "requests", most)

    def pinned(self, most: int) -> List[Dict[str, Any]]:
        """Clients that came to this address when no resolver should have it any more: /etc/hosts, old settings."""
        stayed = {key: one for key, one in self.clients.items() if one["moved"] and key[1] in ("people", "bots")}
        return self._told(stayed, "moved", most)

    @staticmethod
    def _told(clients: Dict[Any, Dict[str, Any]], field: str, most: int) -> List[Dict[str, Any]]:
        order = sorted(clients.items(), key=lambda item: (-item[1][field], item[0]))[:most]
        return [
            {
                "client": client,
                "kind": kind,
                "requests": one[field],
                "first": iso(one["first"]),
                "last": iso(one["last"]),
                "agent": one["agent"],
                "path": one["path"],
            }
            for (client, kind), one in order
        ]
