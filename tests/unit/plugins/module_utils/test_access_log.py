# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of access logs, as servers write them and as they should not be."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import access_log
from ansible_collections.ocpizza.cutover.plugins.module_utils.access_log import Parser, Request

WHEN = datetime(2026, 11, 22, 9, 30, 1, tzinfo=UTC).timestamp()
TAIL = '[22/Nov/2026:10:30:01 +0100] "GET /menu?p=2 HTTP/1.1" 200 512'
NGINX = '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_user_agent" $host'
NGINX_JSON = {
    "time_iso8601": "2026-11-22T10:30:01+01:00",
    "remote_addr": "192.0.2.7",
    "host": "Shop.Example:443",
    "request": "GET /menu HTTP/2.0",
    "status": 404,
    "http_user_agent": "curl/8",
}
CADDY = {
    "ts": WHEN + 0.25,
    "status": 200,
    "request": {"remote_ip": "2001:db8::7", "host": "shop.example", "uri": "/a", "method": "GET"},
}


@pytest.mark.parametrize(
    ("form", "line", "expected"),
    [
        ("auto", f"192.0.2.7 - - {TAIL}", Request("192.0.2.7", WHEN, "", "/menu?p=2", "200", "", "GET")),
        (
            "auto",
            f'192.0.2.7 - - {TAIL} "-" "curl/8"',
            Request("192.0.2.7", WHEN, "", "/menu?p=2", "200", "curl/8", "GET"),
        ),
        (
            "auto",
            f'Shop.example:80 192.0.2.7 - - {TAIL} "-" "curl/8"',
            Request("192.0.2.7", WHEN, "shop.example", "/menu?p=2", "200", "curl/8", "GET"),
        ),
        ("auto", f'2001:db8::7 - - {TAIL} "-" "a"', Request("2001:db8::7", WHEN, "", "/menu?p=2", "200", "a", "GET")),
        ("auto", f"192.0.2.7 - a user {TAIL}", Request("192.0.2.7", WHEN, "", "/menu?p=2", "200", "", "GET")),
        (
            "auto",
            f'192.0.2.7 - - {TAIL} "-" "a \\"quoted\\" [agent] \\\\"',
            Request("192.0.2.7", WHEN, "", "/menu?p=2", "200", 'a \\"quoted\\" [agent] \\\\', "GET"),
        ),
        (
            "auto",
            r'192.0.2.7 - - [22/Nov/2026:09:30:01 +0000] "\x16\x03\x01" 400 0 "-" "-"',
            Request("192.0.2.7", WHEN, "", "", "400", "-"),
        ),
        ("auto", json.dumps(NGINX_JSON), Request("192.0.2.7", WHEN, "shop.example", "/menu", "404", "curl/8", "GET")),
        ("json", json.dumps(CADDY), Request("2001:db8::7", WHEN + 0.25, "shop.example", "/a", "200", "", "GET")),
        (
            NGINX,
            f'192.0.2.7 - - {TAIL} "Mozilla (X11)" shop.example',
            Request("192.0.2.7", WHEN, "shop.example", "/menu?p=2", "200", "Mozilla (X11)", "GET"),
        ),
        (
            '%{Host}i %a %u %t \\"%r\\" %>s %D',
            f"shop.example:8080 192.0.2.7 - {TAIL}",
            Request("192.0.2.7", WHEN, "shop.example", "/menu?p=2", "200", "", "GET"),
        ),
        ("$msec $remote_addr $uri", f"{WHEN:.3f} 192.0.2.7 /a", Request("192.0.2.7", WHEN, "", "/a", "", "")),
    ],
)
def test_a_line(form: str, line: str, expected: Request) -> None:
    assert Parser(form).parse(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        "",
        "hello",
        "{",
        "[1]",
        '{"remote_addr": "192.0.2.7"}',
        '192.0.2.7 - - [22/Nov/2026:10:30:01] "GET / HTTP/1.1" 200 1',
        '192.0.2.7 - - [31/Feb/2026:10:30:01 +0000] "GET / HTTP/1.1" 200 1',
        '192.0.2.7 - - [22/Xyz/2026:10:30:01 +0000] "GET / HTTP/1.1" 200 1',
    ],
)
def test_a_line_of_another_format_is_none(line: str) -> None:
    assert Parser().parse(line) is None


def test_the_format_may_change_within_a_log() -> None:
    parser = Parser()
    lines = [f"192.0.2.7 - - {TAIL}", f'shop.example:80 192.0.2.8 - - {TAIL} "-" "a"', f"192.0.2.9 - - {TAIL}"]
    found = [parser.parse(line) for line in lines]
    assert [one and one.client for one in found] == ["192.0.2.7", "192.0.2.8", "192.0.2.9"]


def test_a_format_without_client_or_time_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^the log's format '%r %s' does not say the client or the time$"):
        Parser("%r %s")


NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90m", NOW - 5400),
        ("7d", NOW - 604800),
        ("1.5h", NOW - 5400),
        ("2026-11-22T09:30:01Z", WHEN),
        ("2026-11-22 10:30:01+01:00", WHEN),
        ("2026-11-22T04:30:01-0500", WHEN),
        (str(int(WHEN)), WHEN),
    ],
)
def test_since(text: str, expected: float) -> None:
    assert access_log.parse_since(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-22T09:30:01", "7 days", "2026-13-01T00:00:00Z"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"' is no time: write how long ago \(90m, 12h, 7d\) or a time with its zone"):
        access_log.parse_since(text, NOW)


zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=zones).map(
    lambda when: when.replace(microsecond=0)
)


@given(times)
def test_every_time_is_read_as_it_was_written(when: datetime) -> None:
    assert access_log.parse_time(f"[{when:%d/%b/%Y:%H:%M:%S %z}]") == when.timestamp()
    assert access_log.parse_time(when.isoformat()) == when.timestamp()


# As servers escape what clients send: no quote, no backslash and nothing that does not print, bare.
words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters='"\\'), max_size=30)


@given(times, words, words, st.sampled_from(sorted(access_log.FORMATS)))
def test_whatever_clients_send(when: datetime, path: str, agent: str, form: str) -> None:
    line = f'192.0.2.7 - - [{when:%d/%b/%Y:%H:%M:%S %z}] "GET /{path} HTTP/1.1" 200 5'
    if form.endswith("combined"):
        line += f' "-" "{agent}"'
    if form.startswith("vhost"):
        line = "shop.example:443 " + line
    found = Parser().parse(line)
    assert found is not None
    assert (found.client, found.time, found.path) == ("192.0.2.7", when.timestamp(), "/" + path)
    assert found.vhost == ("shop.example" if form.startswith("vhost") else "")
    assert found.agent == (agent if form.endswith("combined") else "")


@given(st.text())
def test_no_line_is_too_odd(line: str) -> None:
    assert Parser().parse(line) is None or Parser().parse(line)
