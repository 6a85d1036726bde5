# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows by table, asked through the server's own client."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import table_counts


class FakeModule:
    """Has some clients, and answers that a server would give to statements with certain words."""

    def __init__(self, clients: tuple[str, ...] = ("mariadb", "mysql"), **answers: list[Any]) -> None:
        self.clients = clients
        self.answers = answers
        self.commands: list[list[str]] = []
        self.asked: list[str] = []

    def get_bin_path(self, name: str, required: bool = False) -> str | None:
        if name in self.clients:
            return "/usr/bin/" + name
        if required:
            raise LookupError(name)
        return None

    def run_command(self, command: list[str], data: str) -> tuple[int, str, str]:
        self.commands.append(command)
        self.asked.append(data)
        for words, rows in self.answers.items():
            if words in data:
                return 0, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), ""
        return 1, "", "ERROR 1045 (28000): Access denied\n"


def test_the_client_goes_by_its_new_name_first() -> None:
    command = table_counts.client_command(FakeModule())
    assert command[0] == "/usr/bin/mariadb"
    assert not [word for word in command if word.startswith("--socket")]
    assert table_counts.client_command(FakeModule(("mysql",)))[0] == "/usr/bin/mysql"
    with pytest.raises(LookupError, match="mysql"):
        table_counts.client_command(FakeModule(()))


def test_the_socket_is_the_one_that_is_given() -> None:
    assert table_counts.client_command(FakeModule(), "/run/x.sock")[-1] == "--socket=/run/x.sock"


def test_every_table_is_counted_by_itself() -> None:
    module = FakeModule(TABLES=[["orders", 12, "id"], ["pi`zza", 3, None]], orders=[[12]], zza=[[3]])
    assert table_counts.count(module, "o'shop", "/run/x.sock") == {"orders": 12, "pi`zza": 3}
    assert module.asked[0].endswith("=CONVERT(X'6f2773686f70' USING utf8mb4);\n")
    assert module.asked[1:] == [
        "SELECT JSON_ARRAY(COUNT(*)) FROM `o'shop`.`orders`;\n",
        "SELECT JSON_ARRAY(COUNT(*)) FROM `o'shop`.`pi``zza`;\n",
    ]
    assert {command[-1] for command in module.commands} == {"--socket=/run/x.sock"}


def test_a_large_table_is_counted_in_pieces_between_which_the_server_rests() -> None:
    module = FakeModule(TABLES=[["orders", 60000, "n`r"]], MIN=[[1, 300]], COUNT=[[20001], [20002], [20003]])
    assert table_counts.count(module, "shop") == {"orders": 60006}
    assert module.asked[2].split("; ") == [
        "SELECT JSON_ARRAY(COUNT(*)) FROM `shop`.`orders` WHERE `n``r` < 100",
        "DO SLEEP(0.01)",
        "SELECT JSON_ARRAY(COUNT(*)) FROM `shop`.`orders` WHERE `n``r` >= 100 AND `n``r` < 200",
        "DO SLEEP(0.01)",
        "SELECT JSON_ARRAY(COUNT(*)) FROM `shop`.`orders` WHERE `n``r` >= 200;\n",
    ]


def test_a_large_table_that_was_emptied_meanwhile_is_counted_at_once() -> None:
    module = FakeModule(TABLES=[["orders", 60000, "id"]], MIN=[[None, None]], COUNT=[[0]])
    assert table_counts.count(module, "shop") == {"orders": 0}


@given(
    st.lists(st.integers(-(2**63), 2**64 - 1), min_size=1, max_size=50),
    st.lists(st.integers(-(2**63), 2**64 - 1), max_size=20),
    st.integers(2, 40),
)
def test_each_row_is_in_one_piece_whatever_the_key(there: list[int], later: list[int], number: int) -> None:
    bounds = table_counts.pieces(min(there), max(there), number * table_counts.PIECE)
    conditions = table_counts.ranges("nr", bounds)
    assert len(conditions) <= number
    for key in [*there, *later]:
        met = [each for each in conditions if not each or eval(each[7:].replace("AND", "and"), {"nr": key})]  # noqa: S307
        assert len(met) == 1


def test_a_database_without_tables_has_no_counts() -> None:
    assert table_counts.count(FakeModule(TABLES=[]), "shop") == {}


def test_a_refusal_is_told_in_the_servers_words() -> None:
    with pytest.raises(table_counts.RefusedError) as raised:
        table_counts.count(FakeModule(TABLES=[["orders", 1, None]]), "shop")
    assert str(raised.value) == "ERROR 1045 (28000): Access denied"


def test_a_name_may_hold_what_only_python_takes_for_the_end_of_a_line() -> None:
    assert table_counts.count(FakeModule(TABLES=[["a\u2028b", 1, None]], COUNT=[[1]]), "shop") == {"a\u2028b": 1}
