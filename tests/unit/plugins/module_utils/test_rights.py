# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which accounts come over, who stands for them already, and what differs."""

from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import rights
from ansible_collections.ocpizza.cutover.plugins.module_utils.rights import Account, Right, Settings

SELECT = Right("database", "SELECT", "shop", "")
INSERT = Right("database", "INSERT", "shop", "")
GRANT = Right("database", "INSERT", "shop", "", True)
MEMBER = Right("role", "", "", "readers")


def account(name: str, *given: Right, **more: Any) -> Account:
    user, _at, host = name.partition("@")
    return Account(name, user, host, **{"login": True, "rights": frozenset(given), **more})


def named(*accounts: Account) -> dict[str, Account]:
    return {one.name: one for one in accounts}


APP = account("app@localhost", SELECT, INSERT)


def test_facts_come_back_as_they_went() -> None:
    known = named(APP, account("x@%", methods=("md5",), everywhere=("FILE",), owns=("view shop.v",), exists=False))
    assert rights.of_facts(rights.facts(known)) == known


@pytest.mark.parametrize(
    ("there", "brought", "stands"),
    [
        ((), (), []),
        ((account("app@localhost", SELECT),), (), ["app@localhost"]),
        # Whoever set the target up has said from where the application comes.
        ((account("app@10.0.0.4"), account("app@10.0.0.5")), (), ["app@10.0.0.4", "app@10.0.0.5"]),
        # What came by itself for another host stands for nobody else.
        ((account("app@10.0.0.4"),), ("app@10.0.0.4",), []),
        ((account("other@%"),), (), []),
        ((account("app@localhost", exists=False),), (), []),
    ],
)
def test_who_stands_for_an_account(there: Any, brought: Any, stands: list[str]) -> None:
    (move,) = rights.moves(named(APP), named(*there), Settings(), brought)
    assert [one.name for one in move.there] == stands
    assert bool(rights.missing([move])) is not bool(stands)


@pytest.mark.parametrize("left", ["app", "app@localhost"])
def test_who_is_left_stays(left: str) -> None:
    assert rights.moves(named(APP), {}, Settings(frozenset([left]))) == []


def test_neither_strangers_nor_those_that_are_not_there_come() -> None:
    known = named(account("stranger@%", everywhere=("SELECT",)), account("x@%", owns=("view shop.v",), exists=False))
    assert rights.moves(known, {}, Settings()) == []


def test_a_host_becomes_others_and_a_role_has_none() -> None:
    settings = Settings(hosts={"localhost": ["10.0.0.4", "10.0.0.5"], "%": ["x"]})
    role = account("readers@%", SELECT, login=False)
    found = rights.moves(named(APP, account("b@h", SELECT), role), {}, settings)
    assert [move.name for move in found] == ["app@10.0.0.4", "app@10.0.0.5", "b@h", "readers@%"]


def test_what_differs_is_told_by_what_it_is_on() -> None:
    there = account("app@10.0.0.4", SELECT, GRANT, MEMBER)
    (move,) = rights.moves(named(APP), named(there), Settings())
    assert rights.differences(move) == [
        "lacks INSERT on database shop",
        "has beyond it INSERT on database shop with grant option",
        "has beyond it the role readers",
    ]


def test_several_accounts_stand_together() -> None:
    (move,) = rights.moves(named(APP), named(account("app@a", SELECT), account("app@b", INSERT)), Settings())
    assert rights.differences(move) == []


def test_rights_beyond_the_site() -> None:
    wide, only = account("wide@%", SELECT, everywhere=("FILE",)), account("dba@%", everywhere=("SELECT",))
    known = named(APP, wide, only)
    assert rights.beyond(known, Settings()) == [wide]
    assert rights.others(known, Settings()) == [only]
    both = Settings(frozenset(["wide", "dba@%"]))
    assert (rights.beyond(known, both), rights.others(known, both)) == ([], [])


def test_a_plugin_that_the_target_lacks_matters_to_who_is_to_come() -> None:
    known = named(account("a@%", SELECT, methods=("ed25519", "unix_socket")), account("b@%", SELECT, methods=("old",)))
    found = rights.moves(known, named(account("b@x")), Settings())
    assert rights.lacking_methods(found, ["unix_socket"]) == [("a@%", "ed25519")]
