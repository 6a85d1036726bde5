# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL's decisions: values in SQL, positions, whose accounts are the site's, what counts as lag.

What talks to a server is tried on real ones, in tests/integration/test_postgresql.py.
"""

from __future__ import annotations

import re
import socket
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import postgresql, postgresql_wire
from ansible_collections.ocpizza.cutover.plugins.module_utils import proof_postgresql as sql
from ansible_collections.ocpizza.cutover.plugins.module_utils.postgresql_fence import table_name
from ansible_collections.ocpizza.cutover.plugins.module_utils.postgresql_log import read_position, write_position

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=40)
filled = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=40)


@given(texts)
def test_a_text_ends_where_its_literal_does(value: str) -> None:
    written = postgresql_wire.literal(value)
    assert re.fullmatch(r"'(?:[^']|'')*'", written, re.DOTALL)
    assert written[1:-1].replace("''", "'") == value


def test_other_values() -> None:
    assert postgresql_wire.literal(None) == "NULL"
    assert (postgresql_wire.literal(True), postgresql_wire.literal(-5)) == ("TRUE", "(-5)")
    assert postgresql_wire.literal(["a", "b'"]) == "('a','b''')"
    assert postgresql_wire.literal([]) == "(NULL)"
    assert postgresql_wire.render("a LIKE 'x%%' AND b = %s", ["%s"]) == "a LIKE 'x%' AND b = '%s'"
    for value in ("a\0b", b"bytes", {}):
        with pytest.raises(ValueError, match="cannot be written in SQL"):
            postgresql_wire.literal(value)


@given(st.integers(min_value=0, max_value=2**64 - 1))
def test_positions_in_the_log(position: int) -> None:
    assert postgresql_wire.parse_lsn(postgresql_wire.format_lsn(position)) == position


@given(st.dictionaries(filled, st.from_regex(r"[0-9A-F]{1,8}/[0-9A-F]{1,8}#\d{1,17}", fullmatch=True), max_size=4))
def test_positions_of_databases_with_any_name(parts: dict[str, str]) -> None:
    assert read_position(write_position(parts)) == parts


@given(password=texts, database=filled)
def test_how_a_subscription_connects(password: str, database: str) -> None:
    account = {"host": "10.0.0.1", "port": 5432, "user": "follower", "password": password, "ssl_ca": "/etc/ca '1'.pem"}
    written = postgresql.conninfo(account, database)
    parts = {
        key: re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)
        for key, value in re.findall(r"(\w+)='((?:[^'\\]|\\.)*)'", written, re.DOTALL)
    }
    assert (parts["dbname"], parts.get("password", "")) == (database, password)
    assert (parts["sslmode"], parts["sslrootcert"]) == ("verify-ca", "/etc/ca '1'.pem")


def test_the_driver_waits_no_longer_than_it_is_told_later() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = SimpleNamespace(_usock=ours, _sock=ours.makefile("rwb"))
        postgresql.PostgreSQL({"shop": connection}, "shop").patience(0.01)
        with pytest.raises(TimeoutError):
            connection._sock.read(1)


LOGIN = {"login": True, "super": False, "replication": False}


def test_accounts_of_the_site() -> None:
    roles = {
        "owner": LOGIN,
        "both": LOGIN,
        "stranger": LOGIN,
        "member": LOGIN,
        "member of both": LOGIN,
        "monitor": LOGIN,
        "group": {**LOGIN, "login": False},
        "root": {**LOGIN, "super": True},
        "copier": {**LOGIN, "replication": True},
    }
    rights = {
        "owner": {"shop"},
        "both": {"shop", "other"},
        "group": {"shop"},
        "root": {"shop"},
        "copier": {"shop"},
        "monitor": {"shop"},
    }
    members = {"member": {"group"}, "member of both": {"group", "both"}, "monitor": {"pg_monitor"}}

    assert postgresql.site_roles(roles, rights, members, {"shop"}) == ["member", "owner"]
    assert "both" in postgresql.site_roles(roles, rights, members, {"shop", "other"})


def test_groups_in_a_circle_end() -> None:
    assert postgresql.site_roles({"a": LOGIN}, {"b": {"shop"}}, {"a": {"b"}, "b": {"a"}}, {"shop"}) == ["a"]


@pytest.mark.parametrize(
    ("state", "trouble", "lag"),
    [
        (None, "there is no replication link", None),
        ([True, 77, 0.5, 0.0, 60.0], "", 0),
        ([True, 77, 0.5, 12.7, 60.0], "", 12),
        ([True, 77, 0.5, None, 60.0], "the replica does not know its lag", None),
        ([True, 77, None, None, 60.0], "the replica is not connected to its source", None),
        ([True, 77, 41.0, 0.0, 60.0], "the replica is not connected to its source", None),
        ([True, 77, 0.1, 0.0, 0.2], "the apply worker in database shop has only just been started", None),
        ([True, 77, 0.1, 0.0, None], "the apply worker in database shop has only just been started", None),
        ([True, None, None, 0.0, None], "the apply worker in database shop does not run", None),
        ([False, None, None, None, None], "the subscription in database shop is disabled", None),
    ],
)
def test_a_link_that_is_not_known_to_be_well_is_not(state: list[object] | None, trouble: str, lag: int | None) -> None:
    link = postgresql.link_of("shop", state)
    assert link.trouble().startswith(trouble)
    assert bool(link.trouble()) == bool(trouble)
    assert link.lag_seconds == lag


def test_tables_are_named_as_sql_takes_them() -> None:
    assert table_name("public", "orders") == "public.orders"
    assert table_name("My schema", 'a"b') == '"My schema"."a""b"'


def test_each_site_and_side_has_names_of_its_own() -> None:
    shop, blog = (postgresql.PostgreSQL({"db": None}, site, "target") for site in ("the-shop", "blog"))
    assert shop.key != blog.key
    assert 0 <= shop.key < 2**31  # one of the two numbers of a lock
    assert (shop.own_marker, shop.other_marker) == ("cutover_the_shop.marker_target", "cutover_the_shop.marker_source")
    assert (shop.server(), shop.marker_tables()) == (2, [("db", "cutover_the_shop.marker_target")])


def test_a_missing_driver_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pg8000.core", None)
    with pytest.raises(RuntimeError, match=r"pg8000 cannot be imported .* agent.pyz"):
        postgresql.connect({"user": "cutover"})


# The SQL of the proof.


def table(**changes: object) -> sql.Table:
    columns = [sql.Column("id", "bigint"), sql.Column("100% a", "text", "bytes")]
    return sql.Table("shop", 'public."o 50%"', columns, ["id"], "", 0)._replace(**changes)  # type: ignore[arg-type]


def rendered(statement: sql.Statement) -> str:
    text, arguments = statement
    return postgresql_wire.render(text, arguments) if arguments else text.replace("%%", "%")


def test_a_chunk_is_a_range_of_the_index() -> None:
    both = table(key=["id", "100% a"])
    where = rendered(sql.checksum(both, ("1", "a'b"), ("9", "z"))).split(" WHERE ")[1]
    assert where == """(id,"100% a")>('1','a''b') AND (id,"100% a")<=('9','z')"""
    assert rendered(sql.checksum(both)).endswith(' FROM ONLY public."o 50%" WHERE TRUE')


def test_text_is_sorted_by_its_bytes_only_where_the_sides_sort_by_other_names() -> None:
    text = table(key=["100% a"])
    assert 'COLLATE "C"' not in rendered(sql.boundary(text, None, ("z",), 10))
    turned = text._replace(columns=[text.columns[0], text.columns[1]._replace(convert=True)])
    assert 'ORDER BY "100% a" COLLATE "C" LIMIT 1 OFFSET 9' in rendered(sql.boundary(turned, None, ("z",), 10))
    assert 'COLLATE "C"' not in rendered(sql.hashes_of(turned, [("a",)]))


def test_rows_by_key() -> None:
    assert rendered(sql.hashes_of(table(), [("1",), ("2",)])).endswith(" WHERE id IN ('1','2')")
    both = table(key=["id", "100% a"])
    assert rendered(sql.hashes_of(both, [("1", "x")])).endswith("""((id='1' AND "100% a"='x'))""")
    foreign = table(columns=[sql.Column("id", "public.citext", None, foreign=True)])
    assert rendered(sql.hashes_of(foreign, [("A",)])).endswith(" WHERE id::text IN ('A')")


@pytest.mark.parametrize(
    ("described", "order"),
    [
        ({"datcollate": "C"}, "bytes"),
        ({"datcollate": "C.UTF-8", "datlocprovider": "c"}, "bytes"),
        ({"datcollate": "fr_FR.UTF-8"}, "fr_fr.utf8"),
        ({"datcollate": "fr_FR.utf8", "datlocprovider": "c", "datlocale": None}, "fr_fr.utf8"),
        ({"datcollate": "C", "datlocprovider": "i", "daticulocale": "fr"}, "icu fr"),
        ({"datcollate": "C", "datlocprovider": "b", "datlocale": "C.UTF-8"}, "bytes"),
    ],
)
def test_how_a_database_sorts(described: dict[str, str | None], order: str) -> None:
    assert sql.database_order(described) == order


def test_types_that_print_what_they_hold() -> None:
    types = {
        "1": {"kind": "e", "extension": None, "of": []},
        "2": {"kind": "b", "extension": None, "of": ["1"]},
        "3": {"kind": "b", "extension": "odd", "of": []},
        "4": {"kind": "c", "extension": None, "of": ["23", "3"]},
        "5": {"kind": "b", "extension": "citext", "of": []},
    }
    assert [oid for oid in ("23", *types) if sql.exact(types, oid)] == ["23", "1", "2", "5"]
    assert [oid for oid in ("23", *types) if sql.foreign(types, oid)] == ["3", "5"]
