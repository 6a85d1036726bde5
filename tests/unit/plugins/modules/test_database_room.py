# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far widened keys have come, and the end of the way back."""

from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils.widen import Room
from ansible_collections.ocpizza.cutover.plugins.modules import database_room
from tests.unit.plugins.fakes import FakeDatabase, ModuleFailedError, pair, run_module

ROOM = Room("shop.orders.id", 1, 2000000000, -(2**31), 2**31 - 1, True)
TOLD = {"column": "shop.orders.id", "largest": 2000000000, "limit": 2147483647, "share": 0.9313, "limited": True}


@pytest.fixture
def sides(monkeypatch: pytest.MonkeyPatch) -> tuple[FakeDatabase, FakeDatabase]:
    source, target = pair([])
    both = {"source": source, "target": target}
    monkeypatch.setattr(database_room, "open_database", lambda _module, side, _timeout=0.0: both[side])
    target.rooms = [ROOM]
    target.closed = False
    return source, target


def run(monkeypatch: pytest.MonkeyPatch, check: bool = False, **more: Any) -> dict[str, Any]:
    return run_module(database_room, monkeypatch, check, credentials="/c.json", site="shop", databases=["shop"], **more)


def test_it_tells_and_changes_nothing(
    sides: tuple[FakeDatabase, FakeDatabase], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch) == {"changed": False, "keys": [TOLD]}
    assert sides[0].calls == []


def test_the_way_back_ends_before_larger_keys_are_let_in(
    sides: tuple[FakeDatabase, FakeDatabase], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch, True, way_back=False) == {"changed": True, "keys": [TOLD]}
    assert [call for call in sides[0].calls if "is_closed" not in call] == []
    assert run(monkeypatch, way_back=False) == {"changed": True, "keys": [{**TOLD, "limited": False}]}
    assert [call for call in sides[0].calls if "is_closed" not in call] == ["source.unfollow", "target.let_keys_grow"]
    for check in (True, False):
        assert run(monkeypatch, check, way_back=False)["changed"] is False


def test_it_is_refused_while_the_site_lives_on_the_source(
    sides: tuple[FakeDatabase, FakeDatabase], monkeypatch: pytest.MonkeyPatch
) -> None:
    sides[1].closed = True
    with pytest.raises(ModuleFailedError, match="The site lives on the source"):
        run(monkeypatch, way_back=False)
    assert "target.let_keys_grow" not in sides[0].calls


def test_an_error_of_the_server_is_told(
    sides: tuple[FakeDatabase, FakeDatabase], monkeypatch: pytest.MonkeyPatch
) -> None:
    sides[0].failing["unfollow"] = RuntimeError(1227, "Access denied")
    with pytest.raises(ModuleFailedError, match=r"keys of shop cannot be told or let grow: Access denied \(1227\)"):
        run(monkeypatch, way_back=False)
