# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump of the source loaded into the target while it is made: nothing is stored in between."""

import contextlib
import subprocess
import tempfile
from typing import BinaryIO, Callable, List, Optional, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Progress

CHUNK = 1 << 20
LONGEST_LINE = 4096


class SeedFailed(Exception):  # noqa: N818  a word of the journal, not of Python
    """The copy did not complete; the next run starts it anew."""


def stream(
    dump: List[str],
    load: List[str],
    position_in: Callable[[bytes], Optional[str]],
    progress: Progress,
    total: int,
) -> Tuple[str, int]:
    """Run both ends, and return the snapshot's position and the bytes that went over.

    ``position_in`` finds the position in a part of the dump.
    """
    # In files, not pipes: an end that has much to say must not wait for us to listen while we wait for it.
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as answered:
        giving = subprocess.Popen(dump, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said)
        taking = subprocess.Popen(load, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=answered)
        cut_off = False
        try:
            position, tail, sent = _carry(giving, taking, position_in, progress, total)
        except BrokenPipeError:
            cut_off = True
            giving.kill()
        except BaseException:
            giving.kill()
            taking.kill()
            raise
        finally:
            for pipe in (giving.stdout, taking.stdin):
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()  # type: ignore[union-attr]
        if taking.wait() != 0:
            giving.kill()
            giving.wait()
            raise SeedFailed("loading on the target failed: {0}".format(_words(answered)))
        if cut_off:
            giving.wait()
            raise SeedFailed("loading on the target ended before the dump did")
        if giving.wait() != 0:
            raise SeedFailed("the dump on the source failed: {0}".format(_words(said)))
    if b"-- Dump completed" not in tail:
        raise SeedFailed("the dump ended without its closing line")
    if position is None:
        raise SeedFailed("the dump names no GTID position; is the binary log on?")
    return position, sent


def _carry(
    giving: "subprocess.Popen[bytes]",
    taking: "subprocess.Popen[bytes]",
    position_in: Callable[[bytes], Optional[str]],
    progress: Progress,
    total: int,
) -> Tuple[Optional[str], bytes, int]:
    assert giving.stdout
    assert taking.stdin
    tail, sent = b"", 0
    position: Optional[str] = None
    while True:
        data = giving.stdout.read(CHUNK)
        if not data:
            break
        # Some versions name the position at the head of the dump, some at its end.
        if position is None:
            position = position_in(tail + data)
        tail = (tail + data)[-LONGEST_LINE:]
        taking.stdin.write(data)
        sent += len(data)
        progress(sent, max(total, sent), "bytes copied")
    taking.stdin.close()
    return position, tail, sent


def _words(stream: BinaryIO) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", "replace").strip()
