# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""make faults: FAULTS="key key" for some, SEED=n WALK=seconds for faults drawn at random; build/faults/report.json."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
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
            (OUT / "ansible.log").replace(OUT / f"{fault.key}.log")
    return rows


def until(faults: Iterable[table.Fault], seconds: float) -> Iterable[table.Fault]:
    """As many as begin within the time."""
    ends = time.monotonic() + seconds
    for fault in faults:
        if time.monotonic() >= ends:
            return
        yield fault


def keep(row: dict[str, Any]) -> None:
    """The last result of every fault, and the page with them: a run may be of some, or broken off."""
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
    """The faults, and the lab away again unless KEEP=1."""
    try:
        lab = Lab.from_environment()
        chosen = table.chosen(keys_from(os.environ.get("FAULTS", "")), lab.engines, lab.web)
        engine = Engine(lab)
    except (ValueError, LabError) as problem:
        print(f"faults: {problem}", file=sys.stderr)
        return 1
    OUT.mkdir(parents=True, exist_ok=True)
    seed: int | None = None
    try:
        engine.prepare()
        if os.environ.get("WALK"):
            seed = int(os.environ.get("SEED") or time.time_ns() % 1_000_000)
            print(f"SEED={seed}", flush=True)
            rows = suffered(
                engine, until(table.walk(seed, lab.engines, lab.web), float(os.environ["WALK"])), walking=True
            )
            wanted = len(rows)
        else:
            rows, wanted = suffered(engine, chosen), len(chosen)
    except LabError as problem:
        print(f"faults: {problem}", file=sys.stderr)
        return 1
    finally:
        if not os.environ.get("KEEP"):
            engine.down()
    result = judge.report(rows, wanted, seed)
    (OUT / ("walk.json" if seed is not None else "report.json")).write_text(json.dumps(result, indent=2) + "\n")
    print(f"{result['verdict']}: {result['ran']} of {wanted} faults ran, {result['failed']} failed")
    return 0 if result["verdict"] == "PASSED" else 1


if __name__ == "__main__":
    sys.exit(main())
