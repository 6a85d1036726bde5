# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One lab, moved to and fro, and something broken each time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from tests.faults.judge import Seen, State, holds
from tests.faults.table import DONE, STATE, STRETCH_S, UNIT, USUAL, Act, Fault
from tests.lab import machines, playbook, provisioned
from tests.lab.demo import control_traffic, database, databases, read, running_traffic
from tests.lab.docker import CLIENT, LabError, docker, execute, state
from tests.lab.hosts import CHECKOUT, HOSTS, Lab

OUT = CHECKOUT / "build" / "faults"
STRIKER = Path(__file__).with_name("striker.py")
RATE = 25.0
NOTHING_BROKEN = "what was to be broken was not"
PATIENCE_S = 300
SETTLE_S = 90
EXAMPLES = 10
PREPARING = threading.Lock()
KEYS = "SELECT SUBSTRING(note, 8) FROM shop_order WHERE note LIKE 'ledger %'"
CLOSED = "SELECT COUNT(*) FROM cutover_ocpizza.fence"
# With the traffic over no connection is idle that a hold could close.
HOME = ("rollback.yml", "-e", "site_near_seconds=0")


class Engine:
    """Breaks one thing after the other, and looks at what came of it."""

    def __init__(self, lab: Lab) -> None:
        """Nothing is started yet."""
        self.lab = lab
        self.out = OUT / lab.name
        self.out.mkdir(parents=True, exist_ok=True)
        self._cut = 0.0
        web = {"apache": "apache2"}.get(lab.web, lab.web)
        # What the table's usual lab has not.
        self.on = ", ".join(name for name in (*lab.engines, lab.web) if name not in USUAL)
        self.services = {"old": (*lab.engines, web, "ssh", "supervisor"), "db": (*lab.engines, "ssh")}

    def prepare(self) -> None:
        """A site that follows and is proven; a lab that an earlier run has left like that gets what is new since."""
        # One lab after the other: the first leaves images that the next is made from.
        with PREPARING:
            self._prepare()

    def _prepare(self) -> None:
        note, code = self.lab.directory / "faults-code", _code()
        phases = ["replicate.yml", "verify.yml"]
        if not all(state(self.lab.container(host)) == "running" for host in HOSTS) or not self.at_home():
            provisioned.bring_up(self.lab, lambda: self.must("../tests/lab/provision.yml"))
            phases.insert(0, "prepare.yml")
        elif note.exists() and note.read_text() == code:
            return
        for phase in phases:
            self.must(phase)
        note.write_text(code)

    def at_home(self) -> bool:
        """Whether the site lives on the source and follows, as every fault finds it."""
        return self.look().outcome() == "as before"

    # Commands.

    def run(self, *arguments: str, patience: float = PATIENCE_S) -> int:
        """A command of the user's, to its end."""
        return playbook.start(self.lab, self.out, *arguments).wait(timeout=patience)

    def must(self, *arguments: str) -> None:
        """The same, where nothing may fail; a machine is not made in minutes where the processors are busy."""
        if self.run(*arguments, patience=4 * PATIENCE_S):
            raise LabError(f"{arguments[0]} failed; see {self.out}/ansible.log")

    # What is struck.

    def act(self, act: Act, running: subprocess.Popen[bytes] | None = None) -> bool:
        """Do one act; whether it came about."""
        if act.on == "controller" and running:
            if act.do == "second":
                self.run("cutover.yml")
                return True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
        elif act.on == "power":
            # What was held is held no longer.
            self._cut = time.time() if act.do == "old" else 0.0
            docker("kill", f"{self.lab.name}-{act.do}")
            docker("start", f"{self.lab.name}-{act.do}")
        else:
            command = f"({act.do}) >/dev/null 2>&1 || echo failed"
            return not execute(f"{self.lab.name}-{act.on}", "sh", "-c", command, check=False).strip()
        return True

    def _strike(self, fault: Fault, running: subprocess.Popen[bytes], striker: subprocess.Popen[str]) -> None:
        """Wait until the striker has struck, and strike on the other machines at once."""
        assert striker.stdout is not None
        struck = 0
        for line in striker.stdout:
            struck += line.startswith("struck")
            if line.startswith("failed"):
                self._trouble = NOTHING_BROKEN
            elif struck == 1 + bool(fault.moment.stretch):
                for act in [each for each in fault.strike if each.on != "old"]:
                    self._must_strike(act, running)

    def _must_strike(self, act: Act, running: subprocess.Popen[bytes] | None = None) -> None:
        if not self.act(act, running):
            self._trouble = NOTHING_BROKEN

    def _striker(self, fault: Fault) -> subprocess.Popen[str]:
        plan: list[list[object]] = []
        if fault.moment.stretch:
            plan.append(["near", STRETCH_S, fault.moment.stretch])
        here = "; ".join(act.do for act in fault.strike if act.on == "old")
        plan.append([fault.moment.sign, fault.moment.after, here])
        return self._on_source("strike", json.dumps(plan))

    def _on_source(self, *arguments: str, out: IO[str] | int = subprocess.PIPE) -> subprocess.Popen[str]:
        with STRIKER.open() as program:
            command = [CLIENT, "exec", "-i", f"{self.lab.name}-old", "python3", "-", *arguments]
            return subprocess.Popen(command, stdin=program, stdout=out, text=True)

    @contextlib.contextmanager
    def _recorded(self) -> Iterator[Path]:
        where = self.out / "holds.jsonl"
        with where.open("w") as stream:
            recorder = self._on_source("record", out=stream)
            try:
                yield where
            finally:
                execute(f"{self.lab.name}-old", "pkill", "-f", "^python3 - record", check=False)
                recorder.wait()

    # What came of it.

    def look(self) -> State:
        """How both sides stand now."""
        old = f"{self.lab.name}-old"
        side = execute(old, "cat", f"{STATE}/state.json", check=False)
        flags = execute(old, "sh", "-c", "ls /run/cutover/ocpizza 2>/dev/null || echo gone", check=False).split()
        moved = execute(old, "sh", "-c", f"[ -e {STATE}/moved ] && echo yes || echo no", check=False).strip()
        closed = [self._ask(host, CLOSED) for host in ("old", "db")]
        return State(
            str(json.loads(side)["side"]) if side else "source",
            {"yes": True, "no": False}.get(moved),
            None if "gone" in flags else tuple(sorted({"hold", "near", "valve"} & set(flags))),
            *(None if answer is None else answer.strip() != "0" for answer in closed),
        )

    def _ask(self, host: str, statement: str) -> str | None:
        done = subprocess.run(
            ["sh", "-c", database(self.lab, host, "ocpizza")],
            input=statement,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        return done.stdout if done.returncode == 0 else None

    def _settle(self) -> None:
        """Wait until nothing of a switchover runs and every server that was broken is there again."""
        until = time.monotonic() + SETTLE_S
        for host, services in self.services.items():
            container = f"{self.lab.name}-{host}"
            while execute(container, "systemctl", "is-active", *services, check=False).split() != ["active"] * len(
                services
            ):
                if time.monotonic() > until:
                    raise LabError(f"{host} did not come back: {' '.join(services)}")
                time.sleep(0.3)
        units = (UNIT, f"{UNIT}-watchdog", "cutover-ocpizza-recovery")
        while "active" in execute(f"{self.lab.name}-old", "systemctl", "is-active", *units, check=False).split():
            if time.monotonic() > until:
                raise LabError("a switchover still runs")
            time.sleep(0.3)

    def _split(self) -> int | None:
        """Orders that one side has and the other does not, once what is under way has arrived."""
        differing: int | None = None
        for _attempt in range(20):
            keys = [self._ask(host, KEYS) for host in ("old", "db")]
            if None not in keys:
                sides = [set(str(each).split()) for each in keys]
                differing = len(sides[0] ^ sides[1])
                if differing == 0:
                    return 0
            time.sleep(0.5)
        return differing

    def _requests(self) -> list[dict[str, Any]]:
        """Every request; none where the traffic left none."""
        with contextlib.suppress(OSError):
            return [json.loads(line) for line in (self.out / "requests.jsonl").read_text().splitlines()]
        return []

    def _said(self) -> str:
        """The refusal, as the command told it."""
        log = (self.out / "ansible.log").read_text(errors="replace")
        found = [line for line in log.splitlines() if "switchover refused" in line or "switchover aborted" in line]
        return found[-1].strip()[:400] if found else ""

    # One fault.

    def suffer(self, fault: Fault) -> Seen:
        """Traffic, the command, the fault, the same command again, and back home."""
        (self.out / "ansible.log").write_text("")
        for name in ("traffic.json", "requests.jsonl"):
            (self.out / name).unlink(missing_ok=True)
        self._cut = 0.0
        for act in fault.ready:
            self.act(act)
        if fault.ready:
            self._settle()
        with self._recorded() as recorded, running_traffic(self.lab, self.out, RATE, at_most_s=600) as traffic:
            time.sleep(2)
            seen = self._blow(fault)
            seen.longest_hold_s = holds(recorded.read_text().splitlines(), self._cut or time.time())
            seen.said = self._said()
            if fault.remedy:
                self.run(fault.remedy)
            # Where it came to its end and said so, there is nothing to go on with.
            if seen.first != 0 or seen.outcome != DONE:
                seen.again = self.run(*fault.command)
            if fault.command[0] != "cutover.yml" and not seen.again:
                seen.again = self.run("cutover.yml")
            last = self.look()
            if last.outcome() != DONE:
                seen.again = seen.again or 1
                seen.trouble = f"after the same command again: {last.outcome()}"
            control_traffic(self.out, RATE, stop=True, **databases(self.lab, "db" if last.side == "target" else "old"))
            traffic.wait(timeout=180)
        counted = read(self.out / "traffic.json")
        for name in ("requests", "failed"):
            setattr(seen, name, counted.get(name))
        seen.lost, seen.duplicated = (counted.get(name) for name in ("lost_writes", "duplicated_writes"))  # type: ignore[assignment]
        sites = counted.get("sites")
        for name, each in sites.items() if isinstance(sites, dict) else []:
            seen.failures |= {f"{name} {kind}": number for kind, number in each["failures"].items()}
        seen.examples = [each for each in self._requests() if each["outcome"] != "ok"][:EXAMPLES]
        seen.back = self.run(*HOME)
        seen.split = self._split()
        if not self.at_home():
            seen.back = seen.back or 1
        return seen

    def _blow(self, fault: Fault) -> Seen:
        """The command, with the fault in it, until it has healed."""
        self._trouble = ""
        if fault.moment.sign:
            striker = self._striker(fault)
            running = playbook.start(self.lab, self.out, *fault.command)
            hand = threading.Thread(target=self._strike, args=(fault, running, striker))
            hand.start()
            first: int | None = running.wait(timeout=PATIENCE_S)
            hand.join(timeout=5)
            if striker.poll() is None:
                self._trouble = f"the switchover never came to its step '{fault.moment.step}'"
                execute(f"{self.lab.name}-old", "pkill", "-f", "^python3 - strike", check=False)
            hand.join(timeout=120)
        else:
            for act in fault.strike:
                self._must_strike(act)
            first = self.run(*fault.command)
        if first == -signal.SIGKILL:
            first = None
        for act in fault.heal:
            self.act(act)
        self._settle()
        return Seen(self.look().outcome(), None, first=first, trouble=self._trouble)

    def down(self) -> None:
        """The lab away."""
        machines.down(self.lab)


def _code() -> str:
    """A checksum of what runs on the lab's machines."""
    digest = hashlib.sha256()
    for folder in ("plugins", "roles", "playbooks", "inventories/lab"):
        for path in provisioned.files(CHECKOUT / folder):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def keys_from(text: str) -> Sequence[str]:
    """FAULTS as it is given: keys with spaces or commas between them."""
    return text.replace(",", " ").split()
