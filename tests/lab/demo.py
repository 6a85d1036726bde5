# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""make demo: one complete migration of a site under traffic, with everything it needs set up first."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.lab import machines, provisioned
from tests.lab.docker import LabError
from tests.lab.engines import client, engine_on
from tests.lab.hosts import CHECKOUT, Lab
from tests.lab.traffic.__main__ import add_windows, passed
from tests.lab.traffic.timeline import Window
from tests.lab.ways import inside, outside, where_clients_go

OUT = CHECKOUT / "build" / "demo"
TRAFFIC = OUT / "traffic.json"
LIVE = OUT / "traffic-live.json"
NORMAL, BUSY = 60, 110
BASELINE_S = 10
STOCK = "stock"
CALM_S = 5


class Demo:
    """The steps, and what they share."""

    def __init__(self, lab: Lab) -> None:
        """Nothing is started yet."""
        self._lab = lab
        self._began = time.monotonic()
        self._quiet: Window | None = None
        self._environment = {
            **os.environ,
            "LAB": lab.name,
            "LAB_PORT": str(lab.port),
            "CUTOVER_RUN_DIR": str(OUT),
        }

    def run(self) -> int:
        """Everything in order; 0 only when the report says PASSED."""
        shutil.rmtree(OUT, ignore_errors=True)
        OUT.mkdir(parents=True)
        # A lab that an earlier demo left has been moved already.
        provisioned.bring_up(self._lab, self._provision)
        self._say("the old server serves both sites")
        with running_traffic(self._lab, OUT, NORMAL) as traffic:
            self._baseline()
            status = self._migrate()
            time.sleep(CALM_S)
            control_traffic(OUT, NORMAL, stop=True, **({} if moved(journal()) else databases(self._lab, "old")))
            self._say("reading every acknowledged write back")
            traffic.wait(timeout=300)
        counted = self._windows()
        verdict = self._cutover("report", str(OUT.relative_to(CHECKOUT)))
        self._tell(counted)
        return 0 if (status, verdict) == (0, 0) and passed(counted) else 1

    def _provision(self) -> None:
        self._say("five machines are up")
        if self._cutover("run", "tests/lab/provision.yml"):
            raise LabError(f"the old server could not be provisioned; see {OUT}/logs")

    def _baseline(self) -> None:
        """Some quiet seconds, to know what the site is like when nobody moves it."""
        self._say(f"traffic: {NORMAL} requests/s; measuring the baseline for {BASELINE_S} s")
        time.sleep(2)
        start = time.time()
        time.sleep(BASELINE_S)
        self._quiet = Window("baseline", start, time.time())
        live = read(LIVE)
        if not live.get("acknowledged_writes"):
            raise LabError(f"no order was accepted within {BASELINE_S} s; see {OUT}/traffic.log and {LIVE}")

    def _migrate(self) -> int:
        ended = threading.Event()
        watcher = threading.Thread(target=self._follow, args=(ended,))
        watcher.start()
        try:
            return self._cutover("run", "playbooks/migrate.yml")
        finally:
            ended.set()
            watcher.join()

    def _follow(self, ended: threading.Event) -> None:
        """More traffic while the site is switched over."""
        rate = NORMAL
        while not ended.wait(0.2):
            status = ""
            for event in journal():
                if event.get("phase") == "cutover" and not event.get("step"):
                    status = str(event.get("status"))
            wanted = BUSY if status in {"started", "progress"} else NORMAL
            if wanted != rate:
                rate = wanted
                control_traffic(OUT, rate)

    def _windows(self) -> dict[str, object]:
        if not TRAFFIC.exists():
            raise LabError(f"the traffic ended without a result; see {OUT}/traffic.log")
        return add_windows(TRAFFIC, list(windows(journal())), self._quiet)

    def _cutover(self, *arguments: str) -> int:
        where = ["-i", "inventories/lab", "--run-dir", str(OUT)] if arguments[0] == "run" else []
        command = [sys.executable, "-m", "cutover", *arguments, *where]
        return subprocess.run(command, cwd=CHECKOUT, env=self._environment, check=False).returncode

    def _say(self, text: str) -> None:
        print(f"demo {time.monotonic() - self._began:5.0f} s  {text}", flush=True)

    def _tell(self, counted: dict[str, object]) -> None:
        self._say(f"{OUT.relative_to(CHECKOUT)}/report.json, traffic.json, ledger.jsonl, timeline.jsonl")
        spans = counted["windows"]
        for span in spans if isinstance(spans, list) else []:
            if span["name"] in {"cutover", "replicate"}:
                print(
                    f"  traffic in phase {span['name']}: {span['requests']} requests, {span['rate']}/s, "
                    f"failed {span['failed']}, longest {span['longest_ms']} ms"
                )
        kept = counted["connections"]
        if isinstance(kept, dict):
            print(
                f"  asked again, as RFC 9110 lets a client whose idle connection was closed: {kept['reconnected']}, "
                f"of them {kept['repeated_writes']} orders with their Idempotency-Key"
            )


@contextlib.contextmanager
def running_traffic(lab: Lab, out: Path, rate: float, at_most_s: float = 900) -> Iterator[subprocess.Popen[bytes]]:
    """Traffic through the old server's address, ended with the block; `control_traffic` steers it."""
    control_traffic(out, rate)
    command = [*inside(lab), sys.executable, "-m", "tests.lab.traffic", *traffic_arguments(lab, out, rate)]
    command.append(f"--seconds={at_most_s}")
    with (out / "traffic.log").open("wb") as log:
        traffic = subprocess.Popen(command, cwd=CHECKOUT, stdout=log, stderr=log, start_new_session=True)
    try:
        yield traffic
    finally:
        if traffic.poll() is None:
            traffic.terminate()
            traffic.wait()


def control_traffic(out: Path, rate: float, **wanted: object) -> None:
    """Tell running traffic how fast to be, when to stop and where to read its writes back."""
    beside = out / "traffic-control.new"
    beside.write_text(json.dumps({"rate": rate, **wanted}))
    beside.replace(out / "traffic-control.json")


def traffic_arguments(lab: Lab, out: Path, rate: float) -> list[str]:
    """What `python -m tests.lab.traffic` is given to load a lab through the old server's address."""
    shop = "SELECT SUBSTRING(note, 8), COUNT(*) FROM shop_order WHERE note LIKE 'ledger %' GROUP BY note"
    book = "SELECT SUBSTRING(message, 8), COUNT(*) FROM entry WHERE message LIKE 'ledger %' GROUP BY message"
    where = databases(lab, "db")
    arguments = [
        *where_clients_go(lab),
        "--host=ocpizza.test",
        "--neighbour=annex.test",
        f"--rate={rate}",
        "--media",
        f"--staff-token-file={lab.directory / 'secrets' / 'ocpizza_staff_token'}",
        f"--session-file={lab.directory / 'secrets' / 'ocpizza_session'}",
        f"--database={where['database']}",
        f"--query={shop}",
        f"--neighbour-database={database(lab, 'old', 'annex')}",
        f"--neighbour-query={book}",
        f"--out={out / 'traffic.json'}",
    ]
    if "stock_database" in where:
        quoted = '"key"' if lab.engines[-1] == "postgresql" else "`key`"
        stock = f"SELECT {quoted}, COUNT(*) FROM movement GROUP BY {quoted}"  # noqa: S608 - no user's text
        arguments += [f"--stock-database={where['stock_database']}", f"--stock-query={stock}"]
    return arguments


def databases(lab: Lab, host: str) -> dict[str, str]:
    """Where a machine has the site's rows, as the traffic's control file names it."""
    where = {"database": database(lab, host, "ocpizza")}
    if len(lab.engines) > 1:
        where["stock_database"] = database(lab, host, STOCK)
    return where


def database(lab: Lab, host: str, name: str) -> str:
    """The command that asks a machine's database, without the site in between."""
    engine = engine_on(host, lab.engines[-1 if name == STOCK else 0])
    return shlex.join([*outside(lab), *machines.ssh_command(lab, host, client(engine, name))])


def moved(events: list[dict[str, object]]) -> bool:
    """Whether the journal says that the site was switched over."""
    ends = [event for event in events if event.get("phase") == "cutover" and not event.get("step")]
    return bool(ends) and ends[-1].get("status") == "passed"


def journal() -> list[dict[str, object]]:
    """The journal so far; a line that is being written is read the next time."""
    events = []
    with contextlib.suppress(OSError):
        for line in (OUT / "journal.jsonl").read_text().splitlines():
            with contextlib.suppress(ValueError):
                events.append(json.loads(line))
    return events


def windows(events: list[dict[str, object]]) -> Iterator[Window]:
    """From started to its end, for every phase and step of a journal."""
    began: dict[str, float] = {}
    for event in events:
        name = "/".join(str(event[part]) for part in ("phase", "step") if event.get(part))
        moment = datetime.datetime.fromisoformat(str(event["time"])).timestamp()
        if event.get("status") == "started":
            began[name] = moment
        elif event.get("status") in {"passed", "failed"} and name in began:
            yield Window(name, began.pop(name), moment)


def read(path: Path) -> dict[str, object]:
    """A JSON object; an empty one where there is none yet."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def main() -> int:
    """The demo, and the lab away again unless KEEP=1."""
    try:
        lab = Lab.from_environment()
    except LabError as problem:
        print(f"demo: {problem}", file=sys.stderr)
        return 1
    status = 1
    try:
        status = Demo(lab).run()
    except LabError as problem:
        print(f"demo: {problem}", file=sys.stderr)
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
    if os.environ.get("KEEP"):
        print(f"The lab stays up. The site through the old server: {lab.url(80)} (Host: ocpizza.test),")
        print(f"on the new web server: {lab.url(43, 'https')}. Machines: python -m tests.lab ssh db")
        print("Away with it: make down")
    else:
        machines.down(lab)
    return status


if __name__ == "__main__":
    sys.exit(main())
