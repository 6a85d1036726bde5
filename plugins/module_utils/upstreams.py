# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application behind the source's web server: what it speaks and where, and what follows from that.

``127.0.0.1:8000`` and ``unix:/run/shop.sock`` speak HTTP; ``fastcgi://`` and ``uwsgi://`` before one of these say what
else; ``apache`` is what runs inside Apache. A held request is HTTP. So it can be let through to what speaks HTTP, and
everything else is answered by the web server, as before.
"""

import re
from typing import Any, Dict, NamedTuple

HTTP, INSIDE = "http", "apache"
# As nginx names a directive for each, and Apache the scheme of an address.
SCHEMES = {"http": HTTP, "fastcgi": "fastcgi", "fcgi": "fastcgi", "uwsgi": "uwsgi", "scgi": "scgi"}
# What tells a web server that a request is for this side, wherever the site lives: a word of this host alone.
OWN_HEADER = "X-Cutover-Side"
OWN_WORD = "asked"
GRAMMAR = (
    "127.0.0.1:8000, unix:/run/shop.sock, either with fastcgi:// or uwsgi:// before it, "
    "or apache for what runs inside it"
)


class Upstream(NamedTuple):
    """``address`` is host:port or the path of a Unix socket; empty inside Apache."""

    protocol: str
    address: str


def parse(text: str) -> Upstream:
    """What C(site_upstream) says; ValueError in words where it says nothing that is known."""
    if text == INSIDE:
        return Upstream(INSIDE, "")
    scheme, _mark, where = text.rpartition("://")
    protocol = SCHEMES.get(scheme or "http")
    match = re.match(r"unix:(?P<path>/[^\s|;:]+)\Z|(?P<host>[^\s/:]+|\[[^\]]+\]):(?P<port>\d+)\Z", where)
    if not match or not protocol:
        raise ValueError("'{0}' is no address of an application; write {1}".format(text, GRAMMAR))
    if match.group("path"):
        return Upstream(protocol, match.group("path"))
    host = "127.0.0.1" if match.group("host") == "localhost" else match.group("host")
    return Upstream(protocol, host + ":" + match.group("port"))


def is_socket(upstream: Upstream) -> bool:
    """Whether it listens on a Unix socket."""
    return upstream.address.startswith("/")


def endpoint(upstream: Upstream, runtime: str) -> Dict[str, Any]:
    """Where its running requests are counted; ``runtime`` is the site's folder of flags."""
    if upstream.protocol == INSIDE:
        return {"folder": runtime + "/running"}
    if is_socket(upstream):
        return {"path": upstream.address}
    host, _colon, port = upstream.address.rpartition(":")
    return {"address": host, "port": int(port), "local": True}


def release_target(upstream: Upstream, again_port: int) -> str:
    """Where the valve leads held requests that this side is to answer.

    To the application, or, where that speaks no HTTP, to who tells nginx to answer by itself after all.
    """
    return upstream.address if upstream.protocol == HTTP else "127.0.0.1:{0}".format(again_port)


def health(upstream: Upstream, path: str, host: str, web: str, state: str) -> Dict[str, str]:
    """How the application is asked whether it is well: by itself, or through its web server at the URL ``web``.

    ``state`` is the site's folder for what outlives a restart.
    """
    if upstream.protocol != HTTP:
        return {"url": web.rstrip("/") + path, "host": host, "own": state + "/" + OWN_WORD}
    if is_socket(upstream):
        return {"url": "http://localhost" + path, "host": host, "socket": upstream.address}
    return {"url": "http://" + upstream.address + path, "host": host}


def of_apache(address: str) -> Upstream:
    """Where an address of ProxyPass or of a handler leads; protocol '' where that is unknown."""
    where, _bar, behind = address.rpartition("|")
    scheme, _mark, rest = behind.partition("://")
    protocol = SCHEMES.get(scheme.lower(), "")
    if where.startswith("unix:"):
        return Upstream(protocol, where[len("unix:") :])
    host, _slash, _path = rest.partition("/")
    name, _colon, port = host.rpartition(":")
    if not name or not port.isdigit():
        name, port = host, "80"
    return Upstream(protocol, "{0}:{1}".format("127.0.0.1" if name == "localhost" else name, port))
