"""The journal: order, torn lines, several writers, where the site lives."""

import json
import multiprocessing
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import journal


def passed(phase: str, step: str = "") -> dict[str, Any]:
    return {"phase": phase, "status": "passed", "step": step}


def test_events_are_numbered_and_belong_to_one_run(tmp_path: Path) -> None:
    path = str(tmp_path / "made" / "journal.jsonl")
    first = journal.append(path, "check", "started")
    second = journal.append(path, "check", "progress", "rows", "count", "old", 3, 7)
    assert journal.read_events(path) == [first, second]
    assert (first["seq"], second["seq"], second["run"]) == (1, 2, first["run"])
    assert second | {"run": "", "time": ""} == {
        "schema": 1,
        "run": "",
        "seq": 2,
        "time": "",
        "phase": "check",
        "step": "count",
        "host": "old",
        "status": "progress",
        "done": 3,
        "total": 7,
        "text": "rows",
    }


def test_the_time_is_utc_with_milliseconds_or_as_given(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.jsonl")
    now = journal.append(path, "check", "started")["time"]
    assert datetime.fromisoformat(now).utcoffset().total_seconds() == 0  # type: ignore[union-attr]
    assert len(now) == len("2026-01-01T00:00:00.000+00:00")
    given_time = "2026-05-01T10:00:00.000+00:00"
    assert journal.append(path, "check", "passed", time=given_time)["time"] == given_time


def test_no_journal_has_no_events(tmp_path: Path) -> None:
    assert journal.read_events(str(tmp_path / "none")) == []


@pytest.mark.parametrize(
    ("phase", "status", "text"),
    [
        ("check", "done", "status 'done' is none of started, progress, passed, failed, skipped"),
        ("dance", "passed", "phase 'dance' is none of discover, check, announce"),
    ],
)
def test_unknown_words_are_refused_before_anything_is_written(
    tmp_path: Path, phase: str, status: str, text: str
) -> None:
    path = tmp_path / "journal.jsonl"
    with pytest.raises(ValueError, match=text):
        journal.append(str(path), phase, status)
    assert not path.exists()


@pytest.mark.parametrize("torn", [b'{"status": "pas', b'{"status": "passed", "text": "caf\xc3'])
def test_a_torn_last_line_is_passed_over_and_ended(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    first = journal.append(str(path), "check", "started")
    with open(path, "ab") as stream:
        stream.write(torn)
    assert journal.read_events(str(path)) == [first]
    second = journal.append(str(path), "check", "passed")
    assert second["seq"] == 2
    assert journal.read_events(str(path)) == [first, second]


@pytest.mark.parametrize("line", ["[]", "null", "7", "words", '{"status": "waved through"}', '{"status": ["passed"]}'])
def test_foreign_lines_are_passed_over(line: str) -> None:
    assert journal.parse(line + '\n{"status": "passed"}\n') == [{"status": "passed"}]


def test_an_event_without_run_and_number_does_not_stop_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    first = journal.append(str(path), "check", "started")
    with open(path, "a", encoding="utf-8") as stream:
        stream.write('{"status": "passed", "phase": "check"}\n')
    second = journal.append(str(path), "check", "passed")
    assert (second["seq"], second["run"]) == (2, first["run"])


@given(texts=st.lists(st.text(), max_size=4), cut=st.integers(0, 40))
def test_whatever_is_written_is_read_again(texts: list[str], cut: int) -> None:
    lines = [json.dumps({"status": "progress", "text": text}, ensure_ascii=False) for text in texts]
    torn = '{"status": "progress", "text": "cut off somewhere"}'[:cut]
    assert [event["text"] for event in journal.parse("\n".join([*lines, torn]))] == texts


@given(st.text())
def test_parse_never_fails(text: str) -> None:
    assert isinstance(journal.parse(text), list)


@pytest.mark.parametrize("text", ["line\u2028separator", "next\x85line", "two\nlines\r\n", "lone \udc80 surrogate"])
def test_any_text_survives(tmp_path: Path, text: str) -> None:
    path = str(tmp_path / "journal.jsonl")
    journal.append(path, "check", "progress", text)
    journal.append(path, "check", "passed")
    assert [(event["seq"], event["text"]) for event in journal.read_events(path)] == [(1, text), (2, "")]


def write_many(path: str, count: int) -> None:
    for _turn in range(count):
        journal.append(path, "check", "progress", host=str(os.getpid()))


def test_two_processes_leave_no_gap_and_no_double(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.jsonl")
    writers = [multiprocessing.get_context("fork").Process(target=write_many, args=(path, 20)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(10)
    events = journal.read_events(path)
    assert [event["seq"] for event in events] == list(range(1, 41))
    assert len({event["run"] for event in events}) == 1
    assert len({event["host"] for event in events}) == 2


def test_the_last_event_without_a_step_decides_about_a_phase() -> None:
    events = [
        {"phase": "check", "status": "started"},
        {"phase": "check", "status": "failed", "step": "disk"},
        {"phase": "backup", "status": "skipped"},
    ]
    assert journal.phase_status(events, "check") == "started"
    assert journal.phase_status(events, "backup") == "skipped"
    assert journal.phase_status(events, "cutover") == ""


def test_the_side_follows_cutover_and_rollback() -> None:
    assert journal.side([]) == "source"
    assert journal.side([passed("cutover", "release")]) == "source"
    assert journal.side([{"phase": "cutover", "status": "failed"}]) == "source"
    assert journal.side([passed("cutover")]) == "target"
    assert journal.side([passed("cutover"), {"phase": "rollback", "status": "failed"}]) == "target"
    assert journal.side([passed("cutover"), passed("rollback")]) == "source"
    assert journal.side([passed("cutover"), passed("rollback"), passed("cutover")]) == "target"
