"""A folder of media: what is seen of it, and that nothing leads out of it."""

import os
from pathlib import Path

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils.media_tree import Entry, Folder, MediaError


def content(folder: Folder, path: str) -> bytes:
    taken = folder.take(path)
    assert taken
    return b"".join(taken[1])


def test_everything_is_seen_but_ours_and_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "one.png").write_bytes(b"1")
    (tmp_path / "a" / "link").symlink_to("b/one.png")
    for name in ("a/.cutover-0f", "a/.nfs000000000001", "a/.hidden"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "lost+found").mkdir()
    os.mkfifo(tmp_path / "pipe")
    tree = Folder(str(tmp_path)).tree()
    assert sorted(tree) == ["a", "a/.hidden", "a/b", "a/b/one.png", "a/link"]
    assert tree["a/link"].leads == "b/one.png"
    assert (tree["a/b/one.png"].kind, tree["a/b/one.png"].size) == ("file", 1)


def test_a_file_comes_whole_with_its_time_and_mode(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    digest, there = folder.write(
        "x.png", Entry("file", 4, 1_500_000_000_123_456_789, 0o640), iter([b"ab", b"cd"]), True
    )
    assert content(folder, "x.png") == b"abcd"
    assert digest == folder.digest("x.png") != ""
    assert (there.modified, there.mode) == (1_500_000_000_123_456_789, 0o640)
    assert os.listdir(tmp_path) == ["x.png"]


def test_what_does_not_come_to_its_end_leaves_what_was_there(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    (tmp_path / "x.png").write_bytes(b"before")

    def torn():
        yield b"af"
        raise MediaError("x.png changed while it was read")

    with pytest.raises(MediaError):
        folder.write("x.png", Entry("file", 5, 1, 0o644), torn(), False)
    assert (tmp_path / "x.png").read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["x.png"]


def test_a_file_that_grows_while_it_is_read_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_bytes(b"1")
    taken = Folder(str(tmp_path)).take("x.log")
    assert taken
    with (tmp_path / "x.log").open("ab") as stream:
        stream.write(b"2")
    with pytest.raises(MediaError, match=r"x.log changed while it was read"):
        list(taken[1])


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a\0b"])
def test_no_path_leads_out(tmp_path: Path, path: str) -> None:
    with pytest.raises(MediaError, match="is no path within the folder"):
        Folder(str(tmp_path)).place(path)


def test_no_symbolic_link_leads_out(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "out").symlink_to(tmp_path)
    folder = Folder(str(tmp_path / "media"))
    with pytest.raises(MediaError, match="out/x: a symbolic link is on the way there"):
        folder.write("out/x", Entry("file", 1, 1, 0o644), iter([b"1"]), False)
    assert not (tmp_path / "x").exists()
    assert [path for path in folder.tree() if path.startswith("out/")] == []


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "media").symlink_to("real")
    Folder(str(tmp_path / "media")).write("x", Entry("file", 1, 1, 0o644), iter([b"1"]), False)
    assert (tmp_path / "real" / "x").read_bytes() == b"1"


def test_kinds_that_change(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    (tmp_path / "x").mkdir()
    folder.write("x", Entry("link", leads="y"), iter(()), False)
    assert os.readlink(tmp_path / "x") == "y"
    folder.write("x", Entry("folder", mode=0o750), iter(()), False)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o750
    folder.write("x", Entry("file", 1, 1, 0o600), iter([b"1"]), False)
    assert (tmp_path / "x").read_bytes() == b"1"


def test_only_empty_folders_are_removed(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"")
    assert not folder.remove("a")
    assert folder.remove("a/x")
    assert folder.remove("a")
    assert folder.remove("a/x")
    assert folder.tree() == {}


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9\n.png")
    (tmp_path / name).write_bytes(b"1")
    folder = Folder(str(tmp_path))
    assert list(folder.tree()) == [name]
    assert content(folder, name) == b"1"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="there is no folder"):
        Folder(str(tmp_path / "absent"))
