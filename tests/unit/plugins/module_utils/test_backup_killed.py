"""A backup that is killed at any moment: at each line of what makes, finishes, copies back and removes one."""

import contextlib
import json
import multiprocessing
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any, Callable

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import backup_site, backup_store

FORK = multiprocessing.get_context("fork")
OURS = ("backup_site.py", "backup_store.py", "backup_pipes.py", "shutil.py")
FIRST, SECOND = "20280228T030000Z", "20280229T030000Z"
# One line in so many of a long verb; KILL_EVERY=1 is each of them.
STEP = int(os.environ.get("KILL_EVERY", "5"))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> backup_site.Site:
    """Files alone, packed by programs that every machine has."""
    store, media = tmp_path / "store", tmp_path / "media"
    store.mkdir()
    media.mkdir()
    (media / "pizza.jpg").write_bytes(os.urandom(200_000))
    monkeypatch.setattr(backup_site.Site, "seal", lambda _self: [["cat"], ["cat"]])
    files = {"media": [str(media)], "configuration": [str(tmp_path / "media")]}
    words: dict[str, Any] = {"ports": {}, "sockets": {}, "files": files, "recipients": ["age1x"], "keep": [7, 3, 12]}
    words["share"] = 100
    return backup_site.Site(
        site="pizza", directory=str(store), engines={}, identity=None, elsewhere=[], rclone_config=None, **words
    )


def make(site: backup_site.Site, name: str) -> None:
    store = backup_store.Store(site.directory)
    with store.lock("run"):
        backup_site.time.time = lambda: backup_store.when(name)  # type: ignore[assignment]
        backup = backup_site.make(site, store)
        store.prove(backup, {"rows": 0})
        store.report("run", {"verdict": "PASSED"})


def remove(site: backup_site.Site, name: str) -> None:
    store = backup_store.Store(site.directory)
    with store.lock("drill"):
        store.remove(name)


def in_a_process(act: Callable[[], None], line: int) -> bool:
    """Whether it came to its end before the line at which it is killed."""
    left = [line]

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        if not frame.f_code.co_filename.endswith(OURS):
            return None
        if event == "line":
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    def run() -> None:
        sys.settrace(trace)
        act()

    process = FORK.Process(target=run)
    process.start()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode == 0


def whole(site: backup_site.Site) -> list[str]:
    """What restore would take; each of it is complete."""
    store = backup_store.Store(site.directory)
    for backup in store.all():
        backup_store.check(backup, "pizza", backup.manifest["parts"])
        assert len(backup.manifest["parts"]) == 2
    for name in os.listdir(site.directory):
        if not backup_store.NAME.fullmatch(name):
            with pytest.raises(backup_store.StoreError):
                store.choose(name)
    with contextlib.suppress(FileNotFoundError), open(os.path.join(site.directory, "status.json")) as stream:
        json.load(stream)
    return [backup.name for backup in store.all()]


def test_killed_at_any_line_a_run_leaves_a_whole_backup_or_none(site: backup_site.Site) -> None:
    in_a_process(lambda: make(site, FIRST), 0)
    seen, line = set(), 0
    while True:
        line += STEP
        ended = in_a_process(lambda: make(site, SECOND), line)
        there = whole(site)
        assert FIRST in there
        seen.add(SECOND in there)
        # The next run goes on from whatever was left.
        if SECOND in there:
            assert in_a_process(lambda: remove(site, SECOND), 0)
        if ended:
            break
    assert seen == {True, False}
    assert in_a_process(lambda: make(site, SECOND), 0)
    assert whole(site) == [FIRST, SECOND]


def test_killed_at_any_line_a_removal_leaves_a_whole_backup_or_none(site: backup_site.Site) -> None:
    in_a_process(lambda: make(site, FIRST), 0)
    seen, line, ended = set(), 0, False
    while not ended:
        line += 1
        assert in_a_process(lambda: make(site, SECOND), 0)
        ended = in_a_process(lambda: remove(site, SECOND), line)
        there = whole(site)
        assert FIRST in there
        seen.add(SECOND in there)
        if SECOND in there:
            assert in_a_process(lambda: remove(site, SECOND), 0)
    assert seen == {True, False}
