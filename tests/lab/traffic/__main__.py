# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""python -m tests.lab.traffic --url http://127.0.0.1:22080 --host ocpizza.test --out build/demo/traffic.json"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import shlex
import ssl
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.lab.traffic.http import Client, Server
from tests.lab.traffic.ledger import Ledger
from tests.lab.traffic.load import Control, Stream
from tests.lab.traffic.names import Resolvers
from tests.lab.traffic.readback import READERS, Database, Findings, Places, read_back
from tests.lab.traffic.sites import Annex, OcPizza
from tests.lab.traffic.timeline import (
    OK,
    Sample,
    Window,
    by_second,
    failures,
    in_window,
    longest,
    percentile,
    write_lines,
)

ORDERS = Places("ocpizza", "order", "/api/orders?since={since}", "orders", "/api/orders/{key}")
ENTRIES = Places("annex", "entry", "/entries?since={since}", "entries")


@dataclass(frozen=True)
class Plan:
    """Everything a run needs to know."""

    server: Server
    neighbour: Server | None
    out: Path
    control: Control
    neighbour_rate: float
    seconds: float
    max_requests: int
    timeout: float
    writes: float
    fresh: float
    clients: int
    seed: int
    staff_token: str
    media: bool
    session: str
    database: Database | None
    stock: Database | None
    neighbour_database: Database | None


def parse(arguments: list[str]) -> Plan:
    """The command line, refused where it could reach anything but this machine."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.traffic", description=__doc__)
    parser.add_argument("--url", required=True, help="where the lab publishes the site, on a loopback address")
    parser.add_argument("--host", required=True, help="the site's domain")
    parser.add_argument("--ca", type=Path, help="certificate authority for an https URL")
    parser.add_argument("--neighbour", default="", help="domain of the second site; empty for none")
    parser.add_argument("--neighbour-url", default="", help="where that one is, if elsewhere")
    parser.add_argument("--resolver", action="append", default=[], help="address:port; --host is then looked up there")
    parser.add_argument("--within", default="127.0.0.0/8", help="the network in which addresses must be")
    parser.add_argument("--neighbour-rate", type=float, default=5)
    parser.add_argument("--rate", type=float, default=60, help="requests a second")
    parser.add_argument("--writes", type=float, default=0.3, help="share of requests that write")
    parser.add_argument("--fresh", type=float, default=0.3, help="share of requests on a fresh connection")
    parser.add_argument("--clients", type=int, default=40, help="keep-alive connections held open")
    parser.add_argument("--timeout", type=float, default=30)
    parser.add_argument("--seconds", type=float, default=900)
    parser.add_argument("--max-requests", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=time.time_ns(), help="the same seed sends the same keys again")
    parser.add_argument("--staff-token-file", type=Path, help="let the kitchen work, with the token in it")
    parser.add_argument("--session-file", type=Path, help="somebody who signed in before, and stays so")
    parser.add_argument("--media", action="store_true", help="upload pictures, too")
    parser.add_argument("--control", type=Path, help='JSON: {"rate": 100, "stop": true}; default beside --out')
    parser.add_argument("--database", default="", help="command that reads SQL on stdin, for the read-back")
    parser.add_argument("--query", default="", help="prints key and number of rows")
    parser.add_argument("--stock-database", default="", help="as --database, of a second one that has a row an order")
    parser.add_argument("--stock-query", default="")
    parser.add_argument("--neighbour-database", default="")
    parser.add_argument("--neighbour-query", default="")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    server = _server(parser, given.url, given.host, given)
    return Plan(
        server=server,
        neighbour=_server(parser, given.neighbour_url or given.url, given.neighbour, given)
        if given.neighbour
        else None,
        out=given.out,
        control=Control(given.control or given.out.with_name("traffic-control.json"), given.rate),
        neighbour_rate=given.neighbour_rate,
        seconds=given.seconds,
        max_requests=given.max_requests,
        timeout=given.timeout,
        writes=given.writes,
        fresh=given.fresh,
        clients=given.clients,
        seed=given.seed,
        staff_token=given.staff_token_file.read_text().strip() if given.staff_token_file else "",
        media=given.media,
        session=given.session_file.read_text().strip() if given.session_file else "",
        database=_database(given.database, given.query),
        stock=_database(given.stock_database, given.stock_query),
        neighbour_database=_database(given.neighbour_database, given.neighbour_query),
    )


async def drive(plan: Plan) -> dict[str, Any]:
    """Load until told to stop, then the read-back; returns the summary it wrote."""
    ledger = Ledger(plan.out.with_name("ledger.jsonl"))
    client = Client(plan.server, connections=plan.clients, timeout=plan.timeout)
    site = OcPizza(plan.writes, plan.seed, plan.staff_token, plan.media, plan.session)
    streams = [Stream(site, client, ledger, plan.fresh)]
    ends = time.monotonic() + plan.seconds

    def until(sent: int) -> bool:
        return plan.control.stop or sent >= plan.max_requests or time.monotonic() >= ends

    loads = [streams[0].run(lambda: plan.control.rate, until)]
    if plan.neighbour:
        beside = Client(plan.neighbour, connections=5, timeout=plan.timeout)
        streams.append(Stream(Annex(plan.writes, plan.seed + 1), beside, ledger, plan.fresh))
        loads.append(streams[1].run(lambda: plan.neighbour_rate, until))
    watcher = asyncio.create_task(_watch(plan, streams, ledger))
    await asyncio.gather(*loads)
    watcher.cancel()
    orders = replace(ORDERS, databases=_where_they_live(plan))
    findings = {"ocpizza": await _read(plan, plan.server, ledger, orders)}
    if plan.neighbour:
        entries = replace(ENTRIES, databases=[plan.neighbour_database] if plan.neighbour_database else [])
        findings["annex"] = await _read(plan, plan.neighbour, ledger, entries)
    ledger.close()
    samples = sorted((s for stream in streams for s in stream.samples), key=lambda s: s.due)
    write_lines(plan.out.with_name("requests.jsonl"), (sample.__dict__ for sample in samples))
    write_lines(plan.out.with_name("timeline.jsonl"), by_second(samples))
    summary = summarise(samples, findings)
    summary["connections"] = {
        "opened": sum(stream.client.opened for stream in streams),
        "idle_closed": sum(stream.client.idle_closed for stream in streams),
        "reconnected": sum(stream.client.reconnected for stream in streams),
        "repeated_writes": sum(stream.client.repeated_writes for stream in streams),
    }
    _write(plan.out, summary)
    return summary


def summarise(samples: list[Sample], findings: dict[str, Findings]) -> dict[str, Any]:
    """The report's `traffic`, and a part for each site."""
    sites = {}
    for name, found in findings.items():
        mine = [sample for sample in samples if sample.site == name]
        sites[name] = {
            "requests": len(mine),
            "failed": sum(failures(mine).values()),
            "failures": failures(mine),
            "longest_ms": longest(mine),
            **found.as_dict(),
        }
    unproven = any(found.unproven for found in findings.values())
    answered = [sample.latency_ms for sample in samples if sample.outcome == OK]
    return {
        "measured": time.time(),
        "started": samples[0].due if samples else None,
        "finished": samples[-1].done if samples else None,
        "requests": len(samples),
        "failed": sum(failures(samples).values()),
        "acknowledged_writes": sum(found.acknowledged for found in findings.values()),
        "lost_writes": None if unproven else sum(len(found.lost) for found in findings.values()),
        "duplicated_writes": None if unproven else sum(len(found.duplicated) for found in findings.values()),
        "baseline_p50_ms": percentile(answered, 0.50),
        "baseline_p99_ms": percentile(answered, 0.99),
        "longest_ms": longest(samples),
        "sites": sites,
        "windows": [],
    }


def add_windows(out: Path, windows: list[Window], baseline: Window | None = None) -> dict[str, Any]:
    """Work windows, known only afterwards from the journal, into a summary that is written already."""
    summary: dict[str, Any] = json.loads(out.read_text())
    lines = out.with_name("requests.jsonl").read_text().splitlines()
    samples = [Sample(**json.loads(line)) for line in lines]
    summary["windows"] = [in_window(samples, window) for window in windows]
    if baseline:
        quiet = in_window([s for s in samples if s.outcome == OK], baseline)
        summary["baseline_p50_ms"], summary["baseline_p99_ms"] = quiet["p50_ms"], quiet["p99_ms"]
    _write(out, summary)
    return summary


def passed(summary: dict[str, Any]) -> bool:
    """Nothing failed, lost or doubled, and something was asked at all."""
    bad = ("failed", "lost_writes", "duplicated_writes")
    return bool(summary["requests"]) and all(summary[name] == 0 for name in bad)


def _where_they_live(plan: Plan) -> list[Database]:
    """The control file may name other databases than the command line did: the site moves meanwhile."""
    given = ((plan.database, plan.control.database), (plan.stock, plan.control.stock_database))
    return [replace(each, command=shlex.split(now)) if now else each for each, now in given if each]


async def _read(plan: Plan, server: Server, ledger: Ledger, places: Places) -> Findings:
    client = Client(server, connections=READERS, timeout=plan.timeout)
    try:
        return await read_back(ledger, places, client)
    finally:
        client.close()


async def _watch(plan: Plan, streams: list[Stream], ledger: Ledger) -> None:
    """Every 0.1 s the control file, every second a line that others may show."""
    live = plan.out.with_name("traffic-live.json")
    beat = 0
    while True:
        plan.control.read()
        if beat % 10 == 0:
            samples = [sample for stream in streams for sample in stream.samples]
            recent = [s for stream in streams for s in stream.samples[-1500:] if s.done > time.time() - 10]
            _write(
                live,
                {
                    "time": time.time(),
                    "rate": plan.control.rate,
                    "requests": len(samples),
                    "in_flight": sum(len(stream.in_flight) for stream in streams),
                    "failed": sum(1 for sample in samples if sample.outcome != OK),
                    "acknowledged_writes": sum(1 for write in ledger.writes if write.acknowledged),
                    "longest_ms_10s": longest(recent),
                },
            )
        beat += 1
        await asyncio.sleep(0.1)


def _server(parser: argparse.ArgumentParser, url: str, host: str, given: argparse.Namespace) -> Server:
    parts = urlsplit(url)
    try:
        network = ipaddress.ip_network(given.within)
        allowed = (
            network.is_private and network.prefixlen >= 8 and ipaddress.ip_address(parts.hostname or "") in network
        )
    except ValueError:
        allowed = False
    if not allowed or parts.scheme not in {"http", "https"}:
        parser.error(
            f"{url}: traffic goes to a loopback address only, or within the lab's network, as http://127.0.0.1:22080"
        )
    tls = ssl.create_default_context(cafile=given.ca) if parts.scheme == "https" else None
    find = Resolvers(given.resolver, host, given.within).find if given.resolver else None
    return Server(parts.hostname or "", parts.port or (443 if tls else 80), host, tls, find)


def _database(command: str, query: str) -> Database | None:
    return Database(shlex.split(command), query) if command else None


def _write(path: Path, content: dict[str, object]) -> None:
    """Replace a file at once, so that nobody reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    beside.write_text(json.dumps(content, indent=2) + "\n")
    beside.replace(path)


def main(arguments: list[str]) -> int:
    """Run, print one line, exit 1 when anything failed, was lost or doubled."""
    summary = asyncio.run(drive(parse(arguments)))
    shown = ("requests", "failed", "acknowledged_writes", "lost_writes", "duplicated_writes", "longest_ms")
    print(", ".join(f"{name} {summary[name]}" for name in shown))
    return 0 if passed(summary) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
