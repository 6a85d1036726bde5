# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same requests to both sides, again where the answers differ."""

from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils.answers import Answer
from ansible_collections.ocpizza.cutover.plugins.modules import answers_compare
from tests.unit.plugins.fakes import ModuleFailedError, run_module

SOURCE, TARGET = "http://192.0.2.1", "https://192.0.2.2"


class Servers:
    """Both sides' answers by path, one after the other; the last one repeats."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.bodies: dict[tuple[str, str], list[str | Exception]] = {}
        self.asked: list[tuple[Any, ...]] = []
        monkeypatch.setattr(answers_compare.answers, "ask", self.ask)
        monkeypatch.setattr(answers_compare.time, "sleep", lambda _seconds: None)

    def give(self, path: str, source: list[str | Exception], target: list[str | Exception]) -> None:
        self.bodies[SOURCE, path], self.bodies[TARGET, path] = source, target

    def ask(self, server: str, host: str, path: str, timeout: float, ca: str | None) -> Answer:
        self.asked.append((server, host, path, timeout, ca))
        queue = self.bodies[server, path]
        body = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(body, Exception):
            raise body
        return Answer(200, {"content-type": "text/html"}, body.encode())

    def run(self, *paths: str, check: bool = False, **more: Any) -> dict[str, Any]:
        arguments = {"source": SOURCE, "target": TARGET, "host": "shop.test", "paths": list(paths), **more}
        return run_module(answers_compare, self.monkeypatch, check, **arguments)


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Servers:
    return Servers(monkeypatch)


def test_both_are_asked_for_the_site_by_its_name(servers: Servers) -> None:
    servers.give("/", ["a"], ["a"])
    assert servers.run("/", ca="/ca.pem", timeout=2.5) == {"changed": False, "differences": [], "compared": 1}
    assert servers.asked == [
        (SOURCE, "shop.test", "/", 2.5, "/ca.pem"),
        (TARGET, "shop.test", "/", 2.5, "/ca.pem"),
    ]


def test_what_differs_is_told_for_each_path_and_fails_nothing(servers: Servers) -> None:
    servers.give("/", ["4 pizzas"], ["5 pizzas"])
    servers.give("/same", ["a"], ["a"])
    expected = {
        "changed": False,
        "differences": ["/: line 1 is '4 pizzas' on the source and '5 pizzas' on the target"],
        "compared": 2,
    }
    assert [servers.run("/", "/same", check=check) for check in (True, False, True, False)] == [expected] * 4


def test_a_page_that_changes_meanwhile_is_asked_for_again(servers: Servers) -> None:
    servers.give("/", ["4", "5"], ["5"])
    assert servers.run("/")["differences"] == []
    assert len(servers.asked) == 4


@pytest.mark.parametrize(("tries", "asked"), [(3, 6), (1, 2), (0, 2)])
def test_it_is_asked_for_as_often_as_wanted_and_once_at_least(servers: Servers, tries: int, asked: int) -> None:
    servers.give("/", ["4"], ["5"])
    assert len(servers.run("/", tries=tries)["differences"]) == 1
    assert len(servers.asked) == asked


def test_a_server_that_does_not_answer_is_named(servers: Servers) -> None:
    servers.give("/", ["a"], [ConnectionRefusedError("refused")])
    assert servers.run("/", tries=2)["differences"] == [f"/: the target at {TARGET} gave no answer: refused"]


def test_a_server_that_answers_at_last_is_compared(servers: Servers) -> None:
    servers.give("/", [TimeoutError("timed out"), "a"], ["a"])
    assert servers.run("/")["differences"] == []


def test_what_may_differ(servers: Servers) -> None:
    servers.give("/", ["at 10:01"], ["at 10:02"])
    assert servers.run("/", volatile=[r"\d+:\d+"])["differences"] == []
    assert len(servers.run("/", volatile=[r"[a-z]+:"])["differences"]) == 1


def test_a_pattern_that_is_none_is_refused_before_anything_is_asked(servers: Servers) -> None:
    with pytest.raises(ModuleFailedError, match=r"^volatile has '\(', which is no regular expression: missing \)"):
        servers.run("/", volatile=["("])
    assert servers.asked == []
