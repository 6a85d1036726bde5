# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MariaDB 10.5 to MySQL 9.7 and back by copy under hold, on real servers: trial, moves, faults, what is refused.

The tests build on each other, in this order. KEEP=1 leaves the two containers up for the next run.
"""

# ruff: noqa: S608 - the statements are constants of this file

from __future__ import annotations

import functools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import (
    copyover,
    copyover_rows,
    copyover_schema,
    mariadb,
    mariadb_fence,
    switchover,
    valve,
)
from ansible_collections.ocpizza.cutover.plugins.module_utils.copyover_switchover import CopyOver
from ansible_collections.ocpizza.cutover.plugins.module_utils.mariadb import MariaDB
from ansible_collections.ocpizza.cutover.plugins.module_utils.mysql import MySQL
from ansible_collections.ocpizza.cutover.plugins.module_utils.switchover_recovery import recover
from ansible_collections.ocpizza.cutover.plugins.module_utils.switchover_sides import Pair, Side
from ansible_collections.ocpizza.cutover.plugins.module_utils.switchover_steps import write_json
from tests.integration import copyover_servers as servers
from tests.integration.copyover_servers import run
from tests.integration.names import NAME, SITE, D, Q
from tests.lab.docker import docker
from tests.unit.plugins.fakes import FakeLeash, chosen, flags, make_valve

ROWS = 200000
OTHER = {"source": "target", "target": "source"}


class House:
    """The site on both servers, and a switchover of it in either direction."""

    def __init__(self, folder: Path) -> None:
        self.machines = servers.start(folder)
        servers.make_site(self.machines)
        self.valve = make_valve(folder)
        self.plan = {
            "journal": str(folder / "journal.jsonl"),
            "trial": str(folder / "trial.json"),
            "phase": "cutover",
            "host": "old",
            "deadline_s": 120.0,
            "near_s": 0,
            "end_requests_after_s": 0,
            "same_release": False,
            "lag_budget_s": 2.0,
            "longest_transaction_s": 1.0,
            "valve_port": 18000,
        }

    def database(self, side: str, timeout: float = 120.0) -> MariaDB:
        server = MariaDB if side == "source" else MySQL
        return server.open_server(servers.credentials(self.machines, side), SITE, [NAME], side, timeout)

    def raw(self, side: str, timeout: float = 120.0) -> Any:
        return mariadb.connect(servers.credentials(self.machines, side), timeout)

    def ask(self, side: str, *statements: str) -> list[Any]:
        with self.raw(side) as connection:
            return run(connection, f"USE {D}", "SET SESSION sql_mode = ''", *statements)

    def ends(self, jobs: int = 2) -> copyover.Ends:
        connect = {side: functools.partial(self.raw, side) for side in OTHER}
        return copyover.Ends(self.database("source"), self.database("target"), connect, jobs)

    def trial(self) -> dict[str, Any]:
        ends = self.ends()
        found = copyover.trial(ends, copyover.read_trial(self.plan["trial"]), lambda *_told: None)
        write_json(self.plan["trial"], found)
        return found

    def pair(self, origin: str) -> Pair:
        sides = (self.database(origin), self.database(OTHER[origin]))
        return Pair(*sides, lambda _changed: {}, None, replicates=False)

    def sides(self, origin: str) -> list[Side]:
        return [Side(side, valve.Endpoint("127.0.0.1", 1, True), {}) for side in (origin, OTHER[origin])]

    def move(self, origin: str, **plan: Any) -> dict[str, Any]:
        leash = FakeLeash([])
        arguments = (self.plan | plan, *self.sides(origin), [self.pair(origin)], self.valve, lambda: leash)
        return CopyOver(*arguments, self.ends()).run()

    def writable(self, side: str) -> bool:
        try:
            self.ask(side, "INSERT INTO noted (what) VALUES ('written')")
        except Exception as error:
            if error.args[0] != mariadb_fence.FENCE_ERRNO:
                raise
            return False
        return True


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    yield House(tmp_path_factory.mktemp("copyover"))
    if os.environ.get("KEEP") != "1":
        servers.remove()


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """A valve that holds, and applications that are well: what this file is about is the databases."""
    monkeypatch.setattr(valve, "is_listening", lambda _one: True)
    monkeypatch.setattr(valve, "is_idle", lambda _one: True)
    monkeypatch.setattr(valve, "in_flight", lambda _endpoint: 0)
    monkeypatch.setattr(switchover, "ask", lambda _health, _timeout: "")


class Writer(threading.Thread):
    """Writes on the source until it is told to stop."""

    def __init__(self, house: House) -> None:
        super().__init__(daemon=True)
        self.house = house
        self.over = threading.Event()
        self.count = 0

    def run(self) -> None:
        with self.house.raw("source") as connection:
            run(connection, f"USE {D}")
            while not self.over.wait(0.001):
                self.count += 1
                run(
                    connection,
                    f"INSERT INTO bulk (name, customer) VALUES ('new', {self.count})",
                    f"UPDATE pairs SET c = 'changed' WHERE a = {self.count % 50}",
                )


def test_without_a_trial_nothing_moves(house: House) -> None:
    for side in OTHER:
        house.database(side).make_schema()
    outcome = house.move("source")
    assert (outcome["outcome"], outcome["reason"]) == ("refused", "there was no trial copy; run replicate.yml")


def test_the_trial_is_a_proven_copy_of_one_instant_under_writes(house: House) -> None:
    house.ask(
        "source",
        "CREATE TABLE bulk (id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(80), price DECIMAL(10,2), "
        "at DATETIME(6), note TEXT, customer INT, KEY (customer), KEY (at))",
        "INSERT INTO bulk SELECT seq, CONCAT('customer ', SHA1(seq)), seq / 7, '2020-01-01' + INTERVAL seq SECOND, "
        f"REPEAT('pizza ', seq % 20), seq % 1000 FROM seq_1_to_{ROWS}",
    )
    writer = Writer(house)
    writer.start()
    try:
        found = house.trial()
    finally:
        writer.over.set()
        writer.join()
    print(f"{found['rows']} rows: copied in {found['copy_seconds']} s, proven in {found['proof_seconds']} s")
    assert writer.count > 10
    assert found["changed"] is True
    (proof,) = found["proof"]
    assert (proof["verdict"], proof["tables"], proof["coverage"]) == ("PASSED", 9, 1.0)
    assert found["rows"] == proof["rows"] > ROWS
    assert found["rows_back"] > 1000, "rows of each table were brought back"
    assert house.ask("source", "SHOW TABLES FROM cutover_oc_shop LIKE 'back'") == []


def test_the_trial_is_not_made_again(house: House) -> None:
    assert house.trial()["changed"] is False


def test_what_goes_over_beside_the_rows(house: House) -> None:
    views = house.ask("target", "SELECT * FROM first_view ORDER BY a, c LIMIT 1")
    assert views == house.ask("source", "SELECT * FROM first_view ORDER BY a, c LIMIT 1")
    assert house.ask("target", "SELECT twice(4)") == [("🍕8",)]
    ((status,),) = house.ask("target", "SELECT status FROM information_schema.events WHERE event_name = 'tick'")
    assert status == "REPLICA_SIDE_DISABLED"
    ((auto,),) = house.ask(
        "target",
        "SET SESSION information_schema_stats_expiry = 0",
        "SELECT auto_increment FROM information_schema.tables WHERE table_name = 'nothing' "
        "AND table_schema = DATABASE()",
    )
    assert auto == 500, "of a table without rows too"
    assert house.ask("target", f"SELECT document FROM {Q} WHERE `the id` = 3") == [('{"z": 3, "a":  [1.50, null]}',)]
    names = {name for (name, *_more) in house.ask("target", "SHOW TRIGGERS")}
    assert {'own "trigger" é', "doubles"} <= names
    for side in OTHER:
        house.database(side).make_triggers()
    house.database("target").close()


@pytest.mark.parametrize(
    ("change", "back", "said"),
    [
        ("ALTER TABLE parents MODIFY v BIGINT", "ALTER TABLE parents MODIFY v INT", "column parents.v is '2 int "),
        ("ALTER TABLE parents ALTER v SET DEFAULT 4", "ALTER TABLE parents MODIFY v INT", "parents.v is '2 int "),
        (
            "ALTER TABLE pairs MODIFY c VARCHAR(40) COLLATE utf8mb4_unicode_ci",
            "ALTER TABLE pairs MODIFY c VARCHAR(40) COLLATE utf8mb4_general_ci",
            "utf8mb4_unicode_ci'",
        ),
        ("CREATE INDEX more ON parents (v)", "DROP INDEX more ON parents", "index parents.more is only on the target"),
        (
            f"ALTER TABLE {Q} DROP CONSTRAINT narrow",
            f"ALTER TABLE {Q} ADD CONSTRAINT narrow CHECK (n < 1000000 OR n IS NULL)",
            "check every",
        ),
        ("CREATE TABLE more (id INT)", "DROP TABLE more", "table more is only on the target"),
    ],
)
def test_a_definition_that_changed_since_is_refused(house: House, change: str, back: str, said: str) -> None:
    # Where the fence lets nobody write, definitions can still be changed.
    house.ask("target", change)
    try:
        outcome = house.move("source")
    finally:
        house.ask("target", back)
    assert outcome["outcome"] == "refused"
    assert said in outcome["reason"]


def test_a_longer_hold_than_allowed_is_refused_with_the_figure(house: House) -> None:
    outcome = house.move("source", deadline_s=0.1)
    assert outcome["outcome"] == "refused"
    assert outcome["predicted_s"] > 0.5
    assert f"the hold would take about {outcome['predicted_s']} s (" in outcome["reason"]
    assert "too long for its deadline of 0.1 s; set switchover_copy_deadline to " in outcome["reason"]
    assert flags(house.valve) == set()


def faulty(monkeypatch: pytest.MonkeyPatch, after: int, act: Callable[[], None]) -> None:
    """Have something happen once so many chunks were copied."""
    real, seen = copyover_rows.carry, [0]

    def carry(*arguments: Any) -> int:
        seen[0] += 1
        if seen[0] == after:
            act()
        return real(*arguments)

    monkeypatch.setattr(copyover_rows, "carry", carry)


def released(house: House, outcome: dict[str, Any]) -> None:
    """The site is where it was, and takes writes."""
    assert outcome["outcome"] == "aborted", outcome["reason"]
    assert flags(house.valve) == set()
    assert chosen(house.valve) == "TARGET=127.0.0.1:8000"
    assert house.database("source").fenced_by() is None
    assert house.writable("source")
    assert house.database("target").seeded() is None, "what is there is no copy any more"


def test_a_target_that_stops_amid_the_copy_releases_to_the_source(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = house.machines["target"].container
    faulty(monkeypatch, 12, lambda: docker("exec", container, "systemctl", "kill", "-s", "KILL", "mysql"))
    outcome = house.move("source")
    print(f"the target was killed: {outcome['pause_ms']} ms held, {outcome['reason']}")
    assert "Lost connection" in outcome["reason"]
    assert "(and the target's fence is not back: " in outcome["reason"]
    until = time.monotonic() + 60
    while True:
        try:
            house.raw("target").close()
            break
        except Exception:
            assert time.monotonic() < until
            time.sleep(0.5)
    released(house, outcome)


def test_a_deadline_that_passes_amid_the_copy_releases_to_the_source(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copyover, "predicted", lambda _trial, _rows: 0.0)
    outcome = house.move("source", deadline_s=1.0)
    assert "the deadline of 1.0 s passed" in outcome["reason"]
    assert outcome["pause_ms"] < 2000
    released(house, outcome)
    assert house.writable("target") is False, "the fence is back"


def test_a_row_that_got_in_on_the_target_is_found(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    real = copyover_schema.mend

    def mend(server: MariaDB) -> int:
        if server.side == "target" and house.ask("target", "SELECT COUNT(*) FROM parents")[0][0]:
            house.ask("target", "UPDATE parents SET v = v + 1 WHERE id = 7")
        return real(server)

    monkeypatch.setattr(copyover_schema, "mend", mend)
    outcome = house.move("source")
    assert "parents (7): different in v" in outcome["reason"]
    released(house, outcome)


def test_forward(house: House) -> None:
    rows = house.ask("source", "SELECT COUNT(*) FROM bulk")[0][0]
    outcome = house.move("source")
    assert (outcome["outcome"], outcome["reason"]) == ("open", "")
    steps = {step["name"]: step["ms"] for step in outcome["steps"]}
    print(f"predicted {outcome['predicted_s']} s, held {outcome['pause_ms']} ms: {steps}")
    assert list(steps) == [
        "gate",
        "keep-alive off",
        "hold",
        "drain",
        "fence",
        "copy",
        "prove",
        "reverse",
        "open",
        "release",
        "fence for good",
    ]
    assert [each["verdict"] for each in outcome["proof"]] == ["PASSED"]
    assert outcome["position"].startswith("fenced at 20")
    assert house.ask("target", "SELECT COUNT(*) FROM bulk") == [(rows,)]
    assert chosen(house.valve) == "TARGET=127.0.0.1:18001"
    assert (house.writable("source"), house.writable("target")) == (False, True)
    assert json.loads(json.dumps(outcome)) == outcome


def test_the_sites_triggers_run_on_the_target(house: House) -> None:
    house.ask("target", "INSERT INTO parents (v) VALUES (21)", "UPDATE pairs SET c = 'after' WHERE a = 1 AND b = 'k1'")
    assert house.ask("target", "SELECT v FROM parents ORDER BY id DESC LIMIT 1") == [(42,)]
    assert house.ask("target", "SELECT what FROM noted ORDER BY id DESC LIMIT 1") == [("éafter",)]


def test_back_with_what_was_written_meanwhile(house: House) -> None:
    house.ask("target", "DELETE FROM children WHERE id < 10", f"UPDATE {Q} SET f = -0e0, document = '[1]' LIMIT 1")
    outcome = house.move("target")
    assert (outcome["outcome"], outcome["reason"]) == ("open", "")
    print(f"back: predicted {outcome['predicted_s']} s, held {outcome['pause_ms']} ms")
    assert [each["verdict"] for each in outcome["proof"]] == ["PASSED"]
    assert (house.writable("source"), house.writable("target")) == (True, False)
    assert house.ask("source", "SELECT v FROM parents ORDER BY id DESC LIMIT 1") == [(42,)]
    assert house.ask("source", "SELECT COUNT(*) FROM children") == [(91,)]
    house.ask("source", "INSERT INTO parents (v) VALUES (3)")
    assert house.ask("source", "SELECT v FROM parents ORDER BY id DESC LIMIT 1") == [(6,)], "its own trigger is there"


def test_forward_again(house: House) -> None:
    outcome = house.move("source")
    assert (outcome["outcome"], outcome["reason"]) == ("open", "")
    assert house.ask("target", "SELECT v FROM parents ORDER BY id DESC LIMIT 1") == [(6,)]


def test_what_was_decided_is_finished_by_the_watchdog(house: House) -> None:
    # The owner was lost between the decision and the open, with everything copied and proven.
    house.database("target").close()
    house.database("source").open()
    decision = valve.Decision(house.valve)
    decision.clear()
    decision.claim("open")
    outcome = recover("the deadline passed", {}, *house.sides("source"), [house.pair("source")], house.valve)
    assert (outcome["outcome"], outcome["by"]) == ("open", "watchdog")
    assert (house.writable("source"), house.writable("target")) == (False, True)
