# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate where keys are wider on the target: how far the way back goes, and when there is none."""

from pathlib import Path
from typing import Any, NoReturn

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils.widen import Room
from tests.unit.plugins.module_utils.test_switchover import House

ROOM = Room("shop.orders.id", 1, 2000000000, -(2**31), 2**31 - 1, True)
TOLD = {"column": "shop.orders.id", "largest": 2000000000, "limit": 2147483647, "share": 0.9313}


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(tmp_path, monkeypatch)


def run(house: House, room: Any, back: bool = False) -> dict[str, Any]:
    if back:
        house.target.closed, house.source.closed = False, True
    made = house.make(back)
    made.pairs = [pair._replace(room=room) for pair in made.pairs]
    return made.run()


@pytest.mark.parametrize("back", [False, True])
def test_the_outcome_says_until_when_the_way_back_works(house: House, back: bool) -> None:
    outcome = run(house, lambda: [ROOM], back)
    assert (outcome["outcome"], outcome["reason"], outcome["widened"]) == ("open", "", [TOLD])


def test_nothing_opens_where_larger_keys_would_be_let_in(house: House) -> None:
    outcome = run(house, lambda: [ROOM._replace(limited=False)])
    assert outcome["outcome"] == "refused"
    assert outcome["reason"] == (
        "nothing keeps shop.orders.id within what the source can hold; run replicate.yml again"
    )


def test_a_key_beyond_the_sources_range_ends_the_way_back(house: House) -> None:
    outcome = run(house, lambda: [ROOM._replace(largest=2**31, limited=False)], back=True)
    assert outcome["outcome"] == "refused"
    assert outcome["reason"] == (
        "shop.orders.id has come to 2147483648 of 2147483647 (100.0%): the source's column cannot hold it, so there is "
        "no way back"
    )
    assert outcome["pause_ms"] is None


def test_what_is_not_known_is_no_room(house: House) -> None:
    def unknown() -> NoReturn:
        raise RuntimeError("the target does not answer")

    outcome = run(house, unknown, back=True)
    assert (outcome["outcome"], outcome["reason"]) == ("refused", "the target does not answer")
