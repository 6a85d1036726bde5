# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks for every acknowledged write again: from the site, and from the database behind it."""

from __future__ import annotations

import asyncio
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.lab.traffic.http import Client, Request, RequestError
from tests.lab.traffic.ledger import Ledger, Write
from tests.lab.traffic.sites import READY

SHOWN = 20
READERS = 8


@dataclass
class Findings:
    """What became of a site's writes, by key."""

    acknowledged: int = 0
    lost: set[str] = field(default_factory=set)
    duplicated: set[str] = field(default_factory=set)
    unknown: int = 0
    unknown_applied: int = 0

    def count(self, promised: Iterable[str], rows: Mapping[str, int]) -> None:
        """Take over what one place says: a promised key without a row is lost, one with two is doubled."""
        for key in promised:
            if rows.get(key, 0) == 0:
                self.lost.add(key)
            elif rows[key] > 1:
                self.duplicated.add(key)

    def as_dict(self) -> dict[str, object]:
        """Numbers, and a few keys to look for when they are not zero."""
        return {
            "acknowledged_writes": self.acknowledged,
            "lost_writes": len(self.lost),
            "duplicated_writes": len(self.duplicated),
            "unknown_writes": self.unknown,
            "unknown_applied": self.unknown_applied,
            "lost_keys": sorted(self.lost)[:SHOWN],
            "duplicated_keys": sorted(self.duplicated)[:SHOWN],
        }


@dataclass(frozen=True)
class Database:
    """How a site's rows are counted without the site: a command that reads SQL and prints key and count."""

    command: Sequence[str]
    query: str

    def rows(self) -> dict[str, int]:
        """Rows by key; a command that fails raises, for not knowing is no proof."""
        done = subprocess.run(
            list(self.command), input=self.query, capture_output=True, text=True, check=False, timeout=120
        )
        if done.returncode:
            raise RuntimeError(f"could not count rows in the database: {done.stderr.strip()[-300:]}")
        counted: Counter[str] = Counter()
        for line in done.stdout.splitlines():
            key, _, count = line.partition("\t")
            counted[key] += int(count)
        return dict(counted)


@dataclass(frozen=True)
class Places:
    """Where the writes of one kind are looked for; `path` has {key} where the key goes."""

    site: str
    kind: str
    path: str
    database: Database | None = None


async def read_back(ledger: Ledger, places: Places, client: Client) -> Findings:
    """Look for every acknowledged write of a kind."""
    site, kind = places.site, places.kind
    promised = ledger.acknowledged(site, kind)
    unknown = [write for write in ledger.unknown(site) if write.kind == kind]
    statuses = {write.key for write in ledger.acknowledged(site, "status")}
    found = Findings(acknowledged=len(promised) + len(statuses), unknown=len(ledger.unknown(site)))
    queue = list(promised)
    rows: dict[str, int] = {}

    async def reader() -> None:
        while queue:
            write = queue.pop()
            rows[write.key] = await _ask(client, places.path, write, statuses)

    await asyncio.gather(*(reader() for _ in range(READERS)))
    keys = {write.key for write in promised}
    found.count(keys, rows)
    if places.database:
        stored = await asyncio.to_thread(places.database.rows)
        found.count(keys, stored)
        found.unknown_applied = sum(1 for write in unknown if stored.get(write.key))
    return found


async def _ask(client: Client, path: str, write: Write, statuses: set[str]) -> int:
    """1 when the site has the write as it was acknowledged."""
    try:
        response = await client.ask(Request("GET", path.format(key=write.key)), fresh=False)
    except RequestError:
        return 0
    answer = response.json()
    same = response.status == 200 and answer.get("key") == write.key
    for name in ("number", "total"):
        same = same and answer.get(name) == write.answer.get(name)
    if write.key in statuses:
        same = same and answer.get("status") == READY
    return int(same)
