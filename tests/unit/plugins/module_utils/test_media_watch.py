"""Changes of a folder, as this machine's kernel tells them."""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import media_watch
from ansible_collections.ocpizza.cutover.plugins.module_utils.media_tree import Folder, MediaError
from ansible_collections.ocpizza.cutover.plugins.module_utils.media_watch import Watch


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "x").write_bytes(b"1")
    made = Watch(Folder(str(tmp_path)))
    yield made
    made.close()


def test_nothing_has_changed(watch: Watch) -> None:
    assert watch.changes() == set()
    assert watch.folders == 2


def test_each_change_is_there_as_soon_as_it_is_made(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "old" / "x").write_bytes(b"2")
    assert watch.changes() == {"old/x"}
    os.chmod(tmp_path / "old" / "x", 0o600)
    assert watch.changes() == {"old/x"}
    (tmp_path / "old" / ".upload").write_bytes(b"3")
    os.rename(tmp_path / "old" / ".upload", tmp_path / "y")
    assert watch.changes() == {"old/.upload", "y"}
    (tmp_path / "y").unlink()
    (tmp_path / "link").symlink_to("old")
    assert watch.changes() == {"y", "link"}
    (tmp_path / "old" / ".cutover-0a").write_bytes(b"")
    assert watch.changes() == set()


def test_what_was_in_a_new_folder_before_it_was_watched(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x").write_bytes(b"1")
    assert watch.changes() == {"a", "a/b", "a/b/x"}
    (tmp_path / "a" / "b" / "y").write_bytes(b"1")
    assert watch.changes() == {"a/b/y"}


def test_a_folder_that_is_moved_within(watch: Watch, tmp_path: Path) -> None:
    os.rename(tmp_path / "old", tmp_path / "new")
    assert watch.changes() == {"old", "new", "new/x"}
    (tmp_path / "new" / "y").write_bytes(b"1")
    assert watch.changes() == {"new/y"}


def test_a_folder_that_is_deleted(watch: Watch, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "old")
    assert watch.changes() == {"old", "old/x"}


def test_a_queue_that_was_too_short_is_no_silence(watch: Watch) -> None:
    watch._note(-1, media_watch.OVERFLOW, "")
    with pytest.raises(MediaError, match=r"more changed in .* at once than the kernel keeps note of"):
        watch.changes()


def test_the_folder_itself_taken_away(watch: Watch, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path)
    with pytest.raises(MediaError, match="itself was taken away"):
        watch.changes()


def test_more_folders_than_the_kernel_watches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Libc:
        def inotify_init1(self, _flags: int) -> int:
            return os.open(os.devnull, os.O_RDONLY)

        def inotify_add_watch(self, *_arguments: object) -> int:
            return -1

    monkeypatch.setattr(media_watch.ctypes, "CDLL", lambda *_a, **_n: Libc())
    monkeypatch.setattr(media_watch.ctypes, "get_errno", lambda: errno.ENOSPC)
    with pytest.raises(MediaError, match=r"no more than \d+ folders .* raise fs.inotify.max_user_watches with sysctl"):
        Watch(Folder(str(tmp_path)))
