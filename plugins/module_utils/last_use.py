# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When somebody last asked for a site, from the end of its logs backwards; bots and checks are nobody."""

import collections
import glob
import os
from typing import Any, Dict, Iterable, List, Optional, Sequence

from ansible_collections.ocpizza.cutover.plugins.module_utils import access_log, log_files
from ansible_collections.ocpizza.cutover.plugins.module_utils.access_count import Rules, iso

# So much of a log is read from its end, more only where nobody is seen in it.
TAILS = (1 << 16, 1 << 20, 1 << 24)
# Of a compressed log, which can be read from its beginning only.
LINES = 100000
ROTATED = ("", ".1", "-*", ".[2-9]*", ".[1-9][0-9]*")


def files(path: str) -> List[str]:
    """A log and what it was rotated into, the youngest first."""
    found = {one for end in ROTATED for one in glob.glob(glob.escape(path) + end) if os.path.isfile(one)}
    return sorted(found, key=lambda one: (one != path, -os.stat(one).st_mtime))


def _lines(path: str, size: int) -> Iterable[str]:
    with log_files.open_log(path) as stream:
        if os.path.splitext(path)[1] in log_files.OPENERS:
            return list(collections.deque(log_files.lines(stream), LINES))
        begin = max(0, os.path.getsize(path) - size)
        stream.seek(begin)
        if begin:
            stream.readline()
        return list(log_files.lines(stream))


class Log:
    """What the log of one site, and all it was rotated into, says of its last use."""

    def __init__(self, rules: Rules, now: float) -> None:
        self.rules = rules
        self.now = now
        self.last: Optional[float] = None
        self.oldest: Optional[float] = None
        self.unread = ""

    def read(self, path: str) -> None:
        """Go back until somebody is found."""
        paths = files(path)
        if not paths:
            self.unread = "{0}: No such file or directory".format(path)
        for one in paths:
            for size in TAILS:
                if self._look(one, size) or size >= os.path.getsize(one):
                    break
            if self.last is not None or self.unread:
                return

    def _look(self, path: str, size: int) -> bool:
        parser, lines, known = access_log.Parser(), 0, 0
        try:
            for line in _lines(path, size):
                found = parser.parse(line)
                lines += 1
                if found is None or found.time > self.now:
                    continue
                known += 1
                self.oldest = min(found.time, self.oldest or found.time)
                if self.rules.kind(found) == "people":
                    self.last = max(found.time, self.last or found.time)
        except (OSError, EOFError) as error:
            self.unread = "{0}: {1}".format(path, getattr(error, "strerror", None) or error)
        if lines and not known and not self.unread:
            self.unread = "{0}: its format is not known".format(path)
        return self.last is not None or bool(self.unread)


def add(vhosts: Sequence[Dict[str, Any]], now: float) -> None:
    """Tell each virtual host C(last_used), or C(quiet_since) for which nobody came, or C(use_unknown) and why."""
    rules = Rules(["127.0.0.0/8", "::1"], [], [])
    users: Dict[str, List[List[str]]] = {}
    for vhost in vhosts:
        for path in vhost["logs"]:
            users.setdefault(path, []).append(vhost["names"][:1])
    for vhost in vhosts:
        own = [path for path in vhost["logs"] if all(names == vhost["names"][:1] for names in users[path])]
        log = Log(rules, now)
        for path in own:
            log.read(path)
        unknown = log.unread
        if not own:
            unknown = "it shares its log with others" if vhost["logs"] else "it writes no log"
        elif not log.unread and log.oldest is None:
            unknown = "its log is empty"
        known = log.last is not None
        vhost.update(
            last_used=iso(log.last),
            quiet_since="" if known or unknown else iso(log.oldest),
            use_unknown="" if known else unknown,
        )
