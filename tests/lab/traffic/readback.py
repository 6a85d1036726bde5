# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks for every acknowledged write again: from the site, and from the databases behind it."""

from __future__ import annotations

import asyncio
import subprocess
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from tests.lab.traffic.http import Client, Request, RequestError, Response
from tests.lab.traffic.ledger import Ledger, Write
from tests.lab.traffic.sites import READY, picture

SHOWN = 20
READERS = 8
SINGLY = 500


@dataclass
class Findings:
    """What became of a site's writes, by key."""

    acknowledged: int = 0
    lost: set[str] = field(default_factory=set)
    duplicated: set[str] = field(default_factory=set)
    unknown: int = 0
    unknown_applied: int = 0
    unproven: str = ""

    def count(self, promised: Collection[str], rows: Mapping[str, int]) -> None:
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
            # Nobody knows what was lost where the database could not be asked.
            "lost_writes": None if self.unproven else len(self.lost),
            "duplicated_writes": None if self.unproven else len(self.duplicated),
            "unproven": self.unproven,
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
    """Where the writes of one kind are looked for: a listing by id, single ones by {key}, the databases."""

    site: str
    kind: str
    listing: str
    rows: str
    single: str = ""
    databases: Sequence[Database] = ()


async def read_back(ledger: Ledger, places: Places, client: Client) -> Findings:
    """Look for every acknowledged write of a kind."""
    promised = {write.key: write for write in ledger.acknowledged(places.site, places.kind)}
    statuses = {write.key for write in ledger.acknowledged(places.site, "status")}
    unknown = ledger.unknown(places.site)
    uploads = {write.key: write for write in ledger.acknowledged(places.site, "media")}
    found = Findings(acknowledged=len(promised) + len(statuses) + len(uploads), unknown=len(unknown))
    found.count(uploads, await _pictures(client, list(uploads.values())))
    listed = await _listed(client, places, promised) if promised else []
    counts = Counter(str(row["key"]) for row in listed)
    for row in listed:
        write = promised.get(str(row["key"]))
        if write and not _kept(write, row, statuses):
            counts[write.key] = 0
    found.count(promised, counts)
    if places.single:
        asked = list(promised.values())[:: max(1, len(promised) // SINGLY)]
        answers = await _asked_singly(client, places.single, asked, statuses)
        found.count(answers, answers)
    for number, database in enumerate(places.databases):
        try:
            stored = await asyncio.to_thread(database.rows)
        except (OSError, RuntimeError, subprocess.SubprocessError) as problem:
            found.unproven = str(problem)
            return found
        found.count(promised, stored)
        if number == 0:
            found.unknown_applied = sum(1 for write in unknown if write.kind == places.kind and stored.get(write.key))
    return found


async def _listed(client: Client, places: Places, promised: Mapping[str, Write]) -> list[dict[str, object]]:
    """Every row the site lists from the first promised one on; a listing that breaks off shows the rest lost."""
    since = min((int(str(write.answer.get("id", 1))) for write in promised.values()), default=1) - 1
    listed: list[dict[str, object]] = []
    more = True
    while more:
        try:
            response = await client.ask(Request("GET", places.listing.format(since=since)), fresh=False)
        except RequestError:
            return listed
        answer = response.json()
        listed += answer.get(places.rows, [])
        more, since = bool(answer.get("more")), int(answer.get("next", since))
    return listed


async def _asked_singly(client: Client, path: str, writes: Sequence[Write], statuses: set[str]) -> dict[str, int]:
    """1 for each write that the site has as it was acknowledged, else 0."""
    return await _each(
        client,
        writes,
        lambda write: path.format(key=write.key),
        lambda write, response: _kept(write, response.json(), statuses),
    )


async def _pictures(client: Client, writes: Sequence[Write]) -> dict[str, int]:
    """1 for each uploaded file that is where its address says, to the last byte."""
    return await _each(
        client,
        writes,
        lambda write: str(write.answer["url"]),
        lambda write, response: response.body == picture(write.key),
    )


async def _each(
    client: Client,
    writes: Sequence[Write],
    path: Callable[[Write], str],
    kept: Callable[[Write, Response], bool],
) -> dict[str, int]:
    """1 for each write that an answer of its own shows as it was, else 0."""
    queue = list(writes)
    rows: dict[str, int] = {}

    async def reader() -> None:
        while queue:
            write = queue.pop()
            rows[write.key] = 0
            try:
                response = await client.ask(Request("GET", path(write)), fresh=False)
            except RequestError:
                continue
            if response.status == 200:
                rows[write.key] = int(kept(write, response))

    await asyncio.gather(*(reader() for _ in range(READERS)))
    return rows


def _kept(write: Write, row: Mapping[str, object], statuses: set[str]) -> bool:
    """Whether what is there now is what was answered then."""
    same = all(row[name] == write.answer.get(name) for name in ("id", "key", "number", "total") if name in row)
    if write.key in statuses and "status" in row:
        same = same and row["status"] == READY
    return same
