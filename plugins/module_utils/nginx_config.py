# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads nginx's configuration as nginx does: blocks, quotes, includes at any depth; what is broken is told."""

import os
import re
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.applications import take_variable
from ansible_collections.ocpizza.cutover.plugins.module_utils.config_includes import included

INCLUDE_DEPTH = 20
TOKEN = re.compile(
    r"(?P<space>\s+)|(?P<comment>#[^\n]*)|(?P<mark>[{};])"
    r"|(?P<quoted>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
    r"|(?P<word>(?:\$\{\w+\}|\\.|[^\s{};\"'\\])(?:\$\{\w+\}|\\.|[^\s{};\\])*)|(?P<odd>.)",
    re.DOTALL,
)
PARAMETERS = ("fastcgi_param", "uwsgi_param", "scgi_param", "proxy_set_header")
PASSES = ("proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass")


Place = Tuple[str, int]


class Directive(NamedTuple):
    """One directive, where it stands, and the blocks around it, outermost first."""

    name: str
    arguments: List[str]
    file: str
    line: int
    blocks: Tuple[Any, ...]
    opens: bool


def tokens(text: str) -> Iterator[Tuple[str, str, int]]:
    """Kind (word, mark, odd), text and line of each token."""
    line = 1
    for match in TOKEN.finditer(text):
        kind, value = str(match.lastgroup), match.group(0)
        if kind == "quoted":
            yield "word", re.sub(r"\\([\"'\\])", r"\1", value[1:-1]), line
        elif kind in ("word", "mark", "odd"):
            yield kind, value, line
        line += value.count("\n")


class Reader:
    """Reads a configuration from its main file on; ``read`` gives a file's text, ``expand`` a pattern's files."""

    def __init__(self, root: str, read: Callable[[str], str], expand: Callable[[str], List[str]]) -> None:
        self.root = root
        self.read = read
        self.expand = expand
        self.files: List[str] = []
        self.missing: List[str] = []

    def directives(self, path: str, blocks: Tuple[Any, ...] = (), depth: int = 0) -> Iterator[Directive]:
        """Every directive, in nginx's order; where a file is broken the rest of it is left out."""
        try:
            text = self.read(path)
        except OSError as error:
            self.missing.append("{0}: {1}".format(path, error.strerror or error))
            return
        self.files.append(path)
        outside, first = len(blocks), 0
        words: List[str] = []
        stream = tokens(text)
        for kind, value, line in stream:
            if kind == "word":
                first = line if not words else first
                words.append(value)
                continue
            if kind == "odd" or (value == "}" and (words or len(blocks) == outside)) or (value != "}" and not words):
                self.missing.append("{0}:{1}: '{2}' stands where it cannot".format(path, line, value[0]))
                return
            if value == "}":
                blocks = blocks[:-1]
                continue
            directive = Directive(words[0].lower(), words[1:], path, first, blocks, value == "{")
            words = []
            if directive.name == "include" and directive.arguments:
                for inner in self._included(directive, depth):
                    yield inner
                continue
            yield directive
            if value == "{":
                blocks = (*blocks, directive)
                if directive.name.endswith("_by_lua_block"):
                    blocks = self._skip(stream, blocks)
        if words or len(blocks) != outside:
            opened = "{0}:{1}".format(blocks[-1].file, blocks[-1].line) if len(blocks) > outside else path
            self.missing.append("{0}: it ends within what begins at {1}".format(path, opened))

    @staticmethod
    def _skip(stream: Iterator[Tuple[str, str, int]], blocks: Tuple[Any, ...]) -> Tuple[Any, ...]:
        """Past a program of another language."""
        open_braces = 1
        for kind, value, _line in stream:
            open_braces += {"{": 1, "}": -1}.get(value, 0) if kind == "mark" else 0
            if not open_braces:
                break
        return blocks[:-1]

    def _included(self, directive: Directive, depth: int) -> Iterator[Directive]:
        where = directive.arguments[0]
        pattern = where if where.startswith("/") else os.path.join(self.root, where)
        for path in included(pattern, self.expand, depth >= INCLUDE_DEPTH, self.missing):
            for inner in self.directives(path, directive.blocks, depth + 1):
                yield inner


def _value(directives: Sequence[Directive], name: str) -> Optional[Directive]:
    return next((one for one in directives if one.name == name and one.arguments), None)


def vhosts(directives: Sequence[Directive]) -> List[Dict[str, Any]]:
    """The servers with what a migration has to know of each, as Apache's virtual hosts are told."""
    upstreams: Dict[str, List[str]] = {}
    own: Dict[Place, List[Directive]] = {}
    general = []
    for one in directives:
        names = [block.name for block in one.blocks]
        if names and names[-1] == "upstream" and one.name == "server" and one.arguments:
            upstreams.setdefault(one.blocks[-1].arguments[0], []).append(one.arguments[0])
        elif names == ["http"] and one.name == "server" and one.opens:
            own[_key(one)] = []
        elif names == ["http"]:
            general.append(one)
        elif len(names) > 1 and names[0] == "http" and names[1] == "server":
            own.setdefault(_key(one.blocks[1]), []).append(one)
    return [_vhost(place, inner, general, upstreams) for place, inner in own.items()]


def _key(directive: Directive) -> Place:
    return directive.file, directive.line


def _vhost(
    place: Place, inner: List[Directive], general: List[Directive], upstreams: Dict[str, List[str]]
) -> Dict[str, Any]:
    direct = [one for one in inner if len(one.blocks) == 2]

    def inherited(name: str) -> Optional[Directive]:
        return _value(direct, name) or _value(general, name)

    listen = [one.arguments for one in direct if one.name == "listen" and one.arguments]
    root, certificate = inherited("root"), inherited("ssl_certificate")
    tls = any("ssl" in words or "quic" in words for words in listen) or any(
        one.name == "ssl" and one.arguments == ["on"] for one in direct
    )
    logs = [one for one in inner if one.name == "access_log"] or [one for one in general if one.name == "access_log"]
    found: Dict[str, Any] = {
        "server": "nginx",
        "file": place[0],
        "line": place[1],
        "listen": [words[0] for words in listen] or ["*:80"],
        "names": [name.lower() for one in direct if one.name == "server_name" for name in one.arguments],
        "upstreams": [],
        "proxies": [],
        "document_root": root.arguments[0] if root else "",
        "aliases": {},
        "tls": tls,
        "certificate": certificate.arguments[0] if certificate and tls else "",
        "logs": sorted({one.arguments[0] for one in logs if one.arguments and one.arguments[0] != "off"}),
        "redirects": [],
        "excluded": [],
        "secrets": [],
        "mentions": [],
    }
    for one in inner:
        path = next((block.arguments[-1] for block in reversed(one.blocks) if block.name == "location"), "")
        if one.name in PASSES and one.arguments:
            found["proxies"].append({"path": path, "address": one.arguments[0], "kind": one.name[: -len("_pass")]})
            found["upstreams"] += resolve(one.arguments[0], upstreams)
        elif one.name in PARAMETERS and len(one.arguments) > 1:
            take_variable(found, one.arguments[0], one.arguments[1], "{0}:{1}".format(one.file, one.line))
        elif one.name == "alias" and one.arguments:
            found["aliases"][path] = one.arguments[0]
        elif one.name == "root" and one.arguments and path:
            found["aliases"][path] = one.arguments[0].rstrip("/") + "/" + path.lstrip("/")
        elif one.name == "return" and len(one.arguments) == 2 and one.arguments[0].startswith("30"):
            found["redirects"].append({"path": path or "/", "to": one.arguments[1], "status": int(one.arguments[0])})
    found["upstreams"] = sorted(set(found["upstreams"]))
    return found


def resolve(address: str, upstreams: Dict[str, List[str]]) -> List[str]:
    """The servers behind an address: those of an upstream block where it names one."""
    match = re.match(r"(?:(\w+)://)?([^/:\s]+)(?=[/:]|\Z)", address)
    if match and match.group(2) in upstreams:
        scheme = (match.group(1) or "") + "://" if match.group(1) else ""
        return [scheme + server for server in upstreams[match.group(2)]]
    return [address]
