"""Names on servers and their quoting."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import identifiers

names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=64)


@given(names)
def test_a_quoted_name_can_be_read_back_and_never_ends_early(name: str) -> None:
    quoted = identifiers.quote_mysql(name)
    assert re.fullmatch(r"`(?:[^`]|``)+`", quoted, re.DOTALL)
    assert quoted[1:-1].replace("``", "`") == name


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_a_name_that_no_server_takes_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must not be empty or hold a null character"):
        identifiers.quote_mysql(name)


@given(names)
def test_a_trigger_name_fits_and_is_plain(table: str) -> None:
    name = identifiers.trigger_name("UPDATE", table)
    assert re.fullmatch(r"cutover_update_[0-9a-f]{16}", name)
    assert name != identifiers.trigger_name("UPDATE", table + "x")


def test_the_schema_has_no_dash() -> None:
    assert identifiers.schema_for("oc-pizza-2") == "cutover_oc_pizza_2"


@pytest.mark.parametrize(
    ("name", "expected"), [("shop", "shop.%"), ("my_shop", r"my\_shop.%"), ("100%", r"100\%.%"), ("a\\b", r"a\\b.%")]
)
def test_a_wildcard_matches_its_database_alone(name: str, expected: str) -> None:
    assert identifiers.wildcard(name) == expected


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("orders", "orders"),
        ("rank", "rank"),
        ("user", '"user"'),
        ("json_table", '"json_table"'),
        ("Orders", '"Orders"'),
        ("two words", '"two words"'),
        ('a"b', '"a""b"'),
        ("🍕", '"🍕"'),
        ("line\n", '"line\n"'),
        ("1st", '"1st"'),
    ],
)
def test_quote_postgresql(name: str, quoted: str) -> None:
    assert identifiers.quote_postgresql(name) == quoted


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_what_no_identifier_of_postgresql_can_be(name: str) -> None:
    with pytest.raises(ValueError, match="must not be empty or hold a null character"):
        identifiers.quote_postgresql(name)
