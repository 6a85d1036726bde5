"""The first copy from MariaDB to MariaDB: where it is refused, and what it leaves."""

from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import seed_mariadb
from ansible_collections.ocpizza.cutover.plugins.module_utils.dump_stream import SeedFailed

HEAD = "-- head\nSET GLOBAL gtid_slave_pos='0-1-5,1-2-3';\n"
TAIL = "-- Dump completed on 2026-05-01\n"


@pytest.mark.parametrize(
    ("head", "position"),
    [
        (b"SET GLOBAL gtid_slave_pos='0-1-5';", "0-1-5"),
        (b"-- x\n-- SET GLOBAL gtid_slave_pos='0-1-5,1-2-3';", "0-1-5,1-2-3"),
        (b"SET GLOBAL gtid_slave_pos='';", None),
        (b"INSERT INTO t VALUES ('SET GLOBAL gtid_slave_pos=''0-1-5'';');", None),
        (b"SET GLOBAL gtid_slave_pos='0-1", None),
        (b"gtid_slave_pos='0-1-5; DROP'", None),
        (b"", None),
    ],
)
def test_the_position_of_a_dump(head: bytes, position: str | None) -> None:
    assert seed_mariadb.position_in(head) == position


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


def copy(source: FakeServer, target: FakeServer, text: str = HEAD + TAIL) -> dict[str, Any]:
    plan = {"dump": ["printf", "%s", text], "load": ["cat"], "engine": "mariadb"}
    return seed_mariadb.seed(source, target, plan, lambda _done, _total, _what: None)  # type: ignore[arg-type]


def test_the_copy_marks_its_beginning_and_its_end() -> None:
    source, target = FakeServer(), FakeServer()
    result = copy(source, target)
    assert (result["changed"], result["position"], result["bytes"]) == (True, "0-1-5,1-2-3", len(HEAD + TAIL))
    # The marker gives the snapshot a position even where the binary log was turned on a moment ago.
    assert source.changes == ["drop_fence", "make_schema", "mark"]
    assert target.changes == [
        "CREATE TABLE IF NOT EXISTS `cutover_shop`.seeding (id TINYINT PRIMARY KEY)",
        "DROP DATABASE IF EXISTS `shop`",
        "DROP DATABASE IF EXISTS `my``db`",
        "events off",
        "REPLACE INTO `cutover_shop`.seed VALUES (1, '0-1-5,1-2-3', UTC_TIMESTAMP(6))",
        "DROP TABLE `cutover_shop`.seeding",
    ]


def test_a_copy_that_completed_is_known_by_its_position() -> None:
    assert seed_mariadb.seeded(FakeServer("0-1-5")) == "0-1-5"  # type: ignore[arg-type]
    assert seed_mariadb.seeded(FakeServer()) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("position", ["0-1-5", ""])
def test_a_copy_that_completed_is_not_made_again(position: str) -> None:
    source, target = FakeServer(), FakeServer(position, ("orders",))
    assert copy(source, target) == {"changed": False, "position": position}
    assert source.changes == []
    assert not [change for change in target.changes if "DROP" in change]


def test_tables_that_it_did_not_bring_are_never_written_over() -> None:
    target = FakeServer(tables=("a", "b", "c", "d", "e", "f"))
    with pytest.raises(SeedFailed) as raised:
        copy(FakeServer(), target)
    assert str(raised.value) == (
        "the target already has shop.a, shop.b, shop.c, shop.d, shop.e; the copy never writes over tables that it "
        "did not bring. Drop the database on the target, or name another one"
    )
    assert not [change for change in target.changes if "DROP" in change]


def test_a_copy_that_was_cut_off_begins_anew() -> None:
    target = FakeServer(tables=("orders",), seeding=True)
    assert copy(FakeServer(), target)["changed"] is True
    assert "DROP DATABASE IF EXISTS `shop`" in target.changes


def test_a_copy_that_fails_is_not_complete() -> None:
    target = FakeServer()
    with pytest.raises(SeedFailed, match="closing line"):
        copy(FakeServer(), target, HEAD)
    assert target.changes[-2:] == ["DROP DATABASE IF EXISTS `my``db`", "events off"]


def test_events_stay_still_while_they_arrive() -> None:
    source, target = FakeServer(), FakeServer()
    source.site_events, target.scheduler = [{"name": "nightly"}], "ON"
    with pytest.raises(SeedFailed, match="closing line"):
        copy(source, target, HEAD)
    assert target.changes[0] == "SET GLOBAL event_scheduler = OFF"
    assert target.changes[-2:] == ["events off", "SET GLOBAL event_scheduler = ON"]
    target.others, target.changes = [{"name": "annex.theirs"}], []
    with pytest.raises(SeedFailed, match=r"the target runs annex\.theirs of others"):
        copy(source, target)
    # Before anything is touched.
    assert target.changes == []
