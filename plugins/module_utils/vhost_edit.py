# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts an Include into the virtual hosts of a site, and takes it out, leaving every other byte as it was."""

import re
from typing import Iterable, List

# To the end of the line, however often it is continued: what is put in must not become a part of it.
OPENING = re.compile(
    r"^[ \t]*<VirtualHost\b[^>]*>(?:[^\n]*\\\r?\n)*[^\n]*(?<!\\)(?<!\\\r)\n", re.IGNORECASE | re.MULTILINE
)
CLOSING = re.compile(r"^[ \t]*</VirtualHost>", re.IGNORECASE | re.MULTILINE)
CONTINUED = re.compile(r"\\\r?\n")
NAMES = re.compile(r"^[ \t]*Server(?:Name|Alias)[ \t]+(.+?)[ \t]*$", re.IGNORECASE | re.MULTILINE)
MARK = "# ocpizza.cutover: removed again when the source is retired"


def names_of(block: str) -> List[str]:
    """The names that a virtual host answers to, lower case, without scheme and port."""
    found = []
    for line in NAMES.findall(CONTINUED.sub(" ", block)):
        for name in line.split():
            found.append(re.sub(r":\d+$", "", name.strip('"').split("://")[-1]).lower())
    return found


def matches(names: Iterable[str], domains: Iterable[str]) -> bool:
    """Whether a virtual host serves one of the domains; ``*.example.com`` serves what ends so."""
    wanted = [domain.lower() for domain in domains]
    for name in names:
        for domain in wanted:
            if name == domain or (name.startswith("*.") and domain.endswith(name[1:])):
                return True
    return False


def include_lines(path: str) -> str:
    """The lines that are put in."""
    return "    {0}\n    Include {1}\n".format(MARK, path)


def add_include(content: str, domains: Iterable[str], path: str) -> str:
    """The content with the Include first in every virtual host of the domains: its rules must come before others."""
    wanted = list(domains)
    lines = include_lines(path)
    pieces, position = [], 0
    for opening in OPENING.finditer(content):
        closing = CLOSING.search(content, opening.end())
        block = content[opening.end() : closing.start() if closing else len(content)]
        pieces.append(content[position : opening.end()])
        position = opening.end()
        if matches(names_of(block), wanted) and not block.startswith(lines):
            pieces.append(lines)
    pieces.append(content[position:])
    return "".join(pieces)


def remove_include(content: str, path: str) -> str:
    """The content without what ``add_include`` put in."""
    return content.replace(include_lines(path), "")
