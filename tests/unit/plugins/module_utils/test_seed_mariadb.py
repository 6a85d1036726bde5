# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first copy from MariaDB to MariaDB: how its sessions come to one snapshot."""

from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import seed_mariadb
from ansible_collections.ocpizza.cutover.plugins.module_utils.dump_stream import SeedFailed


class Log:
    """A binary log that others write to: where it is whenever a snapshot is taken."""

    def __init__(self, *places: int, gtid: str | None = "0-1-5") -> None:
        self.places = list(places)
        self.gtid = gtid
        self.asked: Any = None

    def value(self, _statement: str, arguments: Any) -> Any:
        self.asked = arguments
        return self.gtid


class Session:
    """A session whose snapshots belong to the log's next places."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.place = 0

    def query(self, statement: str) -> None:
        assert statement == "START TRANSACTION WITH CONSISTENT SNAPSHOT"
        self.place = self.log.places.pop(0)

    def cursor(self) -> "Session":
        return self

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def execute(self, _statement: str) -> None:
        pass

    def fetchall(self) -> Any:
        return [(b"Binlog_snapshot_file", b"log.000001"), (b"Binlog_snapshot_position", str(self.place).encode())]


def snapshot(log: Log) -> str:
    return seed_mariadb.snapshot(log, [Session(log), Session(log)])  # type: ignore[arg-type]


def test_a_commit_between_two_snapshots_has_them_taken_anew() -> None:
    log = Log(5, 6, 7, 8, 9, 9, 10)
    assert snapshot(log) == "0-1-5"
    assert log.asked == ["log.000001", 9]
    assert log.places == [10]


def test_snapshots_that_never_meet_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seed_mariadb, "ATTEMPTS", 3)
    with pytest.raises(SeedFailed, match="3 snapshots in a row had a commit between them"):
        snapshot(Log(*range(6)))


def test_no_position_is_no_copy() -> None:
    with pytest.raises(SeedFailed, match="is the binary log on"):
        snapshot(Log(4, 4, gtid=None))


class Done:
    """A target that has a copy."""

    def seeded(self) -> str:
        return ""


def test_a_copy_that_completed_is_not_made_again() -> None:
    made = seed_mariadb.seed(None, Done(), {}, lambda *_step: None)  # type: ignore[arg-type]
    assert made == {"changed": False, "position": ""}
