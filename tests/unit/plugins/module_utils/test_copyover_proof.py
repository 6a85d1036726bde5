"""Definitions of MariaDB and MySQL in one spelling: each rule, and that a real difference beside it is found."""

from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import copyover_proof
from ansible_collections.ocpizza.cutover.plugins.module_utils.copyover_proof import differences, noted, spelled


def column(kind: str, **more: Any) -> str:
    values = {
        "place": 1,
        "type": "varchar(9)",
        "nullable": "YES",
        "default": "NULL" if kind == "mariadb" else None,
        "extra": "",
        "charset": "utf8mb4",
        "collation": "utf8mb4_general_ci",
    } | more
    return spelled(kind, "column", tuple(values.values()))


@pytest.mark.parametrize(
    ("ours", "theirs", "other"),
    [
        ({"type": "int(11)"}, {"type": "int"}, {"type": "bigint"}),
        ({"type": "int(10) unsigned"}, {"type": "int unsigned"}, {"type": "int"}),
        ({"type": "tinyint(4)"}, {"type": "tinyint"}, {"type": "tinyint(1)"}),
        ({"type": "year(4)"}, {"type": "year"}, {"type": "smallint"}),
        ({"type": "smallint(5) unsigned zerofill"},) * 2 + ({"type": "smallint(4) unsigned zerofill"},),
        ({}, {}, {"default": "NULL"}),
        ({"default": "''"}, {"default": ""}, {}),
        ({"default": "'it''s'"}, {"default": "it's"}, {"default": "its"}),
        ({"default": "-3"}, {"default": "-3"}, {"default": "3"}),
        ({"default": "b'101'"}, {"default": "b'101'"}, {"default": "b'100'"}),
        (
            {"default": "'a'", "type": "text"},
            {"default": "_utf8mb4\\'a\\'", "extra": "DEFAULT_GENERATED", "type": "text"},
            {"default": "_utf8mb4\\'b\\'", "extra": "DEFAULT_GENERATED", "type": "text"},
        ),
        (
            {"default": "current_timestamp()"},
            {"default": "CURRENT_TIMESTAMP", "extra": "DEFAULT_GENERATED"},
            {"default": "current_timestamp()"},
        ),
        (
            {"default": "current_timestamp(6)", "extra": "on update current_timestamp(6)"},
            {"default": "CURRENT_TIMESTAMP(6)", "extra": "DEFAULT_GENERATED on update CURRENT_TIMESTAMP(6)"},
            {"default": "CURRENT_TIMESTAMP(6)", "extra": "DEFAULT_GENERATED"},
        ),
        (
            {"default": "current_timestamp(3)"},
            {"default": "CURRENT_TIMESTAMP(3)", "extra": "DEFAULT_GENERATED"},
            {"default": "CURRENT_TIMESTAMP", "extra": "DEFAULT_GENERATED"},
        ),
        ({"default": "uuid()"}, {"default": "uuid()", "extra": "DEFAULT_GENERATED"}, {"default": "uuid()"}),
        ({"extra": "auto_increment"}, {"extra": "auto_increment"}, {}),
        (
            {"charset": "utf8", "collation": "utf8_bin"},
            {"charset": "utf8mb3", "collation": "utf8mb3_bin"},
            {"charset": "utf8mb3", "collation": "utf8mb3_general_ci"},
        ),
        (
            {"collation": "utf8mb4_uca1400_ai_ci"},
            {"collation": "utf8mb4_0900_ai_ci"},
            {"collation": "utf8mb4_0900_as_ci"},
        ),
    ],
)
def test_a_column(ours: dict[str, Any], theirs: dict[str, Any], other: dict[str, Any]) -> None:
    assert column("mariadb", **ours) == column("mysql", **theirs)
    assert column("mariadb", **ours) != column("mysql", **other)


@pytest.mark.parametrize("changed", [{"place": 2}, {"nullable": "NO"}, {"charset": None}, {"extra": "INVISIBLE"}])
def test_what_no_rule_is_for_differs(changed: dict[str, Any]) -> None:
    assert column("mariadb") != column("mysql", **changed)


def test_a_foreign_key() -> None:
    ours = spelled("mariadb", "foreign key", ("RESTRICT", "RESTRICT", "parent:parents:id"))
    assert ours == spelled("mysql", "foreign key", ("NO ACTION", "NO ACTION", "parent:parents:id"))
    for other in (
        ("NO ACTION", "CASCADE", "parent:parents:id"),
        ("SET NULL", "NO ACTION", "parent:parents:id"),
        ("NO ACTION", "NO ACTION", "parent:parents:v"),
    ):
        assert ours != spelled("mysql", "foreign key", other)


def test_a_table() -> None:
    ours = spelled("mariadb", "table", ("BASE TABLE", "InnoDB", "utf8_general_ci"))
    assert ours == spelled("mysql", "table", ("BASE TABLE", "InnoDB", "utf8mb3_general_ci"))
    assert ours != spelled("mysql", "table", ("BASE TABLE", "InnoDB", "utf8mb4_general_ci"))
    view = ("VIEW", None, None)
    assert spelled("mariadb", "table", view) == spelled("mysql", "table", view)


CHECK = ("check", "orders")
OURS = {CHECK: "`n` > 0 or `n` is null", ("table", "orders"): "x"}
THEIRS = {CHECK: "((`n` > 0) or (`n` is null))", ("table", "orders"): "x"}


def test_expressions_are_compared_with_what_the_trial_noted() -> None:
    known = noted(OURS, THEIRS)
    assert known == {"check orders": [OURS[CHECK], THEIRS[CHECK]]}, "and nothing but expressions"
    assert differences(OURS, THEIRS, known) == []
    assert differences(OURS, THEIRS, {}) != []


@pytest.mark.parametrize("side", [0, 1])
def test_an_expression_that_changed_since_is_found(side: int) -> None:
    both = [dict(OURS), dict(THEIRS)]
    known = noted(*both)
    both[side][CHECK] = both[side][CHECK].replace("> 0", "> 1")
    (said,) = differences(*both, known)
    assert said.startswith("check orders is '`n` > ")


def test_a_charset_before_a_literal_says_nothing() -> None:
    one, two, other = (
        spelled("mysql", "generated column", (text,))
        for text in ("concat(`a`,_utf8mb4\\'!\\')", "concat(`a`,_latin1\\'!\\')", "concat(`a`,_latin1\\'?\\')")
    )
    assert one == two != other


def test_what_is_on_one_side_alone_is_named() -> None:
    assert differences({CHECK: "a"}, {}, {}) == ["check orders is missing on the target"]
    assert differences({}, {CHECK: "a"}, {}) == ["check orders is only on the target"]


def test_every_query_names_what_it_describes() -> None:
    queries = copyover_proof.QUERIES | {f"check {kind}": query for kind, query in copyover_proof.CHECKS.items()}
    for query in queries.values():
        assert query.startswith("SELECT ")
        assert query.count("%s") == 1
