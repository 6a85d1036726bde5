# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A configuration tree on disk: staged, switched, put back."""

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import web_files
from ansible_collections.ocpizza.cutover.plugins.module_utils.web_tree import ABSENT, FILE, LINK, Change, Entry

GONE = Entry(ABSENT)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "etc"
    (root / "available").mkdir(parents=True)
    (root / "enabled").mkdir()
    (root / "main.conf").write_text(f"include {root}/enabled/*;\n")
    (root / "available" / "old").write_text("old\n")
    (root / "available" / "old").chmod(0o640)
    (root / "enabled" / "old").symlink_to("../available/old")
    return root


def snapshot(folder: Path) -> dict[str, Any]:
    """Everything below a folder: kind, content, mode and time."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        if path.is_symlink():
            found[str(path.relative_to(folder))] = str(path.readlink())
        elif path.is_dir():
            found[str(path.relative_to(folder))] = "folder"
        else:
            found[str(path.relative_to(folder))] = (path.read_text(), status.st_mode, status.st_mtime_ns)
    return found


def change(path: str, before: Entry, after: Entry) -> Change:
    return Change(path, before, after, "")


def stage(root: Path, *changes: Change) -> Path:
    tree = root.parent / "tree"
    web_files.stage(str(root), str(tree), list(changes))
    return tree


def test_the_staged_copy_is_closed_to_others_and_leads_to_itself(root: Path) -> None:
    tree = stage(root)
    assert tree.stat().st_mode & 0o777 == 0o700
    assert (tree / "main.conf").read_text() == f"include {tree}/enabled/*;\n"
    assert (tree / "enabled" / "old").resolve() == tree / "available" / "old"


def test_changes_are_applied_to_the_copy_alone(root: Path) -> None:
    before = snapshot(root)
    tree = stage(
        root,
        change("new/deep/a", GONE, Entry(FILE, f"{root}/x".encode())),
        change("enabled/a", GONE, Entry(LINK, target="../new/deep/a")),
        change("enabled/old", Entry(LINK, target="../available/old"), GONE),
        change("available/old", Entry(FILE, b"old\n"), Entry(LINK, target="/dev/null")),
    )
    assert (tree / "new" / "deep" / "a").read_text() == f"{tree}/x"
    assert (tree / "enabled" / "a").resolve() == tree / "new" / "deep" / "a"
    assert not (tree / "enabled" / "old").is_symlink()
    assert (tree / "available" / "old").readlink() == Path("/dev/null")
    assert snapshot(root) == before


def test_a_file_behind_a_link_is_not_written_by_the_test(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "shared.conf"
    outside.write_text("live\n")
    (root / "shared").symlink_to(outside)
    tree = stage(root, change("shared", Entry(FILE, b"live\n"), Entry(FILE, b"new\n")))
    assert (tree / "shared").read_text() == "new\n"
    assert outside.read_text() == "live\n"


def test_a_folder_behind_a_link_is_not_written_by_the_test(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "shared"
    (outside / "below").mkdir(parents=True)
    (outside / "kept").write_text("kept\n")
    (outside / "live").write_text("live\n")
    (root / "conf.d").symlink_to(outside)
    tree = stage(
        root,
        change("conf.d/live", Entry(FILE, b"live\n"), Entry(FILE, b"new\n")),
        change("conf.d/below/new", GONE, Entry(FILE, b"new\n")),
    )
    assert (tree / "conf.d" / "live").read_text() == (tree / "conf.d" / "below" / "new").read_text() == "new\n"
    assert (tree / "conf.d" / "kept").read_text() == "kept\n"
    assert (outside / "live").read_text() == "live\n"
    assert not (outside / "below" / "new").exists()


def test_the_content_of_a_path_lives_behind_its_link(root: Path) -> None:
    assert web_files.real(str(root), "enabled/old") == str(root / "available" / "old")
    (root / "enabled" / "broken").symlink_to("../available/none")
    for path in ("main.conf", "enabled/broken", "none"):
        assert web_files.real(str(root), path) == str(root / path)


def test_the_contents_of_a_tree(root: Path) -> None:
    (root / "enabled" / "broken").symlink_to("none")
    assert sorted(web_files.contents_below(str(root))) == sorted(
        [b"old\n", b"old\n", (root / "main.conf").read_bytes()]
    )


CHANGES = [
    change("available/old", Entry(FILE, b"old\n", mode=0o640), Entry(FILE, b"new\n")),
    change("main.conf", Entry(FILE, b"", mode=0o644), GONE),
    change("enabled/old", Entry(LINK, target="../available/old"), Entry(LINK, target="../available/a")),
    change("available/a", GONE, Entry(FILE, b"a\n", mode=0o600)),
    change("new/deep/b", GONE, Entry(FILE, b"b\n")),
]


def switch(root: Path, changes: list[Change]) -> web_files.Switch:
    made = web_files.Switch(str(root), str(root.parent / "backup"))
    made.apply(changes)
    return made


def with_content(root: Path) -> list[Change]:
    """The changes, what is there being told as it is."""
    main = Entry(FILE, (root / "main.conf").read_bytes(), mode=0o644)
    return [one._replace(before=main) if one.path == "main.conf" else one for one in CHANGES]


def test_the_switch_changes_what_is_asked_for(root: Path) -> None:
    switch(root, with_content(root))
    found = snapshot(root)
    assert found["available/old"][:2] == ("new\n", 0o100640)
    assert found["available/a"][:2] == ("a\n", 0o100600)
    assert found["new/deep/b"][:2] == ("b\n", 0o100644)
    assert found["enabled/old"] == "../available/a"
    assert set(found) == {
        "available", "available/a", "available/old", "enabled", "enabled/old", "new", "new/deep", "new/deep/b",
    }  # fmt: skip


def test_putting_back_leaves_nothing_changed_not_even_the_times(root: Path) -> None:
    os.utime(root / "available" / "old", ns=(1, 10**18))
    before = snapshot(root)
    made = switch(root, with_content(root))
    assert snapshot(root) != before
    made.put_back()
    assert snapshot(root) == before
    made.put_back()
    assert snapshot(root) == before


def test_a_file_that_becomes_a_link_and_comes_back(root: Path) -> None:
    before = snapshot(root)
    made = switch(root, [change("available/old", Entry(FILE, b"old\n", mode=0o640), Entry(LINK, target="/dev/null"))])
    assert snapshot(root)["available/old"] == "/dev/null"
    made.put_back()
    assert snapshot(root) == before


def test_a_file_behind_a_link_is_changed_where_it_is(root: Path) -> None:
    made = switch(root, [change("enabled/old", Entry(FILE, b"old\n", mode=0o640), Entry(FILE, b"new\n"))])
    assert (root / "enabled" / "old").is_symlink()
    assert (root / "available" / "old").read_text() == "new\n"
    made.put_back()
    assert (root / "available" / "old").read_text() == "old\n"


def test_a_switch_that_broke_in_the_middle_is_put_back_whole(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot(root)
    made = web_files.Switch(str(root), str(root.parent / "backup"))
    sync, left = os.fsync, [2]

    def full(handle: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        sync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(web_files.os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            made.apply(with_content(root))
    made.put_back()
    # Half a file beside would stay for ever, and keep the folder that was made for it from being removed.
    assert snapshot(root) == before
