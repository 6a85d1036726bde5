# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a row becomes a number; tests/integration/test_proof.py has what a server makes of it."""

from __future__ import annotations

from ansible_collections.ocpizza.cutover.plugins.module_utils import proof_postgresql
from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_number_postgresql import MD5, NUMBER, fast, number

TEXT, NUMERIC, INTEGER, BIGINT = 25, 1700, 23, 20


def test_each_value_is_hashed_with_what_came_before() -> None:
    found = number([(fast(TEXT), '"a"', False), (fast(16), '"b"', False)], NUMBER)
    inner = 'hashtextextended(coalesce("a",\'\') COLLATE "C",0)'
    assert found == f'hashint4extended(coalesce("b",false)::integer,{inner})'


def test_null_is_told_from_the_value_that_stands_for_it() -> None:
    may, never = (number([(fast(TEXT), '"a"', nullable)], NUMBER) for nullable in (True, False))
    assert may == f'hashint4extended(("a" IS NULL)::integer,{never})'


def test_what_has_no_exact_hash_is_printed_together() -> None:
    columns = [("", '"n"', True), (fast(INTEGER), '"i"', False), ("", '"f"', True)]
    assert number(columns, NUMBER).startswith('hashtextextended(ROW("n","f")::text COLLATE "C",hashint4extended(')
    # numeric, real, double precision, date, character(n), json, and whatever an extension brings.
    assert [fast(oid) for oid in (NUMERIC, 700, 701, 1082, 1042, 3802, 16400)] == [""] * 7


def test_integers_of_all_widths_give_one_number_for_they_may_be_widened() -> None:
    assert fast(21) == fast(INTEGER) == fast(BIGINT)


def test_wide_rows_do_not_nest_without_end() -> None:
    columns = [(fast(INTEGER), f'"c{number}"', False) for number in range(1600)]
    found = number(columns, NUMBER)
    assert found.count("(coalesce") == 128
    assert found.startswith('hashtextextended(ROW("c64",')


def test_row_without_columns_has_a_number() -> None:
    assert number([], NUMBER) == 'hashtextextended(ROW()::text COLLATE "C",0)'


def test_other_encodings_and_versions_hash_the_text() -> None:
    found = number([(fast(INTEGER), '"i"', False)], MD5)
    assert found == "('x'||left(md5(convert_to(ROW(\"i\")::text,'UTF8')),16))::bit(64)::bigint"


def test_columns_of_different_types_are_printed() -> None:
    def column(oid: int) -> proof_postgresql.Column:
        return proof_postgresql.Column("a", "?", fast=fast(oid), nullable=False)

    assert column(INTEGER).beside(column(BIGINT), convert=False).fast == fast(BIGINT)
    assert column(1114).beside(column(1184), convert=False).fast == ""
    assert column(INTEGER).beside(None, convert=False).fast == ""
