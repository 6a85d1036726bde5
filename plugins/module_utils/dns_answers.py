# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether name servers answer with the new addresses, the old ones, or not at all."""

import ipaddress
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

NEW, OLD, OTHER, NONE, UNCHECKED = "new", "old", "other", "none", "not checked"


class Answer(NamedTuple):
    """What one server says of one name and type; ``reason`` why it said nothing that counts."""

    name: str
    type: str
    server: str
    role: str
    addresses: Tuple[str, ...]
    ttl: int
    reason: str = ""


def family(kind: str, addresses: Sequence[str]) -> List[str]:
    """The addresses that a record of this type can hold, as DNS writes them."""
    version = 4 if kind == "A" else 6
    parsed = [ipaddress.ip_address(text) for text in addresses]
    return [str(address) for address in parsed if address.version == version]


def state(answer: Answer, old: Sequence[str], new: Sequence[str]) -> str:
    """What an answer means; one old address among new ones is old."""
    if answer.reason:
        return UNCHECKED
    given = set(family(answer.type, answer.addresses))
    if not given:
        return NONE
    if given & set(family(answer.type, old)):
        return OLD
    return NEW if given <= set(family(answer.type, new)) else OTHER


def is_right(answer: Answer, old: Sequence[str], new: Sequence[str]) -> bool:
    """Whether the answer is what it should be; no address is right where there is no new one of the type."""
    found = state(answer, old, new)
    return found == NEW or (found == NONE and not family(answer.type, new))


def judge(answers: Sequence[Answer], old: Sequence[str], new: Sequence[str]) -> Dict[str, Any]:
    """The result of a look at all servers."""
    told = [
        dict(answer._asdict(), addresses=list(answer.addresses), state=state(answer, old, new)) for answer in answers
    ]
    wrong = [answer for answer in answers if not answer.reason and not is_right(answer, old, new)]
    stale = [answer for answer in answers if state(answer, old, new) == OLD]
    return {
        "answers": told,
        "problems": [describe(answer) for answer in wrong],
        "not_checked": [
            "{0} {1} at {2}: {3}".format(answer.name, answer.type, answer.server, answer.reason)
            for answer in answers
            if answer.reason
        ],
        # A resolver that has the old address keeps it for that long; so does one that asks the authority now.
        "ttl_left": max([answer.ttl for answer in stale] or [0]),
        "ttl": max([answer.ttl for answer in answers if answer.role == "authoritative" and not answer.reason] or [0]),
        "propagated": bool(answers) and not wrong and not any(answer.reason for answer in answers),
    }


def describe(answer: Answer) -> str:
    """An answer that is not right, in words."""
    given = ", ".join(answer.addresses) or "no address"
    return "{0} {1} at the {2} {3} is {4} for another {5} s".format(
        answer.name,
        answer.type,
        "authoritative server" if answer.role == "authoritative" else "resolver",
        answer.server,
        given,
        answer.ttl,
    )
