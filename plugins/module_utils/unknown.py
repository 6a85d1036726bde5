# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which variables of a role nobody reads: misspelt ones and ones that were renamed."""

import difflib
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Set


class Unknown(NamedTuple):
    """A variable that no argument spec has, and what was most likely meant."""

    name: str
    nearest: Optional[str]
    renamed: bool


def known_names(argument_specs: Mapping[str, Any]) -> Set[str]:
    """Every option, with its aliases, of every entry point of a role."""
    names = set()  # type: Set[str]
    for entry in argument_specs.values():
        for name, option in ((entry or {}).get("options") or {}).items():
            names.add(name)
            names.update((option or {}).get("aliases") or [])
    return names


def find_unknown(
    names: Iterable[str], prefix: str, known: Set[str], renamed: Optional[Dict[str, str]] = None
) -> List[Unknown]:
    """The names that begin with the prefix and are not known, in order."""
    renamed = renamed or {}
    found = []
    for name in sorted(set(names)):
        if name in renamed:
            found.append(Unknown(name, renamed[name], True))
        elif name.startswith(prefix) and name not in known:
            close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
            found.append(Unknown(name, close[0] if close else None, False))
    return found


def describe(unknown: Unknown) -> str:
    """One variable's refusal, with the remedy."""
    if unknown.renamed:
        return "{0} is now called {1}: rename it".format(unknown.name, unknown.nearest)
    if unknown.nearest:
        return "{0} is no variable of this role: did you mean {1}".format(unknown.name, unknown.nearest)
    return "{0} is no variable of this role: remove it, or see the role's README for the right name".format(
        unknown.name
    )
