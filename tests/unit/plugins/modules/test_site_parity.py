# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same requests to both sides, again where the answers differ; where the addresses come from; the record."""

import gzip
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils.answers import Answer
from ansible_collections.ocpizza.cutover.plugins.modules import site_parity
from tests.unit.plugins.fakes import ModuleFailedError, run_module

SOURCE, TARGET = "http://192.0.2.1", "https://192.0.2.2"


class Servers:
    """Both sides' answers by path, one after the other; the last one repeats."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.bodies: dict[tuple[str, str], list[str | Exception]] = {}
        self.asked: list[tuple[Any, ...]] = []
        self.lock = threading.Lock()
        monkeypatch.setattr(site_parity.answers, "ask", self.ask)
        monkeypatch.setattr(site_parity.time, "sleep", lambda _seconds: None)

    def give(self, path: str, source: list[str | Exception], target: list[str | Exception]) -> None:
        self.bodies[SOURCE, path], self.bodies[TARGET, path] = source, target

    def ask(self, server: str, host: str, path: str, timeout: float, ca: str | None) -> Answer:
        with self.lock:
            self.asked.append((server, host, path, timeout, ca))
            queue = self.bodies[server, path]
            body = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(body, Exception):
            raise body
        return Answer(200, {"content-type": "text/html"}, body.encode())

    def run(self, *paths: str, check: bool = False, **more: Any) -> dict[str, Any]:
        arguments = {"source": SOURCE, "target": TARGET, "host": "shop.test", "paths": list(paths), **more}
        arguments = {name: value for name, value in arguments.items() if value is not None}
        return run_module(site_parity, self.monkeypatch, check, **arguments)


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Servers:
    return Servers(monkeypatch)


def test_both_are_asked_for_the_site_by_its_name(servers: Servers) -> None:
    servers.give("/", ["a"], ["a"])
    done = servers.run("/", ca="/ca.pem", timeout=2.5)
    assert (done["changed"], done["differences"], done["compared"], done["not_checked"]) == (False, [], 1, [])
    assert servers.asked == [
        (SOURCE, "shop.test", "/", 2.5, "/ca.pem"),
        (TARGET, "shop.test", "/", 2.5, "/ca.pem"),
    ]


def test_what_differs_is_told_for_each_path_and_fails_nothing(servers: Servers) -> None:
    servers.give("/", ["4 pizzas"], ["5 pizzas"])
    servers.give("/same", ["a"], ["a"])
    expected = ["/: line 1 is '4 pizzas' on the source and '5 pizzas' on the target"]
    for check in (True, False, True, False):
        done = servers.run("/", "/same", check=check)
        assert (done["changed"], done["differences"], done["compared"]) == (False, expected, 2)


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


LOG = """\
198.51.100.4 - - [23/Nov/2026:08:00:00 +0100] "GET {0} HTTP/1.1" 200 512 "-" "Firefox"
198.51.100.4 - - [23/Nov/2026:08:00:01 +0100] "POST /order/ HTTP/1.1" 302 0 "-" "Firefox"
198.51.100.4 - - [23/Nov/2026:08:00:02 +0100] "GET /nowhere HTTP/1.1" 404 12 "-" "Firefox"
198.51.100.4 - - [23/Nov/2026:08:00:03 +0100] "GET /accounts/logout/ HTTP/1.1" 302 0 "-" "Firefox"
"""


def test_what_people_asked_for_is_asked_of_both(servers: Servers, tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text(LOG.format("/pizza/7/?size=l"))
    (tmp_path / "access.log.1.gz").write_bytes(gzip.compress(LOG.format("/menu/").encode()))
    for path in ("/", "/menu/", "/pizza/7/?size=l"):
        servers.give(path, ["a"], ["a"])
    done = servers.run("/", logs=[f"{tmp_path}/access.log*"], since="2026-11-20T00:00:00Z")
    assert (done["compared"], done["known"], done["not_checked"]) == (3, 2, [])
    assert {path for _server, _host, path, *_rest in servers.asked} == {"/", "/menu/", "/pizza/7/?size=l"}


def test_logs_that_say_nothing_are_named(servers: Servers, tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text("Started GET / for 198.51.100.4\n")
    (tmp_path / "cut.log.gz").write_bytes(gzip.compress(LOG.format("/menu/").encode() * 50)[:90])
    servers.give("/", ["a"], ["a"])
    done = servers.run("/", logs=[f"{tmp_path}/access.log", f"{tmp_path}/cut.log.gz", f"{tmp_path}/none*"])
    assert done["compared"] == 1
    assert sorted(text.replace(str(tmp_path), "") for text in done["not_checked"]) == [
        "/access.log has no request in a format that is known",
        "/cut.log.gz could not be read to its end: Compressed file ended before the end-of-stream marker was reached",
        f"no log fits {tmp_path}/none*".replace(str(tmp_path), ""),
    ]


def test_an_empty_log_beside_others_is_not_wrong_but_nothing_at_all_is(servers: Servers, tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text("")
    servers.give("/", ["a"], ["a"])
    arguments = {"logs": [f"{tmp_path}/access.log*"], "since": "2026-11-20T00:00:00Z"}
    assert servers.run("/", **arguments)["not_checked"] == [
        "the logs have no request for the site since 2026-11-20T00:00:00Z"
    ]
    (tmp_path / "access.log.1").write_text(LOG.format("/"))
    assert servers.run("/", **arguments)["not_checked"] == []


def test_the_sitemap_and_those_that_it_lists_are_read(servers: Servers) -> None:
    index = "<sitemapindex><sitemap><loc>https://shop.test/one.xml</loc></sitemap></sitemapindex>"
    urls = "https://shop.test/menu/", "https://www.shop.test/?a=1&amp;b=2", "https://other.test/", "https://shop.test"
    servers.give("/sitemap.xml", [index], [])
    servers.give("/one.xml", ["<urlset>" + "".join(f"<url><loc> {url} </loc></url>" for url in urls)], [])
    for path in ("/", "/menu/", "/?a=1&b=2"):
        servers.give(path, ["a"], ["a"])
    done = servers.run(sitemap="/sitemap.xml", names=["www.shop.test"])
    assert (done["compared"], done["known"], done["not_checked"]) == (3, 3, [])


def test_a_sitemap_that_is_none_is_named(servers: Servers) -> None:
    servers.give("/", ["a"], ["a"])
    servers.give("/sitemap.xml", ["<html>Not found</html>"], [])
    assert servers.run("/", sitemap="/sitemap.xml")["not_checked"] == ["sitemap /sitemap.xml: it is no sitemap"]
    servers.give("/sitemap.xml", [ConnectionRefusedError("refused")], [])
    assert servers.run("/", sitemap="/sitemap.xml")["not_checked"] == [
        f"sitemap /sitemap.xml: the source at {SOURCE} gave no answer: refused"
    ]


def test_the_record_is_compared_when_the_source_is_gone(servers: Servers, tmp_path: Path) -> None:
    record = str(tmp_path / "answers.gz")
    servers.give("/", ["a"], ["a"])
    servers.give("/menu/", ["4 pizzas"], ["5 pizzas"])
    kept = servers.run("/", "/menu/", target=None, record=record)
    assert (kept["changed"], kept["recorded"], kept["compared"], kept["differences"]) == (True, 2, 0, [])
    assert stat.S_IMODE(Path(record).stat().st_mode) == 0o600
    servers.asked.clear()
    done = servers.run(source=None, record=record, tries=1)
    assert (done["changed"], done["compared"], done["recorded"]) == (False, 2, 0)
    assert done["differences"] == ["/menu/: line 1 is '4 pizzas' on the source and '5 pizzas' on the target"]
    assert {server for server, *_rest in servers.asked} == {TARGET}


def test_check_mode_keeps_no_record(servers: Servers, tmp_path: Path) -> None:
    servers.give("/", ["a"], ["a"])
    assert servers.run("/", check=True, record=str(tmp_path / "answers.gz"))["changed"] is True
    assert list(tmp_path.iterdir()) == []


def test_how_much_faster_the_target_is(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    servers.give("/", ["a"], ["a"])
    clock = iter([0.0, 0.3, 1.0, 1.1])
    monkeypatch.setattr(site_parity.time, "monotonic", lambda: next(clock))
    done = servers.run("/", parallel=1)
    assert (done["ms"]["source"]["p50"], done["ms"]["target"]["p50"], done["faster"]) == (300.0, 100.0, 3.0)


def test_nothing_is_said_of_the_speed_of_a_side_that_gave_no_answer(servers: Servers) -> None:
    servers.give("/", ["a"], [ConnectionRefusedError("refused")])
    done = servers.run("/", tries=1)
    assert (done["faster"], done["ms"]["target"]) == (None, {})


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"source": None}, "there is nothing to compare with: give source, or a record of its answers"),
        ({"target": None, "paths": ["/"]}, "there is nothing to compare: give target, or record for the source's"),
        ({}, "there is nothing to ask for: give paths, logs or sitemap"),
        ({"source": None, "record": "/x", "paths": ["/"]}, "without source the record says what is compared"),
        ({"paths": ["/"], "since": "yesterday"}, "'yesterday' is no time"),
        ({"paths": ["/"], "exclude": ["("]}, "exclude has '(', which is no regular expression"),
        ({"source": None, "record": "/nowhere"}, "/nowhere cannot be read as a record of answers"),
        ({"paths": ["/"], "record": "/nowhere/at/all"}, "the record cannot be written"),
    ],
)
def test_what_makes_no_sense_is_refused(servers: Servers, arguments: dict[str, Any], text: str) -> None:
    servers.give("/", ["a"], ["a"])
    with pytest.raises(ModuleFailedError) as refused:
        servers.run(**{"paths": [], **arguments})
    assert text in str(refused.value)
