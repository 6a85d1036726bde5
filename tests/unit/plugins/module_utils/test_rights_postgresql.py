# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What PostgreSQL's roles may do, from the server's answers, and the statements that say it again."""

from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import rights_postgresql
from ansible_collections.ocpizza.cutover.plugins.module_utils.rights import Right


def role(
    name: str, *attributes: str, login: bool = True, method: str = "scram-sha-256", first: bool = False
) -> list[Any]:
    return ["account", name, first, login, method, list(attributes)]


def parse(*rows: list[Any]) -> Any:
    return rights_postgresql.parse(list(rows))[0]


def test_no_name_is_written_into_a_question_as_it_is() -> None:
    text = rights_postgresql.script(["sh'op"])
    assert "E'sh\\'op'" in text
    assert "IN (NULL)" in rights_postgresql.script([])


def test_roles_of_the_site() -> None:
    found = parse(
        role("postgres", "SUPERUSER", first=True),
        role("pg_read_all_data", login=False),
        role("owner"),
        role("readers", login=False, method="no password"),
        role("reader", method="md5"),
        role("stranger"),
        ["holds", "owner", "shop"],
        ["holds", "readers", "shop"],
        ["member", "reader", "readers", True],
        ["member", "reader", "others", False],
        ["may", "reader", "CONNECT", "shop"],
        ["may", "stranger", "CONNECT", "shop"],
        ["role setting", "reader", "", "search_path=a, b"],
        ["setting", "wal_level", "logical"],
    )
    assert sorted(found) == ["owner", "reader", "readers", "stranger"]
    assert found["reader"].rights == {
        Right("role", "", "", "readers", True),
        Right("database", "CONNECT", "shop", ""),
        Right("setting", "search_path=a, b", "", ""),
    }
    assert (found["reader"].methods, found["readers"].methods) == (("md5",), ())
    assert found["owner"].owns == ("what is in shop",)
    # That everybody may connect makes nobody the site's.
    assert not found["stranger"].is_sites()


def test_what_reaches_beyond_the_site() -> None:
    found = parse(
        role("app", "CREATEDB"),
        role("boss", "SUPERUSER"),
        role("reader"),
        role("maker", "CREATEDB"),
        ["holds", "app", "shop"],
        ["member", "app", "pg_monitor", False],
        ["member", "reader", "pg_read_all_data", False],
    )
    assert {name: one.everywhere for name, one in found.items()} == {
        "app": ("CREATEDB", "member of pg_monitor"),
        "boss": ("SUPERUSER",),
        "reader": ("member of pg_read_all_data",),
        "maker": (),
    }


def test_settings_of_a_database_are_told_apart() -> None:
    assert rights_postgresql.parse([["database setting", "shop", "work_mem=5MB"]]) == ({}, [("shop", "work_mem=5MB")])


@pytest.mark.parametrize(
    ("right", "given", "taken"),
    [
        (
            Right("database", "CONNECT", "Sh op", ""),
            'GRANT CONNECT ON DATABASE "Sh op" TO "o""u"',
            'REVOKE CONNECT ON DATABASE "Sh op" FROM "o""u"',
        ),
        (Right("role", "", "", "r", True), 'GRANT r TO "o""u" WITH ADMIN OPTION', 'REVOKE r FROM "o""u"'),
        (
            Right("setting", 'search_path="$user", shop', "shop", ""),
            'ALTER ROLE "o""u" IN DATABASE shop SET search_path TO "$user", shop',
            'ALTER ROLE "o""u" IN DATABASE shop RESET search_path',
        ),
        (
            Right("setting", "my.Own=it's", "", ""),
            """ALTER ROLE "o""u" SET my."Own" TO E'it\\'s\'""",
            'ALTER ROLE "o""u" RESET my."Own"',
        ),
    ],
)
def test_statements(right: Right, given: str, taken: str) -> None:
    assert rights_postgresql.statement(right, 'o"u') == given
    assert rights_postgresql.withdrawal(right, 'o"u') == taken
