"""Copy under hold: what a prediction is made from, when a trial is made again, what it never writes over."""

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import copyover
from ansible_collections.ocpizza.cutover.plugins.module_utils.dump_stream import SeedFailed

TRIAL = {"rows": 1000, "copy_seconds": 1.5, "proof_seconds": 0.5, "time": "today", "noted": {"shop": {}}}


class Server:
    """One side; ``copied`` is what seeded() tells of an earlier copy."""

    databases = ("shop",)
    schema = "`cutover_shop`"

    def __init__(self, copied: str | None = None, tables: tuple[str, ...] = (), rows: int = 0) -> None:
        self.copied, self.names, self.count = copied, tables, rows
        self.name = "cutover_shop"
        self.said: list[str] = []

    def make_schema(self) -> None:
        self.said.append("make_schema")

    def seeded(self) -> str | None:
        return self.copied

    def rows(self, _statement: str, _arguments: Any = ()) -> list[Any]:
        return []

    def value(self, statement: str, _arguments: Any = ()) -> int:
        self.said.append(statement)
        return self.count

    def tables(self) -> list[dict[str, str]]:
        return [{"db": "shop", "tbl": name} for name in self.names]


def ends(source: Server, target: Server) -> copyover.Ends:
    return copyover.Ends(source, target, {}, 2)  # type: ignore[arg-type]


def test_a_prediction_grows_with_the_rows_and_never_falls_below_what_was_measured() -> None:
    assert copyover.predicted(TRIAL, 500) == 2.0
    assert copyover.predicted(TRIAL, 2500) == 5.0
    assert copyover.predicted(TRIAL | {"rows": 0}, 3) == 6.0


def test_rows_are_counted() -> None:
    server = Server(tables=("a`b", "c"), rows=21)
    assert copyover.count_rows(server) == 42  # type: ignore[arg-type]
    assert server.said == ["SELECT COUNT(*) FROM `shop`.`a``b`", "SELECT COUNT(*) FROM `shop`.`c`"]


def test_a_trial_that_is_known_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copyover, "differences", lambda _ends, _noted: {"shop": []})
    found = copyover.trial(ends(Server(), Server("copied")), TRIAL, lambda *_told: None)
    assert found == TRIAL | {"changed": False}


def test_tables_that_no_copy_brought_are_never_written_over() -> None:
    with pytest.raises(SeedFailed, match=r"the target already has shop\.orders; the copy never writes over tables"):
        copyover.trial(ends(Server(), Server(tables=("orders",))), {}, lambda *_told: None)


def test_what_is_not_proven_stops() -> None:
    copyover.refuse_unproven([{"equal": True}])
    unequal = {
        "database": "shop",
        "equal": False,
        "verdict": "FAILED",
        "tables": 1,
        "schema_differences": ["column a.b is 'x' on the source and 'y' on the target"],
        "differences": [],
        "tables_detail": [],
    }
    with pytest.raises(SeedFailed, match=r"database shop is different: column a\.b is 'x'"):
        copyover.refuse_unproven([{"equal": True}, unequal])


def test_where_there_was_no_trial_nothing_is_known(tmp_path: Path) -> None:
    assert copyover.read_trial(str(tmp_path / "trial.json")) == {}
