# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every row of a dump as a number for each table, to compare what was restored with what was backed up."""

import hashlib
import re
from typing import IO, Dict, List, Tuple

Digests = Dict[str, Tuple[int, int]]
INSERT = re.compile(rb"INSERT INTO (`(?:[^`]|``)+`)")
COPY = re.compile(rb"COPY (.+?) (?:\(.*\) )?FROM stdin;$")


def _add(found: Digests, table: str, line: bytes) -> None:
    # A sum, for an order that may differ is no difference.
    number = int.from_bytes(hashlib.blake2b(line, digest_size=16).digest(), "big")
    count, total = found.get(table, (0, 0))
    found[table] = (count + 1, (total + number) % (1 << 128))


def of_mysql(stream: IO[bytes]) -> Digests:
    """The INSERT statements of a mysqldump, which has a line for each row or for many."""
    found = {}  # type: Digests
    table = ""
    for line in stream:
        insert = INSERT.match(line)
        if insert:
            table = insert.group(1).decode("utf-8", "surrogateescape")
        if table:
            # In a line for each row, the last ends otherwise.
            _add(found, table, line.rstrip(b",;\r\n"))
            # No value has a raw end of line.
            if line.endswith(b";\n"):
                table = ""
    return found


def of_postgresql(stream: IO[bytes]) -> Digests:
    """The rows of COPY, and where the sequences stand."""
    found = {}  # type: Digests
    table = ""
    for line in stream:
        if table:
            if line == b"\\.\n":
                table = ""
            else:
                _add(found, table, line)
            continue
        copy = COPY.match(line.rstrip(b"\n"))
        if copy:
            table = copy.group(1).decode("utf-8", "surrogateescape")
            found.setdefault(table, (0, 0))
        elif line.startswith(b"SELECT pg_catalog.setval("):
            _add(found, "sequences", line)
    return found


def differences(backup: Digests, restored: Digests) -> List[str]:
    """The tables whose rows are not the same."""
    return sorted(table for table in set(backup) | set(restored) if backup.get(table) != restored.get(table))
