# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of an address that is to move."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import findings_way

SOURCE, TARGET, STRANGER = "0242ac140002", "0242ac140003", "0242ac140009"
FAILOVER: dict[str, Any] = {
    "kind": "failover-ip",
    "address": "10.0.0.80",
    "source_address": "10.0.0.4",
    "source_host": "old",
    "target_host": "web1",
    "source": {
        "held": True,
        "interface": "eth0",
        "mac": SOURCE,
        "answering": {"10.0.0.80": []},
        "writable": True,
        "written": [],
    },
    "target": {
        "held": False,
        "interface": "eth0",
        "mac": TARGET,
        "answering": {"10.0.0.80": [SOURCE], "10.0.0.4": [SOURCE]},
    },
    "others": [],
}


def decide(*changes: tuple[str, Any]) -> list[tuple[str, str]]:
    way = copy.deepcopy(FAILOVER)
    for path, value in changes:
        *parents, last = path.split("/")
        place = way
        for parent in parents:
            place = place[parent]
        place[last] = value
    return [(one.key, one.reason) for one in findings_way.decide({"way": way})]


def test_nothing_is_found_where_the_address_can_move() -> None:
    assert decide() == []


def test_a_site_that_stays_behind_the_proxy_has_nothing_to_fear() -> None:
    assert list(findings_way.decide({"way": {}})) == []


@pytest.mark.parametrize(
    ("change", "key", "reason"),
    [
        (("target", {"msg": "no route"}), "way.not_checked", "web1: no route"),
        (("source/held", False), "way.address_not_on_source", "No interface of old has 10.0.0.80."),
        (("target/interface", ""), "way.other_network", "No interface of web1 is in the network of 10.0.0.80."),
        (("target/held", True), "way.address_taken", "10.0.0.80 is on old and on web1 too."),
        (
            ("target/answering", {"10.0.0.80": [SOURCE, STRANGER], "10.0.0.4": [SOURCE]}),
            "way.address_taken",
            "10.0.0.80 is on old and on 02:42:ac:14:00:09 too.",
        ),
        (
            ("source/answering", {"10.0.0.80": [STRANGER]}),
            "way.address_taken",
            "10.0.0.80 is on old and on 02:42:ac:14:00:09 too.",
        ),
        (
            ("target/answering", {"10.0.0.80": [], "10.0.0.4": []}),
            "way.other_network",
            "web1 asks by ARP for 10.0.0.4, and old does not answer: an address cannot move between them.",
        ),
        (
            ("target/answering", {"10.0.0.80": [SOURCE], "10.0.0.4": [STRANGER]}),
            "way.other_network",
            "web1 asks by ARP for 10.0.0.4, and old does not answer: an address cannot move between them.",
        ),
        (
            ("source_address", "10.0.0.80"),
            "way.address_is_the_only_one",
            "site_address of old is 10.0.0.80; without it the source could neither be reached nor pass requests on.",
        ),
        (
            ("source/writable", False),
            "way.no_rights",
            "/proc/sys/net/ipv4/conf/eth0 cannot be written on old, as in a container.",
        ),
        (
            ("others", ["annex.test"]),
            "way.address_shared",
            "Whoever has 10.0.0.80 gets their requests too: annex.test.",
        ),
        (
            ("source/written", ["/etc/network/interfaces:9"]),
            "way.address_written",
            "It is in /etc/network/interfaces:9: at a start of the source it is there for the moment until our unit "
            "takes it away.",
        ),
    ],
)
def test_what_stands_in_the_way_of_a_failover_address(change: tuple[str, Any], key: str, reason: str) -> None:
    assert decide(change) == [(key, reason)]


ANSWER = {"name": "shop.test", "type": "A", "server": "192.0.2.53", "role": "authoritative", "ttl": 60, "reason": ""}
DNS: dict[str, Any] = {
    "kind": "dns",
    "server": "192.0.2.53",
    "wanted_ttl": "60",
    "ttl": "60",
    "answers": [ANSWER, dict(ANSWER, server="192.0.2.54", role="resolver")],
    "problems": [],
    "refused": [],
}


def test_names_that_can_move_have_no_finding() -> None:
    assert list(findings_way.decide({"way": DNS})) == []


@pytest.mark.parametrize(
    ("change", "key", "reason"),
    [
        (
            {"answers": [dict(ANSWER, reason="no answer within 3 s")]},
            "way.dns_not_checked",
            "shop.test A at 192.0.2.53: no answer within 3 s",
        ),
        (
            {"answers": [ANSWER, dict(ANSWER, server="192.0.2.54", role="resolver", reason="it answers SERVFAIL")]},
            "way.dns_resolver_silent",
            "shop.test A at 192.0.2.54: it answers SERVFAIL",
        ),
        (
            {"problems": ["shop.test A at the authoritative server 192.0.2.53 is 10.6.6.6 for another 60 s"]},
            "way.dns_differs",
            "shop.test A at the authoritative server 192.0.2.53 is 10.6.6.6 for another 60 s.",
        ),
        (
            {"problems": ["shop.test A at the resolver 192.0.2.54 is 10.6.6.6 for another 60 s"]},
            "way.dns_resolver_differs",
            "shop.test A at the resolver 192.0.2.54 is 10.6.6.6 for another 60 s.",
        ),
        (
            {"refused": ["TSIG update error (PeerBadKey): not known"]},
            "way.dns_no_update",
            "192.0.2.53 answers a signed question: TSIG update error (PeerBadKey): not known.",
        ),
        (
            {"ttl": "3600"},
            "way.dns_lifetime",
            "Their lifetime (TTL) is 3600 s. replicate.yml lowers it to 60 s, the cutover waits until 3600 s have "
            "passed since then.",
        ),
    ],
)
def test_what_stands_in_the_way_of_names(change: dict[str, Any], key: str, reason: str) -> None:
    assert [(one.key, one.reason) for one in findings_way.decide({"way": {**DNS, **change}})] == [(key, reason)]
