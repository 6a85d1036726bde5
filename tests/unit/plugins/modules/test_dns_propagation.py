# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Name servers on the loopback address that have moved, or have not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dns.rcode
import dns.resolver
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import dns_answers, dns_queries
from ansible_collections.ocpizza.cutover.plugins.module_utils.dns_answers import Answer
from ansible_collections.ocpizza.cutover.plugins.modules import dns_propagation
from tests.unit.plugins.fakes import ModuleFailedError, run_module
from tests.unit.plugins.name_server import NameServer

OLD, NEW = "198.51.100.7", "192.0.2.14"
MOVED, STALE = f"shop.test. 60 A {NEW}", f"shop.test. 1800 A {OLD}"


class House:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.servers: list[NameServer] = []

    def serve(self, *records: str, **more: Any) -> str:
        self.servers.append(NameServer(*records, **more))
        return self.servers[-1].name

    def look(self, *resolvers: str, check: bool = False, **more: Any) -> dict[str, Any]:
        arguments = {
            "names": ["shop.test"],
            "old": [OLD],
            "new": [NEW],
            "resolvers": list(resolvers),
            "authoritative": [self.servers[0].name],
            "timeout": 0.2,
            **more,
        }
        return run_module(dns_propagation, self.monkeypatch, check, **arguments)


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    made = House(monkeypatch)
    made.serve(MOVED, authority=True)
    yield made
    for server in made.servers:
        server.close()


def test_all_have_moved_check_mode_or_not(house: House) -> None:
    resolver = house.serve(f"shop.test. 17 A {NEW}")
    for check in (True, False, True, False):
        result = house.look(resolver, check=check)
        assert (result["propagated"], result["problems"], result["not_checked"]) == (True, [], [])
        assert (result["changed"], result["ttl_left"], result["ttl"]) == (False, 0, 60)
    states = [(one["role"], one["type"], one["state"], one["ttl"]) for one in result["answers"]]
    assert states[0] == ("authoritative", "A", "new", 60)
    assert states[1][:3] == ("authoritative", "AAAA", "none")
    assert states[2] == ("resolver", "A", "new", 17)


def test_who_still_has_the_old_address_and_for_how_long(house: House) -> None:
    result = house.look(house.serve(MOVED), house.serve(STALE), house.serve(f"shop.test. 900 A {OLD}", MOVED))
    assert not result["propagated"]
    assert result["ttl_left"] == 1800
    names = [server.name for server in house.servers]
    assert result["problems"] == [
        f"shop.test A at the resolver {names[2]} is {OLD} for another 1800 s",
        f"shop.test A at the resolver {names[3]} is {NEW}, {OLD} for another 60 s",
    ]


def test_an_authority_that_was_forgotten(house: House) -> None:
    old = house.serve(STALE, authority=True)
    result = house.look(authoritative=[house.servers[0].name, old])
    assert result["problems"] == [f"shop.test A at the authoritative server {old} is {OLD} for another 1800 s"]


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ({"silent": True}, "no answer within 0.2 s"),
        ({"code": dns.rcode.SERVFAIL}, "it answers SERVFAIL"),
        ({"code": dns.rcode.REFUSED}, "it answers REFUSED"),
    ],
)
def test_a_resolver_that_does_not_answer_was_not_checked(house: House, trouble: dict[str, Any], reason: str) -> None:
    resolver = house.serve(MOVED, **trouble)
    result = house.look(resolver)
    assert not result["propagated"]
    assert result["not_checked"] == [f"shop.test {kind} at {resolver}: {reason}" for kind in ("A", "AAAA")]


def test_a_server_that_is_no_authority_was_not_checked(house: House) -> None:
    lame = house.serve(MOVED)
    assert house.look(authoritative=[lame])["not_checked"][0].endswith("it is no authority for the name")


def test_no_address_is_wrong_where_there_should_be_one(house: House) -> None:
    gone = house.serve(code=dns.rcode.NXDOMAIN)
    assert f"shop.test A at the resolver {gone} is no address" in house.look(gone)["problems"][0]
    problems = house.look(new=[NEW, "2001:db8::14"])["problems"]
    assert problems == [
        f"shop.test AAAA at the authoritative server {house.servers[0].name} is no address for another 0 s"
    ]


def test_an_old_ipv6_address_is_not_forgotten(house: House) -> None:
    resolver = house.serve(MOVED, "shop.test. 60 AAAA 2001:db8::7")
    result = house.look(resolver)
    assert result["problems"] == [f"shop.test AAAA at the resolver {resolver} is 2001:db8::7 for another 60 s"]
    assert [one["state"] for one in house.look(resolver, old=[OLD, "2001:DB8:0::7"])["answers"]][3] == "old"


def test_an_alias_is_followed_and_lives_as_long_as_its_shortest_part(house: House) -> None:
    resolver = house.serve("shop.test. 300 CNAME web.test.", f"web.test. 20 A {NEW}")
    answer = house.look(resolver)["answers"][2]
    assert (answer["state"], answer["ttl"]) == ("new", 20)
    alone = house.serve("shop.test. 300 CNAME web.test.", authority=True)
    assert "it names web.test. and not its address" in house.look(authoritative=[alone])["not_checked"][0]


def test_names_in_other_scripts(house: House) -> None:
    resolver = house.serve(f"xn--80apu3aa.test. 60 A {NEW}")
    answers = house.look(resolver, names=["\u043f\u0438\u0446\u0446\u0430.test"], authoritative=[resolver])["answers"]
    assert answers[2]["state"] == "new"


def test_authorities_that_cannot_be_found_were_not_checked(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = house.serve(MOVED)

    def lost(*_arguments: object, **_more: object) -> None:
        raise dns.resolver.NoNameservers

    monkeypatch.setattr(dns.resolver.Resolver, "resolve", lost)
    result = house.look(resolver, authoritative=[])
    assert not result["propagated"]
    assert "its authoritative servers are not known" in result["not_checked"][0]


def test_it_waits_until_all_have_moved(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = house.serve(STALE)

    def sleep(_seconds: float) -> None:
        house.servers[1].records = [MOVED]

    monkeypatch.setattr(dns_propagation.time, "sleep", sleep)
    assert house.look(resolver, wait=60)["propagated"]
    house.servers[1].records = [STALE]
    with pytest.raises(ModuleFailedError, match=r"^DNS has not moved within 0.1 s: shop.test A at the resolver"):
        house.look(resolver, wait=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": ["http://shop.test/"]}, "'http://shop.test/' is an address of a page"),
        ({"old": ["shop.test"]}, "old has 'shop.test', which is no IP address"),
        ({"resolvers": ["dns.test"]}, "'dns.test' is no name server; write 192.0.2.53"),
        ({"new": [OLD]}, f"{OLD} is old and new"),
        ({"resolvers": [], "authoritative": []}, "there is no resolver to ask"),
    ],
)
def test_bad_input_is_refused(house: House, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ModuleFailedError) as raised:
        house.look(**arguments)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.53", ("192.0.2.53", 53)),
        ("192.0.2.53:5353", ("192.0.2.53", 5353)),
        ("2001:db8::53", ("2001:db8::53", 53)),
        ("[2001:db8::53]:5353", ("2001:db8::53", 5353)),
        ("[2001:db8::53]", ("2001:db8::53", 53)),
    ],
)
def test_a_name_server(text: str, expected: tuple[str, int]) -> None:
    assert dns_queries.split_server(text) == expected


def test_without_dnspython_it_says_what_is_missing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_propagation.dns_queries, "MISSING", "No module named 'dns'")
    with pytest.raises(ModuleFailedError, match="dnspython"):
        house.look()


addresses = st.ip_addresses().map(str)
answers = st.builds(
    Answer,
    name=st.just("shop.test"),
    type=st.sampled_from(["A", "AAAA"]),
    server=st.sampled_from(["a", "b"]),
    role=st.sampled_from(["authoritative", "resolver"]),
    addresses=st.lists(st.ip_addresses(v=4).map(str), max_size=3).map(tuple),
    ttl=st.integers(0, 86400),
    reason=st.sampled_from(["", "", "", "no answer"]),
)


@given(st.lists(answers, max_size=6), st.lists(addresses, max_size=3), st.lists(addresses, max_size=3))
def test_nothing_counts_as_moved_that_did_not_say_so(said: list[Answer], old: list[str], new: list[str]) -> None:
    result = dns_answers.judge(said, old, new)
    assert len(result["answers"]) == len(said)
    assert result["propagated"] == (bool(said) and not result["problems"] and not result["not_checked"])
    if any(one.reason for one in said) or any(set(one.addresses) & set(old) for one in said if one.type == "A"):
        assert not result["propagated"]
