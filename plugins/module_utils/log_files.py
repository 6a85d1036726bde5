# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of logs of any size: rotated, compressed, from a time on, never more than one line in memory."""

import bz2
import glob
import gzip
import lzma
import os
from typing import IO, Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple

OPENERS: Dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
LINE = 65536
# Servers write a request when it ends and with the time at which it began.
SLACK = 3600
# So many lines that have no time in a row, and the log is read from its beginning.
TRIES = 100

When = Callable[[str], Optional[float]]


def expand(patterns: Iterable[str]) -> Tuple[List[str], List[str]]:
    """Files that fit the patterns, oldest first, and patterns that fit none."""
    found, none = set(), []
    for pattern in patterns:
        paths = [path for path in glob.glob(pattern) if not os.path.isdir(path)]
        found.update(paths)
        if not paths:
            none.append(pattern)
    return sorted(found, key=lambda path: (os.stat(path).st_mtime if os.path.exists(path) else 0, path)), none


def open_log(path: str) -> "IO[bytes]":
    """The log as it was before it was compressed."""
    opener = OPENERS.get(os.path.splitext(path)[1], open)
    stream = opener(path, "rb")  # type: IO[bytes]
    return stream


def lines(stream: "IO[bytes]") -> Iterator[str]:
    """Each line, cut where it is longer than any line of a log should be."""
    whole = True
    while True:
        piece = stream.readline(LINE)
        if not piece:
            return
        if whole:
            yield piece.decode("utf-8", "replace").rstrip("\r\n")
        whole = piece.endswith(b"\n")


def seek(stream: "IO[bytes]", size: int, since: float, when: When) -> None:
    """Go to a line before which everything is older, in a plain log, which is in order but for the slack."""
    low, high = 0, size
    while high - low > LINE:
        middle = (low + high) // 2
        stream.seek(middle)
        stream.readline(LINE)
        found = next((one for _turn, one in zip(range(TRIES), map(when, lines(stream))) if one is not None), None)
        if found is None:
            low = 0
            break
        if found < since - SLACK:
            low = middle
        else:
            high = middle
    stream.seek(low)
    if low:
        stream.readline(LINE)


def read_since(path: str, since: float, when: When) -> Iterator[str]:
    """The lines of a log of which some may be as young as that."""
    with open_log(path) as stream:
        if os.path.splitext(path)[1] not in OPENERS:
            seek(stream, os.path.getsize(path), since, when)
        yield from lines(stream)
