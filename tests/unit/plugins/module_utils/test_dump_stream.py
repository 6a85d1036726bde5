# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump that is loaded while it is made: real commands stand for the two ends."""

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import dump_stream
from ansible_collections.ocpizza.cutover.plugins.module_utils.dump_stream import SeedFailed
from ansible_collections.ocpizza.cutover.plugins.module_utils.seed_mariadb import position_in

HEAD = "-- head\nSET GLOBAL gtid_slave_pos='0-1-5,1-2-3';\n"
TAIL = "-- Dump completed on 2026-05-01\n"


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


def dump(text: str) -> list[str]:
    return ["printf", "%s", text]


def stream(giving: list[str], taking: list[str]) -> tuple[Any, list[tuple[int, int]]]:
    seen: list[tuple[int, int]] = []

    def progress(done: int, total: int, what: str) -> None:
        assert what == "bytes copied"
        seen.append((done, total))

    return dump_stream.stream(giving, taking, position_in, progress, 10), seen


def test_the_position_may_be_named_at_the_end_of_the_dump(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dump_stream, "CHUNK", 7)
    text = "-- head\n" + "INSERT 1;\n" * 50 + "-- SET GLOBAL gtid_slave_pos='0-1-5';\n" + TAIL
    found, _seen = stream(dump(text), ["cat"])
    assert found == ("0-1-5", len(text))


def test_a_whole_dump_arrives(tmp_path: Path) -> None:
    text = HEAD + "INSERT 'é';\n" + TAIL
    found, seen = stream(dump(text), ["tee", str(tmp_path / "loaded")])
    assert found == ("0-1-5,1-2-3", len(text.encode()))
    assert (tmp_path / "loaded").read_text() == text
    # The total is a guess, and never less than what went over.
    assert seen[-1] == (len(text.encode()), len(text.encode()))


def test_a_large_dump_is_told_as_it_goes() -> None:
    code = f"import sys; w = sys.stdout.write; w({HEAD!r}); w('x' * 3 * {dump_stream.CHUNK}); w({TAIL!r})"
    (position, sent), seen = stream(python(code), ["cat"])
    assert position == "0-1-5,1-2-3"
    assert len(seen) == 4
    assert [done for done, _total in seen] == sorted(done for done, _total in seen)
    assert seen[-1][0] == sent == 3 * dump_stream.CHUNK + len(HEAD + TAIL)


@pytest.mark.parametrize("before", [0, 100, dump_stream.CHUNK - len(HEAD) // 2, 2 * dump_stream.CHUNK])
def test_a_position_is_found_wherever_a_version_writes_it(before: int) -> None:
    code = f"import sys; w = sys.stdout.write; w('x' * {before}); w('\\n'); w({HEAD!r}); w('y' * 9000); w({TAIL!r})"
    assert stream(python(code), ["cat"])[0][0] == "0-1-5,1-2-3"


@pytest.mark.parametrize(
    ("giving", "taking", "words"),
    [
        (dump(HEAD), ["cat"], "the dump ended without its closing line"),
        (dump(TAIL), ["cat"], "the dump names no GTID position; is the binary log on?"),
        (["sh", "-c", "echo gone away >&2; exit 2"], ["cat"], "the dump on the source failed: gone away"),
        (dump(HEAD + TAIL), ["sh", "-c", "cat; echo no space >&2; exit 1"], "loading on the target failed: no space"),
        (dump(HEAD + TAIL), ["sh", "-c", "echo denied >&2; exit 1"], "loading on the target failed: denied"),
    ],
)
def test_a_copy_that_is_not_whole_fails_in_words(giving: list[str], taking: list[str], words: str) -> None:
    with pytest.raises(SeedFailed) as raised:
        stream(giving, taking)
    assert str(raised.value) == words


def test_a_load_that_stops_reading_ends_the_dump() -> None:
    endless = python("import sys\nwhile True: sys.stdout.write('x' * 65536)")
    with pytest.raises(SeedFailed, match="loading on the target failed: disk full"):
        stream(endless, ["sh", "-c", "head -c 10; echo disk full >&2; exit 1"])


def test_a_load_that_ends_early_without_an_error_is_no_success() -> None:
    endless = python("import sys\nwhile True: sys.stdout.write('x' * 65536)")
    with pytest.raises(SeedFailed, match="loading on the target ended before the dump did"):
        stream(endless, ["sh", "-c", "exit 0"])


@pytest.mark.parametrize("end", ["giving", "taking"])
def test_many_warnings_do_not_stop_the_copy(end: str) -> None:
    warn = "import sys; sys.stderr.write('warning\\n' * 40000); "
    giving = python(warn + f"sys.stdout.write({HEAD + TAIL!r})") if end == "giving" else dump(HEAD + TAIL)
    taking = python(warn + "sys.stdin.read()") if end == "taking" else ["cat"]
    assert stream(giving, taking)[0][0] == "0-1-5,1-2-3"


def test_a_position_is_looked_for_until_it_is_found() -> None:
    seen: list[int] = []

    def third(part: bytes) -> str | None:
        seen.append(len(part))
        return "here" if len(seen) == 3 else None

    code = f"import sys; w = sys.stdout.write; w('x' * 5 * {dump_stream.CHUNK}); w({TAIL!r})"
    found = dump_stream.stream(python(code), ["cat"], third, lambda *_progress: None, 10)
    assert found == ("here", 5 * dump_stream.CHUNK + len(TAIL))
    # Each part comes with the end of the one before it: a line may lie across.
    assert seen == [
        dump_stream.CHUNK,
        dump_stream.CHUNK + dump_stream.LONGEST_LINE,
        dump_stream.CHUNK + dump_stream.LONGEST_LINE,
    ]


def test_an_error_of_ours_leaves_neither_end_running(tmp_path: Path) -> None:
    def fail(_done: int, _total: int, _what: str) -> None:
        raise OSError("No space left on device")

    giving = ["sh", "-c", f"echo $$ >{tmp_path}/giving; exec yes"]
    taking = ["sh", "-c", f"echo $$ >{tmp_path}/taking; exec cat"]
    waiting = ["sh", "-c", f"until [ -s {tmp_path}/taking ]; do sleep 0.01; done; {giving[2]}"]
    with pytest.raises(OSError, match="No space left on device"):
        dump_stream.stream(waiting, taking, position_in, fail, 10)
    for end in ("giving", "taking"):
        pid = (tmp_path / end).read_text().strip()
        until = time.monotonic() + 5
        while running(pid):
            assert time.monotonic() < until
            time.sleep(0.01)


def running(pid: str) -> bool:
    """Whether a process does anything still; one that ended and was not asked for is gone too."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
