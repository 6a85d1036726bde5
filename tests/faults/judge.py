# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of a fault, and the report of all; nothing here touches a machine."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.faults.table import AS_BEFORE, DONE, Fault

# What the watchdog, or systemd in its place, may take beyond the deadline.
GRACE_S = 1.0
HEADINGS = ("fault", "step", "outcome", "failed", "lost", "duplicated", "split", "longest hold")


@dataclass(frozen=True)
class State:
    """How both sides stand; None is what could not be found out."""

    side: str | None
    moved: bool | None
    flags: tuple[str, ...] | None
    source_closed: bool | None
    target_closed: bool | None

    def outcome(self) -> str:
        """*done*, *as before*, or what stands in the way of calling it either."""
        stands = (self.side, self.moved, self.source_closed, self.target_closed)
        if self.flags == () and stands == ("target", True, True, False):
            return DONE
        if self.flags == () and stands == ("source", False, False, True):
            return AS_BEFORE
        return "neither: " + ", ".join(f"{name} {value}" for name, value in asdict(self).items())


@dataclass
class Seen:
    """What one fault left."""

    outcome: str
    longest_hold_s: float | None
    # None: nobody knows.
    requests: int | None = None
    failed: int | None = None
    lost: int | None = None
    duplicated: int | None = None
    split: int | None = None
    # Exit status of the first command; None where it was killed.
    first: int | None = None
    said: str = ""
    again: int = 0
    back: int = 0
    trouble: str = ""
    failures: dict[str, int] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)


def problems(fault: Fault, seen: Seen, deadline_s: float) -> list[str]:
    """Why a fault has not passed."""
    found = [seen.trouble] if seen.trouble else []
    if seen.outcome not in fault.expected.split(" or "):
        found.append(f"{seen.outcome} where {fault.expected} was to come")
    for name in ("lost", "duplicated", "split"):
        value = getattr(seen, name)
        if value != 0:
            found.append(f"{name} writes: {'unknown' if value is None else value}")
    if not seen.requests:
        found.append("no request was counted")
    if seen.failed != 0 and not fault.excused:
        found.append(f"failed requests: {seen.failures or 'unknown'}")
    if seen.longest_hold_s is None or seen.longest_hold_s > deadline_s + GRACE_S:
        found.append(f"held for {seen.longest_hold_s} s with a deadline of {deadline_s} s")
    if seen.again:
        found.append("the same command did not go on")
    if seen.back:
        found.append("the site did not go back")
    return found


def row(fault: Fault, seen: Seen, deadline_s: float) -> dict[str, Any]:
    """One fault in the report."""
    found = problems(fault, seen, deadline_s)
    return {
        "fault": fault.key,
        "text": fault.text,
        "step": fault.moment.step,
        "expected": fault.expected,
        "outcome": seen.outcome,
        "verdict": "FAILED" if found else "PASSED",
        "problems": found,
        "requests": seen.requests,
        "failed_requests": seen.failed,
        "failures": seen.failures,
        "examples": seen.examples,
        "excused": fault.excused,
        "lost_writes": seen.lost,
        "duplicated_writes": seen.duplicated,
        "split_writes": seen.split,
        "longest_hold_ms": None if seen.longest_hold_s is None else round(seen.longest_hold_s * 1000),
        "said": seen.said,
        "remedy": fault.remedy,
    }


def report(rows: Sequence[Mapping[str, Any]], wanted: int, seed: int | None = None) -> dict[str, Any]:
    """The whole report: PASSED only where everything that was asked for ran and passed."""
    failed = sum(1 for each in rows if each["verdict"] != "PASSED")
    return {
        "verdict": "PASSED" if rows and not failed and len(rows) == wanted else "FAILED",
        "wanted": wanted,
        "ran": len(rows),
        "failed": failed,
        "seed": seed,
        "faults": list(rows),
    }


def table(rows: Iterable[Mapping[str, Any]]) -> str:
    """The report as a table of the documentation."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |"]
    for each in rows:
        outcome = each["outcome"].partition(":")[0]
        if each["verdict"] != "PASSED":
            outcome += f" – **FAILED**: {'; '.join(each['problems'])}"
        elif each["remedy"]:
            outcome += f", then `{each['remedy']}`"
        failed = _shown(each["failed_requests"])
        if each["failed_requests"] and each["excused"]:
            failed += f" ({each['excused']})"
        counts = [_shown(each[name]) for name in ("lost_writes", "duplicated_writes", "split_writes")]
        hold = each["longest_hold_ms"]
        name = f"`{each['fault']}`" + (f" on {each['on']}" if each.get("on") else "")
        cells = [f"{each['text']} ({name})", each["step"], outcome, failed, *counts]
        lines.append("| " + " | ".join([*cells, "?" if hold is None else f"{hold} ms"]).replace("\n", " ") + " |")
    return "\n".join(lines) + "\n"


def missing(rows: Iterable[Mapping[str, Any]], keys: Iterable[str]) -> str:
    """A sentence that names the faults without a result."""
    ran = {each["fault"] for each in rows if not each.get("on")}
    left = [f"`{key}`" for key in keys if key not in ran]
    return "\n" + textwrap.fill(f"Not run yet: {', '.join(left)}.", 118, break_on_hyphens=False) + "\n" if left else ""


def page(rows: Sequence[Mapping[str, Any]], faults: Iterable[Fault]) -> str:
    """What the documentation has between its marks."""
    return table(rows) + missing(rows, [fault.key for fault in faults])


def _shown(number: int | None) -> str:
    return "?" if number is None else str(number)


def merged(old: Iterable[Mapping[str, Any]], new: Iterable[Mapping[str, Any]], order: Sequence[str]) -> list[Any]:
    """The last result of every fault of the table in each lab, in its order; the usual lab comes first."""
    last = {(each.get("on", ""), each["fault"]): each for each in [*old, *new]}
    labs = sorted({on for on, _key in last})
    return [last[on, key] for on in labs for key in order if (on, key) in last]


def holds(lines: Iterable[str], until: float) -> float:
    """The longest hold in seconds, of the recorder's lines; one that never ended lasts ``until`` then."""
    longest, begun = 0.0, None
    for line in lines:
        held, moment = json.loads(line)
        if held:
            begun = moment
        elif begun is not None:
            longest, begun = max(longest, moment - begun), None
    return round(max(longest, until - begun) if begun is not None else longest, 3)
