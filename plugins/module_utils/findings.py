# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in the way of a move, decided from facts alone. Keys are stable: people waive by them."""

import ipaddress
import re
from typing import Any, Dict, Iterable, Iterator, List, Sequence, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils import (
    findings_databases,
    findings_media,
    findings_server,
    findings_sessions,
    findings_way,
    findings_web,
)
from ansible_collections.ocpizza.cutover.plugins.module_utils.finding import (
    INHIBITOR,
    SEVERITIES,
    WARNING,
    Finding,
    join,
)

DOMAIN = re.compile(r"^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])$")
NAME = re.compile(r"^[a-z][a-z0-9-]{0,30}$")
# Reserved for documentation (RFC 5737, 3849, 2606): they are in inventories/example and nowhere in real life.
PLACEHOLDER_NETWORKS = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
PLACEHOLDER_DOMAIN = re.compile(r"(^|\.)(example|example\.(com|net|org))$")
DISK_MARGIN = 1024**3
MAX_SKEW_S = 60.0


def decide(facts: Dict[str, Any], waive: Sequence[str] = ()) -> List[Finding]:
    """All findings, the gravest first, those that are waived by name marked as such.

    ``facts`` has ``site`` (name, domains, engines with their databases, upstream, addresses by host, target_address,
    database_address, ``space``: for source and target the paths with the engines that need room there), ``source``
    (what discovery found, C(server) of it what server_info told) and ``targets`` (host to what host_info told, with
    ``groups`` and, for databases, ``databases`` by engine and ``planned``, what the inventory wants of the server).
    ``way`` is what was seen of the
    address that is to move, where one is.
    """
    found = []  # type: List[Finding]
    for check in (
        _site,
        _addresses,
        _hosts,
        findings_databases.decide,
        findings_web.decide,
        findings_media.decide,
        findings_sessions.decide,
        findings_way.decide,
        findings_server.decide,
        _valve,
        _space,
        _clocks,
        _mail,
        _network,
    ):
        found.extend(check(facts))
    return sorted(mark(found, waive), key=lambda finding: SEVERITIES.index(finding.severity))


def mark(findings: Iterable[Finding], waive: Sequence[str]) -> List[Finding]:
    """The same, with those marked that are waived."""
    return [finding._replace(waived=finding.key in waive) for finding in findings]


def plain(findings: Iterable[Finding]) -> List[Dict[str, Any]]:
    """As dictionaries, each with its text."""
    return [dict(finding._asdict(), text=describe(finding)) for finding in findings]


def unknown_waivers(findings: Sequence[Finding], waive: Sequence[str]) -> List[str]:
    """What is to be waived and was not found: a misspelt key must not pass for a waiver."""
    return sorted(set(waive) - {finding.key for finding in findings})


def describe(finding: Finding) -> str:
    """A finding as one paragraph."""
    return "{0} [{1}]{2}: {3} Remedy: {4}".format(
        finding.title, finding.key, " (waived)" if finding.waived else "", finding.reason, finding.remedy
    )


def compare(earlier: Sequence[Dict[str, Any]], later: Sequence[Dict[str, Any]]) -> Dict[str, List[str]]:
    """What a later run found that an earlier one did not, what it did not any more, and what it found otherwise."""
    before, after = _by_key(earlier), _by_key(later)
    return {
        "new": sorted(set(after) - set(before)),
        "gone": sorted(set(before) - set(after)),
        "changed": sorted(key for key in set(before) & set(after) if before[key] != after[key]),
    }


def tell(compared: Dict[str, List[str]], time: str) -> str:
    """What has changed since an earlier run as one sentence."""
    parts = ["{0}: {1}".format(kind, ", ".join(keys)) for kind, keys in sorted(compared.items()) if keys]
    return "since the check of {0}: {1}".format(time, "; ".join(parts) or "nothing has changed")


def _by_key(found: Sequence[Dict[str, Any]]) -> Dict[str, List[str]]:
    reasons = {}  # type: Dict[str, List[str]]
    for one in found:
        reasons.setdefault(str(one.get("key")), []).append(str(one.get("reason")))
    return {key: sorted(texts) for key, texts in reasons.items()}


def standing(findings: Sequence[Finding]) -> List[Finding]:
    """The inhibitors that stand."""
    return [finding for finding in findings if finding.severity == INHIBITOR and not finding.waived]


def _size(count: float) -> str:
    return "{0:.1f} GiB".format(count / 1024.0**3)


def _site(facts: Dict[str, Any]) -> Iterator[Finding]:
    site = facts["site"]
    if not NAME.match(site["name"]):
        yield Finding(
            "site.name_invalid",
            INHIBITOR,
            "The site's name cannot be used",
            "site_name is '{0}'; files and units are named after it.".format(site["name"]),
            "Use a short name of a-z, 0-9 and '-' that begins with a letter.",
        )
    for domain in site["domains"]:
        if not DOMAIN.match(domain):
            yield Finding(
                "site.domain_invalid",
                INHIBITOR,
                "A domain is not one",
                "site_domains has '{0}'.".format(domain),
                "Write the host name alone, such as www.pizza.fr, in lower case.",
            )
    placeholders = [domain for domain in site["domains"] if PLACEHOLDER_DOMAIN.search(domain)]
    placeholders += [address for address in site["addresses"].values() if _is_placeholder(address)]
    if placeholders:
        yield Finding(
            "site.placeholder",
            INHIBITOR,
            "The inventory still has the example's values",
            "{0} is reserved for documentation.".format(join(placeholders)),
            "Put your own domains and addresses into the inventory.",
        )


def _is_placeholder(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in ipaddress.ip_network(network) for network in PLACEHOLDER_NETWORKS)


def _addresses(facts: Dict[str, Any]) -> Iterator[Finding]:
    site = facts["site"]
    named = [("site_target_address", site["target_address"]), ("site_database_address", site["database_address"])]
    named += [("site_address of {0}".format(host), address) for host, address in sorted(site["addresses"].items())]
    for name, address in named:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            yield Finding(
                "site.address_not_ip",
                INHIBITOR,
                "An address is not one",
                "{0} is '{1}'. The valve, the web server's proxy and the databases' rules of access take an IP "
                "address.".format(name, address),
                "Write the IP address in the inventory; a name would be looked up while requests wait.",
            )


def _hosts(facts: Dict[str, Any]) -> Iterator[Finding]:
    source, addresses = facts["source"], facts["site"]["addresses"]
    for host, target in sorted(facts["targets"].items()):
        if target.get("unreachable"):
            yield Finding(
                "target.unreachable",
                INHIBITOR,
                "A target does not answer",
                "{0} could not be reached: {1}".format(host, target.get("msg") or "no answer"),
                "Check its address, the ssh key and the account in the inventory.",
            )
            continue
        same_machine = target.get("machine_id") and target["machine_id"] == source["machine"]["machine_id"]
        same_address = addresses.get(host) and addresses.get(host) == addresses.get(source["host"])
        if same_machine or same_address:
            yield Finding(
                "target.same_as_source",
                INHIBITOR,
                "A target is the source",
                "{0} and {1} have the same {2}.".format(
                    host, source["host"], "machine-id" if same_machine else "address"
                ),
                "Give the target's own address in the inventory; a cloned machine needs a machine-id of its own.",
            )
        if _release(target.get("release", "")) < _release(source["machine"]["release"]):
            yield Finding(
                "target.release_older",
                INHIBITOR,
                "A target's system is older than the source's",
                "{0} runs {1}, the source {2}.".format(host, target.get("release"), source["machine"]["release"]),
                "Install the release that the collection supports on the target (Debian 12 or 13).",
            )


def _release(text: str) -> Tuple[str, float]:
    """Comparable only within one distribution."""
    name, _gap, number = text.partition(" ")
    try:
        return ("", float(number)) if name == "debian" else ("", 999.0)
    except ValueError:
        return "", 999.0


def _valve(facts: Dict[str, Any]) -> Iterator[Finding]:
    machine = facts["source"]["machine"]
    if machine["systemd"] < 209:
        yield Finding(
            "valve.systemd_too_old",
            INHIBITOR,
            "Requests cannot be held",
            "The source has systemd {0}; the valve needs 209 or later.".format(machine["systemd"]),
            "Upgrade the source's system.",
        )
    elif not machine["socket_proxyd"]:
        yield Finding(
            "valve.socket_proxyd_missing",
            INHIBITOR,
            "Requests cannot be held",
            "systemd-socket-proxyd is not on the source; it is part of systemd and may have been packaged apart.",
            "Install the package that brings systemd-socket-proxyd.",
        )


def _space(facts: Dict[str, Any]) -> Iterator[Finding]:
    sizes = {
        engine: sum(database["bytes"] for database in server["databases"].values())
        for engine, server in facts["source"]["databases"].items()
    }
    hosts = [("source", "source", facts["source"]["machine"])]
    hosts += [
        (host, "target", target)
        for host, target in sorted(facts["targets"].items())
        if "database" in target.get("groups", [])
    ]
    for host, side, machine in hosts:
        # What lies on one file system needs its room together.
        shared = {}  # type: Dict[Any, List[Tuple[str, float, float]]]
        for path, one in sorted(machine.get("paths", {}).items()):
            engines = facts["site"]["space"][side].get(path, sizes)
            needed = sum(sizes.get(engine, 0) for engine in engines)
            # The target takes the copy and its log; the source's copies are counted where they are kept.
            needed *= 2 if side == "target" else 1
            shared.setdefault(one.get("device", path), []).append((path, needed, one["free"]))
        for places in shared.values():
            total = sum(needed for _path, needed, _free in places) + DISK_MARGIN
            free = min(free for _path, _needed, free in places)
            if free < total:
                yield Finding(
                    "disk.too_small",
                    INHIBITOR,
                    "A disk is too small",
                    "{0} has {1} free at {2}; the copies need {3}.".format(
                        host, _size(free), join([path for path, _needed, _free in places]), _size(total)
                    ),
                    "Free space there, or give the path a file system of its own.",
                )


def _mail(facts: Dict[str, Any]) -> Iterator[Finding]:
    count = facts["source"]["machine"].get("mail_queued", 0)
    if count:
        yield Finding(
            "mail.queued",
            WARNING,
            "Mail waits to be sent",
            "{0} messages are in the source's mail queue. The source's mail server goes on sending them after the "
            "cutover; they do not move, and retire.yml waits for the last of them.".format(count),
            "See why they wait (mailq), and take away what nobody will ever get.",
        )


def _clocks(facts: Dict[str, Any]) -> Iterator[Finding]:
    for host, target in sorted(facts["targets"].items()):
        skew = target.get("skew_s")
        if skew is not None and abs(skew) > MAX_SKEW_S:
            yield Finding(
                "clock.skew",
                INHIBITOR,
                "The clocks differ",
                "The clock of {0} is {1:.0f} s {2} the source's; timestamps and certificates depend on it.".format(
                    host, abs(skew), "ahead of" if skew > 0 else "behind"
                ),
                "Have both follow a time server (systemd-timesyncd).",
            )


def _network(facts: Dict[str, Any]) -> Iterator[Finding]:
    # Refused means that the host answers: what listens there is installed later.
    machines = [(facts["source"]["host"], facts["source"].get("reach", {}))]
    machines += [(host, target.get("reach", {})) for host, target in sorted(facts["targets"].items())]
    for host, results in machines:
        for endpoint, outcome in sorted(results.items()):
            if outcome not in ("open", "refused"):
                yield Finding(
                    "network.unreachable",
                    INHIBITOR,
                    "A host does not reach another",
                    "{0} does not reach {1}: {2}.".format(host, endpoint, outcome),
                    "Open the firewall between them for this port, or correct site_address.",
                )
