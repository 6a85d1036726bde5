# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a switchover moves between: the two sides of a site, and each engine's databases on both."""

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils import valve
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Database, TableName, words
from ansible_collections.ocpizza.cutover.plugins.module_utils.tracker import Changes, Tracker
from ansible_collections.ocpizza.cutover.plugins.module_utils.widen import Room


class Refused(Exception):  # noqa: N818  a word of the journal, not of Python
    """The switchover stops, and the site stays where it is."""


class Side(NamedTuple):
    """One side of the move: where its requests run, and how to ask it whether it is well."""

    name: str
    endpoint: valve.Endpoint
    health: Dict[str, str]


class Pair(NamedTuple):
    """One engine's databases on both sides, and what proves them equal.

    ``tracker`` is None where there is no full proof to start from. ``room`` asks the target about its widened keys.
    ``replicates`` is false where the rows are copied while requests wait.
    """

    origin: Database
    destination: Database
    compare: Callable[[Changes], Dict[TableName, List[str]]]
    tracker: Optional[Tracker]
    room: Callable[[], List[Room]] = list
    replicates: bool = True


def called(database: Database, pairs: Sequence[Pair]) -> str:
    """A side's database in words: with its engine where the site has several."""
    return "the {0}'s {1}database".format(database.side, database.engine + " " if len(pairs) > 1 else "")


# Seconds for a server's answer when nobody waits for it.
CALM_S = 5.0


def be_patient(pairs: Sequence[Pair], seconds: float) -> None:
    """Have every server answer within so many seconds from now on."""
    for pair in pairs:
        pair.origin.patience(seconds)
        pair.destination.patience(seconds)


def fence_for_good(pairs: Sequence[Pair], outcome: Dict[str, Any]) -> List[str]:
    """Lock the accounts of the origin's databases, end their sessions, move the events: what of that failed.

    Each part is tried, whatever became of another.
    """
    failures: List[str] = []
    be_patient(pairs, CALM_S)

    def tried(trouble: str, act: Callable[..., Any], *arguments: Any) -> int:
        try:
            return int(act(*arguments) or 0)
        except Exception as error:
            failures.append("{0}: {1}".format(trouble, words(error)))
            return 0

    where = [(pair.origin, called(pair.origin, pairs)) for pair in pairs]
    outcome["accounts_locked"] = sum(
        tried("the accounts of {0} could not all be locked".format(name), database.lock_accounts, True)
        for database, name in where
    )
    outcome["sessions_ended"] = sum(
        tried("the sessions of {0} could not all be ended".format(name), database.end_sessions)
        for database, name in where
    )
    outcome["events_moved"], troubles = move_events(pairs)
    failures += troubles
    for database, name in where:
        tried("the fence's session of {0} was lost".format(name), database.unfence_soft)
    return failures


def move_events(pairs: Sequence[Pair]) -> Tuple[int, List[str]]:
    """Have the destination run the events that ran on the origin: how many, and what failed.

    Where the origin cannot be told its fence refuses what they write, so the destination's begin all the same.
    """
    moved, failures = 0, []
    for pair in pairs:
        for database, run in ((pair.origin, False), (pair.destination, True)):
            try:
                changed = database.let_events_run(run)
            except Exception as error:
                failures.append(
                    "the {0}'s {1} events could not all be turned {2}: {3}".format(
                        database.side, database.engine, "on" if run else "off", words(error)
                    )
                )
            else:
                moved += changed if run else 0
    return moved, failures
