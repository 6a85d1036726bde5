# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages of pgoutput: built here as the server builds them, and read back."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_postgresql
from ansible_collections.ocpizza.cutover.plugins.module_utils.pgoutput import Altered, Commit, Parser, Rows

UNCHANGED = object()
names = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=20)
values = st.one_of(st.none(), st.text(st.characters(exclude_categories=("Cs",)), max_size=50))
Value = str | object | None


def text(value: str) -> bytes:
    return value.encode() + b"\0"


def relation(oid: int, schema: str, name: str, columns: list[str], identity: str = "d") -> bytes:
    parts = [b"\1" + text(column) + struct.pack("!Ii", 25, -1) for column in columns]
    head = b"R" + struct.pack("!I", oid) + text(schema) + text(name) + identity.encode()
    return head + struct.pack("!h", len(columns)) + b"".join(parts)


def image(kind: bytes, row: list[Value]) -> bytes:
    found = kind + struct.pack("!h", len(row))
    for value in row:
        if value is UNCHANGED:
            found += b"u"
        elif value is None:
            found += b"n"
        else:
            assert isinstance(value, str)
            found += b"t" + struct.pack("!i", len(value.encode())) + value.encode()
    return found


def change(kind: bytes, oid: int, *images: bytes) -> bytes:
    return kind + struct.pack("!I", oid) + b"".join(images)


@given(schema=names, name=names, data=st.data(), columns=st.lists(names, min_size=1, max_size=6, unique=True))
def test_what_was_sent_is_read_back(schema: str, name: str, data: st.DataObject, columns: list[str]) -> None:
    parser = Parser()
    row = st.lists(values, min_size=len(columns), max_size=len(columns))
    old, new = data.draw(row), data.draw(row)
    table = f"{quote_postgresql(schema)}.{quote_postgresql(name)}"
    before, after = dict(zip(columns, old, strict=True)), dict(zip(columns, new, strict=True))

    assert parser.parse(relation(7, schema, name, columns)) is None
    assert parser.parse(change(b"I", 7, image(b"N", new))) == Rows(table, [after])
    assert parser.parse(change(b"U", 7, image(b"N", new))) == Rows(table, [after])
    assert parser.parse(change(b"U", 7, image(b"O", old), image(b"N", new))) == Rows(table, [before, after])
    assert parser.parse(change(b"D", 7, image(b"O", old))) == Rows(table, [before])


def test_of_an_old_key_only_the_key_is_known() -> None:
    parser = Parser()
    parser.parse(relation(7, "public", "orders", ["id", "note"]))

    assert parser.parse(change(b"D", 7, image(b"K", ["1", None]))) == Rows("public.orders", [{"id": "1"}])


def test_a_long_value_that_did_not_change_is_taken_from_the_old_image() -> None:
    parser = Parser()
    parser.parse(relation(7, "public", "orders", ["id", "note"]))
    with_old = change(b"U", 7, image(b"O", ["1", "long"]), image(b"N", ["2", UNCHANGED]))

    assert parser.parse(with_old) == Rows("public.orders", [{"id": "1", "note": "long"}, {"id": "2", "note": "long"}])
    assert parser.parse(change(b"U", 7, image(b"N", ["2", UNCHANGED]))) == Rows("public.orders", [{"id": "2"}])


def test_the_end_of_a_transaction_and_what_changes_no_row() -> None:
    parser = Parser()

    assert parser.parse(b"C" + struct.pack("!bqqq", 0, 5, 9, 0)) == Commit(9)
    assert parser.parse(b"B" + struct.pack("!qqi", 5, 0, 1)) is None
    assert parser.parse(b"O" + struct.pack("!q", 5) + text("pg_1")) is None
    assert parser.parse(b"Y" + struct.pack("!I", 5) + text("public") + text("mood")) is None


def test_the_same_table_again_is_nothing_new() -> None:
    parser = Parser()
    parser.parse(relation(7, "public", "orders", ["id"]))
    parser.parse(relation(7, "public", "orders", ["id"], identity="f"))

    assert parser.relations[7].identity == "f"


def test_an_altered_table_is_refused() -> None:
    parser = Parser()
    parser.parse(relation(7, "public", "orders", ["id"]))
    with pytest.raises(Altered, match=r"table public.orders was altered"):
        parser.parse(relation(7, "public", "orders", ["id", "note"]))


def test_a_truncated_table_is_refused_by_name() -> None:
    parser = Parser()
    parser.parse(relation(7, "public", "Or ders", ["id"]))
    with pytest.raises(Altered, match=r'public."Or ders" was truncated'):
        parser.parse(b"T" + struct.pack("!ibI", 1, 0, 7))


@given(st.integers(min_value=0, max_value=60))
def test_a_message_that_is_cut_off_is_an_error(length: int) -> None:
    parser = Parser()
    parser.parse(relation(7, "public", "orders", ["id", "note"]))
    whole = change(b"U", 7, image(b"O", ["1", "some"]), image(b"N", ["2", "text"]))
    # Between the two images it is a whole message of one.
    cut = min(length, len(whole) - 1)
    if cut == len(change(b"U", 7, image(b"O", ["1", "some"]))):
        return
    with pytest.raises((ValueError, struct.error, IndexError)):
        parser.parse(whole[:cut])


def test_what_is_not_known_is_an_error() -> None:
    parser = Parser()
    parser.parse(relation(7, "public", "orders", ["id"]))
    with pytest.raises(ValueError, match="message of kind 'S'"):
        parser.parse(b"S1234")
    with pytest.raises(ValueError, match="row image of kind 'K'"):
        parser.parse(change(b"I", 7, image(b"K", ["1"])))
    with pytest.raises(ValueError, match="value of kind 'b'"):
        parser.parse(change(b"I", 7, b"N\0\1b"))
    with pytest.raises(Altered, match="has 2 columns"):
        parser.parse(change(b"I", 7, image(b"N", ["1", "2"])))
