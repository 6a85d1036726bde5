# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions about a web server's configuration tree: what differs, how a staged copy is made, what failed."""

import os
import re
from typing import Dict, Iterable, List, NamedTuple, Optional, Set, Tuple

FILE, LINK, ABSENT, OTHER = "file", "link", "absent", "other"


class TreeError(ValueError):
    """A request that cannot be carried out as asked."""


class Server(NamedTuple):
    """What the module must know of one kind of web server; a new one is a new entry in SERVERS."""

    root: str
    service: str
    pid_file: str
    error_log: str
    package: str
    binary: str
    test: Tuple[str, ...]
    listen: str
    pairs: Tuple[str, str]
    check_pairs: bool


SERVERS: Dict[str, Server] = {
    "nginx": Server(
        root="/etc/nginx",
        service="nginx",
        pid_file="/run/nginx.pid",
        error_log="/var/log/nginx/error.log",
        package="nginx",
        binary="/usr/sbin/nginx",
        test=("/usr/sbin/nginx", "-t", "-c", "{tree}/nginx.conf"),
        listen=r"(?:^|[{;])[ \t]*listen\s+(?:\S*:)?(\d+)\b",
        pairs=("ssl_certificate", "ssl_certificate_key"),
        check_pairs=False,
    ),
    "apache": Server(
        root="/etc/apache2",
        service="apache2",
        pid_file="/run/apache2/apache2.pid",
        error_log="/var/log/apache2/error.log",
        package="apache2",
        binary="/usr/sbin/apache2",
        # Not apache2ctl: it would run ulimit and systemctl for a tree that is not the server's own.
        test=("/bin/sh", "-c", '. "$1/envvars" && exec /usr/sbin/apache2 -t -d "$1"', "sh", "{tree}"),
        listen=r"^\s*listen\s+(?:\S*:)?(\d+)\b",
        pairs=("SSLCertificateFile", "SSLCertificateKeyFile"),
        # `apache2 -t` looks at neither content nor match of keys; a wrong one ends the parent at the reload.
        check_pairs=True,
    ),
}


class Entry(NamedTuple):
    """A path of the tree: as found on disk, or as wanted (mode None: leave it)."""

    kind: str
    content: bytes = b""
    target: str = ""
    mode: Optional[int] = None


class Change(NamedTuple):
    """One difference between what is wanted and what is there."""

    path: str
    before: Entry
    after: Entry
    reason: str


def relative_path(root: str, path: str) -> str:
    """The path below the root; refuses what lies outside of it."""
    given = path
    if os.path.isabs(path):
        path = os.path.relpath(path, root)
    path = os.path.normpath(path)
    if path in (".", "") or path == ".." or path.startswith("../") or os.path.isabs(path):
        raise TreeError(
            "'%s' is not a path below %s. Name files of the web server's configuration only, "
            "relative to that folder." % (given, root)
        )
    return path


def wanted_entries(
    root: str, files: Iterable[Dict[str, str]], links: Iterable[Dict[str, str]], absent: Iterable[str]
) -> Dict[str, Entry]:
    """The request as one entry a path; refuses a path that is asked for twice."""
    wanted: Dict[str, Entry] = {}

    def add(path: str, entry: Entry) -> None:
        path = relative_path(root, path)
        if path in wanted:
            raise TreeError("'%s' is asked for twice. Name each path once in files, links and absent." % path)
        wanted[path] = entry

    for item in files:
        mode = item.get("mode")
        try:
            bits = None if mode is None else int(mode, 8)
        except ValueError:
            raise TreeError(
                "'%s' is not a mode for '%s'. Write it in octal and quoted, as \"0644\"." % (mode, item["path"])
            ) from None
        add(item["path"], Entry(FILE, content=item["content"].encode("utf-8"), mode=bits))
    for item in links:
        add(item["path"], Entry(LINK, target=item["target"]))
    for path in absent:
        add(path, Entry(ABSENT))
    return wanted


def decide(wanted: Dict[str, Entry], found: Dict[str, Entry]) -> List[Change]:
    """What must change, in an order in which no link ever points at a file that is not there."""
    changes = []
    for path, after in sorted(wanted.items()):
        before = found[path]
        reason = _reason(before, after)
        if not reason:
            continue
        if before.kind == OTHER:
            raise TreeError("'%s' is neither a file nor a link. Move it away, or name another path." % path)
        changes.append(Change(path, before, after, "%s: %s" % (path, reason)))
    return sorted(changes, key=_rank)


def _rank(change: Change) -> Tuple[int, str]:
    if change.after.kind == ABSENT:
        return (2 if change.before.kind == LINK else 3), change.path
    return (0 if change.after.kind == FILE else 1), change.path


def _reason(before: Entry, after: Entry) -> str:
    if after.kind == ABSENT:
        return "" if before.kind == ABSENT else "is there and shall not be"
    if before.kind == ABSENT:
        return "is missing"
    if before.kind != after.kind:
        return "is a %s and shall be a %s" % (before.kind, after.kind)
    reason = ""
    if before.target != after.target:
        reason = "points at %s" % before.target
    elif before.content != after.content:
        reason = "content differs"
    elif after.mode is not None and before.mode != after.mode:
        reason = "mode is %04o" % (before.mode or 0)
    return reason


def staged_content(content: bytes, root: str, tree: str) -> bytes:
    """A file as the staged copy needs it: absolute paths into the tree lead into the copy."""
    if b"\0" in content:
        return content
    pattern = rb"(?<![\w./-])" + re.escape(root.encode()) + rb"(?=[/\s\"';]|$)"
    return re.sub(pattern, lambda _: tree.encode(), content, flags=re.MULTILINE)


def staged_link(path: str, target: str, root: str, tree: str) -> str:
    """Where a link of the staged copy points: into the copy, or out of it to the same place as before."""
    absolute = os.path.normpath(os.path.join(root, os.path.dirname(path), target))
    if absolute == root or absolute.startswith(root + "/"):
        return tree + absolute[len(root) :]
    return absolute


def ports(server: Server, contents: Iterable[bytes]) -> Set[int]:
    """The TCP ports that these files listen on, as far as they are written as numbers."""
    found: Set[int] = set()
    for content in contents:
        text = content.decode("utf-8", "replace")
        found.update(int(port) for port in re.findall(server.listen, text, re.MULTILINE | re.IGNORECASE))
    return found


def key_pairs(server: Server, content: bytes) -> List[Tuple[str, str]]:
    """Certificate and key paths of one file, in the order of their pairs."""
    text = content.decode("utf-8", "replace")
    certificates, keys = (
        re.findall(r"^\s*%s\s+\"?([^\s\";]+)" % name, text, re.MULTILINE | re.IGNORECASE) for name in server.pairs
    )
    return list(zip(certificates, keys))


def own_words(output: str, root: str, tree: str) -> str:
    """The server's message with the paths of the real tree and without its closing formula."""
    noise = ("Action '", "The Apache error log may", "Syntax OK", "syntax is ok", "AH00558")
    lines: List[str] = []
    for line in map(str.strip, output.replace(tree, root).splitlines()):
        if not line or any(part in line for part in noise) or re.search(r"test (failed|is successful)$", line):
            continue
        said = re.sub(r"^\d{4}/\d\d/\d\d [\d:]+ |\d+#\d+: ", "", line)
        if said not in lines:
            lines.append(said)
    return "\n".join(lines)


def blamed_place(words: str) -> str:
    """The file and line that the server's words name, or nothing."""
    match = re.search(r"(?: in |line )(/\S+?):(\d+)", words)
    if match:
        return "%s, line %s" % match.groups()
    match = re.search(r"on line (\d+) of (/\S+?):?(?:\s|$)", words)
    if match:
        return "%s, line %s" % (match.group(2), match.group(1))
    return ""


def warnings(words: str) -> List[str]:
    """Lines the server accepts but does not like, such as a domain that two sites claim."""
    return [line for line in words.splitlines() if "[warn]" in line or "warning" in line.lower()]


REMEDIES = {
    "existing": "Nothing was changed. The configuration was broken before this run: mend that file by hand "
    "until the server's own test passes, then run this again.",
    "staged": "Nothing was changed; the server runs on as before. Mend the variable or template that makes "
    "this file, then run this again.",
    "switched": "The old files are back and were never out of service. Look for a file outside {root} that "
    "the configuration includes, then run this again.",
    "reload": "The old files are back. Read the server's words above, mend what they name, then run this again.",
    "port": "Nothing was changed. Choose another port, or stop the program that holds it "
    "(ss -ltnp 'sport = :{port}' names it), then run this again.",
    "pair": "Nothing was changed. Give a certificate and the private key it was made for, both readable PEM "
    "without a passphrase, then run this again.",
}

TITLES = {
    "existing": "The {server} configuration in {root} fails its own test as it is now",
    "staged": "{server} refuses the new configuration",
    "switched": "{server} refuses the new configuration in place, though its staged copy passed",
    "reload": "{server} did not take the new configuration",
    "port": "{server} cannot listen on port {port}: another program holds it",
    "pair": "{server} cannot use the certificate {certificate} with the key {key}",
}


def failure(step: str, words: str, after: str = "", **names: object) -> str:
    """The text of a failure: what, where, the server's own words, what became of the old files, the remedy."""
    text = TITLES[step].format(**names)
    place = blamed_place(words)
    if place:
        text += " (%s)" % place
    if words:
        text += ". Its own words: %s" % words
    if not text.endswith("."):
        text += "."
    remedy = REMEDIES[step].format(**names)
    if after:
        back = "The old files are back"
        remedy = remedy.replace(back + ". ", "%s: %s " % (back, after), 1)
    return text + " " + remedy
