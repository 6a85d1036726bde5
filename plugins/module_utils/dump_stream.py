# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump of the source's definitions loaded into the target while it is made: nothing is stored in between."""

import contextlib
import subprocess
import tempfile
from typing import BinaryIO, List

CHUNK = 1 << 20
LONGEST_LINE = 4096


class SeedFailed(Exception):  # noqa: N818  a word of the journal, not of Python
    """The copy did not complete; the next run starts it anew."""


def stream(dump: List[str], load: List[str]) -> None:
    """Run both ends until all that the dump gives is loaded."""
    # In files, not pipes: an end that has much to say must not wait for us to listen while we wait for it.
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as answered:
        giving = subprocess.Popen(dump, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said)
        taking = subprocess.Popen(load, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=answered)
        cut_off = False
        try:
            tail = _carry(giving, taking)
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


def _carry(giving: "subprocess.Popen[bytes]", taking: "subprocess.Popen[bytes]") -> bytes:
    assert giving.stdout
    assert taking.stdin
    tail = b""
    for data in iter(lambda: giving.stdout.read(CHUNK), b""):  # type: ignore[union-attr]
        tail = (tail + data)[-LONGEST_LINE:]
        taking.stdin.write(data)
    taking.stdin.close()
    return tail


def _words(stream: BinaryIO) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", "replace").strip()
