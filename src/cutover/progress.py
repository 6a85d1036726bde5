# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the journal says about a run that is under way."""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cutover.collection import journal, report

Event = dict[str, Any]


class Tail:
    """Gives the events that were appended to a journal since the last look."""

    def __init__(self, path: Path, skip: bool = True) -> None:
        self._path = path
        self._offset = path.stat().st_size if skip and path.exists() else 0

    def poll(self) -> list[Event]:
        """The new whole lines; a line that is still being written waits for the next look."""
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._offset)
                data = stream.read()
        except OSError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return journal.parse(whole.decode("utf-8", errors="replace"))


@dataclass
class Phase:
    """A phase as the table shows it."""

    name: str
    status: str = "pending"
    planned_s: float | None = None
    started: datetime.datetime | None = None
    ended: datetime.datetime | None = None
    step: str = ""
    text: str = ""
    done: int | None = None
    total: int | None = None

    def seconds(self, now: datetime.datetime) -> float | None:
        if self.started is None:
            return None
        return max(0.0, ((self.ended or now) - self.started).total_seconds())

    @property
    def detail(self) -> str:
        """The current step and how far it is."""
        words = ": ".join(part for part in (self.step, self.text) if part)
        if self.done is None:
            return words
        return f"{words} {self.done}/{self.total}".strip() if self.total else f"{words} {self.done}".strip()


class Progress:
    """The phases of this run, by the events seen so far."""

    def __init__(self, expected: Iterable[str] = ()) -> None:
        self.phases = {name: Phase(name, planned_s=report.PLANNED_S.get(name)) for name in expected}
        self.moved = False

    def add(self, event: Event) -> Phase | None:
        """Take in one event; the phase it changed, or None where the event says nothing usable."""
        name = event.get("phase")
        if not isinstance(name, str):
            return None
        phase = self.phases.setdefault(name, Phase(name, planned_s=report.PLANNED_S.get(name)))
        phase.step = _text(event.get("step"))
        phase.text = _text(event.get("text"))
        phase.done, phase.total = _count(event.get("done")), _count(event.get("total"))
        if phase.step or event["status"] == "progress":
            return phase
        if event["status"] == "started":
            phase.started, phase.ended = _moment(event.get("time")), None
        else:
            phase.ended = _moment(event.get("time"))
        phase.status = event["status"]
        self.moved = self.moved or name in ("cutover", "rollback")
        return phase

    @property
    def current(self) -> Phase | None:
        """The phase that is under way, if one is."""
        return next((phase for phase in reversed(self.phases.values()) if phase.status == "started"), None)


def _text(value: object) -> str:
    # A journal is read by terminals: no control characters of somebody's error message.
    return "".join(character for character in value if character.isprintable()) if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _moment(value: object) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(str(value))
    except ValueError:
        return now()
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)
