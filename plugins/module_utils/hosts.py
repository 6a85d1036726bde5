# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which names can be the name of a web site: host names, addresses and, where allowed, .suffixes."""

import ipaddress
import re
from typing import Iterable, List, Optional, Union

LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\Z")


def split_hosts(value: Union[str, Iterable[str], None]) -> List[str]:
    """A list of names from a list or from text with commas."""
    if value is None:
        return []
    if isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    return [str(name) for name in value]


def is_address(name: str) -> bool:
    """Whether a name is an IPv4 address, or an IPv6 address in brackets or not."""
    try:
        ipaddress.ip_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
    except ValueError:
        return False
    return True


def host_offence(name: str, allow_suffix: bool = True) -> Optional[str]:
    """Why something is no host name, or nothing."""
    if is_address(name):
        return None
    plain = name[1:] if allow_suffix and name.startswith(".") else name
    labels = plain.split(".")
    reason = None
    if not plain:
        reason = "is empty"
    elif "*" in name:
        reason = "has a wildcard, write .example.org for a domain and all below it"
    elif "/" in name:
        reason = "is an address of a page, give the host name alone"
    elif any(character.isspace() for character in name):
        reason = "has a space in it"
    elif ":" in name:
        reason = "has a port, give the host name alone"
    elif len(plain) > 253:
        reason = "is longer than 253 characters"
    elif labels[-1].isdigit():
        reason = "looks like an address and is none"
    elif not all(LABEL.match(label) for label in labels):
        reason = "is no host name (letters, digits and hyphens between single dots)"
    return reason


def host_offences(value: Union[str, Iterable[str], None], allow_suffix: bool = True) -> List[str]:
    """One text for each name that is no host name."""
    texts = []
    for name in split_hosts(value):
        reason = host_offence(name, allow_suffix)
        if reason:
            texts.append("'{0}' {1}".format(name, reason))
    return texts
