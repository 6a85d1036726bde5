# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restart of the source's database while the requests of every site that uses it are held.

Some settings, the binary log among them, are read at the start only. The new settings lie in files of our
own; where the server does not come up with them, they are taken away and it starts as it was.
"""

import os
import subprocess
import time
from typing import Any, Callable, Dict, List, Optional

from ansible_collections.ocpizza.cutover.plugins.module_utils import journal, valve
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import words
from ansible_collections.ocpizza.cutover.plugins.module_utils.switchover_sides import Refused
from ansible_collections.ocpizza.cutover.plugins.module_utils.switchover_steps import Steps
from ansible_collections.ocpizza.cutover.plugins.module_utils.watchdog import Leash


def restart_service(service: str, patience: Optional[float] = None) -> None:
    """Restart a unit; its own words where that fails."""
    try:
        done = subprocess.run(
            ["systemctl", "restart", service],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
            check=False,
            timeout=patience,
        )
    except subprocess.TimeoutExpired as error:
        raise Refused("systemctl restart {0} took longer than {1:g} s".format(service, error.timeout)) from None
    if done.returncode != 0:
        raise Refused("systemctl restart {0}: {1}".format(service, done.stdout.strip()))


def await_answer(connect: Callable[[], Any], until: float) -> None:
    """Wait until the server takes connections."""
    while True:
        try:
            connect().close()
            return
        except Exception as error:
            if time.monotonic() >= until:
                raise Refused("the database did not answer after its restart: {0}".format(words(error))) from error
            time.sleep(0.02)


def staying(valves: List[valve.Valve]) -> List[valve.Valve]:
    """The valves of sites that live here; one that has moved does not use this database, and is not led back."""
    return [one for one in valves if not valve.is_raised(one, "moved")]


def release_all(valves: List[valve.Valve]) -> None:
    """Let every site's requests go where they were."""
    for one in staying(valves):
        valve.release(one, "source")


def take_away(files: List[str]) -> None:
    """Remove the files of the new settings."""
    for path in files:
        if os.path.exists(path):
            os.unlink(path)


def bring_back(plan: Dict[str, Any], patience: float = 10.0) -> str:
    """For a restart whose process was ended: where it left the database down, start it as it was. What was done."""
    service = plan["service"]
    if subprocess.run(["systemctl", "is-active", "--quiet", service], check=False).returncode == 0:
        return "the database runs"
    take_away(plan["undo_files"])
    restart_service(service, patience)
    return "the database was started without the new settings"


class Restart:
    """One restart behind the valves."""

    def __init__(
        self,
        plan: Dict[str, Any],
        valves: List[valve.Valve],
        endpoints: List[valve.Endpoint],
        prepare: Callable[[], None],
        connect: Callable[[], Any],
        leash: Callable[[], Leash],
    ) -> None:
        self.plan = plan
        self.valves = staying(valves)
        self.endpoints = endpoints
        self.prepare = prepare
        self.connect = connect
        self.make_leash = leash
        self.steps = Steps(plan["journal"], plan["phase"], plan["host"])

    def run(self) -> Dict[str, Any]:
        """Hold, drain, restart, release."""
        outcome: Dict[str, Any] = {"started": journal.utc_now(), "outcome": "restarted", "reason": "", "hold_ms": None}
        problems = [problem for one in self.valves for problem in valve.problems(one)]
        if problems:
            raise Refused("; ".join(problems))
        for one in self.valves:
            if not valve.is_idle(one):
                valve.rest(one)
            valve.prepare(one)
        self.prepare()
        leash = self.make_leash()
        valve.keep_none(self.valves, float(self.plan["near_s"]))
        held_at = time.monotonic()
        deadline = held_at + float(self.plan["deadline_s"])
        # Most of the time is the restart's: requests that do not end are better released early.
        drained_by = held_at + float(self.plan["deadline_s"]) / 3
        self.steps.holding = True
        try:
            leash.hold_until(deadline)
            for one in self.valves:
                valve.engage(one)
            for endpoint in self.endpoints:
                if not valve.drain(endpoint, drained_by):
                    raise Refused("requests still ran {0} at the deadline".format(endpoint.words()))
            self.steps.run("restart", lambda: self.restart(deadline))
        except Exception as error:
            outcome["outcome"] = "refused"
            outcome["reason"] = words(error)
        finally:
            release_all(self.valves)
            outcome["hold_ms"] = round((time.monotonic() - held_at) * 1000, 1)
            leash.done()
            self.steps.flush()
        outcome["finished"] = journal.utc_now()
        # Where the web server is reloaded next, no connection is kept until then.
        again = [] if self.plan["near_stays"] else staying(self.valves)
        valve.keep_again(again, outcome["hold_ms"] / 1000)
        leash.end()
        return outcome

    def restart(self, deadline: float) -> None:
        """Restart with the new settings, or, where that fails, with the old ones."""
        try:
            restart_service(self.plan["service"])
            await_answer(self.connect, deadline)
        except Refused as error:
            take_away(self.plan["undo_files"])
            restart_service(self.plan["service"])
            await_answer(self.connect, deadline)
            raise Refused("{0}; the new settings were taken away again".format(words(error))) from error
