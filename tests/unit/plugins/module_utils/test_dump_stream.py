# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump that is loaded while it is made: real commands stand for the two ends."""

import sys
import time
from pathlib import Path

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import dump_stream
from ansible_collections.ocpizza.cutover.plugins.module_utils.dump_stream import SeedFailed, stream

HEAD = "-- head\nCREATE TABLE t (a INT);\n"
TAIL = "-- Dump completed on 2026-05-01\n"


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


def dump(text: str) -> list[str]:
    return ["printf", "%s", text]


@pytest.mark.parametrize("chunk", [7, 1 << 20])
def test_all_of_it_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(dump_stream, "CHUNK", chunk)
    stream(dump(HEAD + TAIL), ["sh", "-c", f"cat >{tmp_path}/loaded"])
    assert (tmp_path / "loaded").read_text() == HEAD + TAIL


@pytest.mark.parametrize(
    ("giving", "taking", "words"),
    [
        (dump(HEAD), ["cat"], "the dump ended without its closing line"),
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
    stream(giving, taking)


def test_an_error_of_ours_leaves_neither_end_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_ends: object) -> bytes:
        until = time.monotonic() + 5
        while not all((tmp_path / end).exists() and (tmp_path / end).read_text() for end in ("giving", "taking")):
            assert time.monotonic() < until
            time.sleep(0.01)
        raise OSError("No space left on device")

    monkeypatch.setattr(dump_stream, "_carry", fail)
    giving = ["sh", "-c", f"echo $$ >{tmp_path}/giving; exec yes"]
    taking = ["sh", "-c", f"echo $$ >{tmp_path}/taking; exec cat"]
    with pytest.raises(OSError, match="No space left on device"):
        stream(giving, taking)
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
