# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses as `ip` tells them, and ARP frames."""

from __future__ import annotations

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import addresses
from ansible_collections.ocpizza.cutover.plugins.module_utils.addresses import Row

TOLD = """\
1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever
1: lo    inet 10.0.0.80/32 scope global lo\\       valid_lft forever preferred_lft forever
2: eth0    inet 10.0.0.4/24 brd 10.0.0.255 scope global eth0\\       valid_lft forever preferred_lft forever
2: eth0    inet 10.0.0.81/24 scope global secondary eth0:1\\       valid_lft forever preferred_lft forever
3: tun0    inet 10.9.0.1 peer 10.9.0.2/32 scope global tun0\\       valid_lft forever preferred_lft forever
"""
ROWS = addresses.parse(TOLD)
OURS, THEIRS = bytes.fromhex("0242ac140003"), bytes.fromhex("0242ac140002")


def test_addresses_are_read_and_what_has_a_peer_is_left_out() -> None:
    assert [
        Row("lo", "127.0.0.1", 8),
        Row("lo", "10.0.0.80", 32),
        Row("eth0", "10.0.0.4", 24),
        Row("eth0", "10.0.0.81", 24),
    ] == ROWS


def test_an_address_that_is_kept_off_the_network_is_not_held() -> None:
    assert addresses.holder(ROWS, "10.0.0.80") is None
    assert addresses.holder(ROWS, "10.0.0.8") is None
    assert addresses.holder(ROWS, "10.0.0.81") == Row("eth0", "10.0.0.81", 24)


@pytest.mark.parametrize(("address", "interface"), [("10.0.0.80", "eth0"), ("10.0.1.80", None), ("10.0.0.4", "eth0")])
def test_the_interface_whose_network_an_address_belongs_to(address: str, interface: str | None) -> None:
    found = addresses.beside(ROWS, address)
    assert (found.interface if found else None) == interface


def test_a_frame_says_who_asks_for_what() -> None:
    frame = addresses.arp(addresses.REQUEST, OURS, addresses.UNSAID, "10.0.0.80")
    assert frame.hex() == ("ffffffffffff0242ac140003080600010800060400010242ac140003000000000000000000000a000050")


def test_whoever_says_that_he_has_the_address_is_named() -> None:
    reply = addresses.arp(addresses.REPLY, THEIRS, "10.0.0.80", "10.0.0.80")
    assert addresses.says_it_has(reply, "10.0.0.80") == "0242ac140002"
    assert addresses.says_it_has(reply, "10.0.0.81") == ""


def test_who_only_asks_does_not_have_it() -> None:
    question = addresses.arp(addresses.REQUEST, THEIRS, "10.0.0.4", "10.0.0.80")
    assert addresses.says_it_has(question, "10.0.0.80") == ""
    assert addresses.says_it_has(question[:30], "10.0.0.80") == ""
