# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""make faults: FAULTS="key key" for some, SEED=n WALK=seconds for faults drawn at random; build/faults/report.json.

JOBS=2 breaks things in two labs at the same time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from tests.faults import judge, table
from tests.faults.engine import OUT, Engine, keys_from
from tests.lab.docker import LabError
from tests.lab.hosts import CHECKOUT, Lab

PAGE, RESULTS = CHECKOUT / "docs" / "faults.md", CHECKOUT / "docs" / "faults.json"
# What the page does not show, and the log of the run has.
LONG = ("requests", "failures", "examples", "said")
BEGIN, END = "<!-- faults -->", "<!-- /faults -->"
DEADLINE_S = 5.0
KEEPING = threading.Lock()


def suffered(engine: Engine, faults: Iterable[table.Fault], walking: bool = False) -> list[dict[str, Any]]:
    """One fault after the other, told as it goes; where the site is not back home the next has a new one."""
    rows = []
    home = True
    for fault in faults:
        if not home:
            engine.prepare()
        began = time.monotonic()
        try:
            seen = engine.suffer(fault)
        except (LabError, subprocess.TimeoutExpired) as problem:
            seen = judge.Seen("neither: it did not come to an end", None, trouble=str(problem), back=1)
        home = not seen.back
        row = {
            **judge.row(fault, seen, DEADLINE_S),
            "on": engine.on,
            "measured": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        rows.append(row)
        print(
            f"{row['verdict']} {fault.key:32} {row['outcome']:12} failed {row['failed_requests']}, lost "
            f"{row['lost_writes']}, split {row['split_writes']}, held {row['longest_hold_ms']} ms, "
            f"{time.monotonic() - began:.0f} s {'; '.join(row['problems'])}",
            flush=True,
        )
        if not walking:
            keep(row)
        if row["verdict"] != "PASSED":
            (engine.out / "ansible.log").replace(OUT / f"{fault.key}.log")
    return rows


def until(faults: Iterable[table.Fault], seconds: float) -> Iterable[table.Fault]:
    """As many as begin within the time."""
    ends = time.monotonic() + seconds
    for fault in faults:
        if time.monotonic() >= ends:
            return
        yield fault


class Shared:
    """Faults that several labs take from, each one once; none any more once it is closed."""

    def __init__(self, faults: Iterable[table.Fault]) -> None:
        """Nobody has taken any."""
        self._faults = iter(faults)
        self._lock = threading.Lock()
        self._closed = False

    def __iter__(self) -> Iterator[table.Fault]:
        """For one of the labs."""
        return self

    def __next__(self) -> table.Fault:
        """The next that nobody has taken."""
        with self._lock:
            if self._closed:
                raise StopIteration
            return next(self._faults)

    def close(self) -> None:
        """Nobody begins another."""
        self._closed = True


def run(engines: Sequence[Engine], faults: Iterable[table.Fault], walking: bool) -> list[dict[str, Any]]:
    """Every lab takes faults until there are none."""
    shared = Shared(faults)

    def one(engine: Engine) -> list[dict[str, Any]]:
        try:
            engine.prepare()
            return suffered(engine, shared, walking)
        except BaseException:
            shared.close()
            raise

    if len(engines) == 1:
        return one(engines[0])
    with ThreadPoolExecutor(len(engines)) as pool:
        try:
            return [row for rows in pool.map(one, engines) for row in rows]
        except BaseException:
            shared.close()
            raise


def labs(first: Lab, jobs: str) -> list[Lab]:
    """So many labs as JOBS says, their ports a hundred apart."""
    if jobs not in ("", "1", "2", "3", "4"):
        raise LabError(f"JOBS={jobs}: give 1 to 4")
    numbers = range(2, int(jobs or 1) + 1)
    others = [replace(first, name=f"{first.name}-{number}", port=first.port + 100 * (number - 1)) for number in numbers]
    return [first, *others]


def keep(row: dict[str, Any]) -> None:
    """The last result of every fault, and the page with them: a run may be of some, or broken off."""
    with KEEPING:
        _keep(row)


def _keep(row: dict[str, Any]) -> None:
    before = json.loads(RESULTS.read_text(encoding="utf-8"))
    short = {name: value for name, value in row.items() if name not in LONG}
    every = judge.merged(before, [short], [fault.key for fault in table.faults()])
    RESULTS.write_text(json.dumps(every, indent=2) + "\n", encoding="utf-8")
    write_page(every)


def write_page(rows: Sequence[dict[str, Any]]) -> None:
    """The table of the documentation, as it was measured last, and what has not been."""
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}\n{judge.page(rows, table.faults())}{END}{rest.partition(END)[2]}", encoding="utf-8")


def main() -> int:
    """The faults, and the labs away again unless KEEP=1."""
    try:
        lab = Lab.from_environment()
        chosen = table.chosen(keys_from(os.environ.get("FAULTS", "")), lab.engines, lab.web)
        engines = [Engine(each) for each in labs(lab, os.environ.get("JOBS") or "")]
    except (ValueError, LabError) as problem:
        print(f"faults: {problem}", file=sys.stderr)
        return 1
    seed: int | None = None
    try:
        if os.environ.get("WALK"):
            seed = int(os.environ.get("SEED") or time.time_ns() % 1_000_000)
            print(f"SEED={seed}", flush=True)
            drawn = until(table.walk(seed, lab.engines, lab.web), float(os.environ["WALK"]))
            rows = run(engines, drawn, walking=True)
            wanted = len(rows)
        else:
            rows, wanted = run(engines, chosen, walking=False), len(chosen)
    except LabError as problem:
        print(f"faults: {problem}", file=sys.stderr)
        return 1
    finally:
        if not os.environ.get("KEEP"):
            for engine in engines:
                engine.down()
    result = judge.report(rows, wanted, seed)
    (OUT / ("walk.json" if seed is not None else "report.json")).write_text(json.dumps(result, indent=2) + "\n")
    print(f"{result['verdict']}: {result['ran']} of {wanted} faults ran, {result['failed']} failed")
    return 0 if result["verdict"] == "PASSED" else 1


if __name__ == "__main__":
    sys.exit(main())
