"""The verdict: what passes, and each thing that must not."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import journal
from ansible_collections.ocpizza.cutover.plugins.module_utils.report import build_report

SCHEMA = json.loads((Path(__file__).parents[4] / "docs" / "report.schema.json").read_text())
FORWARD = ["discover", "check", "announce", "backup", "prepare", "replicate", "verify", "cutover"]


def event(phase: str, status: str, second: int, **more: Any) -> dict[str, Any]:
    time = f"2026-11-22T20:{second // 60:02}:{second % 60:02}.000+00:00"
    return {"schema": 1, "run": "a1", "phase": phase, "step": "", "status": status, "time": time, "text": ""} | more


def run_of(*phases: str) -> list[dict[str, Any]]:
    return [
        event(phase, status, 10 * place + (0 if status == "started" else 5))
        for place, phase in enumerate(phases)
        for status in ("started", "passed")
    ]


GOOD: dict[str, Any] = {
    "site": "ocpizza",
    "switchover": {
        "deadline": 5,
        "outcome": "open",
        "refused_write": "(1290, 'read only')",
        "pause_ms": 147.5,
        "steps": [{"name": "hold", "ms": 3}, {"name": "drain", "ms": 40}],
        "position": "0-1-4711",
    },
    "proof": [
        {
            "database": "ocpizza",
            "engine": "mariadb",
            "tables": 20,
            "rows": 31000,
            "equal": True,
            "position": "0-1-4711",
            "coverage": 1.0,
        }
    ],
    "traffic": {
        "requests": 9000,
        "failed": 0,
        "acknowledged_writes": 2700,
        "lost_writes": 0,
        "duplicated_writes": 0,
        "baseline_p50_ms": 8,
        "baseline_p99_ms": 40,
        "longest_ms": 180,
        "annex": {"requests": 500, "failed": 0},
    },
    "findings": [
        {"key": "disk.small", "severity": "warning", "title": "t", "remedy": "r", "waived": False},
        {"key": "cron", "severity": "inhibitor", "title": "t", "remedy": "r", "waived": True},
    ],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    evidence = copy.deepcopy(GOOD)
    *parents, last = path.split(".")
    place: Any = evidence
    for name in parents:
        place = place[int(name) if name.isdigit() else name]
    if value is None:
        place.pop(last)
    else:
        place[last] = value
    return evidence


def valid(report: dict[str, Any]) -> dict[str, Any]:
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    return report


def test_a_whole_migration_passes() -> None:
    report = valid(build_report(run_of(*FORWARD), GOOD))
    assert report["verdict"] == "PASSED"
    assert report["reasons"] == []
    assert [phase["name"] for phase in report["phases"]] == FORWARD
    assert report["phases"][0] == {"name": "discover", "status": "passed", "planned_s": 20.0, "actual_s": 5.0}
    assert report["started"] == "2026-11-22T20:00:00.000+00:00"
    assert report["traffic"]["annex"] == {"requests": 500, "failed": 0}


def test_a_prediction_is_in_it() -> None:
    evidence = copy.deepcopy(GOOD)
    evidence["switchover"].update(predicted_s=2.5, predicted_from="5 rows copied in 2 s")
    report = valid(build_report(run_of(*FORWARD), evidence))
    assert report["switchover"]["predicted_s"] == 2.5
    assert report["switchover"]["predicted_from"] == "5 rows copied in 2 s"


def test_no_traffic_is_no_gap() -> None:
    assert build_report(run_of(*FORWARD), changed("traffic", None))["verdict"] == "PASSED"


def test_announce_may_be_left_out() -> None:
    report = build_report(run_of(*[name for name in FORWARD if name != "announce"]), GOOD)
    assert report["verdict"] == "PASSED"


@pytest.mark.parametrize(
    ("path", "value", "verdict", "reason"),
    [
        ("switchover", None, "FAILED", "there is no evidence of a switchover (switchover.json)"),
        ("switchover.pause_ms", None, "PARTIAL", "the pause of the switchover was not measured"),
        ("switchover.pause_ms", True, "PARTIAL", "the pause of the switchover was not measured"),
        ("switchover.pause_ms", 5600, "FAILED", "the pause of 5600 ms is longer than the deadline of 5 s"),
        ("switchover.outcome", "aborted", "FAILED", "the switchover ended as 'aborted'"),
        ("switchover.outcome", None, "FAILED", "the switchover ended as 'None'"),
        ("switchover.refused_write", "", "FAILED", "a write on the fenced side was not seen refused"),
        ("switchover.position", None, "PARTIAL", "the position of the switchover is not recorded"),
        ("proof", None, "FAILED", "there is no proof that both sides are equal (proof.json)"),
        ("proof.0.equal", False, "FAILED", "database ocpizza: the two sides are not proven equal"),
        ("proof.0.equal", None, "FAILED", "database ocpizza: the two sides are not proven equal"),
        ("proof.0.equal", "yes", "FAILED", "database ocpizza: the two sides are not proven equal"),
        ("proof.0.tables", 0, "FAILED", "database ocpizza: the proof covers no table"),
        ("proof.0.coverage", 0.5, "PARTIAL", "database ocpizza: the proof covers 50.0% of the rows, not all"),
        (
            "proof.0.coverage",
            None,
            "PARTIAL",
            "database ocpizza: the proof covers an unknown share of the rows, not all",
        ),
        ("proof.0.position", None, "PARTIAL", "database ocpizza: the proof names no position"),
        ("traffic.failed", 3, "FAILED", "traffic: 3 failed"),
        ("traffic.lost_writes", 1, "FAILED", "traffic: 1 lost writes"),
        ("traffic.duplicated_writes", None, "PARTIAL", "traffic: duplicated writes was not measured"),
        ("traffic.requests", 0, "PARTIAL", "traffic: no request was counted"),
        ("traffic.annex.failed", 2, "FAILED", "the second site's traffic: 2 failed"),
        ("findings.1.waived", False, "FAILED", "inhibitor cron stands: t"),
        ("unreadable", {"traffic": "no"}, "PARTIAL", "evidence traffic could not be read: no"),
    ],
)
def test_what_speaks_against_it(path: str, value: Any, verdict: str, reason: str) -> None:
    report = valid(build_report(run_of(*FORWARD), changed(path, value)))
    assert (report["verdict"], report["reasons"]) == (verdict, [reason])


def test_an_abort_says_why_and_only_that() -> None:
    evidence = {**GOOD, "switchover": {"outcome": "aborted", "reason": "the target lags", "by": "watchdog"}}
    report = build_report(run_of(*FORWARD), evidence)
    assert report["reasons"] == ["the switchover ended as 'aborted': the target lags"]


def test_failures_come_before_gaps() -> None:
    evidence = changed("traffic.failed", 1)
    del evidence["switchover"]["pause_ms"]
    report = build_report(run_of(*FORWARD), evidence)
    assert report["reasons"] == ["traffic: 1 failed", "the pause of the switchover was not measured"]


@pytest.mark.parametrize("phase", [name for name in FORWARD if name != "announce"])
def test_a_phase_that_never_ran_fails(phase: str) -> None:
    report = valid(build_report(run_of(*[name for name in FORWARD if name != phase]), GOOD))
    assert (report["verdict"], report["reasons"]) == ("FAILED", [f"phase {phase} never ran"])


@pytest.mark.parametrize(
    ("phase", "verdict"), [("verify", "PARTIAL"), ("backup", "PARTIAL"), ("prepare", "FAILED"), ("announce", "PASSED")]
)
def test_a_skip_is_not_a_pass(phase: str, verdict: str) -> None:
    events = run_of(*[name for name in FORWARD if name != phase])
    events.insert(4, event(phase, "skipped", 20, text="not asked for"))
    assert build_report(events, GOOD)["verdict"] == verdict


def test_the_last_attempt_of_a_phase_counts() -> None:
    events = run_of(*FORWARD)
    again = [event("verify", "started", 200), event("verify", "failed", 203, text="rows differ")]
    report = build_report(events + again, GOOD)
    assert report["reasons"] == ["phase verify failed: rows differ"]
    healed = [event("verify", "started", 300), event("verify", "passed", 307)]
    report = build_report(events + again + healed, GOOD)
    assert report["verdict"] == "PASSED"
    assert next(row for row in report["phases"] if row["name"] == "verify")["actual_s"] == 7.0


def test_an_interrupted_phase_fails() -> None:
    events = [*run_of(*FORWARD), event("cutover", "started", 200)]
    assert build_report(events, GOOD)["reasons"] == ["phase cutover began and never ended"]


def test_skipped_because_it_had_passed_is_passed() -> None:
    events = run_of(*FORWARD) + [event(phase, "skipped", 200, text="passed before") for phase in FORWARD]
    report = build_report(events, GOOD)
    assert report["verdict"] == "PASSED"
    assert {row["status"] for row in report["phases"]} == {"passed"}
    assert report["phases"][0]["actual_s"] == 5.0


@pytest.mark.parametrize(
    "earlier",
    [
        [event("prepare", "passed", 1, run="other")],
        [event("prepare", "passed", 1), event("prepare", "failed", 2)],
    ],
    ids=["of another run", "failed since"],
)
def test_skipped_after_anything_else_is_no_pass(earlier: list[dict[str, Any]]) -> None:
    events = earlier + run_of(*[name for name in FORWARD if name != "prepare"])
    assert build_report([*events, event("prepare", "skipped", 300)], GOOD)["verdict"] == "FAILED"


def test_failing_steps_do_not_fail_a_phase_that_passed() -> None:
    events = run_of(*FORWARD)
    events.insert(3, event("check", "failed", 12, step="disk"))
    assert build_report(events, GOOD)["verdict"] == "PASSED"


def test_a_rollback_is_judged_by_itself() -> None:
    events = [*run_of(*FORWARD), event("rollback", "started", 200), event("rollback", "passed", 204)]
    evidence = {**GOOD, "rollback": {**GOOD["switchover"], "pause_ms": 99}}
    report = valid(build_report(events, evidence))
    assert (report["verdict"], report["direction"], report["switchover"]["pause_ms"]) == ("PASSED", "back", 99)
    assert build_report(events, GOOD)["reasons"] == ["there is no evidence of a switchover (rollback.json)"]
    report = build_report([*events[:-1], event("rollback", "failed", 204, text="lag")], evidence)
    assert report["reasons"] == ["phase rollback failed: lag"]


def test_a_new_cutover_after_a_rollback_goes_forward() -> None:
    events = [*run_of(*FORWARD, "rollback"), event("cutover", "started", 200), event("cutover", "passed", 210)]
    assert build_report(events, GOOD)["direction"] == "forward"


def test_plan_and_restart_come_from_the_evidence() -> None:
    evidence = {**GOOD, "plan": {"verify": 77, "check": "soon"}, "restart": {"hold_ms": 810, "secret": "x"}}
    report = valid(build_report(run_of(*FORWARD), evidence))
    planned = {row["name"]: row["planned_s"] for row in report["phases"]}
    assert (planned["verify"], planned["check"]) == (77, 20.0)
    assert report["restart"] == {"hold_ms": 810}


def test_the_traffic_of_the_lab_is_understood() -> None:
    traffic = {name: figure for name, figure in GOOD["traffic"].items() if name != "annex"}
    traffic |= {
        "sites": {"annex": {"requests": 9, "failed": 1, "failures": {"timeout": 1}}},
        "connections": {"opened": 12, "idle_closed": 0},
        "windows": [{"name": "switchover", "requests": 800, "longest_ms": 160, "slowest": "/orders/secret-key"}],
    }
    report = valid(build_report(run_of(*FORWARD), {**GOOD, "traffic": traffic}))
    assert report["reasons"] == ["the second site's traffic: 1 failed"]
    assert report["traffic"]["annex"] == {"requests": 9, "failed": 1}
    assert report["traffic"]["windows"] == [{"name": "switchover", "requests": 800, "longest_ms": 160}]


def test_evidence_may_hold_its_list_under_its_name() -> None:
    evidence = {**GOOD, "proof": {"proof": GOOD["proof"]}, "findings": {"findings": GOOD["findings"]}}
    assert build_report(run_of(*FORWARD), evidence) == build_report(run_of(*FORWARD), GOOD)


def test_nothing_unknown_gets_into_the_report() -> None:
    evidence = copy.deepcopy(GOOD)
    for place in (evidence["switchover"], evidence["proof"][0], evidence["traffic"], evidence["findings"][0]):
        place["password"] = "hunter2"
    assert "hunter2" not in json.dumps(build_report(run_of(*FORWARD), evidence))


def test_a_torn_last_line_is_passed_over() -> None:
    text = "\n".join(json.dumps(item) for item in run_of(*FORWARD)) + '\n{"schema": 1, "pha'
    assert build_report(journal.parse(text), GOOD)["verdict"] == "PASSED"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
some_events = st.lists(
    st.builds(
        lambda known, extra: {**extra, **known},
        st.fixed_dictionaries(
            {},
            optional={
                "phase": st.sampled_from([*FORWARD, "rollback"]) | anything,
                "status": st.sampled_from(journal.STATUSES) | anything,
                "step": st.just("") | anything,
                "time": st.datetimes().map(lambda moment: moment.isoformat()) | anything,
                "run": st.just("a1") | anything,
            },
        ),
        st.dictionaries(st.text(max_size=4), anything, max_size=2),
    ),
    max_size=12,
)
some_evidence = st.fixed_dictionaries(
    {}, optional={name: st.just(value) | anything for name, value in GOOD.items()}
) | st.fixed_dictionaries({}, optional=dict.fromkeys([*GOOD, "plan", "restart", "unreadable"], anything))


@given(some_events, some_evidence)
def test_whatever_comes_in_a_valid_report_comes_out(events: list[dict[str, Any]], evidence: dict[str, Any]) -> None:
    report = valid(build_report(events, evidence))
    json.dumps(report, allow_nan=False)
    assert (report["verdict"] == "PASSED") == (not report["reasons"])


@given(some_events)
def test_noise_never_turns_nothing_into_a_pass(events: list[dict[str, Any]]) -> None:
    unrelated = [item for item in events if item.get("phase") != "verify"]
    assert build_report(unrelated, GOOD)["verdict"] != "PASSED" or build_report(unrelated, GOOD)["direction"] == "back"


@given(st.dictionaries(st.text(min_size=8, max_size=9), anything, max_size=3))
def test_unknown_fields_of_events_change_nothing(extra: dict[str, Any]) -> None:
    events = run_of(*FORWARD)
    assert build_report([{**extra, **item} for item in events], GOOD) == build_report(events, GOOD)
