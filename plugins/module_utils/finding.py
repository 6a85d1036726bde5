# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a finding is."""

from typing import NamedTuple, Sequence

INHIBITOR, WARNING, INFO = "inhibitor", "warning", "info"
SEVERITIES = (INHIBITOR, WARNING, INFO)


class Finding(NamedTuple):
    """One finding: what was seen, why it matters, what to do about it."""

    key: str
    severity: str
    title: str
    reason: str
    remedy: str
    waived: bool = False


def join(names: Sequence[str], most: int = 10) -> str:
    """Names as one text, not too long."""
    text = ", ".join(sorted(names)[:most])
    return text + (" and {0} more".format(len(names) - most) if len(names) > most else "")
