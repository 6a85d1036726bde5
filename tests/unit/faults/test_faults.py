"""The faults' table, what is judged of one, and the draw; the faults themselves need a lab."""

import itertools
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.faults import __main__ as runner
from tests.faults import judge, table
from tests.faults.engine import keys_from
from tests.faults.judge import Seen, State
from tests.lab.docker import LabError
from tests.lab.hosts import Lab

BEFORE = State("source", False, (), False, True)
DONE = State("target", True, (), True, False)
FAULT = table.chosen(["process-fence"])[0]


def seen(**more: Any) -> Seen:
    good = {"outcome": "as before", "longest_hold_s": 1.5, "requests": 500}
    return Seen(**{**good, "failed": 0, "lost": 0, "duplicated": 0, "split": 0, **more})


def test_the_table_is_whole() -> None:
    every = table.faults()
    assert len(every) >= 30
    assert len({fault.key for fault in every}) == len(every)
    assert {fault.expected for fault in every} <= {table.DONE, table.AS_BEFORE, table.EITHER}
    for fault in every:
        assert fault.strike, fault.key
        # Only what strikes before the command needs no sign.
        assert bool(fault.moment.sign) == (fault.moment is not table.BEFORE), fault.key


@pytest.mark.parametrize("fault", table.faults(), ids=lambda fault: fault.key)
def test_every_command_is_one_that_a_shell_reads(fault: table.Fault) -> None:
    commands = [act.do for act in (*fault.strike, *fault.heal) if act.on not in {"controller", "power"}]
    for command in filter(None, [*commands, fault.moment.stretch]):
        assert subprocess.run(["sh", "-n", "-c", command], check=False).returncode == 0, command


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        (BEFORE, "as before"),
        (DONE, "done"),
        (replace(BEFORE, flags=("hold",)), "neither"),
        (replace(DONE, flags=("near",)), "neither"),
        (replace(DONE, moved=False), "neither"),
        (replace(BEFORE, source_closed=True), "neither"),
        (replace(BEFORE, target_closed=False), "neither"),
        (replace(DONE, source_closed=False), "neither"),
        (replace(DONE, target_closed=None), "neither"),
        (replace(BEFORE, flags=None), "neither"),
    ],
)
def test_only_a_whole_state_counts(state: State, outcome: str) -> None:
    assert state.outcome().partition(":")[0] == outcome


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (seen(), None),
        (seen(outcome="done"), "done where as before was to come"),
        (seen(lost=1), "lost writes: 1"),
        (seen(lost=None), "lost writes: unknown"),
        (seen(duplicated=2), "duplicated writes: 2"),
        (seen(split=3), "split writes: 3"),
        (seen(requests=0), "no request was counted"),
        (seen(failed=2, failures={"ocpizza http-500": 2}), "failed requests: {'ocpizza http-500': 2}"),
        (seen(failed=None), "failed requests: unknown"),
        (seen(longest_hold_s=6.01), "held for 6.01 s with a deadline of 5.0 s"),
        (seen(longest_hold_s=None), "held for None s with a deadline of 5.0 s"),
        (seen(again=2), "the same command did not go on"),
        (seen(back=2), "the site did not go back"),
        (seen(trouble="the striker was lost"), "the striker was lost"),
    ],
)
def test_a_fault_passes_with_nothing_amiss(found: Seen, problem: str | None) -> None:
    assert judge.problems(FAULT, found, 5.0) == ([problem] if problem else [])
    assert judge.row(FAULT, found, 5.0)["verdict"] == ("FAILED" if problem else "PASSED")


def test_failed_requests_are_excused_only_where_the_table_says_so() -> None:
    assert judge.problems(replace(FAULT, excused=table.OWN_MACHINE), seen(failed=9), 5.0) == []
    assert judge.problems(replace(FAULT, excused=table.OWN_MACHINE), seen(lost=9), 5.0)


def test_either_outcome_is_one_of_two() -> None:
    either = replace(FAULT, expected=table.EITHER)
    assert judge.problems(either, seen(), 5.0) == judge.problems(either, seen(outcome="done"), 5.0) == []
    assert judge.problems(either, seen(outcome="neither: side source"), 5.0)


def test_a_report_passes_when_all_that_was_wanted_passed() -> None:
    good, bad = judge.row(FAULT, seen(), 5.0), judge.row(FAULT, seen(lost=1), 5.0)
    verdicts = [judge.report(rows, wanted)["verdict"] for rows, wanted in (([good], 1), ([good], 2), ([good, bad], 2))]
    assert verdicts == ["PASSED", "FAILED", "FAILED"]
    assert judge.report([], 0)["verdict"] == "FAILED"


def test_the_page_says_what_failed_and_what_nobody_knows() -> None:
    rows = [
        judge.row(FAULT, seen(), 5.0),
        judge.row(FAULT, seen(lost=None, longest_hold_s=None), 5.0),
        judge.row(replace(FAULT, excused=table.OWN_WEB), seen(failed=7), 5.0),
    ]
    lines = judge.table(rows).splitlines()[2:]
    start = "| the switchover's process is killed (`process-fence`) | fence | as before"
    assert lines[0] == start + " | 0 | 0 | 0 | 0 | 1500 ms |"
    assert lines[1].startswith(start + " – **FAILED**: lost writes: unknown; held for None s")
    assert lines[1].endswith(" | 0 | ? | 0 | 0 | ? |")
    assert "| 7 (the web server itself was broken) |" in lines[2]


def test_the_page_names_what_was_not_run() -> None:
    assert judge.missing([{"fault": "a"}], ["a", "b", "c"]) == "\nNot run yet: `b`, `c`.\n"
    assert judge.missing([{"fault": "a"}], ["a"]) == ""


def test_a_later_result_replaces_an_earlier_one_in_the_tables_order() -> None:
    old = [{"fault": "b", "n": 1}, {"fault": "gone", "n": 1}]
    assert judge.merged(old, [{"fault": "a", "n": 2}, {"fault": "b", "n": 2}], ["a", "b", "c"]) == [
        {"fault": "a", "n": 2},
        {"fault": "b", "n": 2},
    ]


def test_each_lab_has_its_results() -> None:
    usual, other = {"fault": "a", "n": 1}, {"fault": "a", "on": "nginx", "n": 2}
    assert judge.merged([other], [usual], ["a", "b"]) == [usual, other]
    assert judge.missing([other], ["a"]) == "\nNot run yet: `a`.\n"
    row = {**judge.row(FAULT, seen(), 5.0), "on": "postgresql, nginx"}
    assert "(`process-fence` on postgresql, nginx)" in judge.table([row])


@pytest.mark.parametrize(
    ("lines", "longest"),
    [
        ([], 0.0),
        ([[True, 10.0], [False, 10.4], [True, 20.0], [False, 20.2]], 0.4),
        # One that never ended, or whose recorder was lost, lasts until it was looked.
        ([[True, 10.0], [False, 10.4], [True, 20.0]], 5.0),
    ],
)
def test_the_longest_hold_is_counted(lines: list[list[object]], longest: float) -> None:
    assert judge.holds(map(json.dumps, lines), 25.0) == longest


def test_the_same_seed_draws_the_same() -> None:
    drawn = [list(itertools.islice(table.walk(seed), 60)) for seed in (7, 7, 8)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert {fault.moment.step.partition(" +")[0] for fault in drawn[0]} > {"hold", "before"}


def test_faults_are_chosen_by_their_keys() -> None:
    keys = keys_from("process-open, watchdog-hold")
    assert [fault.key for fault in table.chosen(keys)] == ["process-open", "watchdog-hold"]
    assert table.chosen([]) == table.faults()
    with pytest.raises(ValueError, match=r"^no fault 'proces-open' with mariadb and apache; there are controller-gate"):
        table.chosen(["proces-open"])


def test_a_lab_has_no_fault_of_what_it_has_not() -> None:
    elsewhere = table.chosen([], ["postgresql"], "nginx")
    keys = {fault.key for fault in elsewhere}
    assert keys >= {"process-hold", "both-keep-alive-off", "state-disk-full"}
    commands = [act.do for fault in elsewhere for act in (*fault.ready, *fault.strike, *fault.heal)]
    stretches = [fault.moment.stretch for fault in elsewhere]
    assert not [command for command in commands + stretches if "mariadb" in command or "apache" in command]
    with pytest.raises(ValueError, match="no fault 'process-open' with postgresql and nginx"):
        table.chosen(["process-open"], ["postgresql"], "nginx")
    assert {fault.key for fault in itertools.islice(table.walk(7, ["postgresql"], "nginx"), 60)} <= keys


def test_the_page_shows_the_results_that_are_kept() -> None:
    docs = Path(__file__).parents[3] / "docs"
    rows = json.loads((docs / "faults.json").read_text(encoding="utf-8"))
    shown = (docs / "faults.md").read_text(encoding="utf-8").partition("<!-- faults -->\n")[2].partition("<!-- /")[0]
    assert shown == judge.page(rows, table.faults())


def test_labs_that_share_the_faults_take_each_once() -> None:
    faults = table.faults()
    shared = runner.Shared(faults)
    with ThreadPoolExecutor(4) as pool:
        taken = [fault for found in pool.map(lambda _lab: list(shared), range(4)) for fault in found]
    assert sorted(fault.key for fault in taken) == sorted(fault.key for fault in faults)


def test_nobody_begins_another_where_one_lab_has_failed() -> None:
    shared = runner.Shared(table.faults())
    next(shared)
    shared.close()
    assert list(shared) == []


def test_every_lab_has_its_name_and_its_ports() -> None:
    first = Lab("lab", 22000)
    assert [(lab.name, lab.port) for lab in runner.labs(first, "3")] == [
        ("lab", 22000),
        ("lab-2", 22100),
        ("lab-3", 22200),
    ]
    assert runner.labs(first, "") == [first]
    with pytest.raises(LabError, match="JOBS=many: give 1 to 4"):
        runner.labs(first, "many")
