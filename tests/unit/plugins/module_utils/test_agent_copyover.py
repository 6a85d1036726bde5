"""The agent's operations where the target runs another engine than the source."""

from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import (
    agent,
    copyover,
    copyover_schema,
    copyover_switchover,
    engines,
    journal,
    switchover_recovery,
    watchdog,
)
from tests.unit.plugins.module_utils.test_agent import FakeSwitchover, House, house, switching

__all__ = ["house", "switching"]
TRIAL = {"rows": 1000, "copy_seconds": 1.5, "proof_seconds": 0.5, "time": "today", "noted": {}, "changed": True}


@pytest.fixture
def across(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """A site on MariaDB that goes to MySQL."""
    house.plan.update(target_engines={"mariadb": "mysql"}, copy_jobs=2, deadline_s=60.0, trial=house.path("trial"))
    credentials = house.read("credentials")
    credentials["target"]["mysql"] = {"user": "m"}
    house.write("credentials", credentials)
    fake = {name: SimpleNamespace(connect=lambda *asked, name=name: (name, *asked)) for name in ("mariadb", "mysql")}
    monkeypatch.setattr(engines, "server", fake.__getitem__)
    return house


def test_each_side_has_its_engine(across: House) -> None:
    ends = agent.open_ends(across.plan, "mariadb", 60.0)
    assert (ends.source, ends.target, ends.jobs) == (across.source, across.target, 2)
    assert ends.connect["source"]() == ("mariadb", {"user": "a", "password": "s3cret"}, 60.0)
    assert ends.connect["target"]() == ("mysql", {"user": "m"}, 60.0)


def test_the_targets_server_is_opened_as_what_it_is(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    house.plan["target_engines"] = {"mariadb": "mysql"}
    credentials = house.read("credentials")
    credentials["target"]["mysql"] = {"user": "m"}
    house.write("credentials", credentials)
    fake = SimpleNamespace(SERVER=SimpleNamespace(open_server=lambda *asked: asked))
    monkeypatch.setattr(engines, "server", {"mysql": fake}.__getitem__)
    asked: Any = agent.open_database(house.plan, "mariadb", "target", 2.0)
    assert asked == ({"user": "m"}, "shop", ["shop"], "target", 2.0)


def test_the_trial_is_kept_and_its_prediction_told(across: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copyover, "trial", lambda _ends, known, _progress: TRIAL | {"known": known})
    monkeypatch.setattr(copyover, "count_rows", lambda server: 2000 if server is across.source else 0)
    assert across.main("seed") == 0
    assert across.read("result")["predicted_s"] == 4.0
    assert copyover.read_trial(across.plan["trial"]) == TRIAL | {"known": {}}
    (event,) = journal.read_events(across.plan["journal"])
    assert (event["step"], event["status"]) == ("trial copy", "passed")
    assert event["text"] == (
        "a hold with the copy in it would take about 4.0 s: 1000 rows copied in 1.5 s and proven in 0.5 s at today"
    )


def test_the_move_is_one_by_copy(across: House, switching: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copyover_switchover, "CopyOver", FakeSwitchover)
    assert across.main("switchover") == 0
    (*_base, pairs, _valve, _leash, _media, ends) = FakeSwitchover.made
    assert [(pair.replicates, pair.tracker) for pair in pairs] == [(False, None)]
    assert (ends.source, ends.target) == (across.source, across.target)
    assert "open mariadb source 60" in across.calls, "an answer may take as long as the hold"


def test_its_watchdog_waits_for_no_replication(across: House, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def recover(_reason: str, _plan: Any, _from: Any, _to: Any, pairs: Any, _valve: Any, _until: float) -> Any:
        seen.extend(pair.replicates for pair in pairs)
        return {"outcome": "aborted", "reason": ""}

    monkeypatch.setattr(switchover_recovery, "recover", recover)
    monkeypatch.setattr(watchdog, "watch", lambda _path, act: act("it was lost"))
    mended: list[Any] = []
    monkeypatch.setattr(copyover_schema, "mend", mended.append)
    assert across.main("switchover-watchdog") == 0
    assert seen == [False]
    assert mended == [across.target]


def test_its_watchdog_says_where_the_fence_is_not_back(across: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_server: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(copyover_schema, "mend", fail)
    monkeypatch.setattr(switchover_recovery, "recover", lambda *_given: {"outcome": "aborted", "reason": "it was lost"})
    monkeypatch.setattr(watchdog, "watch", lambda _path, act: act("it was lost"))
    assert across.main("switchover-watchdog") == 0
    assert across.read("result")["reason"] == "it was lost; then the target's fence is not back: no route to host"
