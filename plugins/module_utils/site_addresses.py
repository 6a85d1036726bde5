# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which addresses of a site stand for all of it: from its access log and its sitemap, some of every kind."""

import html
import re
import zlib
from collections import Counter
from typing import Dict, List, Sequence, Tuple
from urllib.parse import urlsplit

from ansible_collections.ocpizza.cutover.plugins.module_utils.access_log import Request

# A GET of these may do more than show something.
EXCLUDED = (r"(log|sign)[-_]?(out|off)", r"unsubscribe", r"delete|remove", r"token=|signature=|password|confirm")
PRINTABLE = re.compile(r"/[!-~]*\Z")
LOCATION = re.compile(r"<loc>\s*(?:<!\[CDATA\[)?\s*(.*?)\s*(?:\]\]>)?\s*</loc>", re.DOTALL)
# More addresses than these are not kept, so that no log fills the memory.
MOST_KEPT = 50000
MOST_BYTES = 64 << 20


def shape(path: str) -> str:
    """What addresses of one kind have in common: numbers and the values of a query do not matter."""
    path, _mark, query = path.partition("?")
    names = sorted(part.partition("=")[0] for part in query.split("&") if part)
    return re.sub(r"\d+", "0", path) + ("?" + "&".join(names) if names else "")


class Addresses:
    """Addresses and how often each was asked for."""

    def __init__(self, excluded: Sequence[str]) -> None:
        self.excluded = re.compile("|".join(excluded) or r"(?!)", re.IGNORECASE)
        self.counted: "Counter[str]" = Counter()

    def take(self, request: Request) -> None:
        """Count a request that was answered, and may be sent again without harm."""
        if request.method in ("", "GET") and request.status[:1] in ("", "2", "3"):
            self.add(request.path)

    def add(self, path: str) -> None:
        """Count an address, unless it is excluded or none."""
        fits = PRINTABLE.match(path) and not path.startswith("//") and not self.excluded.search(path)
        if fits and (path in self.counted or len(self.counted) < MOST_KEPT):
            self.counted[path] += 1

    def sample(self, most: int) -> List[str]:
        """Some of every kind in turn, first the kinds and the addresses that were asked for most."""
        kinds: Dict[str, List[str]] = {}
        asked: "Counter[str]" = Counter()
        for path, times in sorted(self.counted.items(), key=lambda item: (-item[1], item[0])):
            kind = shape(path)
            kinds.setdefault(kind, []).append(path)
            asked[kind] += times
        order = sorted(kinds, key=lambda kind: (-asked[kind], kind))
        turns = max(map(len, kinds.values()), default=0)
        return [kinds[kind][turn] for turn in range(turns) for kind in order if turn < len(kinds[kind])][:most]


def read_sitemap(body: bytes) -> Tuple[bool, List[str]]:
    """Whether a sitemap lists other sitemaps, and the URLs that it has. Raises ValueError where it is none."""
    if body[:2] == b"\x1f\x8b":
        body = unpacked(body)
    text = body.decode("utf-8", "replace")
    if "<urlset" not in text and "<sitemapindex" not in text:
        raise ValueError("it is no sitemap")
    return "<sitemapindex" in text, [html.unescape(url) for url in LOCATION.findall(text)]


def unpacked(body: bytes) -> bytes:
    """A compressed sitemap as it was. Raises ValueError where it is damaged or larger than any sitemap may be."""
    reader = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        text = reader.decompress(body, MOST_BYTES)
    except zlib.error as error:
        raise ValueError("it is damaged: {0}".format(error)) from None
    if not reader.eof:
        raise ValueError("it is cut short, or larger than {0} bytes".format(MOST_BYTES))
    return text


def path_of(url: str, names: Sequence[str]) -> str:
    """Path and query of a URL of one of the names; '' for another site's."""
    parts = urlsplit(url)
    if (parts.hostname or "") not in names:
        return ""
    return (parts.path or "/") + ("?" + parts.query if parts.query else "")
