# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads Apache's configuration as Apache does: continued lines, includes, Define, IfModule taken as true."""

import glob
import os
import re
import shlex
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence

from ansible_collections.ocpizza.cutover.plugins.module_utils.applications import take_variable

INCLUDE_DEPTH = 20


class Directive(NamedTuple):
    """One directive, where it stands, and the sections around it, outermost first."""

    name: str
    arguments: List[str]
    file: str
    line: int
    sections: Sequence[str]


def split_arguments(text: str) -> List[str]:
    """Arguments as Apache splits them; what quotes badly is split at spaces."""
    try:
        return shlex.split(text, comments=False, posix=True)
    except ValueError:
        return text.split()


def logical_lines(text: str) -> Iterator[Any]:
    """(number of the first line, text) of each line that says something, continuations joined."""
    held, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first or number
        if line.endswith("\\"):
            held += line[:-1] + " "
            continue
        whole = (held + line).strip()
        if whole and not whole.startswith("#"):
            yield first, whole
        held, first = "", 0


class Reader:
    """Reads a configuration from its main file on; ``read`` gives a file's text, ``expand`` a pattern's files."""

    def __init__(
        self,
        root: str,
        read: Callable[[str], str],
        expand: Callable[[str], List[str]],
        variables: Optional[Dict[str, str]] = None,
    ) -> None:
        self.root = root
        self.read = read
        self.expand = expand
        self.variables = dict(variables or {})
        self.files = []  # type: List[str]
        self.missing = []  # type: List[str]

    def substitute(self, text: str) -> str:
        """The text with ${NAME} replaced where the name is defined."""
        return re.sub(r"\$\{(\w+)\}", lambda match: self.variables.get(match.group(1), match.group(0)), text)

    def directives(self, path: str, sections: Optional[List[str]] = None, depth: int = 0) -> Iterator[Directive]:
        """Every directive, in Apache's order."""
        sections = [] if sections is None else sections
        try:
            text = self.read(path)
        except OSError as error:
            self.missing.append("{0}: {1}".format(path, error.strerror or error))
            return
        self.files.append(path)
        outside = len(sections)
        for number, line in logical_lines(text):
            if line.startswith("</"):
                if sections:
                    sections.pop()
                continue
            opening = re.match(r"<(\w+)\s*(.*?)>?\s*$", line) if line.startswith("<") else None
            if opening:
                name, rest = opening.group(1), self.substitute(opening.group(2))
                yield Directive("<" + name.lower(), split_arguments(rest), path, number, tuple(sections))
                sections.append(name.lower() + (":%s:%d" % (path, number) if name.lower() == "virtualhost" else ""))
                continue
            name, _space, rest = line.partition(" ")
            name, rest = (name.split("\t")[0], line[len(name.split("\t")[0]) :]) if "\t" in name else (name, rest)
            arguments = split_arguments(self.substitute(rest))
            low = name.lower()
            if low == "define" and arguments:
                self.variables[arguments[0]] = arguments[1] if len(arguments) > 1 else ""
            if low in ("include", "includeoptional") and arguments and depth < INCLUDE_DEPTH:
                for included in self.expand(self.absolute(arguments[0])):
                    for directive in self.directives(included, sections, depth + 1):
                        yield directive
                continue
            yield Directive(low, arguments, path, number, tuple(sections))
        if len(sections) > outside:
            self.missing.append("{0}: it ends within <{1}>".format(path, sections[-1].split(":")[0]))
            del sections[outside:]

    def absolute(self, path: str) -> str:
        """A path relative to ServerRoot."""
        return path if path.startswith("/") else os.path.join(self.root, path)


def expand_pattern(pattern: str) -> List[str]:
    """The files that a pattern of Include names; a directory names all below it."""
    found = []
    for path in sorted(glob.glob(pattern)):
        if os.path.isdir(path):
            found += sorted(os.path.join(base, name) for base, _dirs, names in os.walk(path) for name in names)
        else:
            found.append(path)
    return found


def env_variables(text: str) -> Dict[str, str]:
    """What Debian's envvars exports, as far as it is plain."""
    found = {"SUFFIX": ""}  # type: Dict[str, str]
    for name, value in re.findall(r"^\s*export\s+(\w+)=(.*?)\s*$", text, re.MULTILINE):
        found[name] = re.sub(r"\$\{?(\w+)\}?", lambda match: found.get(match.group(1), ""), value.strip("\"'"))
    return found


def vhosts(directives: Sequence[Directive]) -> List[Dict[str, Any]]:
    """The virtual hosts with what a migration has to know of each."""
    found = {}  # type: Dict[str, Dict[str, Any]]
    for directive in directives:
        if directive.name == "<virtualhost":
            found["virtualhost:%s:%d" % (directive.file, directive.line)] = {
                "server": "apache",
                "file": directive.file,
                "line": directive.line,
                "listen": directive.arguments,
                "names": [],
                "upstreams": [],
                "proxies": [],
                "document_root": "",
                "aliases": {},
                "rewrite_engine": False,
                "wsgi": False,
                "tls": False,
                "excluded": [],
                "certificate": "",
                "logs": [],
                "redirects": [],
                "wsgi_scripts": [],
                "handlers": [],
                "secrets": [],
                "mentions": [],
            }
            continue
        owner = next((found[name] for name in directive.sections if name in found), None)
        if owner is not None:
            _take(owner, directive)
    return list(found.values())


def _take(vhost: Dict[str, Any], directive: Directive) -> None:
    name, arguments = directive.name, directive.arguments
    if not arguments:
        return
    if name in ("servername", "serveralias"):
        vhost["names"] += [re.sub(r":\d+$", "", one.split("://")[-1]).lower() for one in arguments]
    elif name in ("proxypass", "proxypassmatch"):
        # Inside <Location> the path is the section's and the directive has the address alone.
        path, address = [*arguments, ""][:2] if "://" not in arguments[0] else ("", arguments[0])
        if address == "!":
            vhost["excluded"].append(path)
        elif address:
            vhost["proxies"].append({"path": path, "address": address})
            vhost["upstreams"].append(address)
    elif name == "documentroot":
        vhost["document_root"] = arguments[0]
    elif name in ("alias", "aliasmatch") and len(arguments) > 1:
        vhost["aliases"][arguments[0]] = arguments[1]
    elif name == "rewriteengine":
        vhost["rewrite_engine"] = arguments[0].lower() == "on"
    elif name == "wsgiscriptalias":
        vhost["wsgi"] = True
        vhost["wsgi_scripts"].append(arguments[-1])
    elif name == "setenv" and len(arguments) > 1:
        take_variable(vhost, arguments[0], arguments[1], "{0}:{1}".format(directive.file, directive.line))
    else:
        _take_more(vhost, name, arguments)


def _take_more(vhost: Dict[str, Any], name: str, arguments: List[str]) -> None:
    if name == "sslengine":
        vhost["tls"] = arguments[0].lower() == "on"
    elif name == "sslcertificatefile":
        vhost["certificate"] = arguments[0]
    elif name == "customlog":
        vhost["logs"].append(arguments[0])
    elif name in ("redirect", "redirectmatch", "redirectpermanent") and len(arguments) > 1:
        vhost["redirects"].append({"path": arguments[-2], "to": arguments[-1]})
    elif name in ("sethandler", "addhandler") and "proxy:" in arguments[0]:
        # How PHP's process manager is reached.
        vhost["handlers"].append(arguments[0].partition("proxy:")[2])


def serves(vhost: Dict[str, Any], domain: str) -> bool:
    """Whether a virtual host is named for a domain; a star stands for any letters, as in ServerAlias."""
    for name in vhost["names"]:
        pattern = re.escape(name).replace(r"\*", ".*").replace(r"\?", ".")
        if re.match(pattern + r"\Z", domain.lower()):
            return True
    return False


def keep_alive_seconds(directives: Sequence[Directive]) -> float:
    """How long the server, or one of its virtual hosts, keeps an idle connection; five seconds by itself."""
    found = [
        match
        for directive in directives
        if directive.name == "keepalivetimeout" and directive.arguments
        for match in [re.match(r"(\d+)(ms|)\Z", directive.arguments[0])]
        if match
    ]
    return max([int(match.group(1)) / (1000.0 if match.group(2) else 1.0) for match in found], default=5.0)


def limits(directives: Sequence[Directive]) -> Dict[str, str]:
    """The limits that say how many requests can wait during a hold."""
    wanted = ("maxrequestworkers", "maxclients", "serverlimit", "threadsperchild", "listenbacklog", "timeout")
    return {
        directive.name: directive.arguments[0]
        for directive in directives
        if directive.name in wanted and directive.arguments
    }
