# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the servers themselves stands in the way of a move: releases, memory, certificates, jobs, addresses."""

import datetime
import re
from typing import Any, Dict, Iterator, List, Optional, Sequence

from ansible_collections.ocpizza.cutover.plugins.module_utils import mentions, schedules, server_facts
from ansible_collections.ocpizza.cutover.plugins.module_utils.finding import INHIBITOR, WARNING, Finding, join

TIME = "%Y-%m-%dT%H:%M:%S"
# Below that no server of a database can be installed.
LEAST_MEMORY = 256 * 1024**2
# Of a machine's memory, what its database may be told to take for its pages.
MOST_SHARE = 0.8
UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
POSTGRESQL_PAGE = 8192
EVERYTHING = re.compile(r"--all-databases\b|\bpg_dumpall\b|\s-A\b")


def decide(facts: Dict[str, Any]) -> Iterator[Finding]:
    """Findings about the machines, of what discovery has read of the source and host_info of the targets."""
    for check in (_releases, _memory, _certificates, _jobs, _addresses):
        for finding in check(facts):
            yield finding


def _now(facts: Dict[str, Any]) -> datetime.datetime:
    return datetime.datetime.strptime(facts["source"]["server"]["now"], TIME)


def _releases(facts: Dict[str, Any]) -> Iterator[Finding]:
    today = facts["source"]["server"]["now"][:10]
    release = facts["source"]["server"]["release"]
    if release["end_of_life"] and release["end_of_life"] < today:
        yield Finding(
            "source.release_ended",
            WARNING,
            "The source's system gets no security fixes any more",
            "{0}: since {1}.".format(release["title"], release["end_of_life"]),
            "Move, and do not keep it longer than the way back needs it.",
        )
    for host, target in sorted(facts["targets"].items()):
        if target.get("unreachable"):
            continue
        ends = server_facts.end_of_life(*target.get("release", "").partition(" ")[::2])
        if not ends:
            yield Finding(
                "target.release_unknown",
                WARNING,
                "Nobody here knows until when a target gets security fixes",
                "{0} runs {1}.".format(host, target.get("release") or "an unknown system"),
                "See what its maker says of that release.",
            )
        elif ends < today:
            yield Finding(
                "target.release_ended",
                INHIBITOR,
                "A target's system gets no security fixes any more",
                "{0} runs {1}: since {2}.".format(host, target["release"], ends),
                "Install a release that is supported before the site lives on it.",
            )


def bytes_of(text: Any, unit: int = 1) -> int:
    """A size as servers' settings have it (2G, 512MB, or a number of units); 0 for none."""
    match = re.match(r"\s*(\d+)\s*([kKmMgGtT]?)i?[bB]?\s*\Z", str(text))
    if not match:
        return 0
    return int(match.group(1)) * (UNITS[match.group(2).upper()] if match.group(2) else unit)


def _memory(facts: Dict[str, Any]) -> Iterator[Finding]:
    of_source = facts["source"]["machine"].get("memory", {})
    used = of_source.get("total", 0) - of_source.get("available", 0)
    for host, target in sorted(facts["targets"].items()):
        if target.get("unreachable"):
            continue
        memory, planned = target.get("memory", {}), target.get("planned", {})
        total, available = memory.get("total", 0), memory.get("available", 0)
        wanted = bytes_of(planned.get("mysql_settings", {}).get("innodb_buffer_pool_size", 0))
        wanted += bytes_of(planned.get("postgresql_settings", {}).get("shared_buffers", 0), POSTGRESQL_PAGE)
        if not total:
            yield Finding(
                "memory.not_checked",
                WARNING,
                "How much memory a target has is not known",
                "/proc/meminfo on {0} does not say.".format(host),
                "See to it yourself.",
            )
        elif wanted > total * MOST_SHARE or available < LEAST_MEMORY:
            yield Finding(
                "memory.too_small",
                INHIBITOR,
                "A target has too little memory",
                "{0} has {1}, {2} of it free; its databases are to keep {3} of pages in it.".format(
                    host, _size(total), _size(available), _size(wanted)
                ),
                "Give it more, or lower innodb_buffer_pool_size or shared_buffers in its settings.",
            )
        elif "database" in target.get("groups", []) and 0 < total < used:
            yield Finding(
                "memory.less_than_source",
                WARNING,
                "A target has less memory than the source uses",
                "{0} has {1}, on the source {2} are in use.".format(host, _size(total), _size(used)),
                "The source runs more than the databases. Watch the memory, or give the target more.",
            )


def _size(count: float) -> str:
    return "{0:.1f} GiB".format(count / 1024.0**3)


def _is_of(names: Sequence[str], domains: Sequence[str]) -> bool:
    return bool({name.lower() for name in names} & {domain.lower() for domain in domains})


def _certificates(facts: Dict[str, Any]) -> Iterator[Finding]:
    limit = (_now(facts) + datetime.timedelta(days=facts["site"]["certificate_days"])).strftime("%Y-%m-%d")
    told = {}
    for vhost in facts["source"]["server"]["vhosts"]:
        certificate = vhost["certificate"]
        if certificate.get("path") and _is_of(vhost["names"], facts["site"]["domains"]):
            told[certificate["path"]] = certificate.get("expires", "")
    for path, expires in sorted(told.items()):
        if not expires:
            yield Finding(
                "certificate.not_read",
                INHIBITOR,
                "A certificate of the site could not be read",
                "{0} on the source.".format(path),
                "See what 'openssl x509 -in {0} -noout -enddate' says there.".format(path),
            )
        elif expires < limit:
            yield Finding(
                "certificate.expiring",
                INHIBITOR,
                "A certificate of the site expires",
                "{0} on the source: on {1}, within {2} days.".format(path, expires, facts["site"]["certificate_days"]),
                "Renew it before the move: how it is renewed may not work any more while the site is on its way.",
            )


def jobs_of_site(server: Dict[str, Any], domains: Sequence[str]) -> List[Dict[str, Any]]:
    """The jobs that belong to the site, and dumps of all databases."""
    sources = {job for one in server["sites"] if _is_of(one["names"], domains) for job in one["jobs"]}
    return [
        job for job in server["jobs"] if job["source"] in sources or (job["dump"] and EVERYTHING.search(job["command"]))
    ]


def _every(job: Dict[str, Any], due: datetime.datetime) -> Optional[float]:
    """Seconds until a job runs once more after that; nothing where that cannot be told."""
    if job["kind"] == "timer":
        match = re.search(r"OnUnit\w+=([^,]+)", job["schedule"])
        return schedules.seconds_of(match.group(1)) if match else None
    try:
        again = schedules.next_run(job["schedule"], due)
    except ValueError:
        return None
    return (again - due).total_seconds() if again else None


def _jobs(facts: Dict[str, Any]) -> Iterator[Finding]:
    minutes = facts["site"]["window_minutes"]
    now = _now(facts)
    rare: List[str] = []
    often: List[str] = []
    for job in jobs_of_site(facts["source"]["server"], facts["site"]["domains"]):
        if not job["next"]:
            continue
        due = datetime.datetime.strptime(job["next"], TIME)
        if due > now + datetime.timedelta(minutes=minutes):
            continue
        every = _every(job, due)
        text = "{0} at {1}{2}".format(job["source"], due.strftime("%H:%M"), ", a dump" if job["dump"] else "")
        (often if every is not None and every <= minutes * 60 else rare).append(text)
    if rare:
        yield Finding(
            "job.in_window",
            INHIBITOR,
            "A job of the site would begin within the window",
            "Within {0} minutes from now on the source: {1}.".format(minutes, join(rare)),
            "Wait until it has run, choose another hour, or waive this where it may run during the move.",
        )
    if often:
        yield Finding(
            "job.often",
            WARNING,
            "Jobs of the site run so often that no window is without them",
            "On the source: {0}.".format(join(often)),
            "See that they end quickly and hold no long transaction: the gate refuses to begin while one is open.",
        )


def _addresses(facts: Dict[str, Any]) -> Iterator[Finding]:
    written = facts["source"].get("mentions") or {"texts": [], "places": [], "not_read": []}
    places = list(written["places"])
    if written["texts"]:
        wanted = mentions.pattern(written["texts"])
        jobs = jobs_of_site(facts["source"]["server"], facts["site"]["domains"])
        places += ["the job {0}".format(job["source"]) for job in jobs if wanted.search(job["command"])]
    if places:
        yield Finding(
            "address.hard_coded",
            INHIBITOR,
            "The source's address is written where it comes along",
            "{0} stands in {1}.".format(join(written["texts"]), join(places)),
            "Write a name or the new address there, or waive this where it does no harm that it leads to the source.",
        )
    if written["not_read"]:
        yield Finding(
            "address.not_searched",
            WARNING,
            "Not everything was searched for the source's address",
            join(written["not_read"]) + ".",
            "Look there yourself, or give it more time (preflight_search_seconds).",
        )
