# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in the way of moving a site's address, by the way that was chosen."""

from typing import Any, Dict, Iterator

from ansible_collections.ocpizza.cutover.plugins.module_utils.finding import INHIBITOR, WARNING, Finding, join


def decide(facts: Dict[str, Any]) -> Iterator[Finding]:
    """Why the address could not go over; a site that stays behind the source's proxy has nothing to fear."""
    way = facts.get("way") or {}
    for finding in {"failover-ip": _failover_ip, "dns": _dns}.get(way.get("kind", ""), _nothing)(way):
        yield finding


def _nothing(_way: Dict[str, Any]) -> Iterator[Finding]:
    return iter(())


def _failover_ip(way: Dict[str, Any]) -> Iterator[Finding]:
    address, source, target = way["address"], way["source"], way["target"]
    if "held" not in target:
        yield Finding(
            "way.not_checked",
            INHIBITOR,
            "The address could not be looked at from the new web server",
            "{0}: {1}".format(way["target_host"], target.get("msg") or "no answer"),
            "Mend what the message names.",
        )
        return
    if not source["held"]:
        yield Finding(
            "way.address_not_on_source",
            INHIBITOR,
            "The address is not on the source",
            "No interface of {0} has {1}.".format(way["source_host"], address),
            "Correct way_address; where the source's provider routes it elsewhere, bring it to the source first.",
        )
        return
    if not target["interface"]:
        yield Finding(
            "way.other_network",
            INHIBITOR,
            "The address does not belong to a network of the new web server",
            "No interface of {0} is in the network of {1}.".format(way["target_host"], address),
            "Give the new web server an interface there, or choose site_way: dns.",
        )
        return
    for finding in _neighbourhood(way):
        yield finding
    if not source["writable"]:
        yield Finding(
            "way.no_rights",
            INHIBITOR,
            "The source cannot be kept from answering for the address",
            "/proc/sys/net/ipv4/conf/{0} cannot be written on {1}, as in a container.".format(
                source["interface"], way["source_host"]
            ),
            "Give the source that right, or choose site_way: dns.",
        )
    if way["others"]:
        yield Finding(
            "way.address_shared",
            INHIBITOR,
            "Other sites of the source may be asked for at this address",
            "Whoever has {0} gets their requests too: {1}.".format(address, join(way["others"])),
            "See that their names point to another address of the source, then waive this.",
        )
    if source["written"]:
        yield Finding(
            "way.address_written",
            WARNING,
            "The source's own configuration gives it the address",
            "It is in {0}: at a start of the source it is there for the moment until our unit takes it away.".format(
                join(source["written"])
            ),
            "Take it out there once you are sure not to go back.",
        )


def _neighbourhood(way: Dict[str, Any]) -> Iterator[Finding]:
    """Who answers for which address, as the new web server hears it."""
    address, source, target = way["address"], way["source"], way["target"]
    others = set(target["answering"][address] + source["answering"][address]) - {source["mac"]}
    if target["held"] or others:
        where = [way["target_host"]] if target["held"] else []
        yield Finding(
            "way.address_taken",
            INHIBITOR,
            "Another machine has the address already",
            "{0} is on {1} and on {2} too.".format(
                address, way["source_host"], join(where + [_mac(mac) for mac in others if mac != target["mac"]])
            ),
            "Take it away there.",
        )
    if way["source_address"] == address:
        yield Finding(
            "way.address_is_the_only_one",
            INHIBITOR,
            "The source is reached by the address that is to move",
            "site_address of {0} is {1}; without it the source could neither be reached nor pass requests on.".format(
                way["source_host"], address
            ),
            "Give the source an address of its own, and name it in site_address.",
        )
    elif target["answering"][way["source_address"]] != [source["mac"]]:
        yield Finding(
            "way.other_network",
            INHIBITOR,
            "The source and the new web server are not on one local network",
            "{0} asks by ARP for {1}, and {2} does not answer: an address cannot move between them.".format(
                way["target_host"], way["source_address"], way["source_host"]
            ),
            "Name the source's address on that network in site_address, or choose site_way: dns.",
        )


def _mac(digits: str) -> str:
    return ":".join(digits[place : place + 2] for place in range(0, len(digits), 2))


def _dns(way: Dict[str, Any]) -> Iterator[Finding]:
    for role, key, title, remedy in (
        (
            "authoritative",
            "way.dns_not_checked",
            "An authoritative name server could not be asked",
            "Mend that server, or name those that are in way_authoritative.",
        ),
        (
            "resolver",
            "way.dns_resolver_silent",
            "A resolver could not be asked",
            "Take it out of way_resolvers, or let the controller reach it.",
        ),
    ):
        silent = [one for one in way["answers"] if one["role"] == role and one["reason"]]
        if silent:
            yield Finding(
                key,
                INHIBITOR,
                title,
                join(
                    [
                        "{0} {1} at {2}: {3}".format(one["name"], one["type"], one["server"], one["reason"])
                        for one in silent
                    ]
                ),
                remedy,
            )
    for role, key, title, remedy in (
        (
            "authoritative",
            "way.dns_differs",
            "The domains do not point to the source",
            "Correct way_names or way_old; an alias (CNAME) is left out, the name that it leads to is named.",
        ),
        (
            "resolver",
            "way.dns_resolver_differs",
            "A resolver says something else than the zone",
            "Its clients do not come to the source today and would not follow the records. Find out who changes its "
            "answers, or take it out of way_resolvers.",
        ),
    ):
        wrong = [
            text for text in way["problems"] if (" at the authoritative server " in text) == (role == "authoritative")
        ]
        if wrong:
            yield Finding(key, INHIBITOR, title, join(wrong) + ".", remedy)
    if way["refused"] and not any(one["reason"] for one in way["answers"] if one["role"] == "authoritative"):
        yield Finding(
            "way.dns_no_update",
            INHIBITOR,
            "The records cannot be changed",
            "{0} answers a signed question: {1}.".format(way["server"], join(way["refused"])),
            "Correct way_server, way_zone or the key in way_key_file, or let the server take updates with that key.",
        )
    ttl, wanted = int(way["ttl"]), int(way["wanted_ttl"])
    if ttl > wanted:
        yield Finding(
            "way.dns_lifetime",
            WARNING,
            "Resolvers keep the records for long",
            "Their lifetime (TTL) is {0} s. replicate.yml lowers it to {1} s, the cutover waits until {0} s have passed"
            " since then.".format(ttl, wanted),
            "Run replicate.yml at least that long before the cutover.",
        )
