# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on the source outside of Ansible: started detached, so that nothing it holds depends on the controller.

``agent.pyz OPERATION PLAN``: the plan is a JSON file that only root can read; secrets are in the file it names.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.parse
from typing import Any, Callable, Dict, List

from ansible_collections.ocpizza.cutover.plugins.module_utils import (
    journal,
    mariadb,
    proof,
    relay,
    restart,
    seed,
    switchover,
    tracker,
    valve,
    watchdog,
)

Plan = Dict[str, Any]


def read_json(path: str) -> Dict[str, Any]:
    """The content of a JSON file."""
    with open(path, encoding="utf-8") as stream:
        return dict(json.load(stream))


def open_side(plan: Plan, name: str, timeout: float = 5.0) -> switchover.Side:
    """One side of the plan, its database connected."""
    credentials = read_json(plan["credentials"])[name]
    try:
        connection = mariadb.connect(credentials, timeout)
    except Exception as error:
        raise switchover.Refused(
            "the {0}'s database cannot be reached as {1}: {2}".format(name, credentials.get("user"), error)
        ) from error
    side = plan["sides"][name]
    return switchover.Side(
        name=name,
        database=mariadb.MariaDB(connection, plan["site"], plan["databases"]),
        endpoint=valve.Endpoint(**side["endpoint"]),
        health=side["health"],
    )


def start_watchdog(plan: Plan, plan_path: str, operation: str) -> watchdog.Leash:
    """Start the watchdog in a unit of its own, so that nothing that ends this process ends it too."""
    subprocess.run(
        [
            "systemd-run",
            "--quiet",
            "--collect",
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
    """Compares changed keys on both sides, through connections of its own that are opened now."""

    def __init__(self, plan: Plan) -> None:
        credentials = read_json(plan["credentials"])
        self.sides = [
            mariadb.connect(credentials[plan[role]], 10.0, dictionaries=False) for role in ("origin", "destination")
        ]
        self.tables: Dict[tracker.TableName, Any] = {}
        for database in plan["databases"]:
            ours, theirs = (proof.load_tables(side, database) for side in self.sides)
            there = {table.name: table for table in theirs}
            for table in ours:
                if table.name not in there:
                    raise switchover.Refused(
                        "table {0}.{1} is missing on the {2}".format(database, table.name, plan["destination"])
                    )
                self.tables[(database, table.name)] = proof.pair(table, there[table.name])

    def keys(self) -> Dict[tracker.TableName, Any]:
        """The columns and the key of each table, as the tracker wants them."""
        return {name: ([column.name for column in table.columns], table.key) for name, table in self.tables.items()}

    def __call__(self, changed: tracker.Changes) -> Dict[tracker.TableName, List[str]]:
        differing = {}
        for name, keys in changed.items():
            found = proof.compare_keys(self.sides[0], self.sides[1], self.tables[name], keys)
            if found:
                differing[name] = [difference.text() for difference in found]
        return differing


def run_switchover(plan: Plan, plan_path: str) -> Dict[str, Any]:
    """Open everything beforehand, then switch."""
    origin, destination = open_side(plan, plan["origin"]), open_side(plan, plan["destination"])
    comparer = Comparer(plan)
    started_from = read_json(plan["proof"]) if os.path.exists(plan["proof"]) else {}
    position = started_from.get("positions", {}).get(plan["origin"])
    follower = None
    if position:
        follower = tracker.Tracker(
            read_json(plan["credentials"])[plan["origin"]],
            position,
            comparer.keys(),
            (origin.database.name, "marker"),
        )
        follower.start()
    (the_valve,) = valve.valves_from([plan["valve"]])
    outcome = switchover.Switchover(
        plan,
        origin,
        destination,
        the_valve,
        comparer,
        follower,
        lambda: start_watchdog(plan, plan_path, "switchover-watchdog"),
    ).run()
    if outcome["outcome"] == "open":
        switchover.write_json(plan["state"], {"side": destination.name, "since": journal.utc_now()})
        # From here the proof of the next switchover starts: both sides were equal at this instant.
        positions: Dict[str, str] = {}
        try:
            positions[plan["destination"]] = destination.database.full_position()
        except Exception as error:
            lost = "the next proof has no position to start from, run verify.yml: {0}".format(error)
            outcome["reason"] = "; ".join(filter(None, [outcome["reason"], lost]))
        switchover.write_json(plan["proof"], {"positions": positions, "time": journal.utc_now()})
    return outcome


def watch_switchover(plan: Plan) -> None:
    """Hold the watchdog's own connections ready, and recover where the owner does not come through."""
    origin, destination = open_side(plan, plan["origin"], 2.0), open_side(plan, plan["destination"], 2.0)
    (the_valve,) = valve.valves_from([plan["valve"]])

    def recover(reason: str) -> None:
        outcome = switchover.recover(reason, plan, origin, destination, the_valve)
        if outcome["outcome"] == "open":
            switchover.write_json(plan["state"], {"side": destination.name, "since": journal.utc_now()})
        journal.append(
            plan["journal"], plan["phase"], "failed", text=outcome["reason"], step="watchdog", host=plan["host"]
        )
        switchover.write_json(plan["result"], outcome)

    watchdog.watch(plan["watchdog_socket"], recover)


def run_restart(plan: Plan, plan_path: str) -> Dict[str, Any]:
    """Restart the source's database behind the valves of every site that uses it."""
    credentials = read_json(plan["credentials"])["source"]
    return restart.Restart(
        plan,
        valve.valves_from(plan["valves"]),
        [valve.Endpoint(**endpoint) for endpoint in plan["endpoints"]],
        lambda: mariadb.connect(credentials, 2.0),
        lambda: start_watchdog(plan, plan_path, "restart-watchdog"),
    ).run()


def watch_restart(plan: Plan) -> None:
    """Release every site where the restart does not."""
    valves = valve.valves_from(plan["valves"])

    def recover(reason: str) -> None:
        # Released to a database that is down, every held request would fail; for an instant they wait on.
        try:
            reason = "{0}; {1}".format(reason, restart.bring_back(plan))
        except Exception as error:
            reason = "{0}; then {1}".format(reason, error)
        finally:
            restart.release_all(valves)
        journal.append(plan["journal"], plan["phase"], "failed", reason, "watchdog", plan["host"])
        switchover.write_json(plan["result"], {"outcome": "refused", "reason": reason, "by": "watchdog"})

    watchdog.watch(plan["watchdog_socket"], recover)


def run_seed(plan: Plan) -> Dict[str, Any]:
    """Copy the databases to the target, telling the journal how far it is."""
    source = open_side(plan, "source", 600.0).database
    target = open_side(plan, "target", 600.0).database
    last = [0.0]

    def progress(done: int, total: int) -> None:
        if time.monotonic() - last[0] >= 1.0:
            last[0] = time.monotonic()
            journal.append(
                plan["journal"], plan["phase"], "progress", "bytes copied", "seed", plan["host"], done, total
            )

    return seed.seed(source, target, plan["dump"], plan["load"], progress)


def run_relay(plan: Plan) -> None:
    """Carry held requests to the target, for as long as the unit runs."""
    where = urllib.parse.urlsplit("//" + plan["connect"])
    relay.serve(int(plan["listen"]), str(where.hostname), int(where.port or 443), plan["name"], plan["ca"])


def main(arguments: List[str]) -> int:
    """Run one operation; write its result, a refusal included, to the plan's result file."""
    parser = argparse.ArgumentParser(prog="agent.pyz")
    parser.add_argument(
        "operation",
        choices=["switchover", "switchover-watchdog", "restart", "restart-watchdog", "seed", "relay"],
    )
    parser.add_argument("plan")
    options = parser.parse_args(arguments)
    plan = read_json(options.plan)
    unwatched: Dict[str, Callable[[Plan], None]] = {
        "switchover-watchdog": watch_switchover,
        "restart-watchdog": watch_restart,
        "relay": run_relay,
    }
    if options.operation in unwatched:
        unwatched[options.operation](plan)
        return 0
    try:
        if options.operation == "switchover":
            result = run_switchover(plan, options.plan)
        elif options.operation == "restart":
            result = run_restart(plan, options.plan)
        else:
            result = run_seed(plan)
    except Exception as error:
        result = {"outcome": "refused", "reason": str(error) or type(error).__name__}
        journal.append(plan["journal"], plan["phase"], "failed", result["reason"], options.operation, plan["host"])
    switchover.write_json(plan["result"], result)
    return 0 if result.get("outcome") not in ("refused", "aborted") else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
