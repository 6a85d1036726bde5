# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open-loop load: requests start when they are due, whether or not the earlier ones have been answered."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.traffic.http import Client, RequestError, Response
from tests.lab.traffic.ledger import Ledger, Write
from tests.lab.traffic.sites import Action, Site
from tests.lab.traffic.timeline import OK, Sample

IN_FLIGHT = 3000
SERVED_BY = "x-served-by"


@dataclass
class Control:
    """What can be changed while it runs, by a JSON file that is replaced."""

    path: Path
    rate: float
    stop: bool = False
    database: str = ""
    stock_database: str = ""
    _stamp: int = 0

    def read(self) -> None:
        """Take over a newer file; one that cannot be read yet is read the next time."""
        with contextlib.suppress(OSError, ValueError):
            stamp = self.path.stat().st_mtime_ns
            if stamp != self._stamp:
                wanted = json.loads(self.path.read_text())
                self._stamp = stamp
                self.rate = float(wanted.get("rate", self.rate))
                self.stop = bool(wanted.get("stop", self.stop))
                self.database = str(wanted.get("database", self.database))
                self.stock_database = str(wanted.get("stock_database", self.stock_database))


@dataclass
class Stream:
    """The clients of one site."""

    site: Site
    client: Client
    ledger: Ledger
    fresh: float
    samples: list[Sample] = field(default_factory=list)
    in_flight: set[asyncio.Task[None]] = field(default_factory=set)
    sent: int = 0
    random: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311

    async def run(self, rate: Callable[[], float], until: Callable[[int], bool]) -> None:
        """Start requests at a rate that may change, until told; then wait for the answers."""
        due = time.time()
        while not until(self.sent):
            now = time.time()
            while due <= now and not until(self.sent):
                self._start(due)
                due += 1 / max(rate(), 0.1)
            await asyncio.sleep(min(due - now, 0.05))
        if self.in_flight:
            await asyncio.wait(self.in_flight)
        self.client.close()

    def _start(self, due: float) -> None:
        self.sent += 1
        action = self.site.next()
        fresh = self.random.random() < self.fresh
        if len(self.in_flight) >= IN_FLIGHT:
            self._record(action, due, "overload", fresh, None)
            return
        task = asyncio.create_task(self._one(action, due, fresh))
        self.in_flight.add(task)
        task.add_done_callback(self.in_flight.discard)

    async def _one(self, action: Action, due: float, fresh: bool) -> None:
        response = None
        try:
            response = await self.client.ask(action.request, fresh=fresh)
            outcome = self.site.accept(action, response) or OK
        except RequestError as failure:
            outcome = failure.kind
        except Exception as problem:
            # Not knowing what happened is a failure as well; it must not vanish with its task.
            outcome = f"internal-{type(problem).__name__}"
        self._record(action, due, outcome, fresh, response)

    def _record(self, action: Action, due: float, outcome: str, fresh: bool, response: Response | None) -> None:
        served = response.headers.get(SERVED_BY, "") if response else ""
        latency = (time.time() - due) * 1000
        self.samples.append(Sample(due, latency, self.site.name, action.kind, outcome, fresh, served))
        if action.writes:
            answer: dict[str, object] = response.json() if response and outcome == OK else {"outcome": outcome}
            self.ledger.append(Write(self.site.name, action.kind, action.key, time.time(), outcome == OK, answer))
