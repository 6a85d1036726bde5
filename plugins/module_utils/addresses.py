# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which IPv4 address is on which interface, and who answers for one on the local network."""

import ipaddress
import re
import select
import socket
import struct
import time
from typing import List, NamedTuple, Optional, Sequence, Set

LINE = re.compile(r"^\d+:\s+(?P<interface>\S+)\s+inet (?P<address>[\d.]+)/(?P<prefix>\d+)")
ETHERTYPE_ARP = 0x0806
REQUEST, REPLY = 1, 2
EVERYBODY = b"\xff" * 6
NOBODY = b"\0" * 6
# Who asks with this as his own address leaves no trace with the neighbours (RFC 5227).
UNSAID = ".".join("0000")


class Row(NamedTuple):
    """One address of an interface."""

    interface: str
    address: str
    prefix: int


def parse(text: str) -> List[Row]:
    """The output of C(ip -o -4 address show), whose form is the same in old versions."""
    found = [LINE.match(line) for line in text.splitlines()]
    return [Row(one.group("interface"), one.group("address"), int(one.group("prefix"))) for one in found if one]


def holder(rows: Sequence[Row], address: str) -> Optional[Row]:
    """Where an address is; the loopback interface does not count, for the network does not see what is there."""
    return next((row for row in rows if row.address == address and row.interface != "lo"), None)


def beside(rows: Sequence[Row], address: str) -> Optional[Row]:
    """The first address whose network has room for this one."""
    wanted = ipaddress.ip_address(address)
    for row in rows:
        network = ipaddress.ip_network("{0}/{1}".format(row.address, row.prefix), strict=False)
        if wanted in network and row.address != address:
            return row
    return None


def arp(operation: int, mac: bytes, sender: str, asked: str) -> bytes:
    """A frame to everybody: who has ``asked``, tell ``sender``; or ``sender`` is at ``mac``."""
    head = EVERYBODY + mac + struct.pack("!HHHBBH", ETHERTYPE_ARP, 1, 0x0800, 6, 4, operation)
    to = NOBODY if operation == REQUEST else EVERYBODY
    return head + mac + socket.inet_aton(sender) + to + socket.inet_aton(asked)


def says_it_has(frame: bytes, address: str) -> str:
    """The hardware address of whoever says in an ARP frame that it has the address; '' where this is none."""
    if len(frame) < 42 or frame[12:14] != struct.pack("!H", ETHERTYPE_ARP):
        return ""
    mac, sender = frame[22:28], frame[28:32]
    return mac.hex() if sender == socket.inet_aton(address) else ""


def announce(interface: str, address: str, times: int = 3) -> None:
    """Tell all neighbours, by request and by reply since some heed but one of them, that the address is here."""
    mac = bytes.fromhex(mac_of(interface))
    with _socket(interface) as sender:
        for turn in range(times):
            time.sleep(0.05 if turn else 0)
            for operation in (REQUEST, REPLY):
                sender.send(arp(operation, mac, address, address))


def who_has(interface: str, address: str, timeout: float) -> Set[str]:
    """Hardware addresses of the others that answer for the address."""
    own = mac_of(interface)
    found = set()  # type: Set[str]
    with _socket(interface) as asker:
        for _turn in range(3):
            asker.send(arp(REQUEST, bytes.fromhex(own), UNSAID, address))
            ends = time.monotonic() + timeout / 3
            while select.select([asker], [], [], max(0.0, ends - time.monotonic()))[0]:
                found.add(says_it_has(asker.recv(128), address))
    return found - {"", own}


def mac_of(interface: str) -> str:
    """The interface's hardware address, as twelve digits."""
    with open("/sys/class/net/{0}/address".format(interface)) as kept:
        return kept.read().strip().replace(":", "")


def _socket(interface: str) -> socket.socket:
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE_ARP))
    made.bind((interface, ETHERTYPE_ARP))
    return made
