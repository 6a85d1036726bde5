# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of the answers of PostgreSQL 13 and 17, as real servers gave them."""

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import database_facts_postgresql as facts

ODD = 'o\'da "x" 🍕=1'


def answers(version: int) -> dict[str, str]:
    path = Path(__file__).parents[1] / "answers" / f"postgresql-{version}.json"
    return dict(json.loads(path.read_text(encoding="utf-8")))


def rows(text: str) -> list[Any]:
    return [json.loads(line) for line in text.split("\n") if line]


@pytest.fixture
def found() -> dict[str, Any]:
    return facts.parse(rows(answers(13)["server"]), ["stock", ODD, "nope"])


def test_settings_of_both_releases(found: dict[str, Any]) -> None:
    assert found["settings"]["server_version"] == found["settings"]["version"] == "13.23 (Debian 13.23-0+deb11u4)"
    newer = facts.parse(rows(answers(17)["server"]), [])["settings"]
    assert newer["version"] == "17.12 (Debian 17.12-0+deb13u1)"
    for settings in (found["settings"], newer):
        assert set(facts.SETTINGS) <= set(settings)
        # Since 16 these are no settings any more.
        assert (settings["lc_collate"], settings["lc_ctype"]) == ("C.UTF-8", "C.UTF-8")
        assert (settings["wal_level"], settings["max_wal_senders"], settings["in_recovery"]) == ("replica", "10", "off")


def test_databases_by_name_whatever_is_in_it(found: dict[str, Any]) -> None:
    assert [found["databases"][name]["exists"] for name in ("stock", ODD, "nope")] == [True, True, False]
    stock = found["databases"]["stock"]
    assert (stock["charset"], stock["collation"], stock["ctype"]) == ("UTF8", "C.UTF-8", "C.UTF-8")
    assert stock["bytes"] > 10**6
    assert found["other_databases"] == ["annex", "latin"]
    assert found["roles"] == ["app", "postgres", "re port"]
    assert found["used"] == {"slots": 0, "senders": 0}
    assert "hstore" in found["available_extensions"]


def test_what_is_in_a_database(found: dict[str, Any]) -> None:
    stock = found["databases"]["stock"]
    assert facts.add_contents(stock, rows(answers(13)["stock"])) is True
    assert stock["rows"] == 5003
    assert {kind: stock[kind] for kind in facts.LISTS} == {
        "tables": [
            '"Zwei B"."quo""ted 🍕"',
            "public.cache",
            "public.part_1",
            "public.part",
            "public.ident",
            "public.item",
        ],
        "without_key": ['"Zwei B"."quo""ted 🍕"'],
        "unlogged": ["public.cache"],
        "foreign_tables": ["public.ext"],
        "views": ["public.v"],
        "materialized_views": ["public.mv"],
        "sequences": ["public.item_id_seq"],
        "triggers": ["public.item.t"],
        "routines": ["public.f"],
        "extensions": ["file_fdw", "hstore", "pg_trgm"],
        "generated": ["public.item.upper"],
        "accounts": ["app", "re port"],
        "events": [],
        "events_enabled": [],
        "settings": [],
        "generated_keys": [],
        "extension_tables": [],
        "event_triggers": [],
        "prepared": [],
        "vectors": [],
        "versioned": [],
    }
    assert stock["large_objects"] == 1


def test_a_database_with_one_table(found: dict[str, Any]) -> None:
    odd = found["databases"][ODD]
    assert facts.add_contents(odd, rows(answers(13)[ODD])) is False
    assert {kind: odd[kind] for kind in facts.LISTS if odd[kind]} == {
        "tables": ['public."ä"'],
        "without_key": ['public."ä"'],
    }


def test_databases_share_no_lists() -> None:
    found = facts.parse([], ["a", "b"])["databases"]
    facts.add_contents(found["a"], [["view", "public.v"]])
    assert (found["a"]["views"], found["b"]["views"]) == (["public.v"], [])


def test_a_partitioned_tables_rows_are_counted_once() -> None:
    found = facts.parse([], ["a"])["databases"]["a"]
    facts.add_contents(found, [["table", "p", "p", 7, True, "p"], ["table", "p1", "p", 7, True, "r"]])
    assert found["rows"] == 7


def test_the_key_of_a_partitioned_table_is_that_of_its_parts() -> None:
    found = facts.parse([], ["a"])["databases"]["a"]
    facts.add_contents(found, [["table", "p", "p", 0, False, "p"], ["table", "p1", "p", 0, False, "r"]])
    assert found["without_key"] == ["p1"]


def test_only_a_site_is_asked_for_its_fence() -> None:
    assert "gexec" not in facts.database_script()
    assert "E'cutover_my_shop'" in facts.database_script("my-shop")


@pytest.mark.parametrize(("number", "able"), [("90624", False), ("100000", True), (None, False)])
def test_a_server_that_is_too_old_is_asked_nothing_more(number: str | None, able: bool) -> None:
    assert facts.can_describe({} if number is None else {"server_version_num": number}) is able
