# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import itertools
from zlib import crc32

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_row_mariadb import (
    COMMON,
    MD5,
    SHA2,
    Column,
    covered,
    number,
    row_hash,
    text,
)


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("float", "IFNULL(`x`+0e0,'N')"),
        ("double(10,2)", "IFNULL(`x`+0e0,'N')"),
        ("bit(3)", "IFNULL(`x`+0,'N')"),
        ("varchar(3)", "IFNULL(LENGTH(`x`),'N'),':',IF(`x` IS NULL,'',CAST(`x` AS BINARY))"),
        ("enum('a')", "IFNULL(CONCAT(`x`+0,':',LENGTH(`x`)),'N'),':',"),
        ("point", "IFNULL(`x` IS NULL,'N'),':',IF(`x` IS NULL,'',HEX(`x`))"),
        ("decimal(65,30)", "IFNULL(`x`,'N')"),
        ("int(10) unsigned", "IFNULL(`x`,'N')"),
        ("inet6", "IFNULL(CONCAT(`x`),'N')"),
    ],
)
def test_every_type_is_compared_exactly(kind, part):
    assert text([Column("x", kind)], MD5).startswith("COALESCE(CONCAT(" + part)
    assert covered(Column("x", kind))


def test_what_is_never_null_is_not_asked_for_it():
    columns = [Column("a", "int(11)", nullable=False), Column("b", "varchar(3)", nullable=False)]
    assert text(columns, MD5) == "COALESCE(CONCAT(`a`,',',LENGTH(`b`),':',CAST(`b` AS BINARY)),CONCAT(UUID()))"


@pytest.mark.parametrize("other", [None, Column("x", "int"), Column("x", "int", nullable=True)])
def test_null_is_expected_where_one_side_may_have_it(other):
    assert Column("x", "int", nullable=False).beside(other, convert=False).nullable


def test_a_row_too_long_to_be_written_is_told_by_its_columns_hashes():
    columns = [Column("a", "int(11)", nullable=False), Column("b", "longtext"), Column("c", "json", convert=True)]
    assert text(columns, MD5).endswith(
        ",CONCAT(`a`,',',IFNULL(MD5(`b`),'N'),',',IFNULL(MD5(CONVERT(`c` USING utf8mb4)),'N')),CONCAT(UUID()))"
    )


def test_unknown_type_is_not_covered():
    assert not covered(Column("x", "hologram"))


@pytest.mark.parametrize(
    ("digest", "keyed", "fold"),
    [
        (MD5, True, "SUM(CRC32(@cutover_row:=COALESCE("),
        (MD5, False, "SUM(CRC32(@cutover_row:=COALESCE("),
        (COMMON, True, "BIT_XOR(CAST(CONV(LEFT(LEFT(SHA2("),
        (SHA2, True, "BIT_XOR(UNHEX(SHA2("),
        (SHA2, False, "SUM(CAST(CONV(LEFT(SHA2("),
    ],
)
def test_rows_are_folded_as_the_server_can(digest, keyed, fold):
    assert number([Column("a", "int")], digest, keyed).startswith(fold)


def test_a_column_is_hashed_as_the_server_can():
    assert row_hash([Column("a", "int", nullable=False)], SHA2) == "SHA2(COALESCE(CONCAT(`a`),CONCAT(UUID())),256)"


def product(row):
    """What number() has MariaDB compute of one row."""
    return crc32(row) * (crc32(row[::-1]) + 1)


def row(key, value):
    """A row's text."""
    return b"%d,2026-11-23 10:00:00,%d:%s" % (key, len(value), value)


def test_products_see_values_exchanged_between_rows():
    values = [b"left at door %02d" % n for n in range(40)]
    for (one, first), (two, second) in itertools.combinations(enumerate(values, 1000), 2):
        before, after = [row(one, first), row(two, second)], [row(one, second), row(two, first)]
        # Which XOR of the CRCs does not.
        assert crc32(before[0]) ^ crc32(before[1]) == crc32(after[0]) ^ crc32(after[1])
        assert sum(map(product, before)) != sum(map(product, after))


def test_products_see_the_same_change_in_many_rows():
    rows = [(n, b"%d" % (n * 7 % 100)) for n in range(1, 200)]
    sums = {sum(product(row(key + move, value)) for key, value in rows) for move in range(200)}
    assert len(sums) == 200


def test_a_zero_takes_nothing_with_it():
    # CRC-32 of four bytes meets every number: the left factor's zero, and the greatest product there is.
    assert crc32(b"\x9d\x0a\xd9\x6d") == 0
    assert 0xFFFFFFFF * (0xFFFFFFFF + 1) < 1 << 64
