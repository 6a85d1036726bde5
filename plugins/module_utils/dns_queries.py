# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to name servers, with dnspython."""

import ipaddress
from typing import Any, List, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.dns_answers import Answer

try:
    import dns.exception
    import dns.flags
    import dns.message
    import dns.query
    import dns.rcode
    import dns.resolver

    MISSING = ""
except ImportError as error:
    MISSING = str(error)


def split_server(text: str) -> Tuple[str, int]:
    """Address and port of 192.0.2.53, 192.0.2.53:5353, 2001:db8::53 or [2001:db8::53]:5353."""
    host, port = text, "53"
    if text.startswith("["):
        host, _bracket, rest = text[1:].partition("]")
        port = rest.lstrip(":") or "53"
    elif text.count(":") == 1:
        host, port = text.split(":")
    ipaddress.ip_address(host)
    return host, int(port)


def ask(name: str, kind: str, server: str, role: str, timeout: float, label: str = "") -> Answer:
    """One question to one server; why it was not answered stands in the reason."""
    address, port = split_server(server)
    query = dns.message.make_query(name, kind)
    if role == "authoritative":
        query.flags &= ~dns.flags.RD

    def unanswered(reason: str) -> Answer:
        return Answer(name, kind, label or server, role, (), 0, reason)

    try:
        response, _tcp = dns.query.udp_with_fallback(query, address, timeout=timeout, port=port)
    except dns.exception.Timeout:
        return unanswered("no answer within {0:g} s".format(timeout))
    except (OSError, dns.exception.DNSException) as error:
        return unanswered("no answer: {0}".format(error))
    code = response.rcode()
    if code not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return unanswered("it answers {0}".format(dns.rcode.to_text(code)))
    if role == "authoritative" and not response.flags & dns.flags.AA:
        return unanswered("it is no authority for the name")
    return _read(response, name, kind, label or server, role)


def _read(response: Any, name: str, kind: str, server: str, role: str) -> Answer:
    try:
        chain = response.resolve_chaining()
    except dns.exception.DNSException as error:
        return Answer(name, kind, server, role, (), 0, "its answer cannot be read: {0}".format(error))
    found = tuple(sorted(str(record) for record in chain.answer or ()))
    if not found and chain.cnames:
        return Answer(name, kind, server, role, (), 0, "it names {0} and not its address".format(chain.canonical_name))
    return Answer(name, kind, server, role, found, int(chain.minimum_ttl) if found else 0)


def authorities(name: str, timeout: float) -> Tuple[str, List[Tuple[str, str]]]:
    """The name that an alias ends in, and name and address of each server of its zone; ValueError with the reason."""
    resolver = dns.resolver.Resolver()
    resolver.lifetime = timeout
    try:
        try:
            final = resolver.resolve(name, "A", raise_on_no_answer=False).canonical_name
        except dns.resolver.NXDOMAIN:
            final = dns.name.from_text(name)
        zone = dns.resolver.zone_for_name(final, resolver=resolver)
        servers = []
        for record in resolver.resolve(zone, "NS"):
            target = record.target.to_text(omit_final_dot=True)
            found: List[Tuple[str, str]] = []
            for kind in ("A", "AAAA"):
                # Each server once: from here its IPv6 address may not be reached.
                answer = () if found else resolver.resolve(record.target, kind, raise_on_no_answer=False).rrset or ()
                found += [(target, str(address)) for address in answer]
            servers += found
    except (OSError, dns.exception.DNSException) as error:
        raise ValueError("its authoritative servers are not known: {0}".format(error)) from None
    return final.to_text(omit_final_dot=True), servers
