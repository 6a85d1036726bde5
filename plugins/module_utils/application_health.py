# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the application of a side answers."""

import functools
import http.client
import socket
import ssl
import urllib.request
from typing import Any, Dict, List

from ansible_collections.ocpizza.cutover.plugins.module_utils.upstreams import OWN_HEADER


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Takes a redirect for the answer: it leads by name, and by name the other side would answer."""

    def redirect_request(self, *_parts: Any) -> None:
        """Follow nothing."""


class SocketConnection(http.client.HTTPConnection):
    """A connection to an application on a Unix socket."""

    def __init__(self, host: str, path: str, **options: Any) -> None:
        super().__init__(host, **options)
        self.path = path

    def connect(self) -> None:
        """Connect to the path."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class OwnConnection(http.client.HTTPSConnection):
    """A TLS connection to this host itself, under the site's name; nobody stands between who could answer instead."""

    def __init__(self, host: str, name: str, **options: Any) -> None:
        super().__init__(host, **options)
        self.name = name

    def connect(self) -> None:
        """Connect, whatever the certificate says."""
        http.client.HTTPConnection.connect(self)
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.sock = context.wrap_socket(self.sock, server_hostname=self.name)


class SocketHandler(urllib.request.HTTPHandler):
    """Opens connections to a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def http_open(self, request: urllib.request.Request) -> Any:
        """Open one."""
        return self.do_open(functools.partial(SocketConnection, path=self.path), request)


class OwnHandler(urllib.request.HTTPSHandler):
    """Opens TLS connections to this host itself."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def https_open(self, request: urllib.request.Request) -> Any:
        """Open one."""
        return self.do_open(functools.partial(OwnConnection, name=self.name), request)


def _handlers(health: Dict[str, str]) -> List[urllib.request.BaseHandler]:
    found: List[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({}), NoRedirect()]
    if "socket" in health:
        found.append(SocketHandler(health["socket"]))
    elif "own" in health:
        found.append(OwnHandler(health["host"]))
    elif health["url"].startswith("https"):
        # The chain is checked against the site's CA; the name in the certificate is the site's, not the address.
        context = ssl.create_default_context(cafile=health.get("ca") or None)
        context.check_hostname = False
        found.append(urllib.request.HTTPSHandler(context=context))
    return found


def ask(health: Dict[str, str], timeout: float) -> str:
    """Why the application of a side is not well; '' when it answered 200."""
    headers = {"Host": health["host"], "X-Forwarded-Proto": "https"}
    where = health.get("socket") or health["url"]
    try:
        if "own" in health:
            # The site may live elsewhere: this is asked of the web server for its own application.
            with open(health["own"], encoding="ascii") as stream:
                headers[OWN_HEADER] = stream.read().strip()
        request = urllib.request.Request(health["url"], headers=headers)  # noqa: S310  the address comes from the plan
        opener = urllib.request.build_opener(*_handlers(health))
        with opener.open(request, timeout=timeout) as answer:
            body = answer.read()
            if answer.status != 200:
                return "{0} answered {1}".format(where, answer.status)
            if not body:
                return "{0} answered nothing".format(where)
            return ""
    except (OSError, http.client.HTTPException) as error:
        return "{0}: {1}".format(where, error)
