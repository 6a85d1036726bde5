# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first copy from MySQL to MySQL; the rest is tried on real servers."""

# ruff: noqa: S608 - the statements are constants of this file

from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import seed_mysql
from ansible_collections.ocpizza.cutover.plugins.module_utils.dump_stream import SeedFailed
from ansible_collections.ocpizza.cutover.plugins.module_utils.mysql import MySQL
from tests.unit.plugins.module_utils.test_mariadb import FakeConnection

A = "375d90c4-e6ce-11f1-9ee2-0242ac110002"
B = "37594cd1-e6ce-11f1-a755-0242ac110005"


@pytest.mark.parametrize(
    ("head", "position"),
    [
        (f"x\n/* SET @@GLOBAL.GTID_PURGED='+{A}:1-5';*/\n", f"{A}:1-5"),
        (f"/* SET @@GLOBAL.GTID_PURGED='+{A}:1-5,\n{B}:1:3-4';*/", f"{A}:1-5,{B}:1:3-4"),
        (f"/* SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ '{A}:1-5';*/", f"{A}:1-5"),
        (f"/* SET @@GLOBAL.GTID_PURGED='+{A}:1-5:tag:1';*/", f"{A}:1-5:tag:1"),
        (f"SET @@GLOBAL.GTID_PURGED='+{A}:1-5';", None),
        (f"INSERT INTO t VALUES ('/* SET @@GLOBAL.GTID_PURGED=''+{A}:1-5'';*/');", None),
        (f"/* SET @@GLOBAL.GTID_PURGED='+{A}:1-", None),
        (f"/* SET @@GLOBAL.GTID_PURGED='+{A}:1-5'; DROP TABLE t;*/", None),
        ("", None),
    ],
)
def test_the_position_of_a_dump(head: str, position: str | None) -> None:
    assert seed_mysql.position_in(head.encode()) == position


def target(**answers: Any) -> MySQL:
    known = {"event_scheduler": [{"v": "ON"}], **answers}
    return MySQL(FakeConnection(known), "shop", ["shop"], "target")


class Ends:
    """Stands for the two ends: refuses so often, then gives."""

    def __init__(self, *refusals: str) -> None:
        self.refusals = list(refusals)

    def __call__(self, *_arguments: Any) -> tuple[str, int]:
        if self.refusals:
            raise SeedFailed(self.refusals.pop(0))
        return "position", 7


LOCKED = "the dump on the source failed: mysqldump: Couldn't execute 'FLUSH TABLES': Lock wait timeout exceeded (1205)"


def test_a_dump_that_would_keep_others_waiting_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(seed_mysql.time, "sleep", slept.append)
    monkeypatch.setattr(seed_mysql, "stream", Ends(LOCKED, LOCKED))
    assert seed_mysql.copy(target(), [], [], lambda *_progress: None, 1) == ("position", 7)
    assert slept == [2, 2]


@pytest.mark.parametrize("refusals", [["it is broken"], [LOCKED] * 10])
def test_what_does_not_go_is_told(monkeypatch: pytest.MonkeyPatch, refusals: list[str]) -> None:
    monkeypatch.setattr(seed_mysql.time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(seed_mysql, "stream", Ends(*refusals))
    made = target()
    with pytest.raises(SeedFailed, match=r"broken|1205"):
        seed_mysql.copy(made, [], [], lambda *_progress: None, 1)
    assert made.connection.asked[-1] == "SET GLOBAL event_scheduler = ON"


def test_a_scheduler_that_was_off_stays_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seed_mysql, "stream", Ends())
    made = target(event_scheduler=[{"v": "OFF"}])
    seed_mysql.copy(made, [], [], lambda *_progress: None, 1)
    assert not [statement for statement in made.connection.asked if statement.startswith("SET GLOBAL")]
