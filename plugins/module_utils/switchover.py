# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The critical section: hold, drain, fence, catch up, prove, open, release, in one process on the source.

Written for any two sides: ``origin`` is where the writes are now and ``destination`` where they go, so that
going back is the same code with the sides exchanged.

Until the decision is claimed for 'open', whatever fails releases the held requests towards the origin; from
then on the watchdog finishes the way forward if this process can't.
"""

import shutil
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils import journal, running, valve
from ansible_collections.ocpizza.cutover.plugins.module_utils.application_health import ask, other_release
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Database, words
from ansible_collections.ocpizza.cutover.plugins.module_utils.media import Media, foreign_text
from ansible_collections.ocpizza.cutover.plugins.module_utils.switchover_sides import (
    Pair,
    Refused,
    Side,
    be_patient,
    called,
    fence_for_good,
)
from ansible_collections.ocpizza.cutover.plugins.module_utils.switchover_steps import Outcome, Steps
from ansible_collections.ocpizza.cutover.plugins.module_utils.tracker import Tracker
from ansible_collections.ocpizza.cutover.plugins.module_utils.watchdog import Leash

# More keys than this are compared before the hold, not inside it.
TAIL_KEYS = 2000
# What comes after the release holds nobody, and yet the watchdog sees that it comes to its end.
AFTERWARDS_S = 60.0
# What the watchdog needs of the deadline to finish or to undo what a server has left unanswered.
RESERVE_S, LEAST_S = 1.0, 0.2


class Switchover:
    """One switchover, from its gate to its release."""

    def __init__(
        self,
        plan: Dict[str, Any],
        origin: Side,
        destination: Side,
        pairs: Sequence[Pair],
        the_valve: valve.Valve,
        leash: Callable[[], Leash],
        media: Optional[Media] = None,
    ) -> None:
        self.plan = plan
        self.origin = origin
        self.destination = destination
        self.pairs = list(pairs)
        self.valve = the_valve
        self.make_leash = leash
        # Whoever writes down where the site lives then is to say that it is done.
        self.leash: Optional[Leash] = None
        self.media = media
        self.decision = valve.Decision(the_valve)
        self.steps = Steps(plan["journal"], plan["phase"], plan["host"])
        self.deadline = 0.0
        self.proven_keys = 0
        self.outcome = Outcome(
            direction=origin.name + " to " + destination.name,
            started=journal.utc_now(),
            deadline=plan["deadline_s"],
            outcome="refused",
            reason="",
            pause_ms=None,
            position="",
            refused_write="",
            followed_from={},
            widened=[],
            ended_requests=0,
        )

    def run(self) -> Outcome:
        """Move the writes from the origin to the destination, or leave everything as it was."""
        held_at: Optional[float] = None
        try:
            self.steps.run("gate", self.gate)
            self.leash = self.make_leash()
            self.steps.run("keep-alive off", self.close_keepalive)
            held_at = time.monotonic()
            self.deadline = held_at + float(self.plan["deadline_s"])
            self.leash.hold_until(self.deadline)
            self.steps.holding = True
            for name, step in self.held_steps():
                self.steps.run(name, step)
            self.steps.run("release", lambda: valve.release(self.valve, self.destination.name))
            self.outcome["outcome"] = "open"
        except Exception as error:
            self.outcome["reason"] = words(error)
            self.undo(held_at is not None)
        if held_at is not None and self.leash is not None:
            self.outcome["pause_ms"] = round((time.monotonic() - held_at) * 1000, 1)
            self.leash.released(AFTERWARDS_S)
        self.steps.flush()
        if self.outcome["outcome"] == "open":
            try:
                self.steps.run("fence for good", self.fence_hard)
            except Exception as error:
                # The site has moved and the origin is closed: nothing that fails here may call that refused.
                self.outcome["reason"] = "the {0} is closed, but {1}".format(self.origin.name, words(error))
        self.outcome["steps"] = self.steps.taken
        self.outcome["proven_keys"] = self.proven_keys
        self.outcome["finished"] = journal.utc_now()
        return self.outcome

    def held_steps(self) -> List[Tuple[str, Callable[[], Any]]]:
        """What is done while requests wait, in this order."""
        return [
            ("hold", lambda: valve.engage(self.valve)),
            ("drain", self.drain),
            ("fence", self.fence),
            ("catch up", self.catch_up),
            *([("media", self.catch_up_media)] if self.media else []),
            ("prove", self.prove),
            ("reverse", self.reverse),
            ("open", self.open),
        ]

    def remaining(self) -> float:
        """Seconds until the deadline."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Refused("the deadline of {0} s passed".format(self.plan["deadline_s"]))
        return left

    def undo(self, held: bool) -> None:
        """Give everything back to the origin. After the claim for 'open' the watchdog finishes instead."""
        if held and self.decision.claim("abort") != "abort":
            # Our end of the leash closes as this process ends, and that is the watchdog's sign.
            self.steps.flush()
            raise SystemExit("the way forward is left to the watchdog: {0}".format(self.outcome["reason"]))
        if not held:
            # A refusal leaves the other flags alone: someone else may hold the site, or have moved it.
            self.outcome["outcome"] = "refused"
            valve.lower_flag(self.valve, "near")
            return
        self.outcome["outcome"] = "aborted"
        for pair in self.pairs:
            try:
                pair.origin.unfence_soft()
            except Exception as error:
                # The server drops the fence with the session; what is not known to be dropped is dropped with it.
                self.outcome["reason"] += " (and the fence's session was lost: {0})".format(words(error))
        valve.release(self.valve, self.origin.name)

    # The steps.

    def the(self, database: Database) -> str:
        """A side's database in words."""
        return called(database, self.pairs)

    def gate(self) -> None:
        """Everything that must be so before a single request is held. Unknown is failure."""
        problems = self.valve_problems()
        self.decision.clear()
        valve.prepare(self.valve)
        for pair in self.pairs:
            problems += self.database_problems(pair)
            problems += self.room_problems(pair)
            if not pair.tracker:
                problems.append(
                    "there is no full proof of {0} to start from; run verify.yml".format(pair.origin.engine)
                )
        if problems:
            raise Refused("; ".join(problems))
        for pair in self.pairs:
            pair.destination.lock_accounts(False)
            self.canary(pair)
        self.warm()
        for pair in self.pairs:
            # The proof of the way back starts here, before the first write there.
            self.outcome["followed_from"][pair.destination.engine] = pair.destination.changes_from()
        self.follow_media()
        # Once more for the earlier ones: while the last was followed, they have changed again.
        for pair in self.pairs + self.pairs[:-1]:
            self.follow_changes(pair)

    def valve_problems(self) -> List[str]:
        """Why the valve could not hold anything."""
        problems = valve.problems(self.valve)
        if not valve.is_idle(self.valve):
            if valve.in_flight(self.valve_endpoint()):
                problems.append("the valve still carries requests of an earlier hold")
            else:
                valve.rest(self.valve)
        for flag in ("hold", "valve"):
            if valve.is_raised(self.valve, flag):
                problems.append("the flag {0} is raised already".format(self.valve.path(flag)))
        place = self.origin.endpoint
        if place.folder and not running.notes(place.folder, lambda: ask(self.origin.health, 5.0)):
            problems.append(
                "Apache does not note in {0} what runs inside it; run replicate.yml again".format(place.folder)
            )
        if float(self.plan["end_requests_after_s"]):
            if not valve.kill_filter(place):
                problems.append(
                    "requests {0} cannot be ended; set switchover_end_requests_after to 0".format(place.words())
                )
            elif not shutil.which("ss"):
                problems.append("there is no ss to end requests with; install iproute2")
        if place.path and not running.is_seen(place.path):
            problems.append("nobody is seen to listen on {0}; correct site_upstream".format(place.path))
        return problems

    def database_problems(self, pair: Pair) -> List[str]:
        """Why the databases could not change roles."""
        here, there = pair.origin, pair.destination
        problems = []
        if here.is_closed():
            problems.append("{0} is closed: the site does not write there".format(self.the(here)))
        if not there.is_closed():
            problems.append("{0} is open to writers".format(self.the(there)))
        for database in (here, there):
            missing = database.missing_triggers()
            if missing:
                problems.append(
                    "the fence of {0} does not cover {1}.{2}; run replicate.yml again".format(
                        self.the(database), missing[0]["db"], missing[0]["tbl"]
                    )
                )
            trouble = self.link_trouble(database)
            if trouble:
                problems.append("replication to {0}: {1}".format(self.the(database), trouble))
        for writer in here.writers():
            if writer["seconds"] > self.plan["longest_transaction_s"]:
                problems.append(
                    "session {0} of {1} has had a transaction open for {2} s in {3}".format(
                        writer["id"], writer["user"], writer["seconds"], self.the(here)
                    )
                )
        return problems

    def link_trouble(self, database: Database) -> str:
        """Why the link to a side is not healthy; '' when it is."""
        return database.link().trouble()

    def room_problems(self, pair: Pair) -> List[str]:
        """Why a widened key could keep the site from going back, now or later."""
        rooms = pair.room()
        self.outcome["widened"] += [room.facts() for room in rooms]
        back = self.origin.name == "target"
        return [
            "{0}: the {1}'s column cannot hold it, so there is no way back".format(room.text(), self.destination.name)
            if back
            else "nothing keeps {0} within what the {1} can hold; run replicate.yml again".format(
                room.column, self.origin.name
            )
            for room in rooms
            if (room.beyond() if back else not room.limited)
        ]

    def valve_endpoint(self) -> valve.Endpoint:
        """The valve's own listening port, as the socket table shows it."""
        return valve.Endpoint("127.0.0.1", int(self.plan["valve_port"]), True)

    def canary(self, pair: Pair) -> None:
        """A row of each side must arrive at the other within the lag budget: 'running' alone proves nothing."""
        for way in (pair, _turned(pair)):
            token = uuid.uuid4().hex
            server = way.origin.server()
            begun = time.monotonic()
            way.origin.mark(token)
            while way.destination.marked(server) != token:
                if time.monotonic() - begun > float(self.plan["lag_budget_s"]):
                    raise Refused(
                        "a row written in {0} did not reach {1} within {2} s".format(
                            self.the(way.origin), self.the(way.destination), self.plan["lag_budget_s"]
                        )
                    )
                time.sleep(0.01)

    def warm(self) -> None:
        """Have real requests answered by the destination, enough to open its pools; the first may be slow."""
        with ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(lambda _turn: ask(self.destination.health, 5.0), range(16)))
            answers = list(pool.map(lambda _turn: ask(self.destination.health, 5.0), range(8)))
        for problem in answers:
            if problem:
                raise Refused("the {0}'s application is not well: {1}".format(self.destination.name, problem))
        problem = other_release(self.origin.health, self.destination.health, 5.0) if self.plan["same_release"] else ""
        if problem:
            raise Refused(
                "the {0}'s application {1}: deploy the same with prepare.yml".format(self.destination.name, problem)
            )

    def follow_changes(self, pair: Pair) -> None:
        """Prove what changed since the full proof, until only the last instants are left for the pause."""
        tracker = pair.tracker
        assert tracker is not None
        for _round in range(20):
            token = uuid.uuid4().hex
            position = pair.origin.mark(token)
            if not tracker.wait_for(token, 120.0):
                raise Refused(tracker.failure or "the log of changes was not read to its end within 120 s")
            if not pair.destination.wait_for(position, float(self.plan["lag_budget_s"])):
                raise Refused("{0} lags more than {1} s".format(self.the(pair.destination), self.plan["lag_budget_s"]))
            changed = tracker.drain()
            self.keyed(tracker)
            count = sum(len(keys) for keys in changed.values())
            # A row may change again while it is compared; its table's keys come back in the next round.
            differing = pair.compare(changed)
            for name in differing:
                tracker.put_back(name, changed[name])
            self.proven_keys += sum(len(keys) for name, keys in changed.items() if name not in differing)
            if count <= TAIL_KEYS:
                return
        raise Refused("{0} changes rows faster than they can be compared".format(self.the(pair.origin)))

    def follow_media(self) -> None:
        """Carry the media over and prove them, until only the last instants are left for the pause."""
        if not self.media:
            return
        self.media.watch()
        figures = self.media.catch_up_before()
        self.outcome["media"] = figures
        if figures["foreign"] and self.media.forward:
            raise Refused(foreign_text(figures["foreign"]))
        self.media.start()

    def keyed(self, tracker: Tracker) -> None:
        """Rows without a key can only be compared by the whole table."""
        if tracker.unkeyed:
            raise Refused(
                "rows without a key changed in {0}; give the table a primary key".format(".".join(min(tracker.unkeyed)))
            )

    def close_keepalive(self) -> None:
        """Let idle connections end now, in their own time, so that the hold itself closes none."""
        valve.keep_none([self.valve], float(self.plan["near_s"]))
        for folder in valve.full(self.valve):
            raise Refused("no room is left in {0}".format(folder))

    def drain(self) -> None:
        """Wait for the requests that run; where that was asked for, end those that take longer."""
        place, after = self.origin.endpoint, float(self.plan["end_requests_after_s"])
        if after and not valve.drain(place, min(self.deadline, time.monotonic() + after)):
            self.outcome["ended_requests"] = valve.in_flight(place)
            valve.end_running(place)
        if not valve.drain(place, self.deadline):
            raise Refused("requests still ran on the {0} at the deadline".format(self.origin.name))

    def fence(self) -> None:
        """Refuse writes on the origin, and wait for transactions that began before."""
        for pair in self.pairs:
            database = pair.origin
            if not database.fence_soft():
                raise Refused(
                    "session {0} holds the fence of another switchover in {1}".format(
                        database.fenced_by(), self.the(database)
                    )
                )
        for pair in self.pairs:
            if not pair.origin.attempt_write():
                raise Refused("a write in {0} was let through the fence".format(self.the(pair.origin)))
        for pair in self.pairs:
            self.no_writer(pair.origin)

    def no_writer(self, database: Database) -> None:
        """Wait for transactions that have written."""
        while True:
            writers = database.writers()
            if not writers:
                return
            try:
                self.remaining()
            except Refused:
                raise Refused(
                    "session {0} of {1} kept a transaction open in {2}".format(
                        writers[0]["id"], writers[0]["user"], self.the(database)
                    )
                ) from None
            time.sleep(0.005)

    def catch_up(self) -> None:
        """Record the final position, and wait until the destination, and the tracker, have it."""
        token = uuid.uuid4().hex
        positions = [pair.origin.mark(token) for pair in self.pairs]
        self.outcome["position"] = "; ".join(positions)
        for pair, position in zip(self.pairs, positions):
            there = self.the(pair.destination)
            if not pair.destination.wait_for(position, self.remaining()):
                raise Refused("{0} did not reach {1} in time".format(there, position))
            if pair.destination.marked(pair.origin.server()) != token:
                raise Refused("{0} reached the position without the marker row".format(there))
            if pair.tracker and not pair.tracker.wait_for(token, self.remaining()):
                raise Refused(pair.tracker.failure or "the log of changes was not read to the final position in time")

    def catch_up_media(self) -> None:
        """The last uploads, proven by their checksums; nobody makes any more of them."""
        assert self.media is not None
        self.media.catch_up(self.remaining)
        self.outcome["media"]["in_hold"] = self.media.carried_at_last

    def prove(self) -> None:
        """Compare the rows that changed since they were last compared, and set what does not replicate."""
        for pair in self.pairs:
            assert pair.tracker is not None
            changed = pair.tracker.drain()
            self.keyed(pair.tracker)
            differences = pair.compare(changed)
            if differences:
                raise Refused("rows differ: {0}".format("; ".join(text for (text, *_more) in differences.values())))
            self.proven_keys += sum(len(keys) for keys in changed.values())
            pair.destination.take_counters(pair.origin)
        self.remaining()

    def reverse(self) -> None:
        """The way back must be there before the first new write."""
        for pair in self.pairs:
            trouble = pair.origin.link().trouble()
            if trouble:
                raise Refused("reverse replication to {0}: {1}".format(self.the(pair.origin), trouble))

    def open(self) -> None:
        """The point after which the way is forward: every database closes here before any opens there."""
        be_patient(self.pairs, max(LEAST_S, self.remaining() - RESERVE_S))
        if self.decision.claim("open", self.destination.name) != "open":
            raise Refused("the watchdog has released the site")
        for pair in self.pairs:
            pair.origin.close()
        for pair in self.pairs:
            pair.destination.open()
        refusals = []
        for pair in self.pairs:
            refusals.append(pair.origin.attempt_write())
            if not refusals[-1]:
                raise Refused("a write in {0} was let through after the open".format(self.the(pair.origin)))
        self.outcome["refused_write"] = "; ".join(refusals)

    def fence_hard(self) -> None:
        """After the release: nobody of the site comes back to the origin's databases, and its events move."""
        failures = fence_for_good(self.pairs, self.outcome)
        if failures:
            raise Refused("; ".join(failures))


def _turned(pair: Pair) -> Pair:
    return pair._replace(origin=pair.destination, destination=pair.origin)
