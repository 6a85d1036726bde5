"""Reading evidence and writing the report on the controller."""

import json
import stat
from pathlib import Path

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import run_dir


def test_an_empty_directory_gives_a_failed_report(tmp_path: Path) -> None:
    report = run_dir.make_report(str(tmp_path))
    assert report["verdict"] == "FAILED"
    assert report["site"] == tmp_path.name
    assert "phase discover never ran" in report["reasons"]


def test_unreadable_evidence_is_named(tmp_path: Path) -> None:
    (tmp_path / "traffic.json").write_text('{"requests": ')
    reasons = run_dir.make_report(str(tmp_path))["reasons"]
    assert any(reason.startswith("evidence traffic could not be read: ") for reason in reasons)


def test_a_list_is_evidence_too(tmp_path: Path) -> None:
    (tmp_path / "findings.json").write_text(json.dumps([{"key": "k", "severity": "inhibitor", "title": "t"}]))
    assert "inhibitor k stands: t" in run_dir.make_report(str(tmp_path))["reasons"]


def test_the_site_is_remembered(tmp_path: Path) -> None:
    run_dir.write_report(str(tmp_path), run_dir.make_report(str(tmp_path), "ocpizza"))
    assert run_dir.make_report(str(tmp_path))["site"] == "ocpizza"


def test_written_whole_for_all_to_read_and_only_once(tmp_path: Path) -> None:
    report = run_dir.make_report(str(tmp_path), "ocpizza")
    assert run_dir.write_report(str(tmp_path), report) is True
    path = tmp_path / "report.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert json.loads(path.read_text()) == report
    assert run_dir.write_report(str(tmp_path), report) is False
    assert [item.name for item in tmp_path.iterdir()] == ["report.json"]


def test_a_failed_write_leaves_the_old_report_and_nothing_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir.write_report(str(tmp_path), {"site": "old"})

    def full(*_names: str) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(run_dir.os, "rename", full)
    with pytest.raises(OSError, match="No space left"):
        run_dir.write_report(str(tmp_path), {"site": "new"})
    assert [item.name for item in tmp_path.iterdir()] == ["report.json"]
    assert json.loads((tmp_path / "report.json").read_text()) == {"site": "old"}
