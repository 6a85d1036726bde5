# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps that are complete or not there: written aside, checked for their end, then renamed."""

import gzip
import hashlib
import os
import subprocess
import tarfile
import tempfile
from typing import Any, BinaryIO, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence

from ansible_collections.ocpizza.cutover.plugins.module_utils.dump_text import portable

MARKER = b"-- Dump completed"
BLOCK = 1024 * 1024
SLACK_ROWS = 100


class IncompleteError(Exception):
    """Why a dump or a restore cannot be trusted."""


class Written(NamedTuple):
    """A file that was written."""

    path: str
    bytes: int
    sha256: str


class Form(NamedTuple):
    """What kind of file a dump is: its suffix, whether it is packed here, its end, and what is kept of what comes."""

    suffix: str
    packed: bool
    marker: bytes
    kept: Callable[[Iterable[bytes]], Iterator[bytes]]


SQL = Form("sql.gz", True, MARKER, portable)
# PostgreSQL packs it itself; its end is not text.
CUSTOM = Form("dump", False, b"", iter)


def digest(path: str) -> str:
    """The SHA-256 of a file."""
    sha = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(BLOCK), b""):
            sha.update(block)
    return sha.hexdigest()


def write_dump(
    command: Sequence[str], path: str, form: Form = SQL, examine: Optional[Callable[[str], None]] = None
) -> Written:
    """Run the dump into a file that takes its name only when it is complete, and ``examine`` finds nothing wrong."""
    handle, aside = tempfile.mkstemp(prefix=".part-", dir=os.path.dirname(path))
    tail = b""
    try:
        with tempfile.TemporaryFile() as errors:
            with subprocess.Popen(list(command), stdout=subprocess.PIPE, stderr=errors, cwd="/") as process:
                assert process.stdout is not None
                with os.fdopen(handle, "wb") as raw:
                    out = gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) if form.packed else raw  # type: Any
                    for block in form.kept(iter(lambda: process.stdout.read(BLOCK), b"")):  # type: ignore[union-attr]
                        out.write(block)
                        tail = (tail + block)[-200:]
                    out.close()
                code = process.wait()
            said = _read(errors)
        if code != 0:
            raise IncompleteError("the dump ended with {0}: {1}".format(code, said))
        if form.marker not in tail:
            raise IncompleteError("the dump ended without '{0}'".format(form.marker.decode("ascii")))
        if examine:
            examine(aside)
        written = Written(path, os.path.getsize(aside), digest(aside))
        os.rename(aside, path)
    finally:
        if os.path.exists(aside):
            os.unlink(aside)
    return written


def _read(stream: BinaryIO) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", "replace").strip()


def write_archive(paths: Iterable[str], path: str) -> Written:
    """The configuration in one compressed archive; paths that are not there are left out."""
    handle, aside = tempfile.mkstemp(prefix=".part-", dir=os.path.dirname(path))
    try:
        with os.fdopen(handle, "wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
            for one in paths:
                if os.path.lexists(one):
                    archive.add(one)
        written = Written(path, os.path.getsize(aside), digest(aside))
        os.rename(aside, path)
    finally:
        if os.path.exists(aside):
            os.unlink(aside)
    return written


def load_dump(command: Sequence[str], path: str, sha256: str, form: Form = SQL) -> None:
    """Feed a dump to a client, after its checksum was found right."""
    found = digest(path)
    if found != sha256:
        raise IncompleteError("{0} has checksum {1} instead of {2}".format(path, found, sha256))
    tail = b""
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(
            list(command), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors, cwd="/"
        ) as process:
            assert process.stdin is not None
            try:
                with gzip.open(path, "rb") if form.packed else open(path, "rb") as stream:
                    for block in iter(lambda: stream.read(BLOCK), b""):
                        process.stdin.write(block)
                        tail = (tail + block)[-200:]
                process.stdin.close()
            except BrokenPipeError:
                pass  # the client says why below
            code = process.wait()
        said = _read(errors)
    if code != 0:
        raise IncompleteError("the server refused the dump: {0}".format(said))
    if form.marker not in tail:
        raise IncompleteError("{0} ends without '{1}'".format(path, form.marker.decode("ascii")))


def compare_restore(expected: Dict[str, Any], restored: Dict[str, int]) -> List[str]:
    """What a restored database lacks. ``expected`` has [fewest, most] rows by table, counted around the dump."""
    problems = []
    missing = sorted(set(expected) - set(restored))
    extra = sorted(set(restored) - set(expected))
    if missing:
        problems.append("tables are missing: {0}".format(", ".join(missing)))
    if extra:
        problems.append("tables were not expected: {0}".format(", ".join(extra)))
    for table in sorted(set(expected) & set(restored)):
        fewest, most = sorted(expected[table])
        slack = SLACK_ROWS + most // 100 if fewest != most else 0
        if not fewest - slack <= restored[table] <= most + slack:
            problems.append(
                "table {0} has {1} rows, {2} to {3} were expected".format(table, restored[table], fewest, most)
            )
    return problems
