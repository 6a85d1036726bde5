# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Established TCP connections, asked of the kernel by sock_diag(7), as ss does.

The kernel picks them out itself. /proc/net/tcp lists every connection of the last minute beside them, thousands on a
busy server, and takes tens of milliseconds to be made and read: too long inside a hold.
"""

import ipaddress
import os
import socket
import struct
from typing import Iterator, List, Tuple

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
ERROR, DONE = 2, 3
REQUEST_DUMP = 0x301
ESTABLISHED = 1
# Of linux/netlink.h and linux/inet_diag.h: length, type, flags, sequence, port; family, protocol, extensions, states;
# and of each connection both ports and both addresses. Lengths are in the host's order, ports in the network's.
HEADER = struct.Struct("=IHHII")
QUESTION = struct.Struct("=BBBxI")
CONNECTION = struct.Struct("=BBBB2s2s16s16s")
REST = 12

# Port here, address there, port there.
Connection = Tuple[int, str, int]


def question(family: int, port_here: int, port_there: int) -> bytes:
    """What is sent: all that are established, with these ports; 0 stands for any."""
    ports = struct.pack(">HH", port_here, port_there)
    body = QUESTION.pack(family, socket.IPPROTO_TCP, 0, 1 << ESTABLISHED) + ports + bytes(32 + REST)
    return HEADER.pack(HEADER.size + len(body), SOCK_DIAG_BY_FAMILY, REQUEST_DUMP, 1, 0) + body


def messages(data: bytes) -> Iterator[Tuple[int, bytes]]:
    """The type and the body of each message in what was received."""
    while len(data) >= HEADER.size:
        length, kind = HEADER.unpack_from(data)[:2]
        if length < HEADER.size:
            raise OSError("sock_diag answered what cannot be read")
        yield kind, data[HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def connection(body: bytes) -> Connection:
    """One connection; an IPv4 address mapped into IPv6 comes out as IPv4."""
    family, _state, _timer, _again, here, there, _source, destination = CONNECTION.unpack_from(body)
    packed = destination[:4] if family == socket.AF_INET else destination
    address = ipaddress.ip_address(packed)
    words = str(getattr(address, "ipv4_mapped", None) or address)
    return struct.unpack(">H", here)[0], words, struct.unpack(">H", there)[0]


def _asked(family: int, port_here: int, port_there: int) -> Iterator[Connection]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(1.0)
        kernel.send(question(family, port_here, port_there))
        while True:
            for kind, body in messages(kernel.recv(1 << 18)):
                if kind not in (DONE, ERROR):
                    yield connection(body)
                    continue
                # Both carry a negative error number; the end of a whole answer has 0.
                code = -struct.unpack_from("=i", body)[0] if len(body) >= 4 else 0
                if code or kind == ERROR:
                    raise OSError(code, os.strerror(code))
                return


def established(port_here: int = 0, port_there: int = 0) -> List[Connection]:
    """The connections with these ports, 0 for any; OSError where the kernel does not tell."""
    return [
        each
        for family in (socket.AF_INET, socket.AF_INET6)
        for each in _asked(family, port_here, port_there)
        if each[0] == (port_here or each[0]) and each[2] == (port_there or each[2])
    ]
