# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Some addresses of every kind, from what a log and a sitemap have."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import site_addresses
from ansible_collections.ocpizza.cutover.plugins.module_utils.access_log import Request
from ansible_collections.ocpizza.cutover.plugins.module_utils.site_addresses import Addresses


def request(path: str, method: str = "GET", status: str = "200") -> Request:
    return Request("192.0.2.1", 0.0, "", path, status, "", method)


def test_every_kind_has_its_turn_before_a_kind_has_two() -> None:
    found = Addresses([])
    for path, times in {
        "/pizza/1/": 9,
        "/pizza/2/": 5,
        "/pizza/33/": 7,
        "/": 3,
        "/find?q=a": 1,
        "/find?q=b": 1,
    }.items():
        for _turn in range(times):
            found.take(request(path))
    assert found.sample(4) == ["/pizza/1/", "/", "/find?q=a", "/pizza/33/"]
    assert found.sample(99) == ["/pizza/1/", "/", "/find?q=a", "/pizza/33/", "/find?q=b", "/pizza/2/"]
    assert found.sample(0) == []


@pytest.mark.parametrize(
    ("method", "status", "taken"),
    [("GET", "200", 1), ("GET", "304", 1), ("", "", 1), ("POST", "200", 0), ("HEAD", "200", 0), ("GET", "500", 0)],
)
def test_only_what_was_shown_is_asked_for_again(method: str, status: str, taken: int) -> None:
    found = Addresses([])
    found.take(request("/menu/", method, status))
    assert len(found.counted) == taken


@pytest.mark.parametrize(
    "path",
    [
        "/accounts/logout/",
        "/sign-out",
        "/News/Unsubscribe?x=1",
        "/cart/remove/3",
        "/reset?token=a",
        "*",
        "//evil/",
        "/a b",
    ],
)
def test_what_may_change_something_or_is_no_path_is_not(path: str) -> None:
    found = Addresses(site_addresses.EXCLUDED)
    found.take(request(path))
    assert not found.counted


def test_a_log_of_any_size_fills_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_addresses, "MOST_KEPT", 2)
    found = Addresses([])
    for path in ("/a", "/b", "/c", "/a"):
        found.add(path)
    assert found.counted == {"/a": 2, "/b": 1}


@given(st.lists(st.from_regex(r"/[a-z0-9]{0,3}(\?[a-z]=[0-9])?", fullmatch=True)), st.integers(0, 20))
def test_a_sample_is_of_what_was_there_and_once(paths: list[str], most: int) -> None:
    found = Addresses([])
    for path in paths:
        found.add(path)
    sample = found.sample(most)
    assert len(sample) == len(set(sample)) == min(most, len(set(paths)))
    assert set(sample) <= set(paths)
    kinds = {site_addresses.shape(path) for path in paths}
    assert len({site_addresses.shape(path) for path in sample}) == min(most, len(kinds))


def test_urls_of_a_sitemap() -> None:
    text = b"<urlset><url><loc><![CDATA[https://a.test/x]]></loc></url><url><loc>\nhttps://a.test/?a&amp;b </loc></url>"
    assert site_addresses.read_sitemap(text) == (False, ["https://a.test/x", "https://a.test/?a&b"])
    assert site_addresses.read_sitemap(gzip.compress(text)) == site_addresses.read_sitemap(text)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"<html>", "it is no sitemap"),
        (b"\x1f\x8bnothing", "it is damaged"),
        (gzip.compress(b"<urlset>" * 99, mtime=0)[:-9], "it is cut short"),
    ],
)
def test_what_is_no_sitemap_is_said_to_be_none(body: bytes, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        site_addresses.read_sitemap(body)


def test_a_compressed_sitemap_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_addresses, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="larger than 1000 bytes"):
        site_addresses.read_sitemap(gzip.compress(b"<urlset>" + b" " * 100000))


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://a.test/x?y=1#z", "/x?y=1"),
        ("http://a.test", "/"),
        ("http://A.TEST:8080/x", "/x"),
        ("https://b.test/x", ""),
        ("/x", ""),
    ],
)
def test_the_path_of_a_url_of_the_site(url: str, path: str) -> None:
    assert site_addresses.path_of(url, ["a.test"]) == path
