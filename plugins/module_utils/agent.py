# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on the source outside of Ansible: started detached, so that nothing it holds depends on the controller.

``agent.pyz OPERATION PLAN``: the plan is a JSON file that only root can read; secrets are in the file it names.
"""

import argparse
import functools
import json
import os
import socket
import subprocess
import sys
import time
import urllib.parse
from typing import Any, Callable, Dict, List, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils import (
    copyover,
    copyover_schema,
    copyover_switchover,
    door,
    engines,
    journal,
    media,
    proof,
    relay,
    restart,
    switchover,
    switchover_recovery,
    tracker,
    valve,
    watchdog,
    widen,
)
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Database, Progress, TableName, words
from ansible_collections.ocpizza.cutover.plugins.module_utils.switchover_sides import Pair, Refused, Side
from ansible_collections.ocpizza.cutover.plugins.module_utils.switchover_steps import write_json

Plan = Dict[str, Any]

# One statement may write a whole table anew.
WIDEN_SECONDS = 86400.0


def read_json(path: str) -> Dict[str, Any]:
    """The content of a JSON file."""
    with open(path, encoding="utf-8") as stream:
        return dict(json.load(stream))


def engine_of(plan: Plan, engine: str, side: str) -> str:
    """What the databases of one of the site's engines run on: on the target it may be another one."""
    return str(plan.get("target_engines", {}).get(engine, engine)) if side == "target" else engine


def open_database(plan: Plan, engine: str, side: str, timeout: float = 5.0) -> Database:
    """The databases of one engine on one side, connected."""
    engine_there = engine_of(plan, engine, side)
    credentials = read_json(plan["credentials"])[side][engine_there]
    try:
        server: Database = engines.server(engine_there).SERVER.open_server(
            credentials, plan["site"], plan["engines"][engine], side, timeout
        )
    except Exception as error:
        raise Refused(
            "the {0}'s {1} database cannot be reached as {2}: {3}".format(
                side, engine_there, credentials.get("user"), words(error)
            )
        ) from error
    return server


def open_ends(plan: Plan, engine: str, timeout: float) -> copyover.Ends:
    """Both sides of databases that are copied while requests wait."""
    credentials = read_json(plan["credentials"])
    connect: Dict[str, Callable[[], Any]] = {}
    for side in ("source", "target"):
        name = engine_of(plan, engine, side)
        connect[side] = functools.partial(engines.server(name).connect, credentials[side][name], timeout)
    source, target = (open_database(plan, engine, side, timeout) for side in ("source", "target"))
    return copyover.Ends(source, target, connect, int(plan["copy_jobs"]))  # type: ignore[arg-type]


def side_of(plan: Plan, name: str) -> Side:
    """One side of the plan."""
    side = plan["sides"][name]
    return Side(name, valve.Endpoint(**side["endpoint"]), side["health"])


def sides_of(plan: Plan) -> Tuple[Side, Side]:
    """Where the site is and where it goes."""
    return side_of(plan, plan["origin"]), side_of(plan, plan["destination"])


def start_watchdog(plan: Plan, plan_path: str, operation: str) -> watchdog.Leash:
    """Start the watchdog in a unit of its own, so that nothing that ends this process ends it too."""
    # One that still waits for an owner that was lost before it came.
    subprocess.run(["systemctl", "stop", plan["watchdog_unit"]], stderr=subprocess.DEVNULL, check=False)
    watchdog.forget(plan["watchdog_socket"])
    subprocess.run(
        [
            "systemd-run",
            "--quiet",
            "--collect",
            "--property=Restart=on-failure",
            "--property=RestartSec=0.2",
            "--property=StartLimitIntervalSec=0",
            "--unit={0}".format(plan["watchdog_unit"]),
            sys.executable,
            os.path.abspath(sys.argv[0]),
            operation,
            plan_path,
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return watchdog.Leash(plan["watchdog_socket"])


class Comparer:
    """Compares changed keys of an engine's databases on both sides, through connections of its own, opened now."""

    def __init__(self, plan: Plan, engine: str) -> None:
        credentials = read_json(plan["credentials"])
        connect = engines.server(engine).connect
        self.sides: Dict[str, Tuple[Any, Any]] = {}
        self.tables: Dict[TableName, Any] = {}
        for name in plan["engines"][engine]:
            ours, theirs = (
                connect(credentials[plan[role]][engine], 10.0, database=name) for role in ("origin", "destination")
            )
            self.sides[name] = (ours, theirs)
            there = {table.name: table for table in proof.load_tables(theirs, name)}
            for table in proof.load_tables(ours, name):
                if table.name not in there:
                    raise Refused("table {0}.{1} is missing on the {2}".format(name, table.name, plan["destination"]))
                self.tables[(name, table.name)] = proof.pair(table, there[table.name])

    def keys(self) -> Dict[TableName, Any]:
        """The columns and the key of each table, as the tracker wants them."""
        return {name: ([column.name for column in table.columns], table.key) for name, table in self.tables.items()}

    def __call__(self, changed: tracker.Changes) -> Dict[TableName, List[str]]:
        differing = {}
        for name, keys in changed.items():
            ours, theirs = self.sides[name[0]]
            found = proof.compare_keys(ours, theirs, self.tables[name], keys)
            if found:
                differing[name] = [difference.text() for difference in found]
        return differing


def make_pair(plan: Plan, engine: str) -> Pair:
    """One engine's databases on both sides, with what follows and compares their changes."""
    origin, destination = (open_database(plan, engine, plan[role]) for role in ("origin", "destination"))
    comparer = Comparer(plan, engine)
    started_from = read_json(plan["proof"]) if os.path.exists(plan["proof"]) else {}
    since = started_from.get("positions", {}).get(plan["origin"], {}).get(engine)
    follower = None
    if since:
        credentials = read_json(plan["credentials"])[plan["origin"]][engine]
        # It follows in a thread of its own, and a driver's connection is for one thread.
        reader = open_database(plan, engine, plan["origin"])
        follower = tracker.Tracker(
            lambda: reader.changes(credentials, since, list(comparer.tables)), comparer.keys(), reader.marker_tables()
        )
        follower.start()
    # A key that leads no index is looked for in the whole table.
    return Pair(origin, destination, comparer, follower, lambda: open_database(plan, engine, "target", 600.0).room())


def copied_pair(plan: Plan, engine: str) -> Pair:
    """One engine's databases on both sides, of which nothing can be followed."""
    origin, destination = (open_database(plan, engine, plan[role]) for role in ("origin", "destination"))
    return Pair(origin, destination, lambda _changed: {}, None, replicates=False)


def lives_on(plan: Plan) -> str:
    """The side on which the site lives, as it was noted last."""
    return str(read_json(plan["state"])["side"]) if os.path.exists(plan["state"]) else "source"


def await_rest(unit: str, seconds: float = 15.0) -> None:
    """Wait until a unit does not run."""
    until = time.monotonic() + seconds
    while not valve.rests(unit):
        if time.monotonic() > until:
            raise Refused("{0} still runs; see 'journalctl -u {0}', then run the same command again".format(unit))
        time.sleep(0.1)


def finish_earlier(plan: Plan) -> Dict[str, Any]:
    """Undo what a switchover left that ended and its watchdog with it, or finish it: its result then, else {}.

    Where it had opened a database the way is forward, for rows may be there already.
    """
    origin, destination = sides_of(plan)
    (the_valve,) = valve.valves_from([plan["valve"]])
    decision = valve.Decision(the_valve)
    if not valve.is_held(the_valve) and decision.read() != "open":
        if is_revoked(plan):
            put_back(plan)
        return {}
    await_rest(plan["watchdog_unit"])
    if lives_on(plan) == destination.name:
        return {"outcome": "open", "reason": "the watchdog has finished an earlier switchover", "by": "watchdog"}
    if decision.read() == "open" and decision.towards() == destination.name:
        pairs = watched_pairs(plan)
        if not all(pair.destination.is_closed() for pair in pairs):
            outcome = recover_switchover(plan, pairs, "an earlier switchover was interrupted after its decision")
            valve.keep_again([the_valve], float(plan["deadline_s"]))
            return outcome
        for pair in pairs:
            pair.origin.open()
        decision.clear()
    if valve.is_held(the_valve):
        valve.release(the_valve, origin.name)
        valve.keep_again([the_valve], float(plan["deadline_s"]))
    if is_revoked(plan):
        put_back(plan)
    return {}


def is_revoked(plan: Plan) -> bool:
    """Whether a decision to open was taken back, so that a database may still be as it was decided."""
    (the_valve,) = valve.valves_from([plan["valve"]])
    decision = valve.Decision(the_valve)
    return decision.read() == "abort" and decision.towards() == plan["origin"] == lives_on(plan)


def put_back(plan: Plan) -> None:
    """Have what such a switchover has opened closed, and what it has closed open."""
    lost: List[Exception] = []
    for role in ("destination", "origin"):
        for engine in sorted(plan["engines"]):
            # One that cannot be reached must not keep the others as they are.
            try:
                database = open_database(plan, engine, plan[role], 2.0)
                (database.open if role == "origin" else database.close)()
            except Exception as error:
                lost.append(error)
    if lost:
        raise lost[0]


def keep_putting_back(plan: Plan, seconds: float = 600.0) -> None:
    """The same until every server has answered to it twice: an earlier word may still have been under way."""
    until = time.monotonic() + seconds
    answered = 0
    while is_revoked(plan) and answered < 2:
        try:
            put_back(plan)
            answered += 1
        except Exception as error:
            if time.monotonic() > until:
                text = "the databases are not all as before: {0}; give the same command again".format(words(error))
                journal.append(plan["journal"], plan["phase"], "failed", text, "watchdog", plan["host"])
                return
        time.sleep(0.5)


def run_switchover(plan: Plan, plan_path: str) -> Dict[str, Any]:
    """Open everything beforehand, then switch."""
    finished = finish_earlier(plan)
    if finished:
        return finished
    origin, destination = sides_of(plan)
    copied = bool(plan.get("target_engines"))
    pairs = [(copied_pair if copied else make_pair)(plan, engine) for engine in sorted(plan["engines"])]
    (the_valve,) = valve.valves_from([plan["valve"]])

    def leash() -> watchdog.Leash:
        # The gate has passed. From here the proof of the next switchover starts, whoever finishes this one: since then
        # nothing but the other side's rows came in.
        positions = {destination.name: move.outcome["followed_from"]}
        write_json(next_proof(plan), {"positions": positions, "time": journal.utc_now()})
        return start_watchdog(plan, plan_path, "switchover-watchdog")

    files = media.Media(plan["media"], plan["origin"]) if plan.get("media", {}).get("folders") else None
    move = switchover.Switchover(plan, origin, destination, pairs, the_valve, leash, files)
    if copied:
        (engine,) = plan["engines"]
        # An answer that takes longer than the hold may last is none.
        ends = open_ends(plan, engine, float(plan["deadline_s"]))
        move = copyover_switchover.CopyOver(plan, origin, destination, pairs, the_valve, leash, files, ends)
    outcome = move.run()
    moved = outcome["outcome"] == "open"
    if moved:
        settle(plan, destination.name)
    if move.leash:
        move.leash.done()
    for pair in pairs:
        # What is kept for a proof that nobody will take would fill the disk.
        try:
            (pair.origin if moved else pair.destination).forget_changes()
        except Exception as error:
            kept = "the {0} keeps its log for a proof that is over: {1}".format(pair.origin.engine, words(error))
            outcome["reason"] = "; ".join(filter(None, [outcome["reason"], kept]))
    if outcome["pause_ms"] is not None:
        valve.keep_again([the_valve], outcome["pause_ms"] / 1000)
    if move.leash:
        move.leash.end()
    return outcome


def next_proof(plan: Plan) -> str:
    """Where the start of the next proof lies until this switchover has opened."""
    return str(plan["proof"]) + ".next"


def settle(plan: Plan, side: str) -> None:
    """Write down where the site lives now, and where the next proof starts; the decision has been carried out."""
    if os.path.exists(next_proof(plan)):
        os.rename(next_proof(plan), plan["proof"])
    write_json(plan["state"], {"side": side, "since": journal.utc_now()})
    (the_valve,) = valve.valves_from([plan["valve"]])
    valve.Decision(the_valve).clear()


def decided(plan: Plan) -> str:
    """What holds for a switchover whose process is gone: 'open' or 'abort', from now on in any case."""
    (the_valve,) = valve.valves_from([plan["valve"]])
    # Where it had written down that the site has moved, it may have cleared its decision already.
    if lives_on(plan) == plan["destination"]:
        return valve.Decision(the_valve).claim("open", plan["destination"])
    return valve.Decision(the_valve).claim("abort")


def refence(plan: Plan, side: str) -> str:
    """Put the fence back that was taken away for a copy; why that failed, in words that go on a sentence."""
    (engine,) = plan["engines"]
    try:
        copyover_schema.mend(open_database(plan, engine, side, 30.0))  # type: ignore[arg-type]
    except Exception as error:
        return "; then the {0}'s fence is not back: {1}".format(side, words(error))
    return ""


def watched_pairs(plan: Plan) -> List[Pair]:
    """What the watchdog needs of the databases."""
    return [
        Pair(
            open_database(plan, engine, plan["origin"], 2.0),
            open_database(plan, engine, plan["destination"], 2.0),
            lambda _changed: {},
            None,
            replicates=not plan.get("target_engines"),
        )
        for engine in sorted(plan["engines"])
    ]


def recover_switchover(plan: Plan, pairs: List[Pair], reason: str, until: float = 0.0) -> Dict[str, Any]:
    """Recover, remember where the site is then, and leave the result."""
    origin, destination = sides_of(plan)
    (the_valve,) = valve.valves_from([plan["valve"]])
    decided(plan)
    outcome = switchover_recovery.recover(reason, plan, origin, destination, pairs, the_valve, until)
    if outcome["outcome"] == "open":
        settle(plan, destination.name)
    elif plan.get("target_engines"):
        outcome["reason"] += refence(plan, destination.name)
    journal.append(plan["journal"], plan["phase"], "failed", text=outcome["reason"], step="watchdog", host=plan["host"])
    write_json(plan["result"], outcome)
    return outcome


def watch_switchover(plan: Plan) -> None:
    """Hold the watchdog's own connections ready, and recover where the owner does not come through."""
    (the_valve,) = valve.valves_from([plan["valve"]])
    owner, until = watchdog.left_behind(plan["watchdog_socket"])
    if owner:
        watchdog.end_process(owner)
        reason = "the watchdog was lost"
        pairs: List[Pair] = []
        # Back needs no database, and must not wait for one.
        if decided(plan) == "open":
            try:
                pairs = watched_pairs(plan)
            except Refused as error:
                reason = "{0}; then {1}".format(reason, words(error))
        recover_switchover(plan, pairs, reason, until)
        watchdog.forget(plan["watchdog_socket"])
    else:
        recover = functools.partial(recover_switchover, plan, watched_pairs(plan))
        if not watchdog.watch(plan["watchdog_socket"], recover):
            return
    keep_putting_back(plan)
    valve.keep_again([the_valve], float(plan["deadline_s"]))


def run_restart(plan: Plan, plan_path: str) -> Dict[str, Any]:
    """Restart the source's database behind the valves of every site that uses it."""
    engine = plan["engine"]
    credentials = read_json(plan["credentials"])["source"][engine]
    return restart.Restart(
        plan,
        valve.valves_from(plan["valves"]),
        [valve.Endpoint(**endpoint) for endpoint in plan["endpoints"]],
        lambda: open_database(plan, engine, "source", 60.0).before_restart(),
        lambda: engines.server(engine).connect(credentials, 2.0),
        lambda: start_watchdog(plan, plan_path, "restart-watchdog"),
    ).run()


def watch_restart(plan: Plan) -> None:
    """Release every site where the restart does not."""
    valves = valve.valves_from(plan["valves"])

    def recover(reason: str, _until: float = 0.0) -> None:
        # Released to a database that is down, every held request would fail; for an instant they wait on.
        try:
            reason = "{0}; {1}".format(reason, restart.bring_back(plan))
        except Exception as error:
            reason = "{0}; then {1}".format(reason, words(error))
        finally:
            restart.release_all(valves)
        journal.append(plan["journal"], plan["phase"], "failed", reason, "watchdog", plan["host"])
        write_json(plan["result"], {"outcome": "refused", "reason": reason, "by": "watchdog"})

    owner, _until = watchdog.left_behind(plan["watchdog_socket"])
    if owner:
        watchdog.end_process(owner)
        recover("the watchdog was lost")
        watchdog.forget(plan["watchdog_socket"])
    elif not watchdog.watch(plan["watchdog_socket"], recover):
        return
    valve.keep_again(restart.staying(valves), float(plan["deadline_s"]))


def teller(plan: Plan, step: str) -> Progress:
    """What tells the journal how far a step is, once a second at most."""
    last = [0.0]

    def progress(done: int, total: int, what: str) -> None:
        if time.monotonic() - last[0] >= 1.0:
            last[0] = time.monotonic()
            journal.append(plan["journal"], plan["phase"], "progress", what, step, plan["host"], done, total)

    return progress


def run_media(plan: Plan) -> Dict[str, Any]:
    """Carry the site's media over before its switchover, or compare them."""
    progress = teller(plan, "media")
    result = media.run(plan, lambda done, total: progress(done, total, "{0} of {1} files".format(done, total)))
    journal.append(plan["journal"], plan["phase"], "passed", media.told(result), "media", plan["host"])
    return result


def run_seed(plan: Plan) -> Dict[str, Any]:
    """Copy the databases to the target, telling the journal how far it is."""
    engine = plan["engine"]
    progress = teller(plan, "seed")
    if engine in plan.get("target_engines", {}):
        return run_trial(plan, progress)
    source, target = (open_database(plan, engine, side, 600.0) for side in ("source", "target"))
    chosen = widen.of_engine(plan.get("widen", []), plan["engines"], engine)
    # Before anything is touched: what cannot be widened is known on the source.
    source.widenable(chosen)
    settings = source.prepare(target) + target.prepare(source)
    result: Dict[str, Any] = engines.seeder(engine).seed(source, target, plan, progress)
    begun = time.monotonic()
    widened = open_database(plan, engine, "target", WIDEN_SECONDS).widen(chosen, progress)
    if widened:
        result["widen_seconds"] = round(time.monotonic() - begun, 3)
    if any(target.widened(database) for database in plan["engines"][engine]):
        settings += source.take_widths(target) + target.take_widths(target)
    return dict(result, widened=widened, settings=settings, changed=result["changed"] or bool(settings or widened))


def run_trial(plan: Plan, progress: Progress) -> Dict[str, Any]:
    """Copy the databases where nothing can replicate, to know how long a hold with this copy in it would be."""
    ends = open_ends(plan, plan["engine"], 600.0)
    result = copyover.trial(ends, copyover.read_trial(plan["trial"]), progress)
    write_json(plan["trial"], result)
    result["predicted_s"] = copyover.predicted(result, copyover.count_rows(ends.source))
    text = "a hold with the copy in it would take about {0} s: {1}".format(
        result["predicted_s"], copyover.basis(result)
    )
    journal.append(plan["journal"], plan["phase"], "passed", text, "trial copy", plan["host"])
    return result


def run_relay(plan: Plan) -> None:
    """Carry held requests to the target, for as long as the unit runs."""
    where = urllib.parse.urlsplit("//" + plan["connect"])
    relay.serve(int(plan["listen"]), str(where.hostname), int(where.port or 443), plan["name"], plan["ca"])


def run_door(plan: Plan) -> None:
    """Look for the flags on behalf of the web server, for as long as the unit runs; the socket is systemd's."""
    door.serve(plan, socket.socket(fileno=3))


def main(arguments: List[str]) -> int:
    """Run one operation; write its result, a refusal included, to the plan's result file."""
    parser = argparse.ArgumentParser(prog="agent.pyz")
    parser.add_argument(
        "operation",
        choices=[
            "switchover",
            "switchover-watchdog",
            "restart",
            "restart-watchdog",
            "recover",
            "seed",
            "media",
            "relay",
            "door",
        ],
    )
    parser.add_argument("plan")
    options = parser.parse_args(arguments)
    plan = read_json(options.plan)
    unwatched: Dict[str, Callable[[Plan], object]] = {
        "switchover-watchdog": watch_switchover,
        "restart-watchdog": watch_restart,
        "recover": finish_earlier,
        "relay": run_relay,
        "door": run_door,
    }
    if options.operation in unwatched:
        unwatched[options.operation](plan)
        return 0
    try:
        if options.operation == "switchover":
            result = run_switchover(plan, options.plan)
        elif options.operation == "restart":
            result = run_restart(plan, options.plan)
        elif options.operation == "media":
            result = run_media(plan)
        else:
            result = run_seed(plan)
    except Exception as error:
        result = {"outcome": "refused", "reason": words(error)}
        journal.append(plan["journal"], plan["phase"], "failed", result["reason"], options.operation, plan["host"])
    write_json(plan["result"], result)
    return 0 if result.get("outcome") not in ("refused", "aborted") else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
