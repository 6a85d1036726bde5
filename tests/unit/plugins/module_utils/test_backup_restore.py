"""What may be asked for; what a restore does is tried on real servers by the scenarios of scheduled_backup."""

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils.backup_restore import Wish, choose, split_name
from ansible_collections.ocpizza.cutover.plugins.module_utils.backup_store import Backup, StoreError

PARTS = [
    {"kind": "database", "database": "ocpizza", "rows": {"orders": [1, 1]}},
    {"kind": "database", "database": "stock", "rows": {}},
    {"kind": "files", "name": "media"},
]
BACKUP = Backup("20280229T030000Z", "/nowhere", {"parts": PARTS}, None)


def wish(databases=(), table=None, into=None, files=None):  # type: ignore[no-untyped-def]
    return Wish(list(databases), table, into, files, "/there" if files else None)


def test_what_is_asked_for_is_found() -> None:
    assert choose(BACKUP, wish()) == PARTS[:2]
    assert choose(BACKUP, wish(["stock"])) == PARTS[1:2]
    assert choose(BACKUP, wish(["ocpizza"], table="orders")) == PARTS[:1]
    assert choose(BACKUP, wish(files="media")) == PARTS[2:]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (wish(["stocks"]), "has no stocks; it has ocpizza, stock"),
        (wish(files="medias"), "has no medias; it has media"),
        (wish(into="copy"), "name one database"),
        (wish(table="orders"), "name one database"),
        (wish(["ocpizza"], table="order"), "has no table order in ocpizza; it has orders"),
    ],
)
def test_what_is_not_there_is_refused(asked: Wish, says: str) -> None:
    with pytest.raises(StoreError, match=says):
        choose(BACKUP, asked)


@pytest.mark.parametrize(
    ("table", "parts"),
    [
        ("public.orders", ["public", "orders"]),
        ('"Odd.name"."with ""quotes"""', ["Odd.name", 'with "quotes"']),
    ],
)
def test_a_quoted_name_is_split_where_its_dot_is(table: str, parts: list[str]) -> None:
    assert split_name(table) == parts
