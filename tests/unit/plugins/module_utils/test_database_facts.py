# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The questions to a server about itself, and what is made of the answers."""

import json
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import database_facts


def lines(*rows: list[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def table(name: str, kind: str = "BASE TABLE", engine: str | None = "InnoDB", primary: int = 1) -> list[Any]:
    return ["table", "shop", name, kind, engine, 5, 16384, primary]


@pytest.mark.parametrize(("text", "sql"), [("", "''"), ("a'b", "CONVERT(X'612762' USING utf8mb4)")])
def test_a_literal_holds_whatever_is_in_it(text: str, sql: str) -> None:
    assert database_facts.literal(text) == sql


def test_no_names_are_in_no_list() -> None:
    assert database_facts.in_list([]) == "(NULL)"
    assert database_facts.in_list(["a", "b"]) == "(CONVERT(X'61' USING utf8mb4),CONVERT(X'62' USING utf8mb4))"


def test_names_are_never_written_into_a_statement() -> None:
    name = "o'pizza`; DROP"
    statements = database_facts.queries([name], "my-shop")
    assert not [statement for statement in statements if name in statement]
    hexadecimal = name.encode().hex()
    asked = [statement for statement in statements if hexadecimal.upper() in statement.upper()]
    kinds = [statement.split("JSON_ARRAY('")[1].split("'")[0] for statement in asked]
    assert kinds == ["table", "trigger", "routine", "event", "account", "vector"]


def test_the_list_of_variables_is_filled_in_by_who_knows_the_flavour() -> None:
    statement = database_facts.queries(["shop"])[0].format(variables="somewhere.variables")
    assert "FROM somewhere.variables WHERE" in statement
    assert "'log_bin'" in statement


def test_only_a_site_is_asked_for_its_fence() -> None:
    assert "fence" not in " ".join(database_facts.queries(["shop"]))
    assert "TABLE_SCHEMA='cutover_my_shop'" in database_facts.queries(["shop"], "my-shop")[-1]


def test_without_an_answer_no_database_is_there() -> None:
    facts = database_facts.parse("", ["shop"])
    assert (facts["settings"], facts["other_databases"]) == ({}, [])
    assert facts["databases"]["shop"]["exists"] is False
    assert facts["databases"]["shop"]["tables"] == []


def test_settings_and_databases_of_others() -> None:
    facts = database_facts.parse(
        "Warning: this is no JSON\n"
        + lines(
            ["setting", "log_bin", "OFF"],
            ["schema", "shop", "utf8mb4", "utf8mb4_general_ci"],
            ["schema", "annex", "latin1", "latin1_swedish_ci"],
            ["schema", "mysql", "utf8mb4", "x"],
            ["schema", "INFORMATION_SCHEMA", "utf8", "x"],
            ["schema", "cutover_shop", "utf8mb4", "x"],
            ["fence table", "cutover_shop"],
        ),
        ["shop"],
    )
    assert facts["settings"] == {"log_bin": "OFF"}
    assert facts["other_databases"] == ["annex"]
    assert facts["fence_schema"] == "cutover_shop"
    shop = facts["databases"]["shop"]
    assert (shop["exists"], shop["charset"], shop["collation"]) == (True, "utf8mb4", "utf8mb4_general_ci")


def test_tables_by_engine_and_key() -> None:
    facts = database_facts.parse(
        lines(
            table("orders"),
            table("log", engine="MyISAM", primary=0),
            table("odd", engine=None),
            table("menu", "VIEW", None, 0),
            ["table", "annex", "guests", "BASE TABLE", "InnoDB", 1, 1, 1],
        ),
        ["shop"],
    )
    shop = facts["databases"]["shop"]
    assert shop["tables"] == ["orders", "log", "odd"]
    assert shop["views"] == ["menu"]
    assert shop["without_key"] == ["log"]
    assert shop["engines"] == {"InnoDB": ["orders"], "MyISAM": ["log"], "": ["odd"]}
    assert (shop["rows"], shop["bytes"]) == (15, 3 * 16384)


def test_what_cutover_itself_made_is_not_the_sites() -> None:
    facts = database_facts.parse(
        lines(
            ["trigger", "my_shop", "cutover_insert_1"],
            ["trigger", "my_shop", "totals"],
            ["routine", "my_shop", "close_day"],
            ["event", "my_shop", "nightly", "ENABLED"],
            ["event", "my_shop", "old", "SLAVESIDE_DISABLED"],
            ["event", "my_shop", "stays", "DISABLED"],
            ["account", "my\\_shop", "'app'@'%'"],
            ["account", "annex", "'other'@'%'"],
        ),
        ["my_shop"],
    )
    shop = facts["databases"]["my_shop"]
    assert [shop[kind] for kind in ("triggers", "routines", "events", "events_enabled", "accounts")] == [
        ["totals"],
        ["close_day"],
        ["nightly", "old", "stays"],
        ["nightly"],
        ["'app'@'%'"],
    ]


@pytest.mark.parametrize("separator", ["\u2028", "\x85"])
def test_a_name_may_hold_what_only_python_takes_for_the_end_of_a_line(separator: str) -> None:
    name = "a" + separator + "b"
    facts = database_facts.parse(lines(table(name)), ["shop"])
    assert facts["databases"]["shop"]["tables"] == [name]
