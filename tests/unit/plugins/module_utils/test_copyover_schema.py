"""Definitions made on the target, and triggers that are put aside: the order, and what a refusal says."""

from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import copyover_schema
from ansible_collections.ocpizza.cutover.plugins.module_utils.copyover_schema import DefinitionFailed


class Server:
    """Answers by what a statement begins with, and remembers what it was told to do."""

    databases = ("shop",)
    name = "cutover_shop"
    schema = "`cutover_shop`"

    def __init__(self, answers: dict[str, Any] | None = None) -> None:
        self.answers = answers or {}
        self.done: list[str] = []
        self.refused: dict[str, int] = {}

    def rows(self, statement: str, _arguments: Any = ()) -> list[dict[str, Any]]:
        for begin, answer in self.answers.items():
            if statement.startswith(begin):
                return list(answer)
        return []

    def unlogged(self, *statements: str) -> None:
        for statement in statements:
            if self.refused.get(statement, 0) > 0:
                self.refused[statement] -= 1
                raise RuntimeError(1146, "Table 'shop.later' doesn't exist")
            self.done.append(statement)

    def tables(self) -> list[dict[str, str]]:
        return [{"db": "shop", "tbl": "orders"}]

    def drop_fence(self) -> None:
        self.done.append("drop fence")

    def make_triggers(self) -> int:
        self.done.append("make fence")
        return 3


VIEWS = {
    "SELECT table_name AS name FROM information_schema.views": [{"name": "first"}, {"name": "later"}],
    "SHOW CREATE VIEW `shop`.`first`": [{"Create View": "CREATE VIEW first"}],
    "SHOW CREATE VIEW `shop`.`later`": [{"Create View": "CREATE VIEW later"}],
}


def test_a_view_may_read_one_that_comes_later() -> None:
    target = Server()
    target.refused = {"CREATE VIEW first": 1}
    assert copyover_schema._views(Server(VIEWS), target, "shop") == 2  # type: ignore[arg-type]
    assert target.done == ["CREATE VIEW later", "CREATE VIEW first"]


def test_a_view_that_is_never_taken_is_named() -> None:
    target = Server()
    target.refused = {"CREATE VIEW first": 9, "CREATE VIEW later": 9}
    with pytest.raises(DefinitionFailed) as raised:
        copyover_schema._views(Server(VIEWS), target, "shop")  # type: ignore[arg-type]
    assert str(raised.value) == (
        "MySQL does not take the view shop.first: Table 'shop.later' doesn't exist (1146). Change it on the source, "
        "or drop it there"
    )


def test_a_body_that_the_account_may_not_read_is_named() -> None:
    server = Server({"SHOW CREATE FUNCTION": [{"sql_mode": "", "Create Function": None}]})
    with pytest.raises(DefinitionFailed, match=r"the function shop\.twice cannot be read"):
        copyover_schema.shown(server, "shop", "FUNCTION", "twice")  # type: ignore[arg-type]


def test_triggers_are_noted_before_they_go_and_tables_emptied_after() -> None:
    server = Server(
        {
            "SELECT trigger_name AS name, action_order": [{"name": "own", "at": 1}],
            "SELECT trigger_name AS name FROM information_schema.triggers": [{"name": "own"}, {"name": "cutover_x"}],
            "SHOW CREATE TRIGGER": [
                {"sql_mode": "NO_AUTO_CREATE_USER", "SQL Original Statement": "CREATE TRIGGER own"}
            ],
        }
    )
    copyover_schema.clear(server)  # type: ignore[arg-type]
    (noted, *rest) = server.done
    assert noted.startswith("CREATE TABLE IF NOT EXISTS `cutover_shop`.kept")
    assert rest == ["DROP TRIGGER `shop`.`own`", "drop fence", "TRUNCATE TABLE `shop`.`orders`"]


def test_what_was_put_aside_comes_back_once() -> None:
    kept = [{"db": "shop", "name": "own", "mode": "", "statement": "CREATE TRIGGER own"}]
    server = Server({"SELECT 1 FROM information_schema.tables": [{"1": 1}], "SELECT db AS db": kept})
    assert copyover_schema.mend(server) == 4  # type: ignore[arg-type]
    assert server.done == ["CREATE TRIGGER own", "DELETE FROM `cutover_shop`.kept", "make fence"]
    # One that is there already stays as it is.
    server.answers["SELECT trigger_name AS name FROM"] = [{"name": "own"}]
    server.done.clear()
    copyover_schema.mend(server)  # type: ignore[arg-type]
    assert server.done == ["DELETE FROM `cutover_shop`.kept", "make fence"]


def test_where_nothing_was_put_aside_only_the_fence_is_made() -> None:
    server = Server()
    assert copyover_schema.mend(server) == 3  # type: ignore[arg-type]
    assert server.done == ["make fence"]
