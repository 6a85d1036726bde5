# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which columns are widened, and which differences that explains."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import widen
from ansible_collections.ocpizza.cutover.plugins.module_utils.widen import Column, Reference, Room, WidenError

TABLES = [("shop", name, [f"shop.{name}"]) for name in ("customer", "line", "orders", "tag", "tree")]
COLUMNS = [
    Column("shop", "customer", "id", "int(11)", True),
    Column("shop", "customer", "age", "int(11)", False),
    Column("shop", "orders", "id", "int(10) unsigned", True),
    Column("shop", "orders", "customer_id", "int(11)", False),
    Column("shop", "line", "order_id", "int(10) unsigned", True),
    Column("shop", "line", "number", "smallint(6)", True),
    Column("shop", "tag", "id", "bigint(20)", True),
    Column("shop", "tag", "line_no", "tinyint(1)", True),
    Column("shop", "tree", "id", "mediumint(9)", True),
    Column("shop", "tree", "up", "mediumint(9)", False),
]
REFERENCES = [
    Reference("shop", "orders", "of", ["customer_id"], ("shop", "customer"), ["id"]),
    Reference("shop", "line", "in", ["order_id"], ("shop", "orders"), ["id"]),
    Reference("shop", "tree", "up", ["up"], ("shop", "tree"), ["id"]),
]


def names(chosen: Any, columns: Any = COLUMNS) -> list[str]:
    return [f"{column.table}.{column.name}" for column in widen.select(TABLES, columns, REFERENCES, chosen)]


def test_nothing_is_widened_unless_it_is_asked_for() -> None:
    assert names([]) == []


def test_all_keys_and_what_refers_to_them_are_widened() -> None:
    # What is a bigint already is left alone, and so is a truth value.
    assert names(["all"]) == [
        "customer.id", "line.number", "line.order_id", "orders.customer_id", "orders.id", "tree.id", "tree.up",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ("customer", ["customer.id", "orders.customer_id"]),
        ("orders", ["line.order_id", "orders.id"]),
        ("line", ["line.number", "line.order_id", "orders.id"]),
        ("tree", ["tree.id", "tree.up"]),
        ("tag", []),
    ],
)
def test_a_table_takes_along_what_is_tied_to_its_key(table: str, found: list[str]) -> None:
    assert names([f"shop.{table}"]) == found


@pytest.mark.parametrize("wrong", ["all", {"shop": 1}, None, 5, [5], [""], [None]])
def test_a_request_that_is_no_list_is_refused(wrong: Any) -> None:
    with pytest.raises(WidenError, match=r"site_widen must be a list of tables, or \[all\], and is"):
        names(wrong)


def test_a_table_that_is_not_there_is_named() -> None:
    with pytest.raises(WidenError, match=r"site_widen names shop\.odrers, which is not there\. Name tables as shop\."):
        names(["all", "shop.odrers"])
    with pytest.raises(WidenError, match=r"names bills\.orders, in no database of the site"):
        widen.of_engine(["bills.orders", "all"], {"mysql": ["shop"], "postgresql": ["stock"]}, "mysql")


def test_each_engine_is_asked_for_its_own() -> None:
    several = {"mysql": ["shop"], "postgresql": ["stock"]}
    asked = ["shop.orders", "stock.public.item", "all"]
    assert widen.of_engine(asked, several, "mysql") == ["shop.orders", "all"]
    assert widen.of_engine(asked, several, "postgresql") == ["stock.public.item", "all"]


def test_what_cannot_be_changed_is_named_with_its_reason() -> None:
    columns = [column._replace(blocked="it is generated") if column.name == "id" else column for column in COLUMNS]
    with pytest.raises(WidenError, match=r"shop\.orders\.id: it is generated cannot be widened|orders\.id: it is gen"):
        names(["shop.line"], columns)
    # A column that is wide already needs no change.
    assert names(["shop.tag"], columns) == []


@given(st.data())
def test_a_foreign_key_and_what_it_refers_to_stay_of_one_type(data: Any) -> None:
    count = data.draw(st.integers(1, 8))
    kinds = data.draw(
        st.lists(st.sampled_from(["int", "smallint", "bigint", "varchar(5)"]), min_size=count, max_size=count)
    )
    columns = [Column("d", f"t{n}", "c", kind, data.draw(st.booleans())) for n, kind in enumerate(kinds)]
    ends = st.integers(0, count - 1)
    tied = data.draw(st.lists(st.tuples(ends, ends), max_size=10))
    references = [
        Reference("d", f"t{one}", str(number), ["c"], ("d", f"t{two}"), ["c"]) for number, (one, two) in enumerate(tied)
    ]
    tables = [("d", column.table, [f"d.{column.table}"]) for column in columns]
    chosen = data.draw(st.lists(st.sampled_from([name for _d, _t, (name,) in tables]), max_size=3))

    found = {column.id for column in widen.select(tables, columns, references, chosen)}

    by_name = {column.id: column for column in columns}
    for name in found:
        assert widen.is_narrow(by_name[name].type)
    for reference in references:
        for pair in reference.pairs():
            if all(widen.is_narrow(by_name[end].type) for end in pair):
                assert (pair[0] in found) == (pair[1] in found)
    for column in columns:
        if column.primary and widen.is_narrow(column.type) and f"d.{column.table}" in chosen:
            assert column.id in found
    # A second time there is nothing left.
    after = [column._replace(type="bigint") if column.id in found else column for column in columns]
    assert widen.select(tables, after, references, chosen) == []


@pytest.mark.parametrize(
    ("kind", "limits"),
    [
        ("tinyint(4)", (-128, 127)),
        ("smallint", (-32768, 32767)),
        ("mediumint(8) unsigned", (0, 16777215)),
        ("int(11)", (-2147483648, 2147483647)),
        ("integer", (-2147483648, 2147483647)),
        ("int unsigned", (0, 4294967295)),
        ("int(5) unsigned zerofill", (0, 4294967295)),
        ("bigint", (-(2**63), 2**63 - 1)),
    ],
)
def test_the_range_of_a_type(kind: str, limits: tuple[int, int]) -> None:
    assert widen.range_of(kind) == limits


def test_what_is_no_integer_has_no_range() -> None:
    for text in ("varchar(5)", "interval", "point", ""):
        with pytest.raises(ValueError, match="no integer type"):
            widen.range_of(text)
        assert not widen.is_integer(text)


@pytest.mark.parametrize(
    ("line", "wider"),
    [
        ("int(11) NOT NULL AUTO_INCREMENT COMMENT 'int(11)'", "bigint NOT NULL AUTO_INCREMENT COMMENT 'int(11)'"),
        ("int unsigned NOT NULL /*!80023 INVISIBLE */", "bigint unsigned NOT NULL /*!80023 INVISIBLE */"),
        ("smallint(6) DEFAULT 5 CHECK (`a` > 0)", "bigint DEFAULT 5 CHECK (`a` > 0)"),
        # As many zeros are printed as before.
        ("int(7) unsigned zerofill NOT NULL", "bigint(7) unsigned zerofill NOT NULL"),
        ("mediumint", "bigint"),
    ],
)
def test_nothing_but_the_type_is_written_anew(line: str, wider: str) -> None:
    assert widen.wide_type_in(line) == wider


BEFORE = {
    ("column", "orders.id"): "int(11) NO NULL auto_increment",
    ("column", "orders.name"): "varchar(9) NO NULL",
    ("sequence", "public.s"): "integer 1 1 2147483647 1 1 f shop NULL",
    ("index", "orders.PRIMARY"): "0 BTREE id",
}
AFTER = {
    **BEFORE,
    ("column", "orders.id"): "bigint(20) NO NULL auto_increment",
    ("sequence", "public.s"): "bigint 1 1 2147483647 1 1 f shop NULL",
}


def test_what_widening_changed_is_accepted_and_nothing_else() -> None:
    found = widen.changed(BEFORE, AFTER)
    assert widen.readable(widen.writable(found)) == found
    key = ("column", "orders.id")
    assert sorted(found) == [key, ("sequence", "public.s")]
    assert widen.accepts(found, key, BEFORE[key], AFTER[key])
    assert not widen.accepts(None, key, BEFORE[key], AFTER[key])
    # Neither the other way round, nor a default that came later, nor another column.
    assert not widen.accepts(found, key, AFTER[key], BEFORE[key])
    assert not widen.accepts(found, key, BEFORE[key], AFTER[key] + " 5")
    assert not widen.accepts(found, ("column", "line.id"), BEFORE[key], AFTER[key])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (("column", "orders.id"), "bigint(20) YES NULL auto_increment"),
        (("column", "orders.id"), "bigint(20) NO NULL "),
        (("column", "orders.id"), "smallint(6) NO NULL auto_increment"),
        (("column", "orders.name"), "bigint(20) NO NULL"),
        (("sequence", "public.s"), "bigint 1 2 2147483647 1 1 f shop NULL"),
        (("index", "orders.PRIMARY"), "1 BTREE id"),
        (("index", "orders.more"), "1 BTREE id"),
    ],
)
def test_whatever_else_widening_would_change_is_refused(key: tuple[str, str], value: str) -> None:
    with pytest.raises(WidenError, match=f"widening changed {key[0]} "):
        widen.changed(BEFORE, {**AFTER, key: value})
    with pytest.raises(WidenError, match="widening changed"):
        widen.changed({**BEFORE, ("view", "v"): "SELECT 1"}, AFTER)


@given(st.integers(-(2**40), 2**40), st.integers(0, 2**40))
def test_a_value_beyond_the_other_sides_range_is_seen(smallest: int, more: int) -> None:
    room = Room("shop.orders.id", smallest, smallest + more, -(2**31), 2**31 - 1, True)
    assert room.beyond() == (smallest < -(2**31) or smallest + more > 2**31 - 1)


def test_room_in_words_and_figures() -> None:
    room = Room("shop.orders.id", 1, 1932735283, -(2**31), 2**31 - 1, True)
    assert room.text() == "shop.orders.id has come to 1932735283 of 2147483647 (90.0%)"
    assert room.facts() == {"column": "shop.orders.id", "largest": 1932735283, "limit": 2147483647, "share": 0.9}
    empty = room._replace(smallest=None, largest=None)
    assert (empty.beyond(), empty.share(), empty.facts()["largest"]) == (False, 0.0, None)


def test_a_reference_to_a_widened_column_is_bounded_by_it() -> None:
    every = {column.id for column in COLUMNS}
    assert widen.bounded(REFERENCES, every) == {
        ("shop", "orders", "customer_id"), ("shop", "line", "order_id"), ("shop", "tree", "up"),
    }  # fmt: skip
    assert widen.bounded(REFERENCES, {("shop", "tree", "up")}) == set()
