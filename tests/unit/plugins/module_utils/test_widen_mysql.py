# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The statements that widen keys on MariaDB and MySQL; servers are asked in tests/integration/test_widening.py."""

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import widen_mysql
from ansible_collections.ocpizza.cutover.plugins.module_utils.mariadb import MariaDB
from ansible_collections.ocpizza.cutover.plugins.module_utils.mysql import MySQL
from ansible_collections.ocpizza.cutover.plugins.module_utils.widen import WidenError

CREATED = """CREATE TABLE `or``der` (
  `id` int(10) unsigned NOT NULL AUTO_INCREMENT COMMENT 'not  `of` int(11), is it',
  `of` int(11) DEFAULT NULL,
  `last` smallint(6),
  PRIMARY KEY (`id`),
  CONSTRAINT `a ``key` FOREIGN KEY (`of`) REFERENCES `customer` (`id`) ON DELETE CASCADE,
  CONSTRAINT `last` FOREIGN KEY (`last`) REFERENCES `t` (`id`)
) ENGINE=InnoDB"""


@pytest.mark.parametrize(
    ("column", "line"),
    [
        ("id", "`id` bigint unsigned NOT NULL AUTO_INCREMENT COMMENT 'not  `of` int(11), is it'"),
        ("of", "`of` bigint DEFAULT NULL"),
        ("last", "`last` bigint"),
    ],
)
def test_a_columns_own_line_is_changed(column: str, line: str) -> None:
    assert widen_mysql.wider_line(CREATED, column) == line


def test_a_foreign_key_is_made_again_as_the_server_had_it() -> None:
    found = widen_mysql.reference_line(CREATED, "a `key")
    assert found == "CONSTRAINT `a ``key` FOREIGN KEY (`of`) REFERENCES `customer` (`id`) ON DELETE CASCADE"
    assert widen_mysql.reference_line(CREATED, "last").endswith("REFERENCES `t` (`id`)")
    for action in (widen_mysql.wider_line, widen_mysql.reference_line):
        with pytest.raises(WidenError, match="is not in its table's definition"):
            action(CREATED, "other")


def test_a_guard_keeps_each_column_within_its_range() -> None:
    statement = widen_mysql.guard("sh`op", "order", "INSERT", [("id", 0, 4294967295), ("of", -5, 5)])
    assert statement.startswith("CREATE TRIGGER `sh``op`.`cutover_room_insert_")
    assert "AFTER INSERT ON `sh``op`.`order`" in statement
    assert "IF NEW.`id` NOT BETWEEN 0 AND 4294967295 OR NEW.`of` NOT BETWEEN -5 AND 5 THEN SIGNAL" in statement
    # A server's own texts end at 128 characters.
    assert len(statement.split("MESSAGE_TEXT = '")[1].split("'")[0]) <= 128
    assert len(widen_mysql.guard_name("UPDATE", "x" * 64)) <= 64


def test_beside_an_unsigned_key_none_may_be_negative() -> None:
    signed, unsigned = ["d", "t", "a", "int", -(2**31), 2**31 - 1], ["d", "t", "b", "int unsigned", 0, 2**32 - 1]
    assert widen_mysql.not_negative([signed]) == [signed]
    assert widen_mysql.not_negative([signed, unsigned]) == [[*signed[:4], 0, 2**31 - 1], unsigned]
    assert (MariaDB.one_sign, MySQL.one_sign) == (False, True)
