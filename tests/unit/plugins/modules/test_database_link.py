"""The link between the sides: check, real, check again, again."""

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils.mariadb import Link
from ansible_collections.ocpizza.cutover.plugins.modules import database_link
from tests.unit.plugins.fakes import HEALTHY, ModuleFailedError, run_module

ABSENT = Link(False, False, False, None, "")


class FakeDatabase:
    """A server that may follow another."""

    name = "cutover_shop"

    def __init__(self) -> None:
        self.state = ABSENT
        self.becomes = HEALTHY
        self.changes: list[Any] = []

    def has_link(self) -> bool:
        return self.state.exists

    def link(self) -> Link:
        return self.state

    def follow(self, other: Any, account: Any, position: str, ignore_domain: int) -> None:
        assert other == account
        self.changes.append((account["user"], position, ignore_domain))
        self.state = self.becomes

    def unfollow(self) -> None:
        self.changes.append("unfollow")
        self.state = ABSENT

    def rows(self, statement: str) -> None:
        self.changes.append(statement)
        self.state = self.becomes

    def value(self, statement: str) -> int:
        assert statement == "SELECT @@gtid_domain_id"
        return 2

    def full_position(self) -> str:
        return "1-2-7"

    def make_schema(self) -> None:
        pass

    def server(self) -> int:
        return 7

    def mark(self, token: str) -> str:
        self.changes.append("mark")
        return "1-2-7"

    def expect_markers_of(self, server: int) -> None:
        self.changes.append(("expect", server))


class House:
    """Both sides, and the account to follow with."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.sides = {"source": FakeDatabase(), "target": FakeDatabase()}
        self.account = folder / "account.json"
        self.account.write_text(json.dumps({"user": "repl", "password": "s3cret"}))
        monkeypatch.setattr(database_link, "open_database", lambda _module, side: self.sides[side])
        monkeypatch.setattr(database_link, "PATIENCE", 0.0)
        self.seeded("0-1-5")

    def seeded(self, position: str | None) -> None:
        self.monkeypatch.setattr(database_link, "seeded", lambda _database: position)

    def run(self, check: bool = False, side: str = "target", **more: Any) -> dict[str, Any]:
        arguments = {"credentials": "/c.json", "side": side, "site": "shop", "databases": ["shop"], **more}
        arguments.setdefault("account", str(self.account))
        return run_module(database_link, self.monkeypatch, check, **arguments)

    def steps(self, side: str = "target", **more: Any) -> tuple[list[dict[str, Any]], list[Any]]:
        """The results of check, real, check again and again, and what the real run changed."""
        database = self.sides[side]
        first = self.run(True, side, **more)
        assert database.changes == []
        real = self.run(False, side, **more)
        changes, database.changes = database.changes, []
        rest = [self.run(True, side, **more), self.run(False, side, **more)]
        assert database.changes == []
        return [first, real, *rest], changes


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(tmp_path, monkeypatch)


def test_the_target_goes_on_where_its_copy_ended(house: House) -> None:
    results, changes = house.steps()
    assert changes == [("expect", 7), ("repl", "0-1-5", 2)]
    assert results == [
        {"changed": True, "action": "created", "lag_seconds": None},
        {"changed": True, "action": "created", "lag_seconds": 0},
        {"changed": False, "action": "none", "lag_seconds": 0},
        {"changed": False, "action": "none", "lag_seconds": 0},
    ]


def test_the_source_begins_where_the_target_is(house: House) -> None:
    assert house.steps("source")[1] == [("expect", 7), ("repl", "1-2-7", 2)]
    # The target's marker exists before the position: the source only ever sees it change.
    assert house.sides["target"].changes == ["mark"]


def test_a_copy_of_a_log_that_was_empty_is_complete_too(house: House) -> None:
    house.seeded("")
    assert house.steps()[1] == [("expect", 7), ("repl", "", 2)]


def test_without_a_copy_the_target_cannot_follow(house: House) -> None:
    house.seeded(None)
    with pytest.raises(ModuleFailedError) as raised:
        house.run()
    assert str(raised.value) == ("The target has no complete copy to go on from. Run replicate.yml from its start.")
    assert house.sides["target"].changes == []


def test_without_an_account_no_link_is_made(house: House) -> None:
    with pytest.raises(ModuleFailedError, match="account is needed to make the link of the source"):
        house.run(side="source", account=None)


def test_a_link_that_was_stopped_is_started(house: House) -> None:
    house.sides["target"].state = HEALTHY._replace(applying=False)
    results, changes = house.steps()
    assert changes == ["START SLAVE 'cutover_shop'"]
    assert [result["action"] for result in results] == ["started", "started", "none", "none"]


@pytest.mark.parametrize(
    ("state", "trouble"),
    [
        (HEALTHY._replace(receiving=False), "the replica is not connected to its source"),
        (HEALTHY._replace(error="error 1045: Access denied"), "error 1045: Access denied"),
        (HEALTHY._replace(lag_seconds=None), "the replica does not know its lag"),
    ],
)
def test_a_link_that_does_not_run_fails_with_its_reason(house: House, state: Link, trouble: str) -> None:
    house.sides["target"].becomes = state
    with pytest.raises(ModuleFailedError) as raised:
        house.run()
    assert str(raised.value) == (
        f"Replication to the target does not run: {trouble}. The other side's log has the reason; "
        "run replicate.yml again once it is gone."
    )


def test_a_link_is_given_time_to_connect(house: House) -> None:
    database = house.sides["target"]
    states = [HEALTHY._replace(receiving=False), HEALTHY]
    house.monkeypatch.setattr(database_link, "PATIENCE", 5.0)
    house.monkeypatch.setattr(database_link.time, "sleep", lambda _seconds: None)
    house.monkeypatch.setattr(database, "link", lambda: states.pop(0) if len(states) > 1 else states[0])
    assert house.run()["action"] == "created"


def test_a_link_is_removed(house: House) -> None:
    house.sides["target"].state = HEALTHY
    results, changes = house.steps(state="absent", account=None)
    assert changes == ["unfollow"]
    assert [(result["changed"], result["action"]) for result in results] == [
        (True, "removed"),
        (True, "removed"),
        (False, "none"),
        (False, "none"),
    ]
