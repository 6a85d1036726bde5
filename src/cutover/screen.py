# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows a run: a live table where there is a terminal, plain lines where there is none."""

import contextlib
import io
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cutover.progress import Event, Phase, Progress, now

MARKS = {
    "pending": ("·", "dim"),
    "missing": ("✗", "red"),
    "started": ("▶", "cyan"),
    "passed": ("✓", "green"),
    "failed": ("✗", "red"),
    "skipped": ("–", "yellow"),
}
PROGRESS_EVERY_S = 5.0


class Steady(io.TextIOBase):
    """Standard output or error that may go away, a closed terminal or ``| head``, without ending the run."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            self._let_go()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._let_go()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def _let_go(self) -> None:
        # What is left in the buffer would fail once more at the interpreter's end, and change the exit status.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)


class Screen(Protocol):
    """What the run tells."""

    def event(self, event: Event, phase: Phase) -> None: ...

    def tick(self, play: str, task: str) -> None: ...

    def say(self, text: str) -> None: ...


def seconds(value: float | None) -> str:
    """A duration as people read it; nothing where it is unknown."""
    if value is None:
        return ""
    if value < 10:
        return f"{value:.1f} s"
    return f"{value:.0f} s" if value < 120 else f"{int(value // 60)} min {int(value % 60):02} s"


def state(status: str) -> Text:
    mark, style = MARKS.get(status, ("?", "red"))
    return Text(f"{mark} {status}", style=style)


class PlainScreen:
    """A line for each phase that starts or ends, and one every few seconds between."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._began = self._last = clock()
        self._shown = ""
        self._phase: Phase | None = None

    def event(self, event: Event, phase: Phase) -> None:
        self._phase = phase
        if phase.step or event["status"] == "progress":
            if phase.step and event["status"] == "failed":
                self.say(f"{phase.name}: {phase.detail} failed")
            return
        if event["status"] == "started":
            planned = f", planned {seconds(phase.planned_s)}" if phase.planned_s else ""
            self.say(f"{phase.name} started{planned}")
            return
        took = f" after {seconds(phase.seconds(now()))}" if phase.started and event["status"] != "skipped" else ""
        because = f": {phase.text}" if phase.text else ""
        self.say(f"{phase.name} {event['status']}{took}{because}")

    def tick(self, play: str, task: str) -> None:
        if self._clock() - self._last < PROGRESS_EVERY_S:
            return
        if self._phase and self._phase.status == "started" and self._phase.detail:
            line = f"{self._phase.name}: {self._phase.detail}"
        else:
            line = f"{play or 'starting'}: {task}" if task else play or "starting"
        if line != self._shown:
            self.say(line)
            self._shown = line

    def say(self, text: str) -> None:
        self._last = self._clock()
        elapsed = int(self._last - self._began)
        line = f"{elapsed // 60:02}:{elapsed % 60:02} {text}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class LiveScreen:
    """The table of phases, drawn anew several times a second."""

    def __init__(self, live: Live, progress: Progress) -> None:
        self._live = live
        self._progress = progress
        self._note = ""
        self._play = self._task = ""

    def event(self, event: Event, phase: Phase) -> None:
        self._draw()

    def tick(self, play: str, task: str) -> None:
        self._play, self._task = play, task
        self._draw()

    def say(self, text: str) -> None:
        self._note = text
        self._draw()

    def _draw(self) -> None:
        below = [Text(" › ".join(part for part in (self._play, self._task) if part), style="dim", no_wrap=True)]
        if self._note:
            below.append(Text(self._note, style="yellow"))
        table = [phase_table(self._progress)] if self._progress.phases else []
        self._live.update(Group(*table, *below))


def phase_table(progress: Progress) -> Table:
    """The phases as they stand now."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in (("phase", "left"), ("state", "left"), ("planned", "right"), ("actual", "right")):
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("now", overflow="ellipsis", no_wrap=True, ratio=1)
    instant = now()
    for phase in progress.phases.values():
        detail = phase.detail if phase.status in ("started", "failed") else ""
        actual = seconds(phase.seconds(instant))
        table.add_row(phase.name, state(phase.status), seconds(phase.planned_s), actual, Text(detail))
    return table


@contextlib.contextmanager
def open_screen(console: Console, progress: Progress, plain: bool) -> Iterator[Screen]:
    """The screen that fits where the output goes."""
    if plain or not console.is_terminal:
        yield PlainScreen(console)
        return
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        yield LiveScreen(live, progress)


def report_tables(report: dict[str, Any]) -> Group:
    """The short summary of a report."""
    style = {"PASSED": "bold green", "PARTIAL": "bold yellow"}.get(report["verdict"], "bold red")
    back = " (back to the source)" if report.get("direction") == "back" else ""
    head = Text.assemble((report["verdict"], style), f"  {report.get('site') or ''}{back}")
    parts: list[Any] = [head, *(Text(f"  {reason}", style="yellow") for reason in report.get("reasons", []))]
    facts = Table(box=None, pad_edge=False, show_header=False)
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column()
    for name, text in _facts(report):
        facts.add_row(name, Text(text))
    phases = Table(box=None, pad_edge=False, header_style="bold")
    phases.add_column("phase")
    phases.add_column("state", no_wrap=True)
    phases.add_column("planned", justify="right")
    phases.add_column("actual", justify="right")
    for row in report["phases"]:
        phases.add_row(row["name"], state(row["status"]), seconds(row["planned_s"]), seconds(row["actual_s"]))
    return Group(*parts, Text(), facts, Text(), phases)


def _facts(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    switchover = report["switchover"]
    if switchover:
        deadline = f", deadline {switchover['deadline_s']:g} s" if switchover["deadline_s"] is not None else ""
        steps = ", ".join(f"{step['name']} {_ms(step['ms'])}" for step in switchover["steps"])
        yield "pause", f"{_ms(switchover['pause_ms'])}{deadline}"
        if steps:
            yield "steps", steps
        if switchover.get("ended_requests"):
            yield (
                "ended",
                f"{_n(switchover['ended_requests'])} requests, for they ran too long",
            )
        if switchover.get("write_refused"):
            yield "fence", "a write on the side that was left was seen refused"
        if switchover.get("predicted_s") is not None:
            yield "predicted", f"{switchover['predicted_s']:g} s, from {switchover.get('predicted_from')}"
        elif switchover.get("proven_keys") is not None:
            yield "changed rows", f"{_n(switchover['proven_keys'])} compared after the full proof, before the open"
    if report.get("restart"):
        yield "restart", f"{_ms(report['restart']['hold_ms'])} held for the restart of the source database"
    for proof in report["proof"]:
        equal = "equal" if proof["equal"] else "NOT proven equal"
        share = "coverage unknown" if proof["coverage"] is None else f"coverage {proof['coverage']:.0%}"
        yield "proof", f"{proof['database']}: {_n(proof['tables'])} tables, {_n(proof['rows'])} rows, {equal}, {share}"
    traffic = report["traffic"]
    if traffic:
        yield "requests", f"{_n(traffic['requests'])}, {_n(traffic['failed'])} failed"
        yield (
            "writes",
            f"{_n(traffic['acknowledged_writes'])} acknowledged, {_n(traffic['lost_writes'])} lost, "
            f"{_n(traffic['duplicated_writes'])} duplicated",
        )
        usual = f"{_ms(traffic['baseline_p50_ms'])} median, {_ms(traffic['baseline_p99_ms'])} at 99 %"
        yield "latency", f"before: {usual}; longest request {_ms(traffic['longest_ms'])}"
        annex = traffic.get("annex")
        if annex:
            yield "second site", f"{_n(annex.get('requests'))} requests, {_n(annex.get('failed'))} failed"
    waived = sum(1 for finding in report["findings"] if finding["waived"])
    if report["findings"]:
        yield "findings", f"{len(report['findings'])}, {waived} waived"


def _n(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.0f}".replace(",", " ")


def _ms(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.0f} ms"
