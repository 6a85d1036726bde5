# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal: append-only JSON lines of everything that happened in a run.

One event is ``{schema, run, seq, time, phase, step, host, status, done, total, text}``: ``time`` is UTC in
ISO 8601 with milliseconds, ``done`` and ``total`` are whole numbers or null, ``status`` is one of STATUSES.
Readers ignore keys that they don't know, and a last line that was cut off by a crash.
"""

import datetime
import fcntl
import json
import os
import uuid
from typing import Any, Dict, List, Optional

SCHEMA = 1
STATUSES = ("started", "progress", "passed", "failed", "skipped")
PHASES = (
    "discover",
    "check",
    "announce",
    "backup",
    "prepare",
    "replicate",
    "verify",
    "cutover",
    "watch",
    "retire",
    "rollback",
    "withdraw",
)

Event = Dict[str, Any]


def utc_now() -> str:
    """The present instant, UTC, with milliseconds."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")


def parse(text: str) -> List[Event]:
    """Every whole event of a journal's text; a torn or foreign line is passed over."""
    events = []
    # Not splitlines: it would also end a line at characters that JSON leaves as they are within a text.
    for line in text.split("\n"):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("status") in STATUSES:
            events.append(event)
    return events


def read_events(path: str) -> List[Event]:
    """The events of the journal at path; none where there is no journal yet."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return parse(stream.read())
    except FileNotFoundError:
        return []


def append(
    path: str,
    phase: str,
    status: str,
    text: str = "",
    step: str = "",
    host: str = "",
    done: Optional[int] = None,
    total: Optional[int] = None,
    time: Optional[str] = None,
) -> Event:
    """Append one event, durably, and return it.

    A lock on the journal itself orders writers, so that sequence numbers have no gap and no double.
    """
    if status not in STATUSES:
        raise ValueError("status '{0}' is none of {1}".format(status, ", ".join(STATUSES)))
    if phase not in PHASES:
        raise ValueError("phase '{0}' is none of {1}".format(phase, ", ".join(PHASES)))
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    # A crash may cut a line off within a character, and a server's words need not be Unicode.
    with open(path, "a+", encoding="utf-8", errors="backslashreplace") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.seek(0)
        text_before = stream.read()
        events = parse(text_before)
        event = {
            "schema": SCHEMA,
            "run": next((one["run"] for one in reversed(events) if one.get("run")), "") or uuid.uuid4().hex[:12],
            "seq": 1 + max((one["seq"] for one in events if isinstance(one.get("seq"), int)), default=0),
            "time": time or utc_now(),
            "phase": phase,
            "step": step,
            "host": host,
            "status": status,
            "done": done,
            "total": total,
            "text": text,
        }
        torn = "\n" if text_before and not text_before.endswith("\n") else ""
        stream.write(torn + json.dumps(event, ensure_ascii=False, sort_keys=False) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    return event


def phase_status(events: List[Event], phase: str) -> str:
    """How a phase stands: its last event without a step decides; '' when it never began."""
    status = ""
    for event in events:
        if event.get("phase") == phase and not event.get("step"):
            status = event["status"]
    return status


def side(events: List[Event]) -> str:
    """Where the site lives by the journal: 'target' after a cutover, 'source' before one or after a rollback."""
    where = "source"
    for event in events:
        if event.get("step") or event["status"] != "passed":
            continue
        if event.get("phase") == "cutover":
            where = "target"
        elif event.get("phase") == "rollback":
            where = "source"
    return where
