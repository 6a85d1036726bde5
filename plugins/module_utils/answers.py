# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether two servers answer the same request alike, but for what may differ (tokens, scheme)."""

import http.client
import re
import socket
import ssl
from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Tuple
from urllib.parse import urlsplit

# What differs from one answer to the next on the same server.
VOLATILE = (
    r"""(?<=name="csrfmiddlewaretoken" value=")[^"]*""",
    r"""(?<=name='csrfmiddlewaretoken' value=')[^']*""",
    r"https?(?=://)",
)
# These say what an answer is, on both sides; a target may have more of all others, but must have the source's.
HEADERS = ("content-type", "location", "content-language", "content-disposition")
# These differ from server to server, or from answer to answer, and mean the same.
# fmt: off
INCIDENTAL = frozenset([
    "accept-ranges", "age", "alt-svc", "connection", "content-encoding", "content-length", "date", "etag", "expires",
    "keep-alive", "last-modified", "server", "set-cookie", "transfer-encoding", "upgrade", "vary", "via", "x-cache",
    "x-powered-by", "x-request-id", "x-runtime", "x-varnish",
])
# fmt: on
TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)


class Answer(NamedTuple):
    """One answer to one request; the names of headers in lower case, and each cookie as it was set."""

    status: int
    headers: Dict[str, str]
    body: bytes
    cookies: Tuple[str, ...] = ()


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


def compare_answers(
    source: Answer, target: Answer, volatile: Sequence[str] = (), ignored_headers: Sequence[str] = ()
) -> str:
    """What differs between the answers; '' when nothing does."""
    patterns = [*VOLATILE, *volatile]
    if source.status != target.status:
        return "the source answers {0} and the target {1}".format(source.status, target.status)
    found = compare_headers(source.headers, target.headers, patterns, ignored_headers)
    found = found or compare_cookies(source.cookies, target.cookies)
    if found or source.body == target.body:
        return found
    if not source.headers.get("content-type", "").startswith(("text/", "application/json", "application/xml")):
        return "the body has {0} bytes on the source and {1} on the target, and they differ".format(
            len(source.body), len(target.body)
        )
    ours = normalise(source.body.decode("utf-8", "replace"), patterns)
    theirs = normalise(target.body.decode("utf-8", "replace"), patterns)
    if ours == theirs:
        return ""
    titles = [" ".join(found.group(1).split()) if found else "" for found in map(TITLE.search, (ours, theirs))]
    if titles[0] != titles[1]:
        return "the title is '{0}' on the source and '{1}' on the target".format(*titles)
    return first_difference(ours, theirs)


def compare_headers(
    source: Dict[str, str], target: Dict[str, str], volatile: Sequence[str], ignored: Sequence[str]
) -> str:
    """Which header of the source the target does not send alike; '' when there is none."""
    for name in sorted({*HEADERS, *source} - INCIDENTAL.union(name.lower() for name in ignored)):
        ours, theirs = source.get(name, ""), target.get(name, "")
        if normalise(ours, volatile).lower() != normalise(theirs, volatile).lower():
            return "header {0} is '{1}' on the source and '{2}' on the target".format(name, ours, theirs)
    return ""


def compare_cookies(source: Sequence[str], target: Sequence[str]) -> str:
    """Which cookie is not set alike; '' when all are. Values and expiry may differ, and a target may be stricter."""
    ours, theirs = (dict(map(read_cookie, side)) for side in (source, target))
    for name in sorted({*ours, *theirs}):
        if name not in theirs or name not in ours:
            sides = ("source", "target") if name in ours else ("target", "source")
            return "cookie {0} is set by the {1} and not by the {2}".format(name, *sides)
        missing = sorted(ours[name] - theirs[name])
        if missing:
            return "cookie {0} is {1} on the source and not on the target".format(name, ", ".join(missing))
    return ""


def read_cookie(text: str) -> Tuple[str, Set[str]]:
    """The name of a cookie, and what is said of it but for value and expiry."""
    pair, _semicolon, rest = text.partition(";")
    attributes = {part.strip().lower() for part in rest.split(";")}
    lasting = {part for part in attributes if part and not part.startswith(("expires=", "max-age="))}
    return pair.partition("=")[0].strip(), lasting


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
        names = {name.lower() for name in answer.headers}
        found = {name: ", ".join(answer.headers.get_all(name, [])) for name in names}
        return Answer(answer.status, found, answer.read(), tuple(answer.headers.get_all("set-cookie", [])))
    finally:
        connection.close()


def unanswered(side: str, server: str, error: Exception) -> str:
    """Why there is no answer, in words."""
    return "the {0} at {1} gave no answer: {2}".format(side, server, error)


def describe_all(found: Dict[str, str]) -> List[str]:
    """One text for each path that differs."""
    return ["{0}: {1}".format(path, text) for path, text in found.items() if text]
