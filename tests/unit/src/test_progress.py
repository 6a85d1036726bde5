"""The journal as the wrapper follows it."""

import json
from pathlib import Path
from typing import Any

from cutover.progress import Progress, Tail, now


def event(status: str, **more: Any) -> dict[str, Any]:
    return {"phase": "prepare", "status": status, "step": "", "text": "", "done": None, "total": None} | more


def test_only_new_and_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(json.dumps(event("started")) + "\n")
    tail = Tail(path)
    assert tail.poll() == []
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(event("passed", text="für")) + '\n{"phase": "ver')
        stream.flush()
        assert [item["text"] for item in tail.poll()] == ["für"]
        assert tail.poll() == []
        stream.write('ify", "status": "started"}\nnoise\n')
    assert tail.poll() == [{"phase": "verify", "status": "started"}]


def test_a_journal_that_comes_later(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "journal.jsonl")
    assert tail.poll() == []
    (tmp_path / "journal.jsonl").write_text(json.dumps(event("started")) + "\n")
    assert len(tail.poll()) == 1


def test_a_phase_from_start_to_end() -> None:
    progress = Progress(["discover", "prepare"])
    assert [phase.status for phase in progress.phases.values()] == ["pending", "pending"]
    progress.add(event("started", time="2026-11-22T20:00:00+00:00"))
    phase = progress.add(event("progress", step="application", text="files", done=3, total=10))
    assert phase is not None
    assert progress.current is phase
    assert phase.detail == "application: files 3/10"
    progress.add(event("passed", time="2026-11-22T20:00:12.500+00:00"))
    assert (phase.status, phase.seconds(now())) == ("passed", 12.5)
    assert progress.current is None


def test_steps_do_not_end_a_phase() -> None:
    progress = Progress()
    progress.add(event("started"))
    progress.add(event("failed", step="canary"))
    assert progress.phases["prepare"].status == "started"


def test_only_a_switchover_makes_a_migration() -> None:
    progress = Progress()
    progress.add(event("passed"))
    assert progress.moved is False
    progress.add(event("started", phase="cutover", step="gate"))
    assert progress.moved is False
    progress.add(event("started", phase="cutover"))
    assert progress.moved is True


def test_what_it_does_not_know_it_passes_over() -> None:
    progress = Progress()
    assert progress.add({"status": "started"}) is None
    phase = progress.add(event("started", phase="else", time=7, done="x", text="a\x1b[2Jb", more={}))
    assert phase is not None
    assert (phase.text, phase.done) == ("a[2Jb", None)
