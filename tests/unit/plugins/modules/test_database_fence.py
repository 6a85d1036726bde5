"""The fence of one side: check, real, check again, again."""

from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.modules import database_fence
from tests.unit.plugins.fakes import ModuleFailedError, run_module

EVENTS = ("INSERT", "UPDATE", "DELETE")


class FakeDatabase:
    """A server with one table."""

    name = "cutover_oc_shop"

    def __init__(self) -> None:
        self.schema_there = False
        self.triggers: list[str] = []
        self.closed = False
        self.changes: list[str] = []

    def has_schema(self) -> bool:
        return self.schema_there

    def missing_triggers(self) -> list[str]:
        return [event for event in EVENTS if event not in self.triggers]

    def fence_triggers(self) -> list[str]:
        return self.triggers

    def make_schema(self) -> None:
        self.changes.append("make_schema")
        self.schema_there = True

    def make_triggers(self) -> int:
        self.changes.append("make_triggers")
        self.triggers = list(EVENTS)
        return 3

    def drop_schema(self) -> None:
        self.changes.append("drop_schema")
        self.schema_there = False

    def drop_fence(self) -> None:
        self.changes.append("drop_fence")
        self.triggers = []

    def is_closed(self) -> bool:
        assert self.schema_there
        return self.closed

    def close(self) -> None:
        self.changes.append("close")
        self.closed = True

    def open(self) -> None:
        self.changes.append("open")
        self.closed = False


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> FakeDatabase:
    made = FakeDatabase()
    monkeypatch.setattr(database_fence, "open_database", lambda _module, _side: made)
    return made


def run(monkeypatch: pytest.MonkeyPatch, check: bool = False, **more: Any) -> dict[str, Any]:
    arguments = {"credentials": "/c.json", "side": "target", "site": "oc-shop", "databases": ["shop"], **more}
    return run_module(database_fence, monkeypatch, check, **arguments)


def steps(
    database: FakeDatabase, monkeypatch: pytest.MonkeyPatch, **more: Any
) -> tuple[list[dict[str, Any]], list[str]]:
    """The results of check, real, check again and again, and what the real run changed."""
    first = run(monkeypatch, True, **more)
    assert database.changes == []
    real = run(monkeypatch, **more)
    changes, database.changes = database.changes, []
    rest = [run(monkeypatch, True, **more), run(monkeypatch, **more)]
    assert database.changes == []
    return [first, real, *rest], changes


def test_a_fence_is_made_and_closed_once(database: FakeDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    results, changes = steps(database, monkeypatch, closed=True)
    assert changes == ["make_schema", "make_triggers", "close"]
    assert (
        results
        == [{"changed": True, "triggers_made": 3, "closed": True}] * 2
        + [{"changed": False, "triggers_made": 0, "closed": True}] * 2
    )


def test_it_is_left_open_unless_asked(database: FakeDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    results, changes = steps(database, monkeypatch)
    assert changes == ["make_schema", "make_triggers"]
    assert [result["closed"] for result in results] == [False] * 4


def test_it_is_left_closed_unless_asked(database: FakeDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, closed=True)
    assert run(monkeypatch) == {"changed": False, "triggers_made": 0, "closed": True}


def test_a_new_table_is_covered(database: FakeDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch)
    database.triggers.remove("INSERT")
    database.changes.clear()
    results, changes = steps(database, monkeypatch)
    assert (results[1]["triggers_made"], changes) == (1, ["make_triggers"])


def test_it_is_opened(database: FakeDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, closed=True)
    database.changes.clear()
    results, changes = steps(database, monkeypatch, closed=False)
    assert ([result["changed"] for result in results], changes) == ([True, True, False, False], ["open"])


def test_it_is_taken_down(database: FakeDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch)
    database.changes.clear()
    results, changes = steps(database, monkeypatch, state="absent")
    # The fence's triggers read the schema, so that it goes after them.
    assert changes == ["drop_fence", "drop_schema"]
    assert [result["changed"] for result in results] == [True, True, False, False]


@pytest.mark.parametrize("left", ["triggers", "schema"])
def test_what_is_left_of_it_is_taken_down(database: FakeDatabase, monkeypatch: pytest.MonkeyPatch, left: str) -> None:
    run(monkeypatch)
    if left == "triggers":
        database.schema_there = False
    else:
        database.triggers = []
    database.changes.clear()
    results, _changes = steps(database, monkeypatch, state="absent")
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert (database.schema_there, database.triggers) == (False, [])


def test_an_engine_is_one_of_the_list(database: FakeDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModuleFailedError, match="value of engine must be one of: mariadb, mysql, postgresql, got: x"):
        run(monkeypatch, engine="x")


def test_a_side_is_source_or_target(database: FakeDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModuleFailedError, match="value of side must be one of: source, target, got: middle"):
        run(monkeypatch, side="middle")


@pytest.mark.parametrize(
    ("state", "method", "done"), [("present", "make_triggers", "prepared"), ("absent", "drop_fence", "removed")]
)
def test_a_servers_error_is_told_in_words(
    database: FakeDatabase, monkeypatch: pytest.MonkeyPatch, state: str, method: str, done: str
) -> None:
    def refuse() -> None:
        raise ValueError({"S": "ERROR", "M": "permission denied"})

    database.schema_there = True
    setattr(database, method, refuse)
    with pytest.raises(ModuleFailedError) as raised:
        run(monkeypatch, state=state)
    assert str(raised.value) == f"The fence of the target's database cannot be {done}: permission denied"
