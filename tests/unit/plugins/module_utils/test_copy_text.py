# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SQL of the copy; that values arrive as they were is tried on real servers."""

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import copy_text
from ansible_collections.ocpizza.cutover.plugins.module_utils.copy_text import Deferred, Source
from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_row_mariadb import Column

ID = Column("the `id`", "bigint(20) unsigned")
NAME = Column("name", "varchar(40)")


def table(key: Column | None = ID) -> Source:
    return Source("my`db", "100%", [ID, NAME], key, 7)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("int(11) unsigned", "IFNULL(`c`,'NULL')"),
        ("decimal(65,30)", "IFNULL(`c`,'NULL')"),
        ("year(4)", "IFNULL(`c`,'NULL')"),
        ("float", "QUOTE(`c`*1e0)"),
        ("double(10,2)", "QUOTE(`c`*1e0)"),
        ("bit(64)", "IFNULL(`c`+0,'NULL')"),
        ("enum('','a')", "IFNULL(`c`+0,'NULL')"),
        ("set('a','b')", "IFNULL(`c`+0,'NULL')"),
        ("datetime(6)", "QUOTE(`c`)"),
        ("inet6", "IF(`c` IS NULL,'NULL',CONCAT('_utf8mb4',QUOTE(CONVERT(`c` USING utf8mb4))))"),
        ("varbinary(9)", "QUOTE(`c`)"),
        ("longblob", "QUOTE(`c`)"),
        ("varchar(9)", "QUOTE(CAST(`c` AS BINARY))"),
        ("longtext", "QUOTE(CAST(`c` AS BINARY))"),
        ("json", "IF(`c` IS NULL,'NULL',CONCAT('_utf8mb4',QUOTE(CONVERT(`c` USING utf8mb4))))"),
        ("point", "IF(`c` IS NULL,'NULL',CONCAT('X''',HEX(`c`),''''))"),
        ("vector(4)", "IF(`c` IS NULL,'NULL',CONCAT('X''',HEX(`c`),''''))"),
    ],
)
def test_a_value_as_sql(kind: str, expected: str) -> None:
    assert copy_text.literal(Column("c", kind)) == expected


def test_rows_as_text() -> None:
    assert copy_text.select(table(), "TRUE") == (
        "SELECT CONCAT(_binary'(',IFNULL(`the ``id```,'NULL'),',',QUOTE(CAST(`name` AS BINARY)),')') "
        "FROM `my``db`.`100%` WHERE TRUE"
    )
    assert copy_text.insert(table()) == "INSERT INTO `my``db`.`100%` (`the ``id```,`name`) VALUES "
    empty = Source("a", "b", [], None, 0)
    assert copy_text.select(empty, "TRUE") == "SELECT CONCAT(_binary'(','',')') FROM `a`.`b` WHERE TRUE"
    assert copy_text.insert(empty) == "INSERT INTO `a`.`b` () VALUES "


@pytest.mark.parametrize(
    ("lower", "upper", "expected"),
    [
        (None, None, "TRUE"),
        (None, "5", "`the ``id```<=5"),
        ("5", None, "`the ``id```>5"),
        ("0", "5", "`the ``id```>0 AND `the ``id```<=5"),
    ],
)
def test_a_range(lower: str | None, upper: str | None, expected: str) -> None:
    assert copy_text.within(table(), lower, upper) == expected
    assert copy_text.within(table(None), lower, upper) == "TRUE"


def test_the_end_of_a_range() -> None:
    assert copy_text.bound(table(), "5", 100) == (
        "SELECT IFNULL(`the ``id```,'NULL') FROM `my``db`.`100%` WHERE `the ``id```>5 "
        "ORDER BY `the ``id``` LIMIT 1 OFFSET 99"
    )
    # Bytes would be compared as bytes, and sort otherwise than the key does.
    assert copy_text.bound(table(NAME), None, 1).startswith("SELECT IF(`name` IS NULL,'NULL',CONCAT('_utf8mb4',QUOTE(")


@pytest.mark.parametrize(
    ("kind", "can"), [("int", True), ("char(32)", True), ("binary(16)", True), ("enum('a')", False), ("double", False)]
)
def test_what_can_be_split(kind: str, can: bool) -> None:
    assert copy_text.can_be_split(Column("c", kind)) == can


DEFINITION = r"""CREATE TABLE `t` (
  `id` int(11) NOT NULL COMMENT 'KEY `no` (`id`)',
  PRIMARY KEY (`id`),
  UNIQUE KEY `one``s` (`a`),
  KEY `two` (`b`(10)) COMMENT 'x, y',
  KEY `three` ((upper(`c`))) /*!80000 INVISIBLE */,
  FULLTEXT KEY `words` (`d`),
  CONSTRAINT `f` FOREIGN KEY (`b`) REFERENCES `p` (`id`) ON DELETE CASCADE,
  CONSTRAINT `c` CHECK (`b` > 0)
) ENGINE=InnoDB"""


def test_what_can_wait_until_the_rows_are_there() -> None:
    indexes, foreign = copy_text.deferred(DEFINITION)
    assert indexes == [
        Deferred("DROP KEY `one``s`", "ADD UNIQUE KEY `one``s` (`a`)"),
        Deferred("DROP KEY `two`", "ADD KEY `two` (`b`(10)) COMMENT 'x, y'"),
        Deferred("DROP KEY `three`", "ADD KEY `three` ((upper(`c`))) /*!80000 INVISIBLE */"),
    ]
    assert foreign == [
        Deferred(
            "DROP FOREIGN KEY `f`",
            "ADD CONSTRAINT `f` FOREIGN KEY (`b`) REFERENCES `p` (`id`) ON DELETE CASCADE",
        )
    ]
    assert copy_text.deferred(DEFINITION.replace("  PRIMARY KEY (`id`),\n", "")) == ([], [])
