"""Media in the switchover: caught up and proven beside the databases, with them or not at all."""

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import valve
from ansible_collections.ocpizza.cutover.plugins.module_utils.media_tree import MediaError
from ansible_collections.ocpizza.cutover.plugins.module_utils.switchover import Switchover
from tests.unit.plugins.fakes import flags
from tests.unit.plugins.module_utils.test_switchover import STEPS, House


class FakeMedia:
    """Media that tell when they are asked."""

    def __init__(self, calls: list[str], forward: bool = True) -> None:
        self.calls = calls
        self.forward = forward
        self.foreign: list[str] = []
        self.trouble = ""
        self.carried_at_last = 0

    def watch(self) -> int:
        self.calls.append("media.watch")
        return 1

    def catch_up_before(self) -> dict[str, Any]:
        self.calls.append("media.catch_up_before")
        return {"files": 3, "sent": 1, "foreign": self.foreign}

    def start(self) -> None:
        self.calls.append("media.start")

    def catch_up(self, remaining: Any) -> None:
        self.calls.append("media.catch_up")
        assert remaining() > 0
        if self.trouble:
            raise MediaError(self.trouble)
        self.carried_at_last = 2


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(tmp_path, monkeypatch)


def moved(house: House, media: FakeMedia, back: bool = False) -> dict[str, Any]:
    origin, destination = reversed(house.sides()) if back else house.sides()
    pairs, leash = house.pairs(back), lambda: house.leash
    return Switchover(house.plan, origin, destination, pairs, house.valve, leash, media).run()  # type: ignore[arg-type]


def test_they_are_followed_before_the_hold_and_proven_in_it(house: House) -> None:
    outcome = moved(house, FakeMedia(house.calls))
    assert outcome["outcome"] == "open"
    steps = [step["name"] for step in outcome["steps"]]
    assert steps == [*STEPS[:6], "media", *STEPS[6:], "fence for good"]
    assert outcome["media"] == {"files": 3, "sent": 1, "foreign": [], "in_hold": 2}
    told = [call for call in house.calls if call.startswith(("media.", "source.fence_soft", "target.open"))]
    assert told == [
        "media.watch",
        "media.catch_up_before",
        "media.start",
        "source.fence_soft",
        "media.catch_up",
        "target.open",
    ]


def test_media_that_do_not_arrive_open_no_database(house: House) -> None:
    media = FakeMedia(house.calls)
    media.trouble = "the connection to app1's media was lost: timed out"
    outcome = moved(house, media)
    assert (outcome["outcome"], outcome["reason"]) == ("aborted", media.trouble)
    assert (house.source.closed, house.target.closed) == (False, True)
    assert valve.Decision(house.valve).read() == "abort"
    assert flags(house.valve) == {"near"}


def test_files_that_nobody_brought_refuse_before_a_request_is_held(house: House) -> None:
    media = FakeMedia(house.calls)
    media.foreign = ["x.png (source to app1)"]
    outcome = moved(house, media)
    assert outcome["outcome"] == "refused"
    assert outcome["pause_ms"] is None
    assert outcome["reason"] == (
        "on the target and not on the source, and not brought by this migration: x.png (source to app1); take them "
        "away there"
    )


def test_files_of_the_sources_own_do_not_stop_the_way_back(house: House) -> None:
    house.source.closed, house.target.closed = True, False
    media = FakeMedia(house.calls, forward=False)
    media.foreign = ["x.png (app1 to source)"]
    assert moved(house, media, back=True)["outcome"] == "open"
