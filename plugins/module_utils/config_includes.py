# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that an include of a web server's configuration names, with what cannot be found told."""

import re
from typing import Callable, List

Expand = Callable[[str], List[str]]


def included(pattern: str, expand: Expand, too_deep: bool, missing: List[str]) -> List[str]:
    """The files of a pattern; a path that is none and is not there is added to ``missing``, as is one too deep."""
    if too_deep:
        missing.append("{0}: included too deep".format(pattern))
        return []
    found = expand(pattern)
    if not found and not re.search(r"[*?\[]", pattern):
        missing.append("{0}: No such file or directory".format(pattern))
    return found
