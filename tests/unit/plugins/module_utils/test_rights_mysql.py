# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What MariaDB's and MySQL's accounts may do, from the servers' answers, and the statements that say it again."""

from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import rights_mysql
from ansible_collections.ocpizza.cutover.plugins.module_utils.rights import Right

SHOP = ["sh_op", "stock"]


def parse(*rows: list[Any]) -> Any:
    return rights_mysql.parse(list(rows), SHOP)[0]


def account(user: str, host: str = "%", method: str = "", role: str = "N") -> list[Any]:
    return ["account", user, host, method, role]


@pytest.mark.parametrize("flavour", ["mariadb", "mysql"])
def test_no_question_is_for_a_hash_and_no_name_is_written_into_one(flavour: str) -> None:
    text = " ".join(rights_mysql.queries(["o'shop"], flavour))
    assert "o'shop" not in text
    assert "authentication_string" not in text.lower()
    assert "password" not in text.lower()
    assert ("role_edges" in text) is (flavour == "mysql")


@pytest.mark.parametrize(
    ("text", "who"),
    [("'a'@'%'", ("a", "%")), ("'it's'@'h'", ("it's", "h")), ("'a@b'@''", ("a@b", "")), ("'r'", ("r", ""))],
)
def test_a_grantee(text: str, who: tuple[str, str]) -> None:
    assert rights_mysql.grantee(text) == who


@pytest.mark.parametrize(
    ("pattern", "databases"),
    [
        ("sh_op", ["sh_op"]),
        (r"sh\_op", ["sh_op"]),
        (r"shX\_op", []),
        ("sh%", ["sh_op"]),
        ("%", SHOP),
        ("st_ck", ["stock"]),
        (r"st\_ck", []),
        ("st.*", []),
        ("annex", []),
    ],
)
def test_a_pattern_means_databases(pattern: str, databases: list[str]) -> None:
    assert rights_mysql.reaches(pattern, SHOP) == databases


def test_every_kind_of_right() -> None:
    found = parse(
        account("app"),
        ["database", "'app'@'%'", r"sh\_op", "SELECT", "YES"],
        ["database", "'app'@'%'", "annex", "SELECT", "NO"],
        ["table", "'app'@'%'", "stock", "t", "DELETE VERSIONING ROWS", "NO"],
        ["column", "'app'@'%'", "stock", "t", "a", "UPDATE", "NO"],
        ["routine", "app", "%", "stock", "FUNCTION", "f", "Execute,Grant"],
    )
    assert found["app@%"].rights == {
        Right("database", "SELECT", "sh_op", "", True),
        Right("table", "DELETE HISTORY", "stock", "t"),
        Right("table", "UPDATE (`a`)", "stock", "t"),
        Right("function", "EXECUTE", "stock", "f", True),
    }


def test_a_role_makes_its_members_the_sites() -> None:
    found = parse(
        account("boss", role="N"),
        account("readers", "", role="Y"),
        account("others", "", role="Y"),
        account("member"),
        account("stranger"),
        account("maker"),
        ["database", "'readers'@''", "stock", "SELECT", "NO"],
        ["role", "member", "%", "readers", "", "N"],
        ["role", "member", "%", "others", "", "N"],
        ["default role", "member", "%", "readers", ""],
        ["role", "stranger", "%", "others", "", "N"],
        ["role", "maker", "%", "readers", "", "Y"],
        ["everywhere", "'maker'@'%'", "CREATE USER"],
        ["everywhere", "'maker'@'%'", "SELECT"],
    )
    assert found["member@%"].rights == {Right("role", "", "", "readers"), Right("default role", "", "", "readers")}
    assert (found["readers"].login, found["readers"].methods) == (False, ())
    assert not found["stranger@%"].is_sites()
    # Who has made a role has it, and may be anybody.
    assert (found["maker@%"].is_sites(), found["maker@%"].everywhere) == (False, ("SELECT",))


def test_rights_everywhere_matter_where_they_reach_the_site() -> None:
    found = parse(
        account("app"),
        account("monitor"),
        account("backup"),
        account("root", "localhost"),
        account("root"),
        account("mariadb.sys", "localhost"),
        ["database", "'app'@'%'", "stock", "SELECT", "NO"],
        *(["everywhere", f"'{user}'@'%'", "PROCESS"] for user in ("app", "monitor", "backup")),
        ["everywhere", "'backup'@'%'", "SELECT"],
        ["everywhere", "'root'@'%'", "SELECT"],
    )
    assert {name: one.everywhere for name, one in found.items()} == {
        "app@%": ("PROCESS",),
        "backup@%": ("SELECT",),
        "monitor@%": (),
        "root@%": ("SELECT",),
    }


def test_who_something_runs_as() -> None:
    found = parse(
        account("app"),
        ["owns", "app@%", "view stock.v"],
        ["owns", "gone@10.%", "trigger stock.t"],
        ["owns", "root@localhost", "event stock.e"],
    )
    assert {name: (one.owns, one.exists) for name, one in found.items()} == {
        "app@%": (("view stock.v",), True),
        "gone@10.%": (("trigger stock.t",), False),
    }


HASH = "*B69027D44F6E5EDC07F1AEAD1477967B16F28227"
MARIADB = f"CREATE USER `a`@`localhost` IDENTIFIED BY PASSWORD '{HASH}' REQUIRE SSL ACCOUNT LOCK PASSWORD EXPIRE"
TWO = "CREATE USER `o'd`@`%` IDENTIFIED VIA ed25519 USING 'Gv2J' OR unix_socket"
COMMENT = r""" ATTRIBUTE '{"comment": "it\'s ACCOUNT LOCK DEFAULT ROLE `x`@`y`"}'"""
MYSQL = (
    "CREATE USER `a`@`%` IDENTIFIED WITH 'caching_sha2_password' AS 0x2441 DEFAULT ROLE `r`@`%`,`s`@`%` REQUIRE NONE "
    "PASSWORD EXPIRE DEFAULT ACCOUNT UNLOCK" + COMMENT
)


@pytest.mark.parametrize(
    ("definition", "rest", "is_locked", "methods"),
    [
        (
            MARIADB,
            f" IDENTIFIED VIA mysql_native_password USING '{HASH}' REQUIRE SSL PASSWORD EXPIRE",
            True,
            {"mysql_native_password"},
        ),
        (TWO, " IDENTIFIED VIA ed25519 USING 'Gv2J' OR unix_socket", False, {"ed25519", "unix_socket"}),
        ("CREATE USER `a`@`%`", "", False, set()),
        (
            MYSQL,
            " IDENTIFIED WITH 'caching_sha2_password' AS 0x2441 PASSWORD EXPIRE DEFAULT" + COMMENT,
            False,
            {"caching_sha2_password"},
        ),
    ],
)
def test_a_definition(definition: str, rest: str, is_locked: bool, methods: set[str]) -> None:
    assert rights_mysql.rest(definition) == rest
    assert rights_mysql.is_locked(definition) is is_locked
    assert rights_mysql.methods_in(definition) == methods
    head, _attribute, comment = rest.partition(" ATTRIBUTE ")
    assert rights_mysql.locked(definition) == head + " ACCOUNT LOCK" + (" ATTRIBUTE " + comment if comment else "")


@pytest.mark.parametrize(
    ("right", "given", "taken"),
    [
        (
            Right("database", "SELECT", "sh_op%", "", True),
            r"GRANT SELECT ON `sh\_op\%`.* TO `o``u`@`%` WITH GRANT OPTION",
            r"REVOKE SELECT ON `sh\_op\%`.* FROM `o``u`@`%`",
        ),
        (
            Right("table", "SELECT (`a`)", "sh_op", "t"),
            "GRANT SELECT (`a`) ON `sh_op`.`t` TO `o``u`@`%`",
            "REVOKE SELECT (`a`) ON `sh_op`.`t` FROM `o``u`@`%`",
        ),
        (
            Right("function", "EXECUTE", "sh_op", "f"),
            "GRANT EXECUTE ON FUNCTION `sh_op`.`f` TO `o``u`@`%`",
            "REVOKE EXECUTE ON FUNCTION `sh_op`.`f` FROM `o``u`@`%`",
        ),
        (
            Right("role", "", "", "r@%", True),
            "GRANT `r`@`%` TO `o``u`@`%` WITH ADMIN OPTION",
            "REVOKE `r`@`%` FROM `o``u`@`%`",
        ),
        (Right("role", "", "", "r"), "GRANT `r` TO `o``u`@`%`", "REVOKE `r` FROM `o``u`@`%`"),
    ],
)
def test_statements(right: Right, given: str, taken: str) -> None:
    assert rights_mysql.statement(right, "o`u", "%", "mariadb") == given
    assert rights_mysql.withdrawal(right, "o`u", "%") == taken


def test_roles_come_first_and_default_roles_last() -> None:
    role, default = Right("role", "", "", "r"), Right("default role", "", "", "r")
    database = Right("database", "SELECT", "a", "")
    assert rights_mysql.ordered([default, database, role]) == [role, database, default]
    assert rights_mysql.statement(default, "u", "%", "mysql") == "ALTER USER `u`@`%` DEFAULT ROLE `r`"
    assert rights_mysql.statement(default, "u", "%", "mariadb") == "SET DEFAULT ROLE `r` FOR `u`@`%`"
