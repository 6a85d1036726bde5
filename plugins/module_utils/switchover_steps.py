# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a switchover tells: each step in the journal, the outcome in a file."""

import contextlib
import json
import os
import time
from typing import Any, Callable, Dict, List

from ansible_collections.ocpizza.cutover.plugins.module_utils import journal
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import words


class Outcome(Dict[str, Any]):
    """What the switchover has to tell; written as switchover.json."""


def write_json(path: str, content: Dict[str, Any]) -> None:
    """Replace a file in one step; a reader never sees half of it."""
    with open(path + ".new", "w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=2, sort_keys=True)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(path + ".new", path)


class Steps:
    """Times the steps and tells the journal of each."""

    def __init__(self, path: str, phase: str, host: str) -> None:
        self.path = path
        self.phase = phase
        self.host = host
        self.taken: List[Dict[str, Any]] = []
        # Inside the hold the journal must cost nothing: events are kept and written after the release.
        self.pending: List[Dict[str, Any]] = []
        self.holding = False

    def tell(self, step: str, status: str, text: str = "") -> None:
        """One event, now, or after the release when requests are held."""
        event: Dict[str, Any] = {"step": step, "status": status, "text": text, "time": journal.utc_now()}
        if self.holding:
            self.pending.append(event)
        else:
            journal.append(self.path, self.phase, host=self.host, **event)

    def flush(self) -> None:
        """Write what was kept back. The site has been released by then: a journal on a full disk changes nothing."""
        self.holding = False
        pending, self.pending = self.pending, []
        with contextlib.suppress(OSError):
            for event in pending:
                journal.append(self.path, self.phase, host=self.host, **event)

    def run(self, name: str, action: Callable[[], Any]) -> Any:
        """Run one step and keep its milliseconds."""
        begun = time.monotonic()
        try:
            result = action()
        except Exception as error:
            self.tell(name, "failed", words(error))
            raise
        milliseconds = round((time.monotonic() - begun) * 1000, 1)
        self.taken.append({"name": name, "ms": milliseconds})
        self.tell(name, "passed", "{0} ms".format(milliseconds))
        return result
