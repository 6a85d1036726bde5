# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the watchdog does with a switchover whose process is gone."""

import threading
import time
import uuid
from typing import Any, Callable, Dict, List, Sequence

from ansible_collections.ocpizza.cutover.plugins.module_utils import journal, valve
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Database, words
from ansible_collections.ocpizza.cutover.plugins.module_utils.switchover_sides import (
    Pair,
    Refused,
    Side,
    fence_for_good,
)

# The way forward has what is left of the deadline but for this, and never less than this; the way back has this much.
LEAST_S = 0.4


def recover(
    reason: str,
    plan: Dict[str, Any],
    origin: Side,
    destination: Side,
    pairs: Sequence[Pair],
    the_valve: valve.Valve,
    until: float = 0.0,
) -> Dict[str, Any]:
    """What the watchdog does once the owner is gone: back where nothing was opened, else forward, by the deadline.

    Until the release requests have reached neither side, so where the way forward fails too, back is without loss.
    What a server did not hear of that is told to it after the release, by the note in the decision.
    """
    outcome: Dict[str, Any] = {"reason": reason, "finished": journal.utc_now(), "by": "watchdog"}
    decision = valve.Decision(the_valve)
    if decision.claim("abort") == "abort":
        # The owner's session is gone and its fence with it; give the server an instant to notice.
        within(LEAST_S, lambda: _until_unfenced([pair.origin for pair in pairs], LEAST_S))
        valve.release(the_valve, origin.name)
        outcome["outcome"] = "aborted"
        return outcome
    try:
        # Where requests go there already, everything is open, and back would leave their writes behind.
        if not _released(the_valve, destination):
            until = max(until - LEAST_S, time.monotonic() + LEAST_S)
            outcome["refused_write"] = _finish(origin, destination, pairs, until)
        valve.release(the_valve, destination.name)
        outcome["outcome"] = "open"
    except Exception as error:
        troubles = ["{0}; then {1}".format(reason, words(error))]
        if not within(LEAST_S, lambda: troubles.extend(_undo(pairs))):
            troubles.append("not every database answered")
        # It is not to be carried out later, when the site has written here again.
        decision.revoke(origin.name)
        valve.release(the_valve, origin.name)
        outcome.update(outcome="aborted", reason="; then ".join(troubles))
    if outcome["outcome"] == "open":
        outcome["reason"] = "; then ".join([outcome["reason"], *fence_for_good(pairs, outcome)])
    return outcome


def within(seconds: float, act: Callable[[], object]) -> bool:
    """Do it, and leave it alone where it takes longer: whether it came to its end."""
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


def _undo(pairs: Sequence[Pair]) -> List[str]:
    """Back, on the connections that are there; what failed of it."""
    troubles = []
    for undo in [pair.destination.close for pair in pairs] + [pair.origin.open for pair in pairs]:
        try:
            undo()
        except Exception as failure:
            troubles.append(words(failure))
    return troubles


def _released(the_valve: valve.Valve, destination: Side) -> bool:
    """Whether new requests go to the destination; a restart of the host leaves only the one flag."""
    there = valve.is_raised(the_valve, "moved") == (destination.name == "target")
    return there and not valve.is_raised(the_valve, "valve")


def _finish(origin: Side, destination: Side, pairs: Sequence[Pair], until: float) -> str:
    """Open where the owner had decided to; the refusals of a write in each database of the side that is left."""
    if not pairs:
        raise Refused("no database can be asked")

    def left(database: Database) -> float:
        seconds = until - time.monotonic()
        if seconds <= 0:
            raise Refused("no time was left")
        database.patience(seconds)
        return seconds

    for pair in pairs:
        left(pair.origin)
        pair.origin.close()
    # What was copied was whole and proven before the decision.
    for pair in [pair for pair in pairs if pair.replicates]:
        left(pair.origin)
        position = pair.origin.mark(uuid.uuid4().hex)
        # The server's word should come before we stop listening.
        if not pair.destination.wait_for(position, 0.8 * left(pair.destination)):
            raise Refused("the {0} did not reach {1}".format(destination.name, position))
    for pair in pairs:
        left(pair.destination)
        pair.destination.open()
    refusals = []
    for pair in pairs:
        left(pair.origin)
        refusals.append(pair.origin.attempt_write())
        if not refusals[-1]:
            raise Refused("a write on the {0} was let through".format(origin.name))
    return "; ".join(refusals)


def _until_unfenced(databases: Sequence[Database], seconds: float) -> None:
    until = time.monotonic() + seconds
    for database in databases:
        try:
            while database.fenced_by() is not None and time.monotonic() < until:
                time.sleep(0.01)
        except Exception:  # noqa: S112  the release must not depend on the database
            continue
