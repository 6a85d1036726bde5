"""How replication stands, by rows that go over."""

from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.modules import replication_info
from tests.unit.plugins.fakes import FakeDatabase, ModuleFailedError, pair, run_module


@pytest.fixture
def sides(monkeypatch: pytest.MonkeyPatch) -> tuple[FakeDatabase, FakeDatabase]:
    source, target = pair([])
    both = {"source": source, "target": target}
    monkeypatch.setattr(replication_info, "open_database", lambda _module, side: both[side])
    return source, target


def run(monkeypatch: pytest.MonkeyPatch, check: bool = False) -> dict[str, Any]:
    arguments = {"credentials": "/c.json", "site": "shop", "databases": ["shop"], "timeout": 0.01}
    return run_module(replication_info, monkeypatch, check, **arguments)


def test_it_changes_nothing_ever(sides: tuple[FakeDatabase, FakeDatabase], monkeypatch: pytest.MonkeyPatch) -> None:
    for turn, check in enumerate((True, False, True, False), 1):
        result = run(monkeypatch, check)
        assert result["changed"] is False
        assert set(result["links"]) == {"source", "target"}
        assert result["links"]["target"]["lag_seconds"] == 0
        assert result["links"]["target"]["canary_ms"] >= 0
        assert result["links"]["target"]["position"] == f"0-1-{turn}"
        assert result["links"]["source"]["position"] == f"0-2-{turn}"


def test_a_row_that_does_not_arrive(sides: tuple[FakeDatabase, FakeDatabase], monkeypatch: pytest.MonkeyPatch) -> None:
    sides[1].arrives = False
    with pytest.raises(ModuleFailedError) as raised:
        run(monkeypatch)
    assert str(raised.value) == (
        "Replication is not healthy: from the source to the target: a row that was written did not arrive within 0.01 s"
    )


def test_the_links_own_words_come_first(
    sides: tuple[FakeDatabase, FakeDatabase], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = sides
    target.arrives = source.arrives = False
    target.link_state = target.link_state._replace(error="error 1062: Duplicate entry")
    with pytest.raises(ModuleFailedError) as raised:
        run(monkeypatch)
    assert str(raised.value) == (
        "Replication is not healthy: from the source to the target: error 1062: Duplicate entry; "
        "from the target to the source: a row that was written did not arrive within 0.01 s"
    )


def test_a_row_that_arrived_over_an_ailing_link_is_not_enough(
    sides: tuple[FakeDatabase, FakeDatabase], monkeypatch: pytest.MonkeyPatch
) -> None:
    sides[0].link_state = sides[0].link_state._replace(lag_seconds=None)
    with pytest.raises(ModuleFailedError, match="from the target to the source: the replica does not know its lag"):
        run(monkeypatch)


def test_a_server_that_is_lost_is_told_in_words(
    sides: tuple[FakeDatabase, FakeDatabase], monkeypatch: pytest.MonkeyPatch
) -> None:
    sides[1].failing["mark"] = OSError({"S": "FATAL", "M": "the database system is shutting down"})
    with pytest.raises(ModuleFailedError) as raised:
        run(monkeypatch)
    assert str(raised.value) == (
        "Replication is not healthy: from the target to the source: the database system is shutting down"
    )
