# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: S608 - every name in a statement went through quote_mysql(); the position is digits, commas and dashes
"""The first copy of the site's databases: one consistent snapshot with its position, streamed over TLS."""

import contextlib
import re
import subprocess
import tempfile
import time
import uuid
from typing import Any, BinaryIO, Callable, Dict, List, Optional, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_mysql
from ansible_collections.ocpizza.cutover.plugins.module_utils.mariadb import MariaDB

CHUNK = 1 << 20
# At the start of a line, where no row can put it: a dump writes line ends within values as \\n.
POSITION = re.compile(rb"^(?:-- )?SET GLOBAL gtid_slave_pos='([0-9,-]+)';$", re.MULTILINE)
LONGEST_LINE = 4096


class SeedFailed(Exception):  # noqa: N818  a word of the journal, not of Python
    """The copy did not complete; the next run starts it anew."""


def position_in(part: bytes) -> Optional[str]:
    """The GTID position that a part of a dump names; None where it names none."""
    found = POSITION.search(part)
    return found.group(1).decode("ascii") if found else None


def seeded(target: MariaDB) -> Optional[str]:
    """The position of a copy that completed earlier; None where there is none."""
    target.make_schema()
    target.unlogged(
        "CREATE TABLE IF NOT EXISTS {0}.seed (id TINYINT PRIMARY KEY, position VARCHAR(1000) NOT NULL, "
        "finished DATETIME(6) NOT NULL) ENGINE=InnoDB".format(target.schema)
    )
    found = target.rows("SELECT position FROM {0}.seed".format(target.schema))
    return str(found[0]["position"]) if found else None


def foreign_tables(target: MariaDB) -> List[str]:
    """Tables on the target that no copy of ours has brought: the seed never writes over them."""
    begun = target.rows(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = %s AND table_name = 'seeding'",
        [target.name],
    )
    if begun:
        return []
    return ["{0}.{1}".format(table["db"], table["tbl"]) for table in target.tables()]


def seed(
    source: MariaDB,
    target: MariaDB,
    dump: List[str],
    load: List[str],
    progress: Callable[[int, int], None],
) -> Dict[str, Any]:
    """Copy the databases, unless that was done. ``dump`` and ``load`` are the commands of the two ends.

    Progress is told in bytes of SQL, of which the size of data and indexes is a fair guess.
    """
    done = seeded(target)
    if done is not None:
        return {"changed": False, "position": done}
    foreign = foreign_tables(target)
    if foreign:
        raise SeedFailed(
            "the target already has {0}; the copy never writes over tables that it did not bring. "
            "Drop the database on the target, or name another one".format(", ".join(foreign[:5]))
        )
    total = int(
        source.value(
            "SELECT COALESCE(SUM(data_length), 0) FROM information_schema.tables WHERE table_schema IN %s",
            [source.databases],
        )
    )
    target.unlogged("CREATE TABLE IF NOT EXISTS {0}.seeding (id TINYINT PRIMARY KEY)".format(target.schema))
    for database in target.databases:
        target.unlogged("DROP DATABASE IF EXISTS {0}".format(quote_mysql(database)))
    source.drop_fence()
    # A binary log that was turned on a moment ago has no position yet, and the dump would name none.
    source.make_schema()
    source.mark(uuid.uuid4().hex)
    begun = time.monotonic()
    position, sent = stream(dump, load, progress, total)
    target.unlogged(
        "REPLACE INTO {0}.seed VALUES (1, '{1}', UTC_TIMESTAMP(6))".format(target.schema, position),
        "DROP TABLE {0}.seeding".format(target.schema),
    )
    return {
        "changed": True,
        "position": position,
        "bytes": sent,
        "seconds": round(time.monotonic() - begun, 3),
    }


def stream(dump: List[str], load: List[str], progress: Callable[[int, int], None], total: int) -> Tuple[str, int]:
    """Run both ends, and return the snapshot's position and the bytes that went over."""
    # In files, not pipes: an end that has much to say must not wait for us to listen while we wait for it.
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as answered:
        giving = subprocess.Popen(dump, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said)
        taking = subprocess.Popen(load, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=answered)
        cut_off = False
        try:
            position, tail, sent = _carry(giving, taking, progress, total)
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
    progress: Callable[[int, int], None],
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
        progress(sent, max(total, sent))
    taking.stdin.close()
    return position, tail, sent


def _words(stream: BinaryIO) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", "replace").strip()
