# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof as a task: how the sides are opened, what is compared, and the words where it cannot be."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import engines, mariadb_fence
from ansible_collections.ocpizza.cutover.plugins.modules import database_compare
from tests.unit.plugins.fakes import ModuleFailedError, pair, run_module

SIDES = {
    "source": {"mariadb": {"unix_socket": "/run/mysqld.sock", "user": "root"}},
    "target": {"mariadb": {"host": "192.0.2.2", "user": "cutover", "password": "s3cret"}},
}
PROOF = {"database": "shop", "tables": 2, "rows": 7, "equal": True, "verdict": "PASSED"}
DIFFERENT = {
    **PROOF, "equal": False, "verdict": "FAILED", "tables_detail": [], "schema_differences": [],
    "differences": ["shop.orders (7): missing on the target"],
}  # fmt: skip


class FakeReader:
    """A connection for the proof of one database."""

    def __init__(self, user: str, database: str) -> None:
        self.name = f"{user} reads {database}"
        self.closed = False

    def close(self) -> None:
        self.closed = True


class House:
    """Two servers that only remember how they were asked."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.credentials = folder / "credentials.json"
        self.credentials.write_text(json.dumps(SIDES))
        self.calls: list[str] = []
        self.source, self.target = pair(self.calls)
        self.opened: list[tuple[Any, ...]] = []
        self.readers: list[FakeReader] = []
        self.compared: list[tuple[Any, ...]] = []
        self.closed_door = ""
        self.result: Any = PROOF
        monkeypatch.setattr(engines, "server", self.server)
        monkeypatch.setattr(database_compare.proof, "follower", lambda *followed: ("follows", *followed))
        monkeypatch.setattr(database_compare.proof, "compare_database", self.compare)

    def server(self, engine: str) -> Any:
        made = SimpleNamespace(connect=self.connect)
        made.SERVER = SimpleNamespace(open_server=self.open_server)
        self.engine = engine
        return made

    def door(self, user: str) -> None:
        if user == self.closed_door:
            raise RuntimeError(1045, "Access denied")

    def open_server(self, credentials: dict[str, Any], site: str, databases: Any, side: str, timeout: float) -> Any:
        self.opened.append((credentials["user"], site, databases, side, timeout))
        self.door(credentials["user"])
        return self.source if side == "source" else self.target

    def connect(self, credentials: dict[str, Any], timeout: float, database: str) -> FakeReader:
        self.opened.append((credentials["user"], database, timeout))
        self.door(credentials["user"])
        self.readers.append(FakeReader(credentials["user"], database))
        return self.readers[-1]

    def compare(
        self, source: FakeReader, target: FakeReader, name: str, settling: Any, *, position: str, chunk_rows: int,
        widened: Any, more_pairs: Any,
    ) -> Any:  # fmt: skip
        assert not any(reader.closed for pair in [(source, target), *more_pairs] for reader in pair)
        self.pairs = 1 + len(more_pairs)
        assert widened is self.target.changed
        self.compared.append(
            (source.name, target.name, name, settling.caught_up, settling.rounds, position, chunk_rows)
        )
        if isinstance(self.result, Exception):
            raise self.result
        return {**self.result, "database": name}

    def run(self, check: bool = False, **more: Any) -> dict[str, Any]:
        arguments = {"credentials": str(self.credentials), "site": "shop", "databases": ["shop"], "jobs": 1, **more}
        return run_module(database_compare, self.monkeypatch, check, **arguments)

    def failure(self) -> str:
        with pytest.raises(ModuleFailedError) as raised:
            self.run()
        return str(raised.value)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(tmp_path, monkeypatch)


def test_a_target_that_follows_is_waited_for(house: House) -> None:
    assert house.run(lag_timeout=3, rounds=4, chunk_rows=5, statement_timeout=6) == {
        "changed": False,
        "position": "0-1-0",
        "proofs": [PROOF],
        "summaries": ["database shop: 2 tables with 7 rows are equal"],
    }
    assert house.opened == [
        ("root", "shop", ["shop"], "source", 30.0),
        ("cutover", "shop", ["shop"], "target", 30.0),
        ("root", "shop", 6.0),
        ("cutover", "shop", 6.0),
    ]
    follows = ("follows", house.source, house.target, 3.0)
    assert house.compared == [("root reads shop", "cutover reads shop", "shop", follows, 4, "0-1-0", 5)]
    assert house.engine == "mariadb"


def test_all_databases_are_proven_from_one_position(house: House) -> None:
    result = house.run(databases=["shop", "annex"])
    assert [proof["database"] for proof in result["proofs"]] == ["shop", "annex"]
    assert result["summaries"] == [
        "database shop: 2 tables with 7 rows are equal",
        "database annex: 2 tables with 7 rows are equal",
    ]
    # Taken once, before the first row of the first database: the changes since are followed from there.
    assert house.calls == ["source.changes_from"]
    assert [compared[5] for compared in house.compared] == ["0-1-0", "0-1-0"]
    # Each database is read through connections of its own, that are closed again.
    assert [reader.name for reader in house.readers] == [
        "root reads shop",
        "cutover reads shop",
        "root reads annex",
        "cutover reads annex",
    ]
    assert all(reader.closed for reader in house.readers)


def test_each_job_has_connections_of_its_own(house: House) -> None:
    house.run(jobs=3)
    assert house.pairs == 3
    assert [reader.name for reader in house.readers] == ["root reads shop", "cutover reads shop"] * 3
    assert all(reader.closed for reader in house.readers)


def test_no_job_at_all_is_refused(house: House) -> None:
    with pytest.raises(ModuleFailedError, match=r"^jobs is 0\. Give 1 or more\.$"):
        house.run(jobs=0)
    assert house.opened == []


def test_sides_that_nothing_writes_to_are_not_waited_for(house: House) -> None:
    result = house.run(live=False)
    assert house.compared[0][3] is None
    # Nothing is followed from there on.
    assert (result["position"], house.compared[0][5], house.calls) == ("", "", [])


def test_check_mode_takes_no_point_to_follow_from(house: House) -> None:
    # A point may be kept on the server, where a new one takes the place of the one that the last proof wrote down.
    result = house.run(True)
    assert (result["position"], house.compared[0][5], house.calls) == ("", "", [])
    assert house.compared[0][3] == ("follows", house.source, house.target, 10.0)


def test_a_long_patience_is_not_cut_off_by_the_connection(house: House) -> None:
    house.run(lag_timeout=60)
    assert [opened[4] for opened in house.opened[:2]] == [65.0, 65.0]


def test_a_difference_changes_and_fails_nothing(house: House) -> None:
    house.result = DIFFERENT
    results = [house.run(check) for check in (True, False, True, False)]
    summary = "database shop is different: shop.orders (7): missing on the target"
    assert [result["changed"] for result in results] == [False] * 4
    assert [result["proofs"] for result in results] == [[DIFFERENT]] * 4
    assert [result["summaries"] for result in results] == [[summary]] * 4
    assert len(house.compared) == 4


@pytest.mark.parametrize(
    ("text", "side", "why"),
    [
        (None, "source", "No such file"),
        ("{", "source", "Expecting property name"),
        ("[]", "source", "list indices"),
        (json.dumps({"source": SIDES["source"]}), "target", "'target'"),
        (json.dumps({**SIDES, "target": {"mysql": {}}}), "target", "'mariadb'"),
    ],
)
def test_credentials_that_cannot_be_read(house: House, text: str | None, side: str, why: str) -> None:
    if text is None:
        house.credentials.unlink()
    else:
        house.credentials.write_text(text)
    failure = house.failure()
    assert failure.startswith(f"The credentials of the {side}'s database cannot be read from {house.credentials}: ")
    assert why in failure
    assert failure.endswith("Run replicate.yml, which writes them.")
    assert house.compared == []


@pytest.mark.parametrize(
    ("user", "where"),
    [("root", "The source's database at /run/mysqld.sock"), ("cutover", "The target's database at 192.0.2.2")],
)
def test_a_server_that_cannot_be_reached_is_named_without_its_password(house: House, user: str, where: str) -> None:
    house.closed_door = user
    failure = house.failure()
    assert failure == f"{where} cannot be reached as {user}: Access denied (1045)"
    assert house.compared == []
    # Nor where it is not followed, and only read.
    with pytest.raises(ModuleFailedError, match="cannot be reached"):
        house.run(live=False)
    assert house.compared == []


def test_an_error_of_a_server_says_what_to_check(house: House) -> None:
    house.result = RuntimeError(1049, "Unknown database")
    assert house.failure() == (
        "Database shop could not be compared: Unknown database (1049). "
        "Check that it is there and that the accounts may read it on both sides."
    )
    assert [reader.closed for reader in house.readers] == [True, True]


def test_without_the_driver_nothing_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = tmp_path / "credentials.json"
    credentials.write_text(json.dumps(SIDES))
    monkeypatch.setattr(mariadb_fence, "pymysql", None)
    with pytest.raises(ModuleFailedError, match="install python3-pymysql on this host"):
        run_module(database_compare, monkeypatch, credentials=str(credentials), site="shop", databases=["shop"])
