# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a dump of MariaDB or MySQL that can be restored under any name, on any server.

Triggers are dumped as they were once written, with the name of the database where that was given: restored into
another one they would be made in the first. Those of the fence ask a table that no other server has, and would refuse
all writes.
"""

import re
from typing import Iterable, Iterator, Match

BEGIN = b"/*!50003 CREATE*/"
END = b"*/;;\n"
NAME = rb"(?:`(?:[^`]|``)+`|[\w$\x80-\xff]+)"
QUALIFIER = rb"(?:" + NAME + rb"\s*\.\s*)?"
HEAD = re.compile(
    rb"(?P<trigger>/\*!50003\s+TRIGGER\s+(?:IF\s+NOT\s+EXISTS\s+)?)" + QUALIFIER + rb"(?P<name>" + NAME + rb")"
    rb"(?P<when>\s+(?:BEFORE|AFTER)\s+(?:INSERT|UPDATE|DELETE)\s+ON\s+)" + QUALIFIER + rb"(?P<table>" + NAME + rb")",
    re.IGNORECASE,
)
FENCE = re.compile(rb"`?cutover_(?:insert|update|delete)_[0-9a-f]{16}`?\Z")


def portable(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The dump without the fence, and without names of databases in its triggers."""
    rest, before = b"", b"\n"
    for block in blocks:
        rest += block
        while rest:
            at = _beginning(rest, before)
            end = rest.find(END, at) if at >= 0 else -1
            if end >= 0:
                end += len(END)
                yield rest[:at]
                yield _trigger(rest[at:end])
                rest, before = rest[end:], b"\n"
                continue
            # What may be the beginning of one waits for the next block.
            ready = at if at >= 0 else max(0, len(rest) - len(BEGIN))
            if ready:
                before = rest[ready - 1 : ready]
                yield rest[:ready]
                rest = rest[ready:]
            break
    yield rest


def _beginning(text: bytes, before: bytes) -> int:
    """Where the first statement begins that may make a trigger, at the beginning of a line; -1 where there is none."""
    if before == b"\n" and text.startswith(BEGIN):
        return 0
    found = text.find(b"\n" + BEGIN)
    return found + 1 if found >= 0 else -1


def _trigger(statement: bytes) -> bytes:
    """The statement with its own database's name left out; of the fence's nothing is left."""
    head = HEAD.search(statement)
    if head and FENCE.match(head.group("name")):
        return b""
    return HEAD.sub(_unqualified, statement, count=1)


def _unqualified(head: "Match[bytes]") -> bytes:
    return head.group("trigger") + head.group("name") + head.group("when") + head.group("table")
