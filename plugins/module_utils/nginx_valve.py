# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts a site's valve into nginx's configuration, and takes it out, leaving every other byte as it was.

A server of the site gets an ``include`` first. Each ``proxy_pass`` to the application gets the valve's variable
instead of its address and stays beside it as a comment: what else its location says goes on to count. A location that
passes on by another protocol gets an ``if`` first, which leads to the valve in HTTP while requests are held.
"""

import re
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Sequence, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils import nginx_config

FOLDER = "/etc/nginx/cutover"
MARK = "# ocpizza.cutover: removed again when the source is retired"


class Token(NamedTuple):
    """A word or mark, with where it begins and ends."""

    text: str
    start: int
    end: int
    line: int


def variable(name: str) -> str:
    """The variable with the address that a site's requests go to."""
    return "$cutover_" + name.replace("-", "_")


def http_lines(name: str) -> str:
    """What is put before the site's first server."""
    return "{0}\ninclude {1}/{2}.http.conf;\n".format(MARK, FOLDER, name)


def server_lines(name: str) -> str:
    """What is put first into each server of the site."""
    return "\n    {0}\n    include {1}/{2}.conf;".format(MARK, FOLDER, name)


def location_lines(name: str) -> str:
    """What is put first into each location that passes on by another protocol than HTTP.

    nginx may come back to this location and no other: one that is C(internal) was not reached by the client.
    """
    kept = variable(name)
    return "\n        {0}\n        if ({1}_side = held) {{ set {1}_uri $uri; rewrite ^ /{2}_held last; }}".format(
        MARK, kept, kept[1:]
    )


def pass_mark(name: str) -> str:
    """What each line of the replaced directive stands behind."""
    return "\n# ocpizza.cutover {0}: ".format(name)


def remove(content: str, name: str) -> str:
    """The content without what ``add`` put in."""
    for lines in (http_lines(name), server_lines(name), location_lines(name)):
        content = content.replace(lines, "")
    mark = pass_mark(name)
    replaced = re.escape("proxy_pass {0};".format(variable(name))) + "[^\n]*((?:{0}[^\n]*)+)\n".format(re.escape(mark))
    return re.sub(replaced, lambda match: match.group(1)[len(mark) :].replace(mark, "\n"), content)


def add(
    content: str,
    name: str,
    servers: Iterable[int],
    passes: Dict[int, str],
    first: bool,
    locations: Iterable[Tuple[int, str]] = (),
) -> str:
    """The content with the valve in the servers, the ``proxy_pass`` directives and the locations on these lines.

    ``passes`` has, by line, what comes beside the new directive; ``first`` says that the first of the servers is the
    site's first of all. Of a location the arguments are given too: one line may have several.
    """
    wanted = set(locations)
    ours, mark = set(servers), pass_mark(name)
    inserts: List[Tuple[int, str]] = []
    found = list(_tokens(content))
    for number, token in enumerate(found):
        if not (number == 0 or found[number - 1].text in ("{", "}", ";")):
            continue
        after = found[number + 1].text if number + 1 < len(found) else ""
        if token.text == "server" and token.line in ours and after == "{":
            if first:
                inserts.append((token.start, http_lines(name)))
                first = False
            inserts.append((found[number + 1].end, server_lines(name)))
        elif token.text == "location" and token.line in {line for line, _arguments in wanted}:
            opening = next(at for at in range(number, len(found)) if found[at].text == "{")
            arguments = " ".join(_unquoted(each.text) for each in found[number + 1 : opening])
            if (token.line, arguments) in wanted:
                inserts.append((found[opening].end, location_lines(name)))
        elif token.text == "proxy_pass" and token.line in passes:
            end = next(later for later in found[number:] if later.text == ";")
            directives = "proxy_pass {0};{1}".format(variable(name), passes[token.line])
            inserts.append((token.start, directives + mark))
            # A comment ends with its line; what is broken into several becomes several.
            breaks = [match.end() for match in re.finditer("\n", content[token.start : end.end])]
            inserts += [(token.start + place, mark[1:]) for place in breaks]
            inserts.append((end.end, "\n"))
    for position, text in reversed(inserts):
        content = content[:position] + text + content[position:]
    return content


def _unquoted(text: str) -> str:
    return next((value for _kind, value, _line in nginx_config.tokens(text)), "")


def _tokens(content: str) -> Iterator[Token]:
    line = 1
    for match in nginx_config.TOKEN.finditer(content):
        if match.lastgroup in ("word", "mark", "quoted"):
            yield Token(match.group(0), match.start(), match.end(), line)
        line += match.group(0).count("\n")


def site_servers(vhosts: Sequence[Dict[str, Any]], domains: Iterable[str]) -> List[Dict[str, Any]]:
    """The servers that nginx takes for the domains: by exact name, else by wildcard, else by regular expression."""
    chosen: List[Dict[str, Any]] = []
    for domain in domains:
        ranked = [(rank(vhost["names"], domain), vhost) for vhost in vhosts]
        best = min([rank_ for rank_, _vhost in ranked] or [NOT])
        chosen += [vhost for rank_, vhost in ranked if rank_ == best != NOT and vhost not in chosen]
    return [vhost for vhost in vhosts if vhost in chosen]


NOT = 9


def rank(names: Iterable[str], domain: str) -> int:
    """How well a server's names fit a domain, 0 best, ``NOT`` not at all."""
    domain, best = domain.lower(), NOT
    for name in names:
        if name == domain or (name.startswith(".") and domain == name[1:]):
            found = 0
        elif name.startswith(("*.", ".")) and domain.endswith("." + name.lstrip("*.")):
            found = 1
        elif name.endswith(".*") and domain.startswith(name[:-1]):
            found = 2
        elif name.startswith("~") and _matches(name[1:], domain):
            found = 3
        else:
            continue
        best = min(best, found)
    return best


def _matches(pattern: str, domain: str) -> bool:
    # nginx may write (?<name>...), Python wants (?P<name>...).
    try:
        return re.search(re.sub(r"\(\?<(\w)", r"(?P<\1", pattern), domain, re.IGNORECASE) is not None
    except re.error:
        return False
