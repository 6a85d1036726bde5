# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that ask their resolver before each connection, as all do whose own cache has run out."""

from __future__ import annotations

import ipaddress
import random

import dns.asyncresolver
import dns.exception

from tests.lab.traffic.http import RequestError

SECONDS = 5.0


class Resolvers:
    """Several resolvers; each connection is that of a client of any of them."""

    def __init__(self, servers: list[str], name: str, within: str) -> None:
        """``servers`` as address:port; an address outside of the network is never used."""
        self._servers = [server.rpartition(":") for server in servers]
        self._name = name
        self._within = ipaddress.ip_network(within)

    async def find(self) -> str:
        """The address that one resolver gives now."""
        address, _colon, port = random.choice(self._servers)  # noqa: S311 - no secret
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers, resolver.port, resolver.lifetime = [address], int(port), SECONDS
        try:
            found = [str(record) for record in await resolver.resolve(self._name, "A")]
        except dns.exception.DNSException as problem:
            raise RequestError("unresolved", sent=False) from problem
        if ipaddress.ip_address(found[0]) not in self._within:
            raise RequestError("elsewhere", sent=False)
        return found[0]
