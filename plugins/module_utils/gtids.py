# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of MySQL's GTIDs as text: which servers they are of, and how many."""

from typing import Iterator, List


def members(gtids: str) -> List[str]:
    """The members of a GTID set, one a server."""
    return [member for member in "".join(gtids.split()).split(",") if member]


def of_server(gtids: str, server_uuid: str) -> str:
    """What of a GTID set one server took."""
    return ",".join(member for member in members(gtids) if member.split(":")[0].lower() == server_uuid.lower())


def is_tagged(gtids: str) -> bool:
    """Whether a GTID in the set has a tag: uuid:tag:1-3 beside uuid:1-3."""
    return any(not part[:1].isdigit() for member in members(gtids) for part in member.split(":")[1:])


def each_of(gtids: str) -> Iterator[str]:
    """Every single GTID of an untagged set."""
    for member in members(gtids):
        server, *intervals = member.split(":")
        for interval in intervals:
            first, _dash, last = interval.partition("-")
            for number in range(int(first), int(last or first) + 1):
                yield "{0}:{1}".format(server, number)


def count_of(gtids: str) -> int:
    """How many GTIDs are in an untagged set."""
    found = 0
    for member in members(gtids):
        for interval in member.split(":")[1:]:
            first, _dash, last = interval.partition("-")
            found += int(last or first) - int(first) + 1
    return found
