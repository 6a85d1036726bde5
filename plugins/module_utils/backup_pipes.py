# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs one behind the other, so that nothing is stored unpacked or unencrypted."""

import contextlib
import io
import os
import re
import signal
import subprocess
import tempfile
import time
from typing import IO, Any, Callable, List, NamedTuple, Optional, Sequence

from ansible_collections.ocpizza.cutover.plugins.module_utils import backup_files

COMPRESS = ["zstd", "--quiet", "--stdout", "-3"]
DECOMPRESS = ["zstd", "--quiet", "--stdout", "--decompress"]
# Ended because the one behind it had ended, told directly or by runuser.
CUT_OFF = (-signal.SIGPIPE, 128 + signal.SIGPIPE)

TAIL = 65536
# What a pipe holds: while one rests, those before it soon do too.
PIECE = 65536
# So many seconds at full speed, then a rest. What is at work before us fills the pipe while we rest, and stops: that is
# little beside what it does in this time.
SPELL = 0.01
# A rest is short, for whoever waited for a lock has not worked.
LONGEST_REST = 0.5
# What a program says of itself.
SAID = re.compile(r"ERROR\b|[a-z][a-z0-9_-]*:")


class Packed(NamedTuple):
    """A file that was written, and how much went into it."""

    bytes: int
    sha256: str
    plain: int


class Paced(io.RawIOBase):
    """A stream that rests now and then, so that those behind and before it work ``share`` percent of the time.

    The server is where the site's requests are answered too: what reads from it as fast as it can takes a processor.
    """

    def __init__(self, stream: IO[bytes], share: int) -> None:
        self.stream: Any = stream
        self.rests = 100.0 / share - 1
        self.since = time.monotonic()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        worked = time.monotonic() - self.since
        if worked >= SPELL:
            time.sleep(min(worked * self.rests, LONGEST_REST))
            self.since = time.monotonic()
        piece = self.stream.read1(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def paced(stream: IO[bytes], share: int) -> IO[bytes]:
    """The stream, at its own pace where that is all of the time."""
    return io.BufferedReader(Paced(stream, share), PIECE) if share < 100 else stream


class Chain:
    """Programs that are connected by pipes. Each must end well; the first that did not is quoted."""

    def __init__(self, commands: Sequence[Sequence[str]], stdin: Any, stdout: Any) -> None:
        self.commands = commands
        self.errors = [tempfile.TemporaryFile() for _ in commands]  # noqa: SIM115  closed when they are read
        self.processes: "List[subprocess.Popen[bytes]]" = []
        for number, command in enumerate(commands):
            source = self.processes[-1].stdout if self.processes else stdin
            sink = stdout if number == len(commands) - 1 else subprocess.PIPE
            self.processes.append(
                subprocess.Popen(list(command), stdin=source, stdout=sink, stderr=self.errors[number], cwd="/")
            )
            if number and source:
                source.close()  # only the next one holds it, or the first never learns of an end

    def finish(self, fine: Sequence[int] = (0,)) -> None:
        """Wait for all; ``fine`` are codes that the first may end with."""
        codes = [process.wait() for process in self.processes]
        said = [_words(stream) for stream in self.errors]
        bad = [n for n, code in enumerate(codes) if code != 0 and not (n == 0 and code in fine)]
        if bad:
            first = ([n for n in bad if codes[n] not in CUT_OFF] or bad)[0]
            raise backup_files.IncompleteError(
                "{0} ended with {1}: {2}".format(_name(self.commands[first]), codes[first], said[first])
            )

    def kill(self) -> None:
        """End what still runs."""
        for process in self.processes:
            process.kill()
        for process, stream in zip(self.processes, self.errors):
            process.wait()
            stream.close()


def _words(stream: IO[bytes]) -> str:
    with stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - TAIL))
        lines = stream.read().decode("utf-8", "replace").strip().split("\n")
    # The client repeats a statement that failed, with the rows that are in it.
    return "; ".join([line for line in lines if SAID.match(line)] or lines[-1:])[:300]


def _name(command: Sequence[str]) -> str:
    """The program, behind the one that changes the user."""
    return os.path.basename(command[4] if command[0] == "runuser" else command[0])


def pack(
    producer: Sequence[str],
    filters: Sequence[Sequence[str]],
    path: str,
    form: backup_files.Form = backup_files.CUSTOM,
    fine: Sequence[int] = (0,),
    share: int = 100,
) -> Packed:
    """What a program gives, through the filters into a new file that is on the disk when this returns.

    ``share`` is the percentage of the time in which they work.
    """
    tail, plain = b"", 0
    with open(path, "xb") as out:
        making = Chain([producer], subprocess.DEVNULL, subprocess.PIPE)
        packing = Chain(filters, subprocess.PIPE, out)
        try:
            source, sink = making.processes[0].stdout, packing.processes[0].stdin
            assert source is not None
            assert sink is not None
            stream = paced(source, share)
            try:
                for block in form.kept(iter(lambda: stream.read(PIECE), b"")):
                    sink.write(block)
                    tail, plain = (tail + block)[-200:], plain + len(block)
                sink.close()
            except BrokenPipeError:
                packing.finish()
                raise backup_files.IncompleteError("{0} took no more".format(_name(filters[0]))) from None
            making.finish(fine)
            packing.finish()
        finally:
            making.kill()
            packing.kill()
        os.fsync(out.fileno())
    if form.marker not in tail:
        raise backup_files.IncompleteError("the dump ended without '{0}'".format(form.marker.decode("ascii")))
    return Packed(os.path.getsize(path), backup_files.digest(path), plain)


def unpack(
    path: str,
    filters: Sequence[Sequence[str]],
    take: Optional[Callable[[IO[bytes]], Any]] = None,
    share: int = 100,
) -> Any:
    """What a file holds, through the filters to ``take``; without it the last filter keeps it."""
    taken = None
    with open(path, "rb") as source:
        chain = Chain(filters, source if take else subprocess.PIPE, subprocess.PIPE if take else subprocess.DEVNULL)
        try:
            if take:
                stream = chain.processes[-1].stdout
                assert stream is not None
                with stream:
                    taken = take(paced(stream, share))
            else:
                _feed(paced(source, share), chain)
            chain.finish()
        finally:
            chain.kill()
    return taken


def _feed(source: IO[bytes], chain: Chain) -> None:
    """All of it to the first of them, as far as it takes it: one that ends early says itself why."""
    sink = chain.processes[0].stdin
    assert sink is not None
    with contextlib.suppress(BrokenPipeError):
        for block in iter(lambda: source.read(PIECE), b""):
            sink.write(block)
    with contextlib.suppress(BrokenPipeError):
        sink.close()


def read(command: Sequence[str], take: Callable[[IO[bytes]], Any], share: int = 100) -> Any:
    """What a program gives, to ``take``."""
    return unpack(os.devnull, [command], take, share)
