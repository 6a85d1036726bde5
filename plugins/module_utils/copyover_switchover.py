# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The critical section where nothing replicates: hold, drain, fence, copy, prove, look at the way back, open, release.

What differs from the other switchover is that every row goes over, and is compared, while requests wait. Until the
open the site's own side is not touched, so that every failure still releases to it.
"""

import math
import time
from typing import Any, Callable, Dict, List, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils import copyover, copyover_schema, journal, valve
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Database, words
from ansible_collections.ocpizza.cutover.plugins.module_utils.switchover import Switchover
from ansible_collections.ocpizza.cutover.plugins.module_utils.switchover_sides import Refused
from ansible_collections.ocpizza.cutover.plugins.module_utils.switchover_steps import Outcome, write_json

# A hold that ends at its deadline was for nothing, and servers are not equally fast at all times.
MARGIN = 1.5


class CopyOver(Switchover):
    """One switchover of the databases of one engine, by copy."""

    def __init__(self, *arguments: Any) -> None:
        *base, ends = arguments
        super().__init__(*base)
        (self.pair,) = self.pairs
        self.ends: copyover.Ends = ends
        self.trial = copyover.read_trial(self.plan["trial"])
        self.took: Dict[str, float] = {}
        self.rows = 0
        self.emptied = False

    def run(self) -> Outcome:
        """Move the writes to the destination; where that fails its fence, taken away for the copy, is put back."""
        outcome = super().run()
        if self.emptied and outcome["outcome"] != "open":
            try:
                copyover_schema.mend(self.server(self.destination.name))
            except Exception as error:
                outcome["reason"] += " (and the {0}'s fence is not back: {1})".format(
                    self.destination.name, words(error)
                )
        return outcome

    def held_steps(self) -> List[Tuple[str, Callable[[], Any]]]:
        """The copy is in the place of catching up."""
        return [("copy", self.copy) if name == "catch up" else (name, step) for name, step in super().held_steps()]

    def link_trouble(self, database: Database) -> str:
        """There is no link, and none is needed."""
        return ""

    def server(self, side: str) -> Any:
        """A side's databases, through a connection that may wait as long as the hold."""
        return self.ends.source if side == "source" else self.ends.target

    def gate(self) -> None:
        """Everything that must be so before a request is held; then the other side is emptied."""
        problems = self.valve_problems()
        self.decision.clear()
        valve.prepare(self.valve)
        if not self.trial:
            raise Refused("; ".join([*problems, "there was no trial copy; run replicate.yml"]))
        if self.pair.destination.is_closed():
            # An earlier copy may have been broken off.
            copyover_schema.mend(self.server(self.destination.name))
        problems += self.database_problems(self.pair)
        problems += self.definition_problems()
        problems += self.time_problems()
        if problems:
            raise Refused("; ".join(problems))
        self.pair.destination.lock_accounts(False)
        self.warm()
        self.follow_media()
        if self.destination.name == "target":
            copyover.begin(self.ends.target)
        self.emptied = True
        copyover_schema.clear(self.server(self.destination.name))

    def definition_problems(self) -> List[str]:
        """What is not defined alike; the copy brings rows alone."""
        found = copyover.differences(self.ends, self.trial["noted"])
        return [
            "database {0}: {1}; run replicate.yml again".format(name, text)
            for name in sorted(found)
            for text in found[name][:5]
        ]

    def time_problems(self) -> List[str]:
        """Why the hold would be too long, with the figure."""
        seconds = copyover.predicted(self.trial, copyover.count_rows(self.server(self.origin.name)))
        self.outcome["predicted_s"] = seconds
        self.outcome["predicted_from"] = copyover.basis(self.trial)
        allowed = float(self.plan["deadline_s"])
        if seconds * MARGIN <= allowed:
            return []
        return [
            "the hold would take about {0} s ({1}), too long for its deadline of {2:g} s; set "
            "switchover_copy_deadline to {3:g} at least, if requests may wait so long".format(
                seconds, self.outcome["predicted_from"], allowed, math.ceil(seconds * MARGIN)
            )
        ]

    def within(self, _rows: int) -> None:
        """Stop a copy or a proof at the deadline."""
        self.remaining()

    def copy(self) -> None:
        """Bring every row over; nobody writes on either side."""
        begun = time.monotonic()
        self.outcome["position"] = "fenced at {0}".format(journal.utc_now())
        self.rows = copyover.copy(self.ends, self.origin.name, self.within)
        self.took["copy"] = time.monotonic() - begun

    def prove(self) -> None:
        """Compare every row, and every definition."""
        begun = time.monotonic()
        proofs = copyover.prove(self.ends, self.trial["noted"], self.outcome["position"], self.within)
        self.outcome["proof"] = proofs
        copyover.refuse_unproven(proofs)
        self.took["proof"] = time.monotonic() - begun
        self.remaining()

    def reverse(self) -> None:
        """The way back is the same copy: the definitions are there, and the trial has brought rows of each table back.

        What there is to see of it now is that both servers still answer.
        """
        for database in (self.pair.origin, self.pair.destination):
            if database.missing_triggers():
                raise Refused("the fence does not cover every table of the {0}".format(database.side))

    def fence_hard(self) -> None:
        """Beside the accounts and events, note what this copy took: the way back is predicted from it."""
        try:
            super().fence_hard()
        finally:
            found = copyover.measured(self.rows, self.took["copy"], self.took["proof"])
            write_json(self.plan["trial"], dict(self.trial, **found))
            if self.destination.name == "target":
                copyover.end(self.ends.target)
