# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs of any size from a time on."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import log_files


def when(line: str) -> float | None:
    head = line.partition(" ")[0]
    return float(head) if head.isdigit() else None


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 40_000), max_size=400),
    st.integers(0, 40_000),
    st.lists(st.tuples(st.integers(0, 399), st.sampled_from(["", "no time", "x" * 200_000])), max_size=3),
)
def test_nothing_young_enough_is_left_out(seconds: list[int], since: int, odd: list[tuple[int, str]]) -> None:
    rows = [f"{second} {'y' * 900}" for second in sorted(seconds)]
    for place, text in odd:
        rows.insert(min(place, len(rows)), text)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log")
        path.write_text("\n".join(rows))
        found = [line for line in log_files.read_since(str(path), since, when) if (when(line) or 0) >= since]
    assert [when(line) for line in found if when(line) is not None] == [s for s in sorted(seconds) if s >= since]


def test_a_long_log_is_not_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"{second} {'y' * 90}\n" for second in range(100_000)))
    read = list(log_files.read_since(str(path), 99_000, when))
    assert when(read[-1]) == 99_999
    assert 1000 <= len(read) <= 1000 + log_files.SLACK + 1500


@pytest.mark.parametrize(("ending", "opener"), [(".gz", gzip.open), (".bz2", bz2.open), (".xz", lzma.open), ("", open)])
def test_compressed_or_not(tmp_path: Path, ending: str, opener: object) -> None:
    path = tmp_path / f"log.1{ending}"
    with opener(path, "wb") as stream:  # type: ignore[operator]
        stream.write(b"1 one\r\n2 caf\xe9\n3 last")
    assert list(log_files.read_since(str(path), 0, when)) == ["1 one", "2 caf\ufffd", "3 last"]


def test_a_line_without_an_end_fills_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "log.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        for _turn in range(50):
            stream.write(b"z" * 1_000_000)
        stream.write(b"\n7 next\n")
    tracemalloc.start()
    found = [line[:10] for line in log_files.read_since(str(path), 0, when)]
    _now, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == ["z" * 10, "7 next"]
    assert most < 2_000_000


def test_files_come_oldest_first_and_patterns_that_fit_none_are_told(tmp_path: Path) -> None:
    for age, name in enumerate(("a.log", "a.log.1", "a.log.2.gz")):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    (tmp_path / "a.log.folder").mkdir()
    found, none = log_files.expand([f"{tmp_path}/a.log*", f"{tmp_path}/a.log", f"{tmp_path}/b*"])
    assert [Path(path).name for path in found] == ["a.log.2.gz", "a.log.1", "a.log"]
    assert none == [f"{tmp_path}/b*"]
