"""What a person sees."""

import io
import os
from typing import Any, TextIO, cast

import pytest
from rich.console import Console

from cutover.progress import Progress
from cutover.screen import PlainScreen, Steady, open_screen, phase_table, report_tables, seconds

REPORT: dict[str, Any] = {
    "verdict": "PASSED",
    "reasons": [],
    "site": "ocpizza",
    "direction": "forward",
    "phases": [{"name": "cutover", "status": "passed", "planned_s": 20.0, "actual_s": 9.25}],
    "switchover": {
        "deadline_s": 5,
        "pause_ms": 147.4,
        "steps": [{"name": "drain", "ms": 40}],
        "position": "0-1-4711",
        "write_refused": True,
        "proven_keys": 1234,
        "ended_requests": 2,
    },
    "restart": {"hold_ms": 812},
    "proof": [
        {"database": "ocpizza", "tables": 20, "rows": 31000, "equal": True, "coverage": 1.0},
        {"database": "annex", "tables": None, "rows": None, "equal": False, "coverage": None},
    ],
    "traffic": {
        "requests": 9000,
        "failed": 0,
        "acknowledged_writes": 2700,
        "lost_writes": 0,
        "duplicated_writes": None,
        "baseline_p50_ms": 8,
        "baseline_p99_ms": 41,
        "longest_ms": 180,
        "annex": {"requests": 500, "failed": 0},
    },
    "findings": [{"waived": True}],
}


def printed(thing: Any) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(thing)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines())


def test_a_copy_under_hold_says_what_was_predicted() -> None:
    text = "31000 rows copied in 2 s and proven in 1 s at noon"
    copied = REPORT["switchover"] | {"predicted_s": 3.0, "predicted_from": text}
    shown = printed(report_tables(REPORT | {"switchover": copied}))
    assert f"predicted    3 s, from {text}\n" in shown
    assert "changed rows" not in shown


def test_the_summary() -> None:
    assert (
        printed(report_tables(REPORT))
        == """\
PASSED  ocpizza

pause         147 ms, deadline 5 s
steps         drain 40 ms
ended         2 requests, for they ran too long
fence         a write on the side that was left was seen refused
changed rows  1 234 compared after the full proof, before the open
restart       812 ms held for the restart of the source database
proof         ocpizza: 20 tables, 31 000 rows, equal, coverage 100%
proof         annex: unknown tables, unknown rows, NOT proven equal, coverage unknown
requests      9 000, 0 failed
writes        2 700 acknowledged, 0 lost, unknown duplicated
latency       before: 8 ms median, 41 ms at 99 %; longest request 180 ms
second site   500 requests, 0 failed
findings      1, 1 waived

phase    state     planned  actual
cutover  ✓ passed     20 s   9.2 s"""
    )


def test_the_summary_of_next_to_nothing() -> None:
    bare = {**REPORT, "verdict": "FAILED", "reasons": ["phase [cutover] failed"], "direction": "back"}
    bare |= {"phases": [], "switchover": None, "proof": [], "traffic": None, "findings": [], "restart": None}
    text = printed(report_tables(bare))
    assert "FAILED  ocpizza (back to the source)\n  phase [cutover] failed" in text


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_plain_lines() -> None:
    stream, clock, progress = io.StringIO(), Clock(), Progress()
    screen = PlainScreen(Console(file=stream, width=40), clock)

    def tell(status: str, second: int, **more: Any) -> None:
        event = {"phase": "prepare", "status": status, "time": f"2026-11-22T20:00:{second:02}+00:00"} | more
        phase = progress.add(event)
        assert phase is not None
        clock.now = second
        screen.event(event, phase)
        screen.tick("Prepare the target", "Install packages")

    clock.now = 1
    screen.tick("", "")
    clock.now = 6
    screen.tick("Prepare the target", "Install packages")
    tell("started", 10)
    for second in range(11, 18):
        tell("progress", second, step="application", text="[files]", done=second, total=20)
    tell("failed", 18, step="site", text="no answer")
    tell("failed", 20, text="site: no answer")
    tell("skipped", 21, text="passed before")
    assert (
        stream.getvalue()
        == """\
00:06 Prepare the target: Install packages
00:10 prepare started, planned 4 min 00 s
00:15 prepare: application: [files] 15/20
00:18 prepare: site: no answer failed
00:20 prepare failed after 10 s: site: no answer
00:21 prepare skipped: passed before
"""
    )


def test_a_reader_that_went_away_does_not_matter() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w", encoding="utf-8") as stream:
        screen = PlainScreen(Console(file=cast("TextIO", Steady(stream))))
        screen.say("anything")
        screen.say("and more")


def test_the_live_table() -> None:
    progress = Progress(["discover", "prepare"])
    progress.add({"phase": "prepare", "status": "started", "time": "2026-11-22T20:00:00+00:00"})
    progress.add({"phase": "prepare", "status": "progress", "step": "database", "done": 1, "total": 4})
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with open_screen(console, progress, plain=False) as screen:
        screen.tick("Prepare", "Install")
        screen.say("stopping")
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    assert "Prepare › Install" in text
    assert "stopping" in text
    rows = [line.split() for line in printed(phase_table(progress)).splitlines()]
    assert rows[1][:3] == ["discover", "·", "pending"]
    assert (rows[2][:3], rows[2][-2:]) == (["prepare", "▶", "started"], ["database", "1/4"])


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (0.04, "0.0 s"), (9.25, "9.2 s"), (61, "61 s"), (125, "2 min 05 s")]
)
def test_seconds(value: float | None, text: str) -> None:
    assert seconds(value) == text
