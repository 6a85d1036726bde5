# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where nginx passes a site's requests on, and which of these places the valve cannot hold."""

import re
from typing import Any, Dict, Iterable, List, Sequence, Set, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils import nginx_config, upstreams
from ansible_collections.ocpizza.cutover.plugins.module_utils.nginx_config import Directive

ADDRESS = re.compile(
    r"(?P<scheme>\w+)://(?P<host>unix:/[^:\s]+:?|[^/:\s]+|\[[^\]]+\])(?::(?P<port>\d+))?(?P<uri>/.*)?\Z"
)
# grpc_pass is HTTP/2 all the way, which the valve's proxy would have to speak as well.
SPOKEN = {"proxy_pass": "http", "fastcgi_pass": "fastcgi", "uwsgi_pass": "uwsgi", "scgi_pass": "scgi"}
NUMBERS = re.compile(r"(\d+(\.\d+){3}|\[[0-9a-fA-F:.]+\]):\d+\Z")
KEPT = "keeps its connections, so that nobody sees what runs", "Leave fastcgi_keep_conn out."
# Values of the header Host by which the target knows the site.
NAMES = ("$host", "$http_host", "$server_name")


def passes(
    directives: Sequence[Directive], servers: Sequence[Dict[str, Any]], domains: Iterable[str], upstream: str
) -> List[Dict[str, Any]]:
    """The places in the site's servers that pass requests on, each with why it cannot be held ('' where it can)."""
    ours = {(server["file"], server["line"]) for server in servers}
    groups: Dict[str, List[str]] = {}
    for one in directives:
        if one.name == "server" and one.arguments and one.blocks and one.blocks[-1].name == "upstream":
            groups.setdefault(one.blocks[-1].arguments[0], []).append(one.arguments[0])
    found: List[Dict[str, Any]] = []
    users: Dict[Tuple[str, int], Set[bool]] = {}
    for one in directives:
        server = _server(one)
        if one.name not in nginx_config.PASSES or not one.arguments or not server:
            continue
        changed = _changed(one)
        users.setdefault((changed.file, changed.line), set()).add(server in ours)
        if server not in ours or any((each["file"], each["line"]) == (one.file, one.line) for each in found):
            continue
        inherited = _effective(directives, one)
        problem, remedy = _problem(one, inherited, groups, [name.lower() for name in domains], upstream)
        headers = [each.arguments for each in inherited["proxy_set_header"] if len(each.arguments) == 2]
        found.append(
            {
                "file": one.file,
                "line": one.line,
                "directive": " ".join([one.name, *one.arguments]),
                "problem": problem,
                "remedy": remedy,
                "headers": headers,
                "changed": {"file": changed.file, "line": changed.line, "opens": " ".join(changed.arguments)}
                if changed.opens
                else {},
                # With a variable nginx no longer makes its default by itself.
                "beside": "" if inherited["proxy_redirect"] else " proxy_redirect {0}/ /;".format(one.arguments[0]),
            }
        )
    for place in found:
        where = place["changed"] or place
        if not place["problem"] and len(users[(where["file"], where["line"])]) > 1:
            place["problem"] = "is in a file that another site includes too"
            place["remedy"] = "Give the site a file of its own."
    return found


def headers_to_target(places: Iterable[Dict[str, Any]]) -> List[List[str]]:
    """What the target is told of a client: what the application beside nginx was, and where the client is."""
    told = [place["headers"] for place in places if not place["problem"]][:1]
    headers = [header for one in told for header in one if header[0].lower() not in ("host", "connection", "upgrade")]
    for header in (["X-Forwarded-For", "$proxy_add_x_forwarded_for"], ["X-Forwarded-Proto", "$scheme"]):
        if header[0].lower() not in [name.lower() for name, _value in headers]:
            headers.append(header)
    return headers


def _changed(one: Directive) -> Directive:
    """What is edited: the directive itself, or the location around one that does not speak HTTP."""
    return one if one.name == "proxy_pass" else one.blocks[-1]


def _server(one: Directive) -> Tuple[str, int]:
    blocks = [block for block in one.blocks if block.name == "server"]
    return (blocks[0].file, blocks[0].line) if blocks else ("", 0)


def _effective(directives: Sequence[Directive], one: Directive) -> Dict[str, List[Directive]]:
    """What counts where a directive stands: nginx takes all of the innermost block that has any."""
    found: Dict[str, List[Directive]] = {}
    # Blocks of one place compare equal; an `if` inherits from the location around it.
    for name in ("proxy_set_header", "proxy_redirect", "fastcgi_keep_conn"):
        found[name] = []
        for depth in range(len(one.blocks), 0, -1):
            same = [each for each in directives if each.name == name and each.blocks == one.blocks[:depth]]
            if same:
                found[name] = same
                break
    return found


def _problem(
    one: Directive,
    inherited: Dict[str, List[Directive]],
    groups: Dict[str, List[str]],
    domains: Sequence[str],
    upstream: str,
) -> Tuple[str, str]:
    found = _address_problem(one, groups, upstream)
    if found[0]:
        return found
    if one.blocks[-1].name != "location":
        return "stands in '{0}'".format(one.blocks[-1].name), "Put it into a location."
    if one.name != "proxy_pass":
        kept = any(each.arguments[:1] == ["on"] for each in inherited["fastcgi_keep_conn"])
        return KEPT if kept else ("", "")
    if any(each.arguments[:1] == ["default"] for each in inherited["proxy_redirect"]):
        return "stands beside 'proxy_redirect default'", "Leave that directive out: it is nginx's default."
    host = [each.arguments[1] for each in inherited["proxy_set_header"] if _is_host(each)]
    if not host or not (host[-1] in NAMES or host[-1].lower() in domains):
        return "does not tell the application the site's name", "Add: proxy_set_header Host $http_host;"
    return "", ""


def _address_problem(one: Directive, groups: Dict[str, List[str]], upstream: str) -> Tuple[str, str]:
    address = one.arguments[0]
    parts = ADDRESS.match(address)
    uri = (parts.group("uri") or "") if parts else ""
    spoken = SPOKEN.get(one.name, "")
    ends = [re.sub(r"\A\w+://", "", end) for end in nginx_config.resolve(address, groups)]
    wanted = upstreams.parse(upstream) if upstream else upstreams.Upstream("", "")
    there = wanted.address.replace("/", "unix:/", 1) if upstreams.is_socket(wanted) else wanted.address
    known = [
        (
            not spoken,
            "speaks a protocol that is not known",
            "Have the application listen for HTTP as well, and pass to that.",
        ),
        ("$" in address, "has a variable", "Write the address of the application there."),
        (
            spoken == upstreams.HTTP and (not parts or parts.group("scheme").lower() != "http"),
            "does not speak plain HTTP",
            "Pass to the application over HTTP on the loopback address or a Unix socket.",
        ),
        (
            uri and spoken == upstreams.HTTP,
            "has a path, which a held request would lose",
            "Write it without the path, {0}.".format(address[: len(address) - len(uri)]),
        ),
        (
            spoken != wanted.protocol or [_plain(end) for end in ends] != [there],
            "goes to {0}{1}, and site_upstream is {2}".format(
                "" if spoken == upstreams.HTTP else spoken + "://", " and ".join(ends), upstream
            ),
            "Only requests to site_upstream are held; correct it, or take the place out.",
        ),
        (
            not (NUMBERS.match(there) or upstreams.is_socket(wanted)),
            "goes to a name",
            "Write the address in numbers, there and in site_upstream: a name would be looked up for each request.",
        ),
    ]
    return next(((problem, remedy) for wrong, problem, remedy in known if wrong), ("", ""))


def _is_host(header: Directive) -> bool:
    return len(header.arguments) == 2 and header.arguments[0].lower() == "host"


def _plain(end: str) -> str:
    if end.startswith("unix:"):
        return end.rstrip(":")
    host, _colon, port = end.rpartition(":")
    if not host or not port.isdigit():
        host, port = end, "80"
    return "{0}:{1}".format("127.0.0.1" if host == "localhost" else host, port)
