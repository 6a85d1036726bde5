# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the watchdog does with a switchover whose process is gone."""

import time
import uuid
from typing import Any, Dict, Sequence

from ansible_collections.ocpizza.cutover.plugins.module_utils import journal, valve
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Database, words
from ansible_collections.ocpizza.cutover.plugins.module_utils.switchover_sides import (
    Pair,
    Refused,
    Side,
    fence_for_good,
)


def recover(
    reason: str,
    plan: Dict[str, Any],
    origin: Side,
    destination: Side,
    pairs: Sequence[Pair],
    the_valve: valve.Valve,
) -> Dict[str, Any]:
    """What the watchdog does once the owner is gone: back where nothing was opened, else forward.

    Until the release requests have reached neither side, so where the way forward fails too, back is without loss.
    """
    outcome: Dict[str, Any] = {"reason": reason, "finished": journal.utc_now(), "by": "watchdog"}
    if valve.Decision(the_valve).claim("abort") == "abort":
        # The owner's session is gone and its fence with it; give the server an instant to notice.
        for pair in pairs:
            _until_unfenced(pair.origin, 0.5)
        valve.release(the_valve, origin.name)
        outcome["outcome"] = "aborted"
        return outcome
    try:
        # Where requests go there already, everything is open, and back would leave their writes behind.
        if not _released(the_valve, destination):
            outcome["refused_write"] = _finish(origin, destination, pairs)
        valve.release(the_valve, destination.name)
        outcome["outcome"] = "open"
    except Exception as error:
        outcome["reason"] = "{0}; then {1}".format(reason, words(error))
        undoing = [pair.destination.close for pair in pairs] + [pair.origin.open for pair in pairs]
        for undo in undoing:
            try:
                undo()
            except Exception as failure:
                outcome["reason"] += "; then {0}".format(words(failure))
        # It is not to be carried out later, when the site has written here again.
        valve.Decision(the_valve).clear()
        valve.release(the_valve, origin.name)
        outcome["outcome"] = "aborted"
    if outcome["outcome"] == "open":
        outcome["reason"] = "; then ".join([outcome["reason"], *fence_for_good(pairs, outcome)])
    return outcome


def _released(the_valve: valve.Valve, destination: Side) -> bool:
    """Whether new requests go to the destination; a restart of the host leaves only the one flag."""
    there = valve.is_raised(the_valve, "moved") == (destination.name == "target")
    return there and not valve.is_raised(the_valve, "valve")


def _finish(origin: Side, destination: Side, pairs: Sequence[Pair]) -> str:
    """Open where the owner had decided to; the refusals of a write in each database of the side that is left."""
    for pair in pairs:
        pair.origin.close()
    # What was copied was whole and proven before the decision.
    for pair in [pair for pair in pairs if pair.replicates]:
        position = pair.origin.mark(uuid.uuid4().hex)
        if not pair.destination.wait_for(position, 2.0):
            raise Refused("the {0} did not reach {1}".format(destination.name, position))
    for pair in pairs:
        pair.destination.open()
    refusals = []
    for pair in pairs:
        refusals.append(pair.origin.attempt_write())
        if not refusals[-1]:
            raise Refused("a write on the {0} was let through".format(origin.name))
    return "; ".join(refusals)


def _until_unfenced(database: Database, seconds: float) -> None:
    until = time.monotonic() + seconds
    try:
        while database.fenced_by() is not None and time.monotonic() < until:
            time.sleep(0.01)
    except Exception:  # noqa: S110  the release must not depend on the database
        pass
