# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs where no TCP socket tells it: behind a Unix socket, and inside Apache."""

import contextlib
import os
from typing import Callable, Iterable, Iterator, List

APACHE = ("apache2", "httpd")


# Of a socket in /proc/net/unix: the flag of one that listens; the states of one that still waits to be accepted, and
# of one that is connected.
ACCEPTS = "00010000"
CONNECTING, CONNECTED = "02", "03"


def _sockets(lines: Iterable[str], path: str) -> Iterator[List[str]]:
    """The fields of the sockets at the path, whatever links lead there: /var/run is one."""
    name, place = os.path.basename(path), os.path.realpath(path)
    for line in lines:
        fields = line.rstrip("\n").split(None, 7)
        if len(fields) == 8 and fields[7].endswith(name) and os.path.realpath(fields[7]) == place:
            yield fields


def count_connected(lines: Iterable[str], path: str) -> int:
    """How many sockets of /proc/net/unix a server has accepted, or is about to, at the path."""
    return sum(1 for fields in _sockets(lines, path) if fields[5] in (CONNECTING, CONNECTED))


def is_seen(path: str, table: str = "/proc/net/unix") -> bool:
    """Whether somebody is seen to listen at the path; of a container's or a relative path nothing would be seen."""
    with open(table, encoding="utf-8", errors="surrogateescape") as stream:
        return any(fields[3] == ACCEPTS for fields in _sockets(stream, path))


def count_noted(folder: str, proc: str = "/proc") -> int:
    """How many requests Apache has noted in the folder; what a process left that has ended is cleared away."""
    count = 0
    for name in os.listdir(folder):
        try:
            with open(os.path.join(proc, name.split("-")[0], "comm"), encoding="utf-8") as stream:
                alive = stream.read().strip() in APACHE
        except OSError:
            alive = False
        if alive:
            count += 1
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, name))
    return count


def notes(folder: str, ask: Callable[[], object]) -> bool:
    """Whether Apache notes what is asked of it; where it does not, a drain would see nothing run."""
    try:
        before = os.stat(folder).st_mtime_ns
        ask()
        return os.stat(folder).st_mtime_ns != before
    except OSError:
        return False
