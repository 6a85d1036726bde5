# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Latencies and failures: every request kept, seconds and windows computed from them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

OK = "ok"


@dataclass(frozen=True)
class Sample:
    """One request; `due` is when it should have been sent, and latency counts from there."""

    due: float
    latency_ms: float
    site: str
    kind: str
    outcome: str
    fresh: bool
    served: str = ""

    @property
    def done(self) -> float:
        """When its answer, or its failure, was there."""
        return self.due + self.latency_ms / 1000


@dataclass(frozen=True)
class Window:
    """A named stretch of time; a request belongs to it when any part of it fell inside."""

    name: str
    start: float
    end: float

    def touches(self, sample: Sample) -> bool:
        """Whether the request was under way inside the window."""
        return sample.due <= self.end and sample.done >= self.start


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least this share of all values does not exceed; 0 of nothing."""
    ordered = sorted(values)
    if not ordered:
        return 0.0
    rank = max(0, min(len(ordered) - 1, int(-(-share * len(ordered) // 1)) - 1))
    return round(ordered[rank], 1)


def longest(samples: Iterable[Sample]) -> float:
    """The longest latency; 0 of nothing."""
    return round(max((sample.latency_ms for sample in samples), default=0.0), 1)


def failures(samples: Iterable[Sample]) -> dict[str, int]:
    """How many requests failed, by kind."""
    counts: dict[str, int] = {}
    for sample in samples:
        if sample.outcome != OK:
            counts[sample.outcome] = counts.get(sample.outcome, 0) + 1
    return counts


def in_window(samples: Iterable[Sample], window: Window) -> dict[str, object]:
    """What happened to the requests under way inside a window."""
    inside = [sample for sample in samples if window.touches(sample)]
    return {
        "name": window.name,
        "start": window.start,
        "end": window.end,
        "requests": len(inside),
        "failed": sum(failures(inside).values()),
        "longest_ms": longest(inside),
        "p50_ms": percentile((sample.latency_ms for sample in inside), 0.50),
        "p99_ms": percentile((sample.latency_ms for sample in inside), 0.99),
        "rate": round(sum(1 for s in inside if s.due >= window.start) / max(window.end - window.start, 0.001), 1),
    }


def by_second(samples: Iterable[Sample]) -> list[dict[str, object]]:
    """One row a second of when requests were due."""
    seconds: dict[int, list[Sample]] = {}
    for sample in samples:
        seconds.setdefault(int(sample.due), []).append(sample)
    rows: list[dict[str, object]] = []
    for second, inside in sorted(seconds.items()):
        served: dict[str, int] = {}
        for sample in inside:
            if sample.served:
                served[sample.served] = served.get(sample.served, 0) + 1
        rows.append(
            {
                "time": second,
                "requests": len(inside),
                "failed": sum(failures(inside).values()),
                "longest_ms": longest(inside),
                "served": served,
            }
        )
    return rows


def write_lines(path: Path, rows: Iterable[dict[str, object]]) -> None:
    """JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
