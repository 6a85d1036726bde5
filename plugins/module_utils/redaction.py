# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes out of texts whatever may be a secret; rather too much than too little."""

import re
import shlex
from typing import Any, List, Sequence

HIDDEN = "\u2026"
WORD = r"(?:pass|pwd|pw\b|secret|token|key|credential|auth|cookie|dsn|bearer|signature|webhook|private)"
# Name and value in one word, whatever follows.
GIVEN = re.compile(r"(?is)([\w.\[\]\"'-]*" + WORD + r"[\w.\[\]\"'-]*\s*(?:=>|[=:,]))(?=\s*\S).*")
OPTION = re.compile(
    r"(?i)--?[\w.-]*" + WORD + r"[\w.-]*\Z|--(proxy-)?user\Z|--(header|form|((post|body)-)?data[\w-]*)\Z"
)
LAST_WORD = re.compile(r"(?i)[\w.-]*" + WORD + r"[\w.-]*[:=]\Z|(bearer|basic|digest)\Z")
USERINFO = re.compile(r"([A-Za-z][\w+.-]*://)\S+@")
QUERY = re.compile(r"([?&;][\w.\[\]-]+=)[^\s&;#\"']+")
# What nobody has typed: long, letters and digits mixed, as keys, hashes and addresses of webhooks are.
RANDOM = re.compile(r"(?<![\w+-])(?=[\w+-]*\d[\w+-]*\d)(?=[\w+-]*[A-Za-z])[\w+-]{20,}(?![\w+-])")
# Options of one letter that are followed by a secret, or by a user with one, by program; the rest: p and P.
SHORT = (
    (re.compile(r"\b(curl|wget|http|https)\Z"), "uUbdHFAe"),
    (re.compile(r"\b(redis-cli|valkey-cli)\Z"), "a"),
    (re.compile(r"\bldap\w+\Z"), "wy"),
    (re.compile(r"\b(smbclient|lftp|ncftp\w*|rpcclient|net|isql|sqlcmd|bcp)\Z"), "uUP"),
    (re.compile(r"\bsnmp\w+\Z"), "cAX"),
    (re.compile(r"\b(mysql\w*|maria\w*|mydumper|myloader|xtrabackup|innobackupex)([\w-]*)\Z"), ""),
)
# Programs whose plain arguments are secrets.
PLAIN = re.compile(r"(^|/)(htpasswd|chpasswd|sshpass|sqlplus|expect|openssl|echo|printf)\Z")
MYSQL = SHORT[-1][0]


def split(text: str) -> List[str]:
    """The words of a command; of one with an open quote only the first can be told apart."""
    try:
        return shlex.split(text)
    except ValueError:
        return [*text.split()[:1], HIDDEN]


def text(value: str) -> str:
    """A text without the secrets that stand in addresses."""
    return QUERY.sub(r"\1" + HIDDEN, USERINFO.sub(r"\1" + HIDDEN + "@", value))


def _short(program: str) -> str:
    return "pP" + next((letters for pattern, letters in SHORT if pattern.search(program)), "")


def _word(word: str, letters: str) -> str:
    """A word that no earlier one has announced as a secret."""
    plain = GIVEN.sub(r"\1" + HIDDEN, word)
    if plain != word:
        return text(plain)
    if len(word) > 2 and word[0] == "-" and word[1] in letters and not word[2:].isdigit():
        return word[:2] + HIDDEN
    name, equals, _value = word.partition("=")
    if equals and OPTION.match(name):
        return name + equals + HIDDEN
    inner = split(word) if re.search(r"\s", word) else [word]
    if len(inner) > 1:
        return command(inner)
    return RANDOM.sub(HIDDEN, text(word))


def command(words: Sequence[str]) -> str:
    """A command without what may be a secret in it."""
    result: List[str] = []
    letters, announced, plain, mysql = "pP", False, False, False
    for word in words:
        if announced:
            result.append(HIDDEN)
            announced = False
            continue
        # As in "Authorization: Bearer abc": all that follows belongs to it.
        if LAST_WORD.search(word):
            return " ".join([*result, word, HIDDEN])
        if any(pattern.search(word) for pattern, _letters in SHORT):
            letters, mysql = _short(word), bool(MYSQL.search(word))
        if PLAIN.search(word):
            plain = True
        elif plain and word in ("|", "&&", ";", "||"):
            plain = False
        elif plain:
            result.append(HIDDEN)
            continue
        one_letter = len(word) == 2 and word[0] == "-" and word[1] in letters
        # Clients of MySQL ask for the password after -p alone; for their port with -P.
        announced = bool(OPTION.match(word) or (one_letter and not mysql))
        # What begins with one dash may also be its letter with the secret behind it.
        shown = word if word.startswith("--") or one_letter else word[:2] + HIDDEN
        result.append(shown if announced else _word(word, letters))
    return " ".join(result)


def everything(value: Any) -> Any:
    """The same structure with no secret in any of its addresses."""
    if isinstance(value, dict):
        return {key: everything(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [everything(inner) for inner in value]
    return text(value) if isinstance(value, str) else value
