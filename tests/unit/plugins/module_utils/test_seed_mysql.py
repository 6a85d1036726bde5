# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first copy from MySQL to MySQL; the rest is tried on real servers."""

from typing import Any

import pymysql
import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import seed_mysql
from ansible_collections.ocpizza.cutover.plugins.module_utils.dump_stream import SeedFailed

LOCKED = pymysql.err.OperationalError(1205, "Lock wait timeout exceeded")


class Source:
    """A server that refuses its lock so often, and is a session of itself."""

    def __init__(self, *refusals: Exception, executed: str = "a:1-5") -> None:
        self.refusals = list(refusals)
        self.gtids = executed
        self.asked: list[str] = []

    def rows(self, statement: str) -> list[Any]:
        self.asked.append(statement)
        if "FLUSH" in statement and self.refusals:
            raise self.refusals.pop(0)
        return []

    def query(self, statement: str) -> None:
        self.asked.append(statement)

    def executed(self) -> str:
        self.asked.append("executed")
        return self.gtids


def snapshot(source: Source) -> str:
    return seed_mysql.snapshot(source, [source, source])  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    made: list[float] = []
    monkeypatch.setattr(seed_mysql.time, "sleep", made.append)
    return made


def test_a_lock_that_would_keep_others_waiting_is_tried_again(slept: list[float]) -> None:
    source = Source(LOCKED, LOCKED)
    assert snapshot(source) == "a:1-5"
    assert slept == [2, 2]
    assert source.asked[0] == "SET SESSION lock_wait_timeout = 2"
    assert source.asked[-6:] == [
        "FLUSH LOCAL TABLES",
        "FLUSH TABLES WITH READ LOCK",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT",
        "executed",
        "UNLOCK TABLES",
    ]


@pytest.mark.parametrize("refusals", [[RuntimeError("it is broken")], [LOCKED] * 10])
def test_what_does_not_go_is_told(refusals: list[Exception]) -> None:
    with pytest.raises(Exception, match=r"broken|1205"):
        snapshot(Source(*refusals))


def test_no_position_is_no_copy() -> None:
    source = Source(executed="")
    with pytest.raises(SeedFailed, match="is gtid_mode ON"):
        snapshot(source)
    assert source.asked[-1] == "UNLOCK TABLES"
