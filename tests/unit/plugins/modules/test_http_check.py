# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server on the loopback address asked under a site's name."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.ocpizza.cutover.plugins.modules import http_check
from tests.unit.plugins.fakes import ModuleFailedError, run_module
from tests.unit.plugins.web_server import Reply, WebServer, certificate, context

HEALTH = json.dumps({"status": "ok", "checks": [{"name": "database", "rows": 4}]}).encode()


class House:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.servers: list[WebServer] = []
        self.replies: Iterator[Reply] = itertools.repeat((200, {"Content-Type": "text/html"}, b"<h1>Pizza</h1>"))

    def serve(self, *replies: Reply, tls: Path | None = None) -> WebServer:
        if replies:
            self.replies = itertools.chain(replies, itertools.repeat(replies[-1]))
        server = WebServer(lambda _host, _path: next(self.replies), context(tls) if tls else None)
        self.servers.append(server)
        return server

    def check(self, server: WebServer | str, check: bool = False, **more: Any) -> dict[str, Any]:
        url = server if isinstance(server, str) else server.url
        return run_module(http_check, self.monkeypatch, check, server=url, **{"host": "shop.test", **more})

    def fails(self, server: WebServer | str, **more: Any) -> str:
        with pytest.raises(ModuleFailedError) as raised:
            self.check(server, **more)
        return str(raised.value)


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    made = House(monkeypatch)
    yield made
    for server in made.servers:
        server.close()


def test_the_address_is_asked_under_the_sites_name_check_mode_or_not(house: House) -> None:
    server = house.serve()
    for check in (True, False, True, False):
        result = house.check(server, check, path="/menu", headers={"content-type": "^text/"}, body=["Pi.za"])
        assert (result["changed"], result["status"], result["length"], result["problems"]) == (False, 200, 14, [])
        assert (result["tries"], set(result["ms"])) == (1, {"min", "p50", "p90", "p95", "p99", "max"})
    assert server.asked == [("GET", "shop.test", "/menu")] * 4


@pytest.mark.parametrize(
    ("reply", "wanted", "problem"),
    [
        ((502, {}, b""), {}, "status 502 instead of 200"),
        ((404, {}, b""), {"status": [200, 301]}, "status 404 instead of 200 or 301"),
        ((200, {}, b""), {"headers": {"X-Robots": "all"}}, "no header X-Robots"),
        (
            (200, {"Server": "nginx"}, b""),
            {"headers": {"Content-Length": "^5$"}},
            "header Content-Length is '0', which does not fit '^5$'",
        ),
        ((200, {}, b"Apache2 Default"), {"body": ["Pizza"]}, "the body has no 'Pizza'"),
        ((200, {}, b"Traceback"), {"absent": ["Trace"]}, "the body has 'Trace'"),
        ((200, {}, b"<p>"), {"json": {"a": 1}}, "the body is no JSON: Expecting value"),
        ((200, {}, HEALTH), {"json": {"checks.0.rows": 5}}, "checks.0.rows is 4 instead of 5"),
        ((200, {}, HEALTH), {"json": {"checks.1.rows": 5}}, "the JSON has no 1 (of checks.1.rows)"),
        ((200, {}, b""), {"latency": {"p95": 0}}, "p95 of the answers' time is "),
    ],
)
def test_what_is_wrong_is_named(house: House, reply: Reply, wanted: dict[str, Any], problem: str) -> None:
    server = house.serve(reply)
    assert house.fails(server, **wanted).startswith(
        f"{server.url} does not answer for shop.test/ as it should: {problem}"
    )


def test_json_that_is_as_expected(house: House) -> None:
    assert house.check(house.serve((200, {}, HEALTH)), json={"status": "ok", "checks.0.rows": 4})["status"] == 200


def test_credentials_are_sent_and_told_to_nobody(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    sent, ask = [], http_check.answers.ask
    monkeypatch.setattr(http_check.answers, "ask", lambda *asked: sent.append(asked[6]) or ask(*asked))
    server = house.serve((401, {}, b""))
    said = house.fails(server, send={"Accept": "text/html"}, credentials={"Authorization": "Bearer secret-42"})
    assert sent == [{"Accept": "text/html", "Authorization": "Bearer secret-42"}]
    assert "status 401 instead of 200" in said
    assert "secret-42" not in said


def test_an_echo_of_the_credentials_is_told_to_nobody(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    server = house.serve((200, {"X-Echo": "Bearer secret-42"}, b""))
    asked = {"server": server.url, "host": "shop.test", "credentials": {"Authorization": "Bearer secret-42"}}
    with patch_module_args(asked), pytest.raises(SystemExit):
        http_check.main()
    said = capsys.readouterr().out
    assert json.loads(said)["status"] == 200
    assert "secret-42" not in said


def test_one_bad_answer_of_many_is_found(house: House) -> None:
    good: Reply = (200, {}, b"")
    server = house.serve(*[good] * 7, (500, {}, b""), good)
    assert "status 500 instead of 200 (1 of 20 answers)" in house.fails(server, samples=20)
    assert len(server.asked) == 20


def test_it_waits_until_all_is_well(house: House) -> None:
    server = house.serve((503, {}, b""), (503, {}, b""), (200, {}, b""))
    assert house.check(server, wait=10, pause=0.01)["tries"] == 3


def test_a_deadline_that_passes_says_what_was_waited_for(house: House) -> None:
    server = house.serve((503, {}, b""))
    message = house.fails(server, wait=0.05, pause=0.02)
    assert message.startswith(f"{server.url} does not answer for shop.test/ as it should within 0.05 s (")
    assert message.endswith("status 503 instead of 200")


def test_a_server_that_does_not_listen(house: House) -> None:
    server = house.serve()
    server.close()
    house.servers.clear()
    assert house.fails(server).endswith("no answer: [Errno 111] Connection refused")


def test_the_certificate_must_be_trusted_and_for_the_site(house: House, tmp_path: Path) -> None:
    ca, pem = certificate(tmp_path, ["shop.test"])
    server = house.serve(tls=pem)
    assert house.check(server, ca=str(ca))["status"] == 200
    assert "certificate verify failed" in house.fails(server)
    assert "not valid for 'annex.test'" in house.fails(server, ca=str(ca), host="annex.test")
    assert house.check(server, verify=False, host="annex.test")["status"] == 200


def test_every_certificate_of_the_chain_must_last(house: House, tmp_path: Path) -> None:
    ca, pem = certificate(tmp_path, ["shop.test", "www.shop.test"], days=20)
    server = house.serve(tls=pem)
    chain = house.check(server, ca=str(ca), certificate_days=19)["chain"]
    assert [(one["subject"], one["names"]) for one in chain] == [
        ("CN=shop.test", ["shop.test", "www.shop.test"]),
        ("CN=authority", []),
    ]
    assert "the certificate of CN=shop.test expires on 20" in house.fails(server, ca=str(ca), certificate_days=21)


def test_an_expired_certificate_is_named_even_if_it_is_not_verified(house: House, tmp_path: Path) -> None:
    server = house.serve(tls=certificate(tmp_path, ["shop.test"], days=-2)[1])
    assert "the certificate of CN=shop.test expired on 20" in house.fails(server, verify=False, certificate_days=1)


def test_a_lifetime_that_cannot_be_checked_is_not_fine(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    server = house.serve()
    assert f"not checked: {server.url} has no TLS" in house.fails(server, certificate_days=1)
    monkeypatch.setattr(http_check.AnsibleModule, "get_bin_path", lambda *_arguments: None)
    wanted = "the server's certificates are not checked: this host has no openssl"
    assert wanted in house.fails("https://127.0.0.1:1", certificate_days=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"server": "shop.test"}, "server is 'shop.test'; write it as https://192.0.2.14"),
        ({"server": "http://192.0.2.1:port"}, "server is 'http://192.0.2.1:port'"),
        ({"server": "http://192.0.2.1/menu"}, "server is 'http://192.0.2.1/menu'"),
        ({"path": "menu"}, "path is 'menu'; it must begin with /"),
        ({"samples": 0}, "samples is 0; give at least 1"),
        ({"body": ["("]}, "'(' is no regular expression: missing )"),
        ({"latency": {"p96": 5}}, "latency has 'p96: 5'; give milliseconds for max, p50"),
    ],
)
def test_bad_input_is_refused_before_anything_is_asked(house: House, arguments: dict[str, Any], message: str) -> None:
    server = house.serve()
    assert house.fails(arguments.pop("server", server), **arguments).startswith(message)
    assert server.asked == []
