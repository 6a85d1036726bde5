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
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence

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


def digest(path: str) -> str:
    """The SHA-256 of a file."""
    sha = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(BLOCK), b""):
            sha.update(block)
    return sha.hexdigest()


def dump_command(client: str, database: str, socket: Optional[str] = None) -> List[str]:
    """A consistent dump of one database, without a statement that names it."""
    command = [client, "--single-transaction", "--quick", "--routines", "--triggers", "--events", "--hex-blob"]
    command += ["--default-character-set=utf8mb4"]
    if socket:
        command.append("--socket={0}".format(socket))
    return [*command, "--", database]


def write_dump(command: Sequence[str], path: str) -> Written:
    """Run the dump into a compressed file that takes its name only when it is complete."""
    handle, aside = tempfile.mkstemp(prefix=".part-", dir=os.path.dirname(path))
    tail = b""
    try:
        with tempfile.TemporaryFile() as errors:
            with subprocess.Popen(list(command), stdout=subprocess.PIPE, stderr=errors) as process:
                assert process.stdout is not None
                with os.fdopen(handle, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as packed:
                    for block in iter(lambda: process.stdout.read(BLOCK), b""):  # type: ignore[union-attr]
                        packed.write(block)
                        tail = (tail + block)[-200:]
                code = process.wait()
            errors.seek(0)
            said = errors.read().decode("utf-8", "replace").strip()
        if code != 0:
            raise IncompleteError("{0} ended with {1}: {2}".format(command[0], code, said))
        if MARKER not in tail:
            raise IncompleteError("{0} ended without '{1}'".format(command[0], MARKER.decode("ascii")))
        written = Written(path, os.path.getsize(aside), digest(aside))
        os.rename(aside, path)
    finally:
        if os.path.exists(aside):
            os.unlink(aside)
    return written


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


def load_dump(command: Sequence[str], path: str, sha256: str) -> None:
    """Feed a compressed dump to a client, after its checksum was found right."""
    found = digest(path)
    if found != sha256:
        raise IncompleteError("{0} has checksum {1} instead of {2}".format(path, found, sha256))
    tail = b""
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(
            list(command), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors
        ) as process:
            assert process.stdin is not None
            try:
                with gzip.open(path, "rb") as packed:
                    for block in iter(lambda: packed.read(BLOCK), b""):
                        process.stdin.write(block)
                        tail = (tail + block)[-200:]
                process.stdin.close()
            except BrokenPipeError:
                pass  # the client says why below
            code = process.wait()
        errors.seek(0)
        said = errors.read().decode("utf-8", "replace").strip()
    if code != 0:
        raise IncompleteError("the server refused the dump: {0}".format(said))
    if MARKER not in tail:
        raise IncompleteError("{0} ends without '{1}'".format(path, MARKER.decode("ascii")))


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
