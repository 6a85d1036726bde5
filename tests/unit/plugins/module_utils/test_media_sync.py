"""What makes two folders equal, and what is known of that."""

import os
from pathlib import Path

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils.media_link import Here
from ansible_collections.ocpizza.cutover.plugins.module_utils.media_sync import Flow, Known, batches, decide
from ansible_collections.ocpizza.cutover.plugins.module_utils.media_tree import Entry, MediaError


def a_file(size: int = 1, modified: int = 5, changed: int = 10) -> Entry:
    return Entry("file", size, modified, 0o644, "", changed)


@pytest.mark.parametrize(
    ("ours", "theirs", "known", "work"),
    [
        ({"x": a_file()}, {}, {}, (["x"], [], [], [])),
        ({"x": a_file(size=2)}, {"x": a_file()}, {}, (["x"], [], [], [])),
        ({"x": a_file(modified=6)}, {"x": a_file()}, {}, (["x"], [], [], [])),
        # Alike by what can be set by hand: read, unless no inode has changed since the checksums were equal.
        ({"x": a_file()}, {"x": a_file(changed=20)}, {}, ([], ["x"], [], [])),
        ({"x": a_file()}, {"x": a_file(changed=20)}, {"x": (10, 20)}, ([], [], [], [])),
        ({"x": a_file(changed=11)}, {"x": a_file(changed=20)}, {"x": (10, 20)}, ([], ["x"], [], [])),
        ({"x": a_file()}, {"x": a_file(changed=21)}, {"x": (10, 20)}, ([], ["x"], [], [])),
        # Gone from the origin, or never of it.
        ({}, {"x": a_file()}, {"x": (10, 20)}, ([], [], ["x"], [])),
        ({}, {"x": a_file()}, {}, ([], [], [], ["x"])),
        ({}, {"a": Entry("folder"), "a/x": a_file()}, {"a": (0, 0), "a/x": (1, 2)}, ([], [], ["a/x", "a"], [])),
        ({"x": Entry("link", leads="y")}, {"x": Entry("link", leads="z")}, {}, (["x"], [], [], [])),
        ({"x": Entry("folder", mode=0o755)}, {"x": a_file()}, {}, (["x"], [], [], [])),
    ],
)
def test_decide(ours, theirs, known, work) -> None:
    assert tuple(decide(ours, theirs, known, True)) == work


def test_the_way_back_knows_the_same(tmp_path: Path) -> None:
    ours, theirs = {"x": a_file(changed=20)}, {"x": a_file(changed=10)}
    assert decide(ours, theirs, {"x": (10, 20)}, False).compare == []
    assert decide(ours, theirs, {"x": (10, 20)}, True).compare == ["x"]


def test_of_several_origins_the_last_writer_is_right() -> None:
    one, two = {"x": a_file(modified=5), "only": a_file()}, {"x": a_file(modified=6)}
    assert decide(one, {}, {}, False, [two]).send == ["only"]
    assert decide(two, {}, {}, False, [one]).send == ["x"]
    # What another origin has is not gone.
    assert decide(two, {"only": a_file()}, {"only": (1, 2)}, False, [one]).remove == []


def test_known_outlives_a_crash(tmp_path: Path) -> None:
    known = Known(str(tmp_path / "known"))
    known.note("caf\udce9", (1, 2))
    known.note("gone", (3, 4))
    known.append()
    known.note("gone", None)
    known.append()
    with (tmp_path / "known").open("a") as stream:
        stream.write('["torn", 1')
    again = Known(str(tmp_path / "known"))
    assert again.pairs == {"caf\udce9": (1, 2)}
    again.rewrite()
    assert (tmp_path / "known").read_text() == '["caf\\udce9", 1, 2]\n'


def test_no_portion_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = {"a": a_file(size=200 << 20), "b": a_file(size=100 << 20), "c": a_file(size=1)}
    assert list(batches(["a", "b", "c"], tree)) == [["a"], ["b", "c"]]
    many = {str(number): a_file(size=0) for number in range(401)}
    assert [len(some) for some in batches(sorted(many), many)] == [200, 200, 1]
    assert list(batches([], {})) == []


@pytest.fixture
def flow(tmp_path: Path) -> Flow:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    here, there = Here(str(tmp_path / "here")), Here(str(tmp_path / "there"))
    return Flow(here, there, Known(str(tmp_path / "known")), True)


def go(flow: Flow, everything: bool = False):
    return flow.go(flow.origin.tree(), flow.destination.tree(), everything=everything)


def test_a_second_pass_reads_nothing(flow: Flow, tmp_path: Path) -> None:
    (tmp_path / "here" / "a").mkdir()
    for number in range(100):
        (tmp_path / "here" / "a" / str(number)).write_bytes(b"%d" % number)
    done = go(flow)
    assert (done.files, done.sent, done.compared, done.foreign, done.failures) == (100, 100, 0, [], {})
    again = go(flow)
    assert (again.sent, again.compared) == (0, 0)
    assert (go(flow, everything=True).compared, go(flow, everything=True).sent) == (100, 0)


def test_a_byte_that_differs_under_the_same_time_is_found(flow: Flow, tmp_path: Path) -> None:
    (tmp_path / "here" / "x").write_bytes(b"right")
    go(flow)
    before = os.stat(tmp_path / "there" / "x")
    (tmp_path / "there" / "x").write_bytes(b"wrong")
    os.utime(tmp_path / "there" / "x", ns=(before.st_mtime_ns, before.st_mtime_ns))
    assert (go(flow).compared, (tmp_path / "there" / "x").read_bytes()) == (1, b"right")


def test_what_is_gone_here_goes_there_and_what_is_foreign_stays(flow: Flow, tmp_path: Path) -> None:
    (tmp_path / "here" / "a").mkdir()
    (tmp_path / "here" / "a" / "x").write_bytes(b"1")
    go(flow)
    (tmp_path / "there" / "foreign").write_bytes(b"2")
    (tmp_path / "here" / "a" / "x").unlink()
    (tmp_path / "here" / "a").rmdir()
    done = go(flow, everything=True)
    assert (done.removed, done.foreign) == (2, ["foreign"])
    assert sorted(flow.destination.tree()) == ["foreign"]


def test_what_cannot_be_written_is_named_and_the_rest_arrives(flow: Flow, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "there" / "a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "here" / "a").mkdir()
    (tmp_path / "here" / "x").write_bytes(b"1")
    flow.destination.put = failing_for("a", flow.destination.put)  # type: ignore[method-assign]
    done = go(flow)
    assert (done.sent, done.failures) == (1, {"a": "no"})


def failing_for(wrong, put):
    def instead(path, taken, durable):
        if path != wrong:
            return put(path, taken, durable)

        def torn():
            raise MediaError("no")
            yield

        return put(path, (Entry("file", 1, 1, 0o644), torn()), durable)

    return instead


def test_changes_are_followed(flow: Flow, tmp_path: Path) -> None:
    go(flow)
    (tmp_path / "here" / "a").mkdir()
    (tmp_path / "here" / "a" / "x").write_bytes(b"1")
    assert flow.follow({"a", "a/x", "a/.upload"}) == (2, {})
    assert (tmp_path / "there" / "a" / "x").read_bytes() == b"1"
    # A folder that was moved away tells nothing of what was in it.
    (tmp_path / "here" / "a").rename(tmp_path / "away")
    assert flow.follow({"a"}) == (1, {})
    assert flow.destination.tree() == {}
    assert Known(flow.known.path).pairs == {}


def test_a_disk_that_is_too_small_is_left_alone(flow: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here" / "x").write_bytes(b"1234")
    monkeypatch.setattr(flow.destination, "free", lambda: 3)
    with pytest.raises(MediaError, match=r"the media that source lacks have 0.00 GiB, and 0.00 GiB are free there"):
        go(flow)
    assert flow.destination.tree() == {}
