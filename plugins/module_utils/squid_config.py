# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads Squid's configuration, as far as it tells which application answers for which domains.

Source: squid.conf.documented of Squid 4 to 6.
"""

import re
import shlex
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Sequence

from ansible_collections.ocpizza.cutover.plugins.module_utils.config_includes import included

INCLUDE_DEPTH = 16
CONTINUED = "\\\n"
EVERY = "*"
# Names that are regular expressions are kept as such.
EXPRESSION = "~"


class Directive(NamedTuple):
    """One directive and where it stands."""

    name: str
    arguments: List[str]
    file: str
    line: int


class Reader:
    """Reads a configuration from its main file on; ``read`` gives a file's text, ``expand`` a pattern's files."""

    def __init__(self, read: Callable[[str], str], expand: Callable[[str], List[str]]) -> None:
        self.read = read
        self.expand = expand
        self.missing: List[str] = []

    def directives(self, path: str, depth: int = 0) -> Iterator[Directive]:
        """Every directive in Squid's order. What depends on a condition (C(if)) counts as met."""
        try:
            text = self.read(path)
        except OSError as error:
            self.missing.append("{0}: {1}".format(path, error.strerror or error))
            return
        number = 1
        for line in re.split(r"(?<!\\)\n", text.replace("\r\n", "\n")):
            words, here = words_of(line.replace(CONTINUED, " ")), number
            number += line.count("\n") + 1
            if not words:
                continue
            directive = Directive(words[0].lower(), words[1:], path, here)
            if directive.name != "include":
                yield directive
                continue
            for pattern in directive.arguments:
                for included_path in included(pattern, self.expand, depth >= INCLUDE_DEPTH, self.missing):
                    for inner in self.directives(included_path, depth + 1):
                        yield inner

    def values(self, arguments: Sequence[str]) -> Iterator[str]:
        """An access list's values, those included that it has in a file."""
        for value in arguments:
            if not value.startswith('"'):
                yield value
                continue
            try:
                text = self.read(value.strip('"'))
            except OSError as error:
                self.missing.append("{0}: {1}".format(value.strip('"'), error.strerror or error))
                continue
            for line in text.splitlines():
                for word in words_of(line)[:1]:
                    yield word


def words_of(line: str) -> List[str]:
    """A line's words up to a comment; a quoted one, which is a file's name, keeps its quotes."""
    splitter = shlex.shlex(line, posix=False)
    splitter.whitespace_split, splitter.commenters, splitter.quotes = True, "", '"'
    try:
        words = list(splitter)
    except ValueError:
        words = line.split()
    comment = next((number for number, word in enumerate(words) if word.startswith("#")), len(words))
    return words[:comment]


def vhosts(directives: Sequence[Directive], reader: Reader) -> List[Dict[str, Any]]:
    """Each application that Squid passes on to, as a virtual host is told: its ports, its domains, its address."""
    listen = [one.arguments[0] for one in directives if one.name in ("http_port", "https_port") and one.arguments]
    tls = any(one.name == "https_port" for one in directives)
    lists: Dict[str, List[str]] = {"all": [EVERY]}
    rules: Dict[str, List[Directive]] = {}
    for one in directives:
        if one.name == "acl" and len(one.arguments) > 2:
            lists.setdefault(one.arguments[0], []).extend(_names(one.arguments[1], one.arguments[2:], reader))
        elif one.name == "cache_peer_access" and len(one.arguments) > 1:
            rules.setdefault(one.arguments[0], []).append(one)
    found = []
    for one in directives:
        if one.name != "cache_peer" or len(one.arguments) < 4 or "originserver" not in one.arguments[4:]:
            continue
        host, port, options = one.arguments[0], one.arguments[2], one.arguments[4:]
        name = next((option[len("name=") :] for option in options if option.startswith("name=")), host)
        tls_behind = any(option in ("ssl", "tls") for option in options)
        address = "{0}://{1}:{2}".format("https" if tls_behind else "http", host, port)
        found.append(
            {
                "server": "squid",
                "file": one.file,
                "line": one.line,
                "listen": listen,
                "names": _allowed(rules.get(name, []), lists),
                "upstreams": [address],
                "proxies": [{"path": "/", "address": address}],
                "document_root": "",
                "aliases": {},
                "tls": tls,
                "certificate": "",
                "logs": [],
                "redirects": [],
                "excluded": [],
                "secrets": [],
                "mentions": [],
            }
        )
    return found


def _names(kind: str, arguments: Sequence[str], reader: Reader) -> List[str]:
    if kind == "dstdomain":
        return [value.lower() for value in reader.values(arguments) if not value.startswith("-")]
    if kind == "dstdom_regex":
        return [EXPRESSION + value for value in reader.values(arguments) if not value.startswith("-")]
    return []


def _allowed(rules: Sequence[Directive], lists: Dict[str, List[str]]) -> List[str]:
    """The domains whose requests a peer may get; every one where no rule says otherwise."""
    if not rules:
        return [EVERY]
    names = [
        name
        for rule in rules
        if rule.arguments[1].lower() == "allow"
        for one in rule.arguments[2:]
        for name in lists.get(one, [])
    ]
    return list(dict.fromkeys(names))


def serves(vhost: Dict[str, Any], domain: str) -> bool:
    """Whether an application gets the requests for a domain; a leading dot stands for all names below, and itself."""
    wanted = domain.lower()
    for name in vhost["names"]:
        if name.startswith(EXPRESSION):
            try:
                if re.search(name[len(EXPRESSION) :], wanted, re.IGNORECASE):
                    return True
            except re.error:
                continue
        elif name == EVERY or wanted == name.lstrip(".") or (name.startswith(".") and wanted.endswith(name)):
            return True
    return False


def pools(directives: Sequence[Directive]) -> bool:
    """Whether Squid keeps connections to the application: such a one passes a hold by."""
    said = [
        one.arguments[0].lower() for one in directives if one.name == "server_persistent_connections" and one.arguments
    ]
    return not said or said[-1] != "off"


def account(directives: Sequence[Directive]) -> str:
    """Whom Squid runs as."""
    said = [one.arguments[0] for one in directives if one.name == "cache_effective_user" and one.arguments]
    return said[-1] if said else "proxy"
