# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the application of a side answers."""

import functools
import http.client
import json
import socket
import ssl
import urllib.request
from typing import Any, Dict, List, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.upstreams import OWN_HEADER

# What pages say of themselves in "status" while they answer 200; others are for site_health_text.
ILL = ("critical", "down", "error", "fail", "failed", "failing", "failure", "unavailable", "unhealthy")


def _fields(body: bytes) -> Dict[str, Any]:
    """The top of a page in JSON; of another page nothing."""
    try:
        page = json.loads(body.decode("utf-8"))
    except ValueError:
        return {}
    return page if isinstance(page, dict) else {}


def trouble_in(body: bytes, text: str = "") -> str:
    """What a page that answered 200 says is wrong; '' when nothing. ``text`` is what a good page contains."""
    if not body:
        return "nothing"
    if text and text not in body.decode("utf-8", "replace"):
        return "200, but without '{0}' (site_health_text)".format(text)
    status = _fields(body).get("status")
    if isinstance(status, str) and status.lower() in ILL:
        return "200, but with the status '{0}'".format(status)
    return ""


def release_in(body: bytes) -> str:
    """The release that a page in JSON tells; '' when it tells none."""
    release = _fields(body).get("release")
    return str(release) if isinstance(release, (str, int, float)) else ""


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


def read(health: Dict[str, str], timeout: float) -> Tuple[str, bytes]:
    """Why the application of a side is not well, '' when it is, and the page that it answered."""
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
            trouble = str(answer.status) if answer.status != 200 else trouble_in(body, health.get("text", ""))
            return "{0} answered {1}".format(where, trouble) if trouble else "", body
    except (OSError, http.client.HTTPException) as error:
        return "{0}: {1}".format(where, error), b""


def ask(health: Dict[str, str], timeout: float) -> str:
    """Why the application of a side is not well; '' when it answered 200 and says nothing else."""
    return read(health, timeout)[0]


def other_release(origin: Dict[str, str], destination: Dict[str, str], timeout: float) -> str:
    """How the releases differ that both sides tell in their health pages; '' where they do not or are not told."""
    here, there = (release_in(read(side, timeout)[1]) for side in (origin, destination))
    if here and there and here != there:
        return "has release '{0}', and the site runs '{1}'".format(there, here)
    return ""
