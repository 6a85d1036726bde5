# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof as a task: how the sides are opened, what is compared, and the words where it cannot be."""

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.modules import database_compare
from tests.unit.plugins.fakes import ModuleFailedError, run_module

SIDES = {
    "source": {"unix_socket": "/run/mysqld.sock", "user": "root"},
    "target": {"host": "192.0.2.2", "user": "cutover", "password": "s3cret"},
}
PROOF = {"database": "shop", "tables": 2, "rows": 7, "equal": True, "verdict": "PASSED"}
DIFFERENT = {
    **PROOF, "equal": False, "verdict": "FAILED", "tables_detail": [], "schema_differences": [],
    "differences": ["shop.orders (7): missing on the target"],
}  # fmt: skip


class House:
    """Two servers that only remember how they were asked."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.credentials = folder / "credentials.json"
        self.credentials.write_text(json.dumps(SIDES))
        self.opened: list[tuple[Any, ...]] = []
        self.compared: list[tuple[Any, ...]] = []
        self.closed_door = ""
        self.result: Any = PROOF
        monkeypatch.setattr(database_compare.mariadb, "connect", self.connect)
        monkeypatch.setattr(database_compare.proof, "follower", lambda *followed: ("follows", *followed))
        monkeypatch.setattr(database_compare.proof, "compare_database", self.compare)

    def connect(self, credentials: dict[str, Any], timeout: float, dictionaries: bool = True) -> str:
        self.opened.append((credentials["user"], timeout, dictionaries))
        if credentials["user"] == self.closed_door:
            raise RuntimeError(1045, "Access denied")
        return str(credentials["user"])

    def compare(self, source: str, target: str, database: str, settling: Any, chunk_rows: int) -> Any:
        self.compared.append((source, target, database, settling.caught_up, settling.rounds, chunk_rows))
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def run(self, check: bool = False, **more: Any) -> dict[str, Any]:
        arguments = {"credentials": str(self.credentials), "database": "shop", **more}
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
        "proof": PROOF,
        "summary": "database shop: 2 tables with 7 rows are equal",
    }
    assert house.opened == [("root", 6.0, False), ("cutover", 6.0, False)]
    assert house.compared == [("root", "cutover", "shop", ("follows", "root", "cutover", 3.0), 4, 5)]


def test_sides_that_nothing_writes_to_are_not_waited_for(house: House) -> None:
    house.run(live=False)
    assert house.compared[0][3] is None


def test_a_difference_changes_and_fails_nothing(house: House) -> None:
    house.result = DIFFERENT
    results = [house.run(check) for check in (True, False, True, False)]
    summary = "database shop is different: shop.orders (7): missing on the target"
    assert results == [{"changed": False, "proof": DIFFERENT, "summary": summary}] * 4
    assert len(house.compared) == 4


@pytest.mark.parametrize(
    ("text", "side", "why"),
    [
        (None, "source", "No such file"),
        ("{", "source", "Expecting property name"),
        ("[]", "source", "list indices"),
        (json.dumps({"source": SIDES["source"]}), "target", "'target'"),
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
    assert failure == f"{where} cannot be reached as {user}: (1045, 'Access denied')"
    assert house.compared == []


def test_an_error_of_a_server_says_what_to_check(house: House) -> None:
    house.result = database_compare.mariadb.pymysql.MySQLError(1049, "Unknown database")
    assert house.failure() == (
        "Database shop could not be compared: (1049, 'Unknown database'). "
        "Check that it is there and that the accounts may read it on both sides."
    )


def test_without_the_driver_nothing_is_opened(house: House) -> None:
    house.monkeypatch.setattr(database_compare.mariadb, "pymysql", None)
    assert "install python3-pymysql on this host" in house.failure()
    assert house.opened == []
