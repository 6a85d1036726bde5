"""The link between the sides: check, real, check again, again."""

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Link
from ansible_collections.ocpizza.cutover.plugins.modules import database_link
from tests.unit.plugins.fakes import HEALTHY, ModuleFailedError, run_module

ABSENT = Link(False, False, False, None, "")


class FakeDatabase:
    """A server that may follow another."""

    name = "cutover_shop"

    def __init__(self) -> None:
        self.state = ABSENT
        self.becomes = HEALTHY
        self.refuses: Any = ""
        self.changes: list[Any] = []

    def has_link(self) -> bool:
        return self.state.exists

    def link(self) -> Link:
        return self.state

    def follow(self, other: Any, account: Any) -> None:
        if isinstance(self.refuses, Exception):
            raise self.refuses
        if self.refuses:
            raise RuntimeError(self.refuses)
        self.changes.append(("follow", other, account["user"]))
        self.state = self.becomes

    def resume_link(self) -> None:
        self.changes.append("resume_link")
        self.state = self.becomes

    def unfollow(self) -> None:
        self.changes.append("unfollow")
        self.state = ABSENT


class House:
    """Both sides, and the account to follow with."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.sides = {"source": FakeDatabase(), "target": FakeDatabase()}
        self.account = folder / "account.json"
        self.account.write_text(json.dumps({"user": "repl", "password": "s3cret"}))
        monkeypatch.setattr(database_link, "open_database", lambda _module, side: self.sides[side])
        monkeypatch.setattr(database_link, "PATIENCE", 0.0)

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


def test_the_target_follows_the_source_once(house: House) -> None:
    results, changes = house.steps()
    assert changes == [("follow", house.sides["source"], "repl")]
    assert results == [
        {"changed": True, "action": "created", "lag_seconds": None},
        {"changed": True, "action": "created", "lag_seconds": 0},
        {"changed": False, "action": "none", "lag_seconds": 0},
        {"changed": False, "action": "none", "lag_seconds": 0},
    ]
    assert house.sides["source"].changes == []


def test_the_source_follows_the_target(house: House) -> None:
    assert house.steps("source")[1] == [("follow", house.sides["target"], "repl")]
    assert house.sides["target"].changes == []


def test_a_side_that_cannot_follow_says_why(house: House) -> None:
    house.sides["target"].refuses = "the target has no complete copy to go on from; run replicate.yml from its start"
    with pytest.raises(ModuleFailedError) as raised:
        house.run()
    assert str(raised.value) == (
        "Replication to the target cannot begin: "
        "the target has no complete copy to go on from; run replicate.yml from its start"
    )
    assert house.sides["target"].changes == []


def test_without_an_account_no_link_is_made(house: House) -> None:
    with pytest.raises(ModuleFailedError, match="account is needed to make the link of the source"):
        house.run(side="source", account=None)


def test_a_link_that_was_stopped_is_started(house: House) -> None:
    house.sides["target"].state = HEALTHY._replace(applying=False)
    results, changes = house.steps()
    assert changes == ["resume_link"]
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


def test_a_servers_error_is_told_in_words_and_without_the_password(house: House) -> None:
    house.sides["target"].refuses = OSError({"S": "ERROR", "C": "42601", "M": 'missing "=" after "s3cret"'})
    with pytest.raises(ModuleFailedError) as raised:
        house.run(account=str(house.account))
    assert str(raised.value) == 'Replication to the target cannot begin: missing "=" after "***"'


@pytest.mark.parametrize(("method", "more"), [("has_link", {}), ("unfollow", {"state": "absent"}), ("link", {})])
def test_no_error_of_a_server_is_a_traceback(house: House, method: str, more: dict[str, str]) -> None:
    house.sides["target"].state = HEALTHY

    def refuse() -> None:
        raise ValueError({"M": "the database system is shutting down"})

    setattr(house.sides["target"], method, refuse)
    with pytest.raises(ModuleFailedError) as raised:
        house.run(account=str(house.account), **more)
    assert str(raised.value) == (
        "Replication to the target cannot be looked after: the database system is shutting down"
    )


@pytest.mark.parametrize("content", ["", "[5]"])
def test_an_account_that_cannot_be_read(house: House, content: str) -> None:
    house.account.write_text(content)
    with pytest.raises(ModuleFailedError, match=r"The account .* cannot be read from .*: .*Run replicate\.yml"):
        house.run(account=str(house.account))
