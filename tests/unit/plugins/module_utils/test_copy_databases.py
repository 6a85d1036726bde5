# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first copy of MariaDB and MySQL: where it is refused, and what it leaves."""

from contextlib import ExitStack
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import copy_databases
from ansible_collections.ocpizza.cutover.plugins.module_utils.dump_stream import SeedFailed


class Session:
    """A connection that takes everything."""

    open = False

    def query(self, statement: str) -> None:
        assert statement.startswith("SET ")


class FakeServer:
    """Answers what the copy asks; remembers what it changes."""

    def __init__(self, position: str | None = None, tables: tuple[str, ...] = (), seeding: bool = False) -> None:
        self.name, self.schema, self.databases = "cutover_shop", "`cutover_shop`", ["shop", "my`db"]
        self.position, self.present, self.seeding = position, tables, seeding
        self.changes: list[str] = []
        self.scheduler = "OFF"
        self.site_events: list[dict[str, str]] = []
        self.others: list[dict[str, str]] = []

    def events(self) -> list[dict[str, str]]:
        return self.site_events

    def let_events_run(self, run: bool) -> int:
        self.changes.append("events on" if run else "events off")
        return 0

    def make_schema(self) -> None:
        self.changes.append("make_schema")

    def mark(self, token: str) -> str:
        self.changes.append("mark")
        return "0-1-1"

    def unlogged(self, *statements: str) -> None:
        self.changes += statements

    def drop_fence(self) -> None:
        self.changes.append("drop_fence")

    def tables(self) -> list[dict[str, str]]:
        return [{"db": "shop", "tbl": table} for table in self.present]

    def seeded(self) -> str | None:
        return self.position

    def rows(self, statement: str, arguments: Any = ()) -> list[dict[str, Any]]:
        if "information_schema.events" in statement:
            return self.others
        if statement.startswith("SET GLOBAL"):
            self.changes.append(statement)
            return []
        assert "table_name = 'seeding'" in statement
        return [{"table_name": "seeding"}] if self.seeding else []

    def value(self, statement: str, arguments: Any = ()) -> Any:
        return self.scheduler if "event_scheduler" in statement else 1000

    def another(self, _timeout: float) -> Session:
        return Session()

    def unfollow(self) -> None:
        self.changes.append("unfollow")


def copy(monkeypatch: pytest.MonkeyPatch, source: FakeServer, target: FakeServer, breaks: str = "") -> dict[str, Any]:
    dumps: list[list[str]] = []

    def stream(dump: list[str], load: list[str]) -> None:
        assert load == ["load"]
        dumps.append(dump)
        if breaks:
            raise SeedFailed(breaks)

    def snapshot(server: Any, sessions: Any) -> str:
        assert (server, len(sessions)) == (source, 3)
        assert not dumps, "definitions are read after the snapshot"
        return "0-1-5,1-2-3"

    monkeypatch.setattr(copy_databases, "stream", stream)
    monkeypatch.setattr(copy_databases, "tables_of", lambda _source: [])
    plan = {"dump": ["dump"], "load": ["load"], "jobs": 3}
    means = copy_databases.Means(snapshot)
    made = copy_databases.seed(source, target, plan, lambda *_step: None, means)  # type: ignore[arg-type]
    # A trigger would fire for every row that arrives.
    assert ["--skip-triggers" in one for one in dumps] == [True, False]
    assert ["--events" in one for one in dumps] == [False, True]
    return made


def test_the_copy_marks_its_beginning_and_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = FakeServer(), FakeServer()
    result = copy(monkeypatch, source, target)
    assert (result["changed"], result["position"], result["rows"]) == (True, "0-1-5,1-2-3", 0)
    # The marker gives the snapshot a position even where the binary log was turned on a moment ago.
    limits = ["SET GLOBAL max_allowed_packet = 1073741824", "SET GLOBAL max_allowed_packet = 1000"]
    assert source.changes == ["drop_fence", "make_schema", "mark", *limits]
    assert target.changes == [
        "unfollow",
        "CREATE TABLE IF NOT EXISTS `cutover_shop`.seeding (id TINYINT PRIMARY KEY)",
        "DROP DATABASE IF EXISTS `shop`",
        "DROP DATABASE IF EXISTS `my``db`",
        *limits,
        "events off",
        "REPLACE INTO `cutover_shop`.seed VALUES (1, '0-1-5,1-2-3', UTC_TIMESTAMP(6))",
        "DROP TABLE `cutover_shop`.seeding",
    ]


def test_tables_that_it_did_not_bring_are_never_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    target = FakeServer(tables=("a", "b", "c", "d", "e", "f"))
    with pytest.raises(SeedFailed) as raised:
        copy(monkeypatch, FakeServer(), target)
    assert str(raised.value) == (
        "the target already has shop.a, shop.b, shop.c, shop.d, shop.e; the copy never writes over tables that it "
        "did not bring. Drop the database on the target, or name another one"
    )
    assert target.changes == []


def test_a_copy_that_was_cut_off_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    target = FakeServer(tables=("orders",), seeding=True)
    assert copy(monkeypatch, FakeServer(), target)["changed"] is True
    assert "DROP DATABASE IF EXISTS `shop`" in target.changes


def test_events_stay_still_while_they_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = FakeServer(), FakeServer()
    source.site_events, target.scheduler = [{"name": "nightly"}], "ON"
    with pytest.raises(SeedFailed, match="gone away"):
        copy(monkeypatch, source, target, "gone away")
    assert target.changes[0] == "SET GLOBAL event_scheduler = OFF"
    # Nothing says that it is complete.
    assert target.changes[-2:] == ["events off", "SET GLOBAL event_scheduler = ON"]
    target.others, target.changes = [{"name": "annex.theirs"}], []
    with pytest.raises(SeedFailed, match=r"the target runs annex\.theirs of others"):
        copy(monkeypatch, source, target)
    # Before anything is touched.
    assert target.changes == []


def test_a_server_keeps_its_limit_when_a_session_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_server: FakeServer, _timeout: float) -> Session:
        raise RuntimeError("Too many connections")

    server = FakeServer()
    monkeypatch.setattr(FakeServer, "another", refuse)
    with ExitStack() as open_ones, pytest.raises(RuntimeError, match="Too many connections"):
        copy_databases.connected(server, 2, [], open_ones)  # type: ignore[arg-type]
    assert server.changes[-1] == "SET GLOBAL max_allowed_packet = 1000"
