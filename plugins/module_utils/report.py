# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judges a migration: the journal's events and the evidence go in, the report with its verdict comes out.

Nothing here reads a file or a clock. Whatever is unknown speaks against the run: a thing that was found wrong or
never happened makes it FAILED, a thing that could not be checked makes it PARTIAL.
"""

import datetime
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

PASSED = "PASSED"
PARTIAL = "PARTIAL"
FAILED = "FAILED"

# Seconds that a phase takes on a small site; plan.json in the run directory replaces them.
PLANNED_S = {
    "discover": 20.0,
    "check": 20.0,
    "announce": 5.0,
    "backup": 60.0,
    "prepare": 240.0,
    "replicate": 60.0,
    "verify": 30.0,
    "cutover": 20.0,
    "watch": 10.0,
    "retire": 20.0,
    "rollback": 20.0,
    "withdraw": 30.0,
}
FORWARD = ("discover", "check", "announce", "backup", "prepare", "replicate", "verify", "cutover")
# Skipped without ever having passed: the first leave something unchecked, the second mean that nothing moved.
CHECKING = ("discover", "check", "backup", "verify")
OPTIONAL = ("announce",)

TRAFFIC_ZERO = ("failed", "lost_writes", "duplicated_writes")
TRAFFIC_KEYS = (
    "requests",
    "failed",
    "acknowledged_writes",
    "lost_writes",
    "duplicated_writes",
    "baseline_p50_ms",
    "baseline_p99_ms",
    "longest_ms",
)
PROOF_KEYS = ("database", "engine", "tables", "rows", "equal", "position", "coverage")
FINDING_KEYS = ("key", "severity", "title", "remedy", "waived")

Event = Mapping[str, Any]
Evidence = Mapping[str, Any]


class Attempt(NamedTuple):
    """One time that a phase was begun."""

    status: str
    started: Optional[datetime.datetime]
    ended: Optional[datetime.datetime]
    text: str
    run: str


class Judgement:
    """Collects what speaks against a run, in the order in which it was found."""

    def __init__(self) -> None:
        self.failures: List[str] = []
        self.gaps: List[str] = []

    @property
    def verdict(self) -> str:
        if self.failures:
            return FAILED
        return PARTIAL if self.gaps else PASSED

    @property
    def reasons(self) -> List[str]:
        return self.failures + self.gaps


def _number(value: Any) -> Optional[float]:
    """The value if it is a finite number that counts something, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if 0 <= value < float("inf") else None


def _text(value: Any) -> Optional[str]:
    return value if isinstance(value, str) else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(value: Any, key: str) -> List[Mapping[str, Any]]:
    """Entries of evidence that is either a list or a mapping that holds the list under its own name."""
    if isinstance(value, dict):
        value = value.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _time(value: Any) -> Optional[datetime.datetime]:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)


def attempts(events: Sequence[Event]) -> Dict[str, List[Attempt]]:
    """The attempts of each phase, in order; phases come in the order in which they were last begun."""
    found: Dict[str, List[Attempt]] = {}
    for event in events:
        phase, status = _text(event.get("phase")), _text(event.get("status"))
        if not phase or event.get("step") or status not in ("started", "passed", "failed", "skipped"):
            continue
        moment, text, run = _time(event.get("time")), _text(event.get("text")) or "", _text(event.get("run")) or ""
        tries = found.setdefault(phase, [])
        if status == "started":
            tries.append(Attempt("started", moment, None, text, run))
        elif tries and tries[-1].status == "started":
            tries[-1] = Attempt(status, tries[-1].started, moment, text, run)
        else:
            tries.append(Attempt(status, moment, moment, text, run))
        found[phase] = found.pop(phase)
    return found


def decisive(tries: Sequence[Attempt]) -> Attempt:
    """The attempt that counts: the last, or the one that passed before it where the last was skipped for that."""
    last = tries[-1]
    if last.status == "skipped":
        for earlier in reversed(tries[:-1]):
            if earlier.status == "skipped":
                continue
            if earlier.status == "passed" and earlier.run == last.run:
                return earlier
            break
    return last


def _seconds(attempt: Attempt) -> Optional[float]:
    if attempt.started is None or attempt.ended is None:
        return None
    return round(max(0.0, (attempt.ended - attempt.started).total_seconds()), 3)


def _phases(
    found: Mapping[str, Sequence[Attempt]], wanted: Sequence[str], plan: Mapping[str, Any], judge: Judgement
) -> List[Dict[str, Any]]:
    rows = []
    names = [name for name in wanted if name in found or name not in OPTIONAL]
    names += [name for name in found if name not in wanted]
    for name in names:
        planned = _number(plan.get(name))
        if planned is None:
            planned = PLANNED_S.get(name)
        if name not in found:
            judge.failures.append("phase {0} never ran".format(name))
            rows.append({"name": name, "status": "missing", "planned_s": planned, "actual_s": None})
            continue
        attempt = decisive(found[name])
        rows.append({"name": name, "status": attempt.status, "planned_s": planned, "actual_s": _seconds(attempt)})
        if name in wanted:
            _judge_phase(name, attempt, judge)
    return rows


def _judge_phase(name: str, attempt: Attempt, judge: Judgement) -> None:
    because = ": {0}".format(attempt.text) if attempt.text else ""
    if attempt.status == "failed":
        judge.failures.append("phase {0} failed{1}".format(name, because))
    elif attempt.status == "started":
        judge.failures.append("phase {0} began and never ended".format(name))
    elif attempt.status == "skipped" and name in CHECKING:
        judge.gaps.append("phase {0} was skipped and had not passed before{1}".format(name, because))
    elif attempt.status == "skipped" and name not in OPTIONAL:
        judge.failures.append("phase {0} was skipped and had not passed before{1}".format(name, because))


def _switchover(evidence: Evidence, name: str, judge: Judgement) -> Optional[Dict[str, Any]]:
    value = evidence.get(name)
    if not isinstance(value, dict):
        judge.failures.append("there is no evidence of a switchover ({0}.json)".format(name))
        return None
    deadline, pause = _number(value.get("deadline_s", value.get("deadline"))), _number(value.get("pause_ms"))
    outcome, because = _text(value.get("outcome")), _text(value.get("reason"))
    if outcome != "open":
        judge.failures.append(
            "the switchover ended as '{0}'{1}".format(outcome, ": {0}".format(because) if because else "")
        )
    elif pause is None:
        judge.gaps.append("the pause of the switchover was not measured")
    elif deadline is not None and pause > deadline * 1000:
        judge.failures.append("the pause of {0:.0f} ms is longer than the deadline of {1:g} s".format(pause, deadline))
    if outcome == "open" and not value.get("refused_write"):
        judge.failures.append("a write on the fenced side was not seen refused")
    if outcome == "open" and not value.get("position"):
        judge.gaps.append("the position of the switchover is not recorded")
    steps = [
        {"name": _text(step.get("name")) or "?", "ms": _number(step.get("ms"))}
        for step in _items(value.get("steps"), "steps")
    ]
    return {
        "deadline_s": deadline,
        "pause_ms": pause,
        "steps": steps,
        "position": _position(value.get("position")),
        "write_refused": bool(value.get("refused_write")),
        "ended_requests": _number(value.get("ended_requests")),
        "proven_keys": _number(value.get("proven_keys")),
        "predicted_s": _number(value.get("predicted_s")),
        "predicted_from": _text(value.get("predicted_from")),
        "widened": [
            {
                "column": _text(key.get("column")),
                **{name: _number(key.get(name)) for name in ("largest", "limit", "share")},
            }
            for key in _items(value.get("widened"), "widened")
        ],
    }


def _position(value: Any) -> Any:
    """Text, or one text per database; nothing deeper goes into a report."""
    if isinstance(value, dict):
        return {str(name): _text(position) for name, position in value.items()}
    return _text(value)


def _proof(value: Any, judge: Judgement) -> List[Dict[str, Any]]:
    rows = []
    for item in _items(value, "proof"):
        row = {key: item.get(key) for key in PROOF_KEYS}
        name = row["database"] = _text(row["database"]) or "?"
        row["engine"] = _text(row["engine"])
        row["tables"], row["rows"] = _number(row["tables"]), _number(row["rows"])
        row["equal"] = row["equal"] is True
        row["position"] = _position(row["position"])
        coverage = row["coverage"] = _number(row["coverage"])
        rows.append(row)
        if not row["equal"]:
            judge.failures.append("database {0}: the two sides are not proven equal".format(name))
        if not row["tables"]:
            judge.failures.append("database {0}: the proof covers no table".format(name))
        if coverage is None or coverage < 1:
            share = "an unknown share" if coverage is None else "{0:.1%}".format(coverage)
            judge.gaps.append("database {0}: the proof covers {1} of the rows, not all".format(name, share))
        if not row["position"]:
            judge.gaps.append("database {0}: the proof names no position".format(name))
    if not rows:
        judge.failures.append("there is no proof that both sides are equal (proof.json)")
    return rows


def _traffic(value: Any, judge: Judgement) -> Optional[Dict[str, Any]]:
    if value is None:
        return None
    given = _mapping(value)
    traffic: Dict[str, Any] = {key: _number(given.get(key)) for key in TRAFFIC_KEYS}
    parts = ("annex", "connections", "windows")
    traffic.update(_figures({key: item for key, item in given.items() if key not in parts}))
    for key in TRAFFIC_ZERO:
        _judge_zero("traffic", key, traffic[key], judge)
    if not traffic["requests"]:
        judge.gaps.append("traffic: no request was counted")
    sites = _mapping(given.get("sites"))
    annex = given.get("annex", sites.get("annex"))
    if isinstance(annex, dict):
        traffic["annex"] = _figures(annex)
        _judge_zero("the second site's traffic", "failed", traffic["annex"].get("failed"), judge)
    if isinstance(given.get("connections"), dict):
        traffic["connections"] = _figures(given["connections"])
    windows = _items(given.get("windows"), "windows")
    if windows:
        traffic["windows"] = [dict(_figures(window), name=_text(window.get("name"))) for window in windows]
    return traffic


def _figures(given: Mapping[str, Any]) -> Dict[str, Any]:
    """Only the figures, so that no text of a request can get into a report."""
    return {str(key): item for key, item in given.items() if _number(item) is not None}


def _judge_zero(what: str, key: str, count: Optional[float], judge: Judgement) -> None:
    if count is None:
        judge.gaps.append("{0}: {1} was not measured".format(what, key.replace("_", " ")))
    elif count > 0:
        judge.failures.append("{0}: {1:g} {2}".format(what, count, key.replace("_", " ")))


def _findings(value: Any, judge: Judgement) -> List[Dict[str, Any]]:
    rows = []
    for item in _items(value, "findings"):
        row: Dict[str, Any] = {key: _text(item.get(key)) for key in FINDING_KEYS}
        row["waived"] = item.get("waived") is True
        rows.append(row)
        if row["severity"] == "inhibitor" and not row["waived"]:
            judge.failures.append("inhibitor {0} stands: {1}".format(row["key"], row["title"]))
    return rows


def direction(events: Sequence[Event]) -> str:
    """Which way the last switchover of the journal went: 'back' where a rollback began after the last cutover."""
    order = [name for name in attempts(events) if name in ("cutover", "rollback")]
    return "back" if order and order[-1] == "rollback" else "forward"


def _span(events: Sequence[Event]) -> Tuple[Optional[str], Optional[str]]:
    times = [event["time"] for event in events if _time(event.get("time")) is not None]
    return (times[0], times[-1]) if times else (None, None)


def build_report(events: Sequence[Event], evidence: Evidence) -> Dict[str, Any]:
    """The report of a run by the contract of docs/report.schema.json.

    ``evidence`` holds what the run directory holds: site, plan, switchover, rollback, restart, proof, traffic,
    findings, and ``unreadable``, a mapping of names to the reason why that piece could not be read.
    """
    events = [event for event in events if isinstance(event, dict)]
    judge = Judgement()
    way = direction(events)
    wanted = FORWARD if way == "forward" else ("rollback",)
    started, finished = _span(events)
    for name, problem in sorted(_mapping(evidence.get("unreadable")).items()):
        judge.gaps.append("evidence {0} could not be read: {1}".format(name, problem))
    report: Dict[str, Any] = {
        "verdict": FAILED,
        "started": started,
        "finished": finished,
        "site": _text(evidence.get("site")),
        "phases": _phases(attempts(events), wanted, _mapping(evidence.get("plan")), judge),
        "switchover": _switchover(evidence, "switchover" if way == "forward" else "rollback", judge),
        "proof": _proof(evidence.get("proof"), judge),
        "traffic": _traffic(evidence.get("traffic"), judge),
        "findings": _findings(evidence.get("findings"), judge),
        "direction": way,
        "restart": None,
    }
    hold = _number(_mapping(evidence.get("restart")).get("hold_ms"))
    if hold is not None:
        report["restart"] = {"hold_ms": hold}
    report["verdict"] = judge.verdict
    report["reasons"] = judge.reasons
    return report
