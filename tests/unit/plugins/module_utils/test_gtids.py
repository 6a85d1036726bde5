# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of GTIDs as text."""

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import gtids

A = "375d90c4-e6ce-11f1-9ee2-0242ac110002"
B = "37594cd1-e6ce-11f1-a755-0242ac110005"


def test_a_set_comes_with_line_ends() -> None:
    assert gtids.members(f"{A}:1-5,\n{B}:1:3-4") == [f"{A}:1-5", f"{B}:1:3-4"]
    assert gtids.members("") == []


def test_what_one_server_took() -> None:
    assert gtids.of_server(f"{A}:1-5,\n{B}:1:3-4", B.upper()) == f"{B}:1:3-4"
    assert gtids.of_server(f"{A}:1-5:tag:1-2", A) == f"{A}:1-5:tag:1-2"
    assert gtids.of_server(f"{A}:1-5", B) == ""


@pytest.mark.parametrize(
    ("text", "tagged"),
    [("", False), (f"{A}:1-5", False), (f"{A}:1:3-4,{B}:7", False), (f"{A}:1-5:tag:1", True), (f"{A}:tag_1:1", True)],
)
def test_tags(text: str, tagged: bool) -> None:
    assert gtids.is_tagged(text) is tagged


def test_every_single_one() -> None:
    assert list(gtids.each_of(f"{A}:1:3-5,{B}:9")) == [f"{A}:1", f"{A}:3", f"{A}:4", f"{A}:5", f"{B}:9"]
    assert gtids.count_of(f"{A}:1:3-5,{B}:9") == 5
    assert gtids.count_of("") == 0
