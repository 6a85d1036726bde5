"""Programs one behind the other: each must end well, and the one to blame is named."""

import gzip
import io
import time
from pathlib import Path

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils.backup_files import SQL, IncompleteError
from ansible_collections.ocpizza.cutover.plugins.module_utils.backup_pipes import (
    LONGEST_REST,
    paced,
    pack,
    read,
    unpack,
)

GZIP = ["gzip", "-c"]
GUNZIP = ["gzip", "-dc"]


def test_what_is_packed_comes_out_again(tmp_path: Path) -> None:
    path = tmp_path / "packed"
    packed = pack(["seq", "100000"], [GZIP, ["cat"]], str(path), SQL._replace(marker=b"100000\n"))
    assert packed.bytes == path.stat().st_size
    assert packed.plain == len(gzip.decompress(path.read_bytes()))
    assert unpack(str(path), [["cat"], GUNZIP], lambda stream: sum(1 for _ in stream)) == 100000


def test_a_producer_that_fails_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(IncompleteError, match="sh ended with 3: no such database"):
        pack(["sh", "-c", "echo no such database >&2; exit 3"], [["cat"]], str(tmp_path / "x"))


def test_no_row_is_quoted(tmp_path: Path) -> None:
    said = "INSERT INTO t VALUES\\n(1, Zoe),\\n-----\\nERROR 1064 at line 1: syntax\\n"
    with pytest.raises(IncompleteError, match=r"^sh ended with 1: ERROR 1064 at line 1: syntax$"):
        pack(["sh", "-c", f"printf '{said}' >&2; exit 1"], [["cat"]], str(tmp_path / "x"))


def test_a_code_may_be_fine(tmp_path: Path) -> None:
    assert pack(["sh", "-c", "echo x; exit 1"], [["cat"]], str(tmp_path / "x"), fine=(0, 1)).plain == 2


def test_a_full_disk_is_the_filters_word_and_not_a_broken_pipe(tmp_path: Path) -> None:
    command = ["sh", "-c", "head -c 10 >/dev/null; echo no space left >&2; exit 1"]
    with pytest.raises(IncompleteError, match="sh ended with 1: no space left"):
        pack(["yes"], [["cat"], command], str(tmp_path / "x"))


def test_a_dump_without_its_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IncompleteError, match="ended without 'the end'"):
        pack(["echo", "a beginning"], [["cat"]], str(tmp_path / "x"), SQL._replace(marker=b"the end"))


def test_it_never_writes_over_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("there")
    with pytest.raises(FileExistsError):
        pack(["echo"], [["cat"]], str(tmp_path / "x"))


def test_a_truncated_file_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "packed"
    path.write_bytes(gzip.compress(b"row\n" * 1000)[:-9])
    with pytest.raises(IncompleteError, match=r"gzip ended with 1: .*unexpected end of file"):
        unpack(str(path), [GUNZIP], lambda stream: stream.read())


def test_a_server_that_refuses_is_quoted_and_not_who_fed_it(tmp_path: Path) -> None:
    path = tmp_path / "packed"
    path.write_bytes(gzip.compress(b"row\n" * 1000000))
    with pytest.raises(IncompleteError, match="sh ended with 1: syntax error"):
        unpack(str(path), [GUNZIP, ["sh", "-c", "head -c 1 >/dev/null; echo syntax error >&2; exit 1"]])


def test_the_program_behind_runuser_is_named() -> None:
    with pytest.raises(IncompleteError, match=r"^false ended with 1"):
        read(["runuser", "-u", "root", "--", "false"], lambda stream: stream.read())


class Worked:
    """Time as it is told to pass: each piece takes some, and a rest is noted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.rests: list[float] = []
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self.rest)

    def rest(self, seconds: float) -> None:
        self.rests.append(round(seconds, 6))
        self.now += seconds


def test_it_rests_as_long_as_its_share_of_the_time_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    worked = Worked(monkeypatch)
    stream = paced(io.BytesIO(b"x" * 200_000), 20)
    found = b""
    for piece in iter(lambda: stream.read(65536), b""):
        found += piece
        worked.now += 0.02
    assert found == b"x" * 200_000
    # Four times as long as the work before it, however many bytes that was; its own rest is no work.
    assert set(worked.rests) == {0.08}
    assert len(worked.rests) >= 3


def test_it_works_a_while_before_it_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    worked = Worked(monkeypatch)
    stream = paced(io.BytesIO(b"x" * 65536 * 8), 50)
    for _piece in iter(lambda: stream.read(65536), b""):
        worked.now += 0.004
    # Not after each piece: while it rests, those before it go on until the pipe is full.
    assert worked.rests == [0.012, 0.012]


def test_a_wait_for_a_lock_is_no_work_to_rest_from(monkeypatch: pytest.MonkeyPatch) -> None:
    worked = Worked(monkeypatch)
    stream = paced(io.BytesIO(b"x" * 100_000), 1)
    for _piece in iter(lambda: stream.read(65536), b""):
        worked.now += 60
    assert set(worked.rests) == {LONGEST_REST}


def test_all_of_the_time_is_the_stream_itself() -> None:
    stream = io.BytesIO()
    assert paced(stream, 100) is stream


@pytest.mark.parametrize("share", [50, 100])
def test_nothing_is_lost_on_the_way(tmp_path: Path, share: int) -> None:
    path, back = tmp_path / "packed", tmp_path / "back"
    pack(["seq", "50000"], [GZIP], str(path), SQL._replace(marker=b"50000\n"), share=share)
    assert unpack(str(path), [GUNZIP], lambda stream: sum(1 for _ in stream), share) == 50000
    unpack(str(path), [GUNZIP, ["sh", "-c", f"cat > {back}"]], share=share)
    assert back.read_bytes() == gzip.decompress(path.read_bytes())


def test_one_that_takes_no_more_says_why(tmp_path: Path) -> None:
    path = tmp_path / "packed"
    path.write_bytes(b"row\n" * 200_000)
    with pytest.raises(IncompleteError, match="sh ended with 1: ERROR 1064 at line 1"):
        unpack(str(path), [["sh", "-c", "head -c 10 >/dev/null; echo ERROR 1064 at line 1 >&2; exit 1"]])
