# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts are brought, compared and taken away; nothing of a password is told."""

from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils.rights import Account, Right
from ansible_collections.ocpizza.cutover.plugins.modules import database_rights
from tests.unit.plugins.fakes import ModuleFailedError, run_module

SELECT, INSERT = (Right("database", privilege, "shop", "") for privilege in ("SELECT", "INSERT"))
MEMBER = Right("role", "", "", "readers")


class FakeRights:
    """A server's accounts, in memory; how each logs in is its definition."""

    def __init__(self, calls: list[str]) -> None:
        self.calls = calls
        self.accounts: dict[str, Account] = {}
        self.definitions: dict[str, str] = {}
        self.came: dict[str, tuple[str, str]] = {}
        self.failure: Exception | None = None

    def add(self, name: str, *rights: Right, definition: str = "hash", **more: Any) -> None:
        user, _at, host = name.partition("@")
        made = {"login": True, "methods": ("native",), "rights": frozenset(rights), **more}
        self.accounts[name] = Account(name, user, host, **made)
        self.definitions[name] = definition

    def read(self) -> tuple[dict[str, Account], list[str]]:
        if self.failure:
            raise self.failure
        return dict(self.accounts), ["native"]

    def brought(self) -> dict[str, tuple[str, str]]:
        return dict(self.came)

    def definition(self, account: Account) -> str:
        return self.definitions[account.name]

    def methods(self, account: Account, definition: str) -> tuple[str, ...]:
        return (*account.methods, "ed25519") if "ed25519" in definition else account.methods

    def rest(self, definition: str) -> str:
        return definition

    def make(self, account: Account, user: str, host: str, definition: str) -> None:
        self.calls.append(f"make {user}@{host}")
        self.add(f"{user}@{host}", definition=definition)
        self.came[f"{user}@{host}"] = (user, host)

    def change(self, user: str, host: str, definition: str) -> None:
        self.calls.append(f"change {user}@{host}")
        self.definitions[f"{user}@{host}"] = definition

    def grant(self, user: str, host: str, rights: Any) -> None:
        self.given(user, host, lambda now: now | set(rights), f"grant {user}@{host}", rights)

    def revoke(self, user: str, host: str, rights: Any) -> None:
        self.given(user, host, lambda now: now - set(rights), f"revoke {user}@{host}", rights)

    def given(self, user: str, host: str, change: Any, call: str, rights: Any) -> None:
        if rights:
            self.calls.append(call)
        account = self.accounts[f"{user}@{host}"]
        self.accounts[account.name] = account._replace(rights=frozenset(change(set(account.rights))))

    def drop(self, user: str, host: str) -> None:
        self.calls.append(f"drop {user}@{host}")
        del self.accounts[f"{user}@{host}"], self.came[f"{user}@{host}"]


class House:
    """Both servers, and the module between them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.calls: list[str] = []
        self.source, self.target = FakeRights(self.calls), FakeRights(self.calls)
        self.source.add("app@localhost", SELECT, INSERT)
        monkeypatch.setattr(database_rights, "open_database", lambda _module, side: getattr(self, side))
        kind = type("Engine", (), {"Rights": staticmethod(lambda server: server)})
        monkeypatch.setattr(database_rights.engines, "rights", lambda _engine: kind)

    def run(self, state: str = "present", check: bool = False, **more: Any) -> dict[str, Any]:
        options = {"credentials": "/c.json", "site": "shop", "databases": ["shop"], "state": state, **more}
        result = run_module(database_rights, self.monkeypatch, check, **options)
        assert "hash" not in str(result)
        return result


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    return House(monkeypatch)


def test_brought_in_four_steps_and_away_in_four(house: House) -> None:
    house.source.add("readers@", SELECT, login=False, methods=())
    house.source.add("a@%", MEMBER)
    names = ["a@%", "app@localhost", "readers@"]
    first = house.run(check=True)
    assert (first["changed"], first["missing"], house.calls) == (True, ["a@%", "app@localhost", "readers"], [])
    done = house.run()
    assert (done["changed"], done["brought"], done["missing"], done["differing"]) == (True, names, ["readers"], [])


def test_all_are_made_before_rights_are_given(house: House) -> None:
    house.source.add("b@%", MEMBER)
    assert house.run()["brought"] == ["app@localhost", "b@%"]
    assert house.calls == ["make app@localhost", "make b@%", "grant app@localhost", "grant b@%"]
    for check in (True, False):
        assert house.run(check=check) == {
            "changed": False,
            "brought": ["app@localhost", "b@%"],
            "missing": [],
            "differing": [],
            "remarks": [],
        }
    assert house.run("absent", True)["brought"] == ["app@localhost", "b@%"]
    assert house.run("absent")["changed"] is True
    assert [house.run("absent", check)["changed"] for check in (True, False)] == [False, False]
    assert house.target.accounts == {}


def test_what_the_target_has_already_is_not_touched(house: House) -> None:
    house.target.add("app@10.0.0.4", SELECT, definition="another hash")
    for state, check in (("present", True), ("present", False), ("compared", False), ("absent", False)):
        result = house.run(state, check)
        assert (result["changed"], result["brought"], result["missing"]) == (False, [], [])
        remarks = ["app@10.0.0.4 (app@localhost on the source) lacks INSERT on database shop"]
        assert result["remarks"] == ([] if state == "absent" else remarks)
    assert house.calls == []


def test_what_changed_on_the_source_since_is_named_and_followed(house: House) -> None:
    house.run()
    house.source.add("app@localhost", SELECT, MEMBER, definition="new hash")
    house.calls.clear()
    (text,) = house.run("compared")["differing"]
    assert text == (
        "app@localhost (app@localhost on the source) lacks the role readers; has beyond it INSERT on database shop; "
        "logs in with another password, plugin or condition"
    )
    assert house.run(check=True)["changed"] is True
    assert house.calls == []
    assert house.run()["differing"] == []
    assert house.calls == ["change app@localhost", "revoke app@localhost", "grant app@localhost"]


def test_a_plugin_that_the_target_lacks_is_refused_before_anything_is_made(house: House) -> None:
    house.source.add("b@%", SELECT, definition="ed25519 hash")
    for check in (True, False):
        with pytest.raises(ModuleFailedError) as raised:
            house.run(check=check)
        assert str(raised.value) == (
            "b@% could not log in on the target, which lacks its authentication plugin ed25519. Install the plugin "
            "there, give the account another one on the source, or leave it behind (site_accounts_left)."
        )
    assert house.calls == []
    assert house.run(left=["b"])["brought"] == ["app@localhost"]


def test_hosts(house: House) -> None:
    assert house.run(hosts={"localhost": ["h1", "h2"]})["brought"] == ["app@h1", "app@h2"]


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ("present", "brought: CREATE USER x IDENTIFIED BY PASSWORD *** denied. Check that the agent's account"),
        ("compared", "compared: CREATE USER x IDENTIFIED BY PASSWORD *** denied. Check that the accounts"),
    ],
)
def test_a_refusal_is_told_without_what_the_server_quotes(house: House, state: str, text: str) -> None:
    house.target.failure = RuntimeError("CREATE USER x IDENTIFIED BY PASSWORD '*B69hash' denied")
    with pytest.raises(ModuleFailedError) as raised:
        house.run(state)
    assert f"The accounts of shop cannot be {text}" in str(raised.value)
    assert "B69" not in str(raised.value)
