"""A backup is there when it is complete, or not at all."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import backup_files
from ansible_collections.ocpizza.cutover.plugins.module_utils.backup_store import (
    Store,
    StoreError,
    check,
    read,
    stamp,
    when,
)

NAME = "20280229T030000Z"


def fill(store: Store, name: str, site: str = "pizza") -> None:
    folder = Path(store.begin(name))
    (folder / "part").write_bytes(b"row\n" * 100)
    part = {"kind": "database", "file": "part", "bytes": 400, "sha256": backup_files.digest(str(folder / "part"))}
    (folder / "manifest.json").write_text(json.dumps({"form": 1, "site": site, "parts": [part]}))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def test_a_name_tells_its_time() -> None:
    assert stamp(when(NAME)) == NAME


def test_what_is_not_finished_is_not_there_and_goes_with_the_next_run(store: Store) -> None:
    fill(store, NAME)
    assert store.all() == []
    with pytest.raises(StoreError, match="there is no complete backup"):
        store.choose("newest")
    with store.lock("run"):
        assert [name for name in os.listdir(store.directory) if name.startswith(".part")] == []


def test_what_is_finished_is_there(store: Store) -> None:
    fill(store, NAME)
    backup = store.finish(NAME)
    assert store.choose("newest") == store.choose(NAME) == backup
    assert backup.size == 400
    check(backup, "pizza", backup.manifest["parts"])
    store.prove(backup, {"rows": 100})
    assert store.choose(NAME).proof == {"rows": 100}
    store.prove(backup, None)
    assert store.choose(NAME).proof is None
    store.remove(NAME)
    assert store.all() == []


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: os.truncate(path / "part", 399), "has 399 bytes instead of 400"),
        (lambda path: (path / "part").write_bytes(b"raw\n" * 100), "is corrupt: its checksum is wrong"),
        (lambda path: os.unlink(path / "part"), "is missing"),
    ],
)
def test_a_spoilt_backup_is_refused(store: Store, spoil, says: str) -> None:  # type: ignore[no-untyped-def]
    fill(store, NAME)
    backup = store.finish(NAME)
    spoil(Path(backup.path))
    with pytest.raises(StoreError, match=says):
        check(backup, "pizza", backup.manifest["parts"])


def test_a_backup_of_another_site_is_refused(store: Store) -> None:
    fill(store, NAME, "kebab")
    backup = store.finish(NAME)
    with pytest.raises(StoreError, match="is a backup of the site 'kebab', not of 'pizza'"):
        check(backup, "pizza", [])


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        ("{}", "is not a backup of this program"),
        ("{", "is not a backup of this program"),
        ('{"form": 2}', "has form 2; this program knows 1"),
        ('{"form": 1, "site": "a", "parts": [{"file": "../x", "bytes": 1}]}', "is not a backup of this program"),
    ],
)
def test_a_foreign_folder_is_refused(tmp_path: Path, manifest: str, says: str) -> None:
    folder = tmp_path / NAME
    folder.mkdir()
    (folder / "manifest.json").write_text(manifest)
    with pytest.raises(StoreError, match=says):
        read(str(folder))
    assert Store(str(tmp_path)).all() == []


@pytest.mark.parametrize("name", [".part-" + NAME, "../etc", "x"])
def test_a_name_that_is_none_is_refused(store: Store, name: str) -> None:
    with pytest.raises(StoreError, match="is no name of a backup"):
        store.choose(name)


def _hold(directory: str, pipe) -> None:  # type: ignore[no-untyped-def]
    with Store(directory).lock("drill"):
        pipe.send("held")
        time.sleep(600)


def test_two_runs_at_once_are_refused_until_the_first_is_killed(store: Store) -> None:
    mine, theirs = multiprocessing.Pipe()
    other = multiprocessing.Process(target=_hold, args=(store.directory, theirs))
    other.start()
    try:
        assert mine.recv() == "held"
        with pytest.raises(StoreError, match=f"another run is at work: drill, process {other.pid}"), store.lock("run"):
            pass
    finally:
        assert other.pid
        os.kill(other.pid, signal.SIGKILL)
        other.join()
    with store.lock("run"):
        pass


def test_status_keeps_the_last_of_each_verb(store: Store) -> None:
    store.report("run", {"verdict": "PASSED"})
    store.report("drill", {"verdict": "FAILED"})
    status = json.loads(Path(store.path("status.json")).read_text())
    assert status == {
        "run": {"verdict": "PASSED"},
        "drill": {"verdict": "FAILED"},
        "backups": {"count": 0, "bytes": 0, "newest": None, "newest_proven": None},
    }
