# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether two servers answer the same request alike, but for what may differ (tokens, scheme)."""

import http.client
import re
import socket
import ssl
from typing import Dict, List, NamedTuple, Optional, Sequence
from urllib.parse import urlsplit

# What differs from one answer to the next on the same server.
VOLATILE = (
    r"""(?<=name="csrfmiddlewaretoken" value=")[^"]*""",
    r"""(?<=name='csrfmiddlewaretoken' value=')[^']*""",
    r"https?(?=://)",
)
HEADERS = ("content-type", "location", "content-language", "content-disposition")


class Answer(NamedTuple):
    """One answer to one request; the names of headers in lower case."""

    status: int
    headers: Dict[str, str]
    body: bytes


def normalise(text: str, volatile: Sequence[str]) -> str:
    """The text without what may differ."""
    for pattern in volatile:
        text = re.sub(pattern, "~", text)
    return text


def first_difference(one: str, two: str) -> str:
    """The first line that differs, shortened."""
    ours, theirs = one.splitlines(), two.splitlines()
    for number, (left, right) in enumerate(zip(ours, theirs), 1):
        if left != right:
            at = next((i for i, (a, b) in enumerate(zip(left, right)) if a != b), min(len(left), len(right)))
            cut = slice(max(0, at - 20), at + 40)
            return "line {0} is '{1}' on the source and '{2}' on the target".format(number, left[cut], right[cut])
    return "it has {0} lines on the source and {1} on the target".format(len(ours), len(theirs))


def compare_answers(source: Answer, target: Answer, volatile: Sequence[str] = ()) -> str:
    """What differs between the answers; '' when nothing does."""
    patterns = [*VOLATILE, *volatile]
    if source.status != target.status:
        return "the source answers {0} and the target {1}".format(source.status, target.status)
    for name in HEADERS:
        ours, theirs = source.headers.get(name, ""), target.headers.get(name, "")
        if normalise(ours, patterns).lower() != normalise(theirs, patterns).lower():
            return "header {0} is '{1}' on the source and '{2}' on the target".format(name, ours, theirs)
    if source.body == target.body:
        return ""
    if not source.headers.get("content-type", "").startswith(("text/", "application/json", "application/xml")):
        return "the body has {0} bytes on the source and {1} on the target, and they differ".format(
            len(source.body), len(target.body)
        )
    ours = normalise(source.body.decode("utf-8", "replace"), patterns)
    theirs = normalise(target.body.decode("utf-8", "replace"), patterns)
    return "" if ours == theirs else first_difference(ours, theirs)


def ask(
    server: str,
    host: str,
    path: str,
    timeout: float,
    authority: Optional[str] = None,
    method: str = "GET",
    headers: Optional[Dict[str, str]] = None,
    verify: bool = True,
) -> Answer:
    """Ask the server at an address for a path of a host, whatever the name resolves to."""
    parts = urlsplit(server)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    connection = http.client.HTTPConnection(str(parts.hostname), port, timeout=timeout)
    try:
        plain = socket.create_connection((str(parts.hostname), port), timeout=timeout)
        connection.sock = plain
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=authority)
            if not verify:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection.sock = context.wrap_socket(plain, server_hostname=host)
        sent = dict({"Host": host, "User-Agent": "ocpizza.cutover", "Connection": "close"}, **(headers or {}))
        connection.request(method, path, headers=sent)
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def unanswered(side: str, server: str, error: Exception) -> str:
    """Why there is no answer, in words."""
    return "the {0} at {1} gave no answer: {2}".format(side, server, error)


def describe_all(found: Dict[str, str]) -> List[str]:
    """One text for each path that differs."""
    return ["{0}: {1}".format(path, text) for path, text in found.items() if text]
