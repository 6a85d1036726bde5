# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first copy's decisions; the copy itself is tried in tests/integration/test_postgresql.py."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import seed_postgresql
from ansible_collections.ocpizza.cutover.plugins.module_utils.seed_postgresql import SeedFailed


class Side:
    """A server that has these tables and roles."""

    schema = "cutover_shop"

    def __init__(self, tables: list[str], roles: list[str], begun: bool = False, size: int = 0) -> None:
        self.found = {"tables": tables, "roles": roles}
        self.begun = begun
        self.size = size

    def tables(self) -> list[dict[str, str]]:
        return [{"db": "shop", "tbl": table} for table in self.found["tables"]]

    def rows(self, _database: str, statement: str, *_arguments: Any) -> list[list[Any]]:
        return [[self.begun]] if "to_regclass" in statement else [[role] for role in self.found["roles"]]

    def value(self, _database: str, _statement: str) -> int:
        return self.size


def refuse(source: Side, target: Side) -> None:
    seed_postgresql.refuse(source, target, "shop")  # type: ignore[arg-type]


def test_an_empty_target_with_every_role_is_taken() -> None:
    refuse(Side(["public.orders"], ["owner"]), Side([], ["owner", "postgres"]))


def test_tables_that_no_copy_brought_are_not_written_over() -> None:
    with pytest.raises(SeedFailed, match=r"already has public.orders; .* Drop the database on the target"):
        refuse(Side([], []), Side(["public.orders"], []))
    refuse(Side([], []), Side(["public.orders"], [], begun=True))


def test_missing_roles_are_named() -> None:
    with pytest.raises(SeedFailed, match=r"does not have: owner, reader\. Create them there"):
        refuse(Side([], ["owner", "postgres", "reader"]), Side([], ["postgres"]))


def test_room_for_the_dump(tmp_path: Path) -> None:
    seed_postgresql.room(Side([], [], size=1000), ["shop"], str(tmp_path / "seed"))  # type: ignore[arg-type]
    assert (tmp_path / "seed").stat().st_mode & 0o777 == 0o700
    with pytest.raises(SeedFailed, match=r"may need \d+ MB, and .* has \d+ MB free"):
        seed_postgresql.room(Side([], [], size=1 << 60), ["shop"], str(tmp_path))  # type: ignore[arg-type]


@given(st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=("Cs",)), max_size=30))
def test_a_password_in_the_file_of_passwords(secret: str) -> None:
    written = seed_postgresql.escaped(secret)
    assert re.fullmatch(r"(?:[^\\:]|\\.)*", written, re.DOTALL)
    assert re.sub(r"\\(.)", r"\1", written, flags=re.DOTALL) == secret


def test_bytes_of_a_folder(tmp_path: Path) -> None:
    assert seed_postgresql.used(str(tmp_path / "none")) == 0
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "b").write_bytes(b"123")
    assert seed_postgresql.used(str(tmp_path)) == 8
