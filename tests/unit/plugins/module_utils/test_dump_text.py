# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump that can be restored under any name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils.dump_text import portable
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import trigger_name

OPEN = "/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`localhost`*/ /*!50003 TRIGGER "


def made(text: str) -> str:
    return b"".join(portable([text.encode()])).decode()


def statement(head: str, body: str = "SET NEW.a = 1") -> str:
    return f"DELIMITER ;;\n{OPEN}{head} FOR EACH ROW {body} */;;\nDELIMITER ;\n"


@pytest.mark.parametrize(
    ("head", "left"),
    [
        ("`shop`.`t` BEFORE INSERT ON `shop`.`orders`", "`t` BEFORE INSERT ON `orders`"),
        ("shop.t after update on shop . orders", "t after update on orders"),
        ("t\nBEFORE DELETE\nON `a``b`.`o rders`", "t\nBEFORE DELETE\nON `o rders`"),
        ("IF NOT EXISTS `pizzé`.`t` BEFORE INSERT ON orders", "IF NOT EXISTS `t` BEFORE INSERT ON orders"),
        ("`t` BEFORE INSERT ON `orders`", "`t` BEFORE INSERT ON `orders`"),
    ],
)
def test_a_trigger_is_made_where_it_is_restored(head: str, left: str) -> None:
    body = "UPDATE `shop`.`stock` SET n = n - 1"
    assert made(statement(head, body)) == statement(left, body)


@pytest.mark.parametrize("qualifier", ["", "`shop`.", "shop."])
def test_the_fence_stays_where_it_is(qualifier: str) -> None:
    name = trigger_name("INSERT", "orders")
    fence = statement(f"{qualifier}`{name}` BEFORE INSERT ON {qualifier}`orders`", "IF 1 THEN SIGNAL; END IF")
    assert made("a\n" + fence + "b\n") == "a\nDELIMITER ;;\nDELIMITER ;\nb\n"


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO `t` VALUES ('/*!50003 CREATE*/ /*!50003 TRIGGER a.b BEFORE INSERT ON a.c */;;');\n",
        "/*!50003 CREATE*/ /*!50003 TRIGGER a.b BEFORE INSERT ON a.c FOR EACH ROW the dump ends here",
        "/*!50106 CREATE*/ /*!50117 DEFINER=`a`@`b`*/ /*!50106 EVENT `e` ON SCHEDULE EVERY 1 DAY DO SELECT 1 */ ;;\n",
        "",
        "\n\n/*!5000",
    ],
)
def test_all_else_is_as_it_was(text: str) -> None:
    assert made(text) == text


PIECES = st.sampled_from(
    [
        "\n", "INSERT INTO `a`.`b` VALUES (1);\n", "/*!50003 CREATE*/", "*/;;\n", "/*!50003 ",
        statement("`shop`.`t` BEFORE INSERT ON `shop`.`orders`"),
        statement(f"`{trigger_name('UPDATE', 'orders')}` BEFORE UPDATE ON `orders`"),
    ]
)  # fmt: skip


@given(st.lists(PIECES).map("".join), st.data())
def test_it_does_not_matter_how_the_dump_comes(text: str, data: st.DataObject) -> None:
    whole = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    blocks = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert b"".join(portable(blocks)) == b"".join(portable([whole]))
