# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far PostgreSQL's sequences go; servers are asked in tests/integration/test_widening.py."""

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils.widen_postgresql import LARGEST, sequence_after

INT, SMALL = 2**31 - 1, 2**15 - 1


@pytest.mark.parametrize(
    ("kind", "greatest", "limit", "limited", "lifted"),
    [
        ("integer", INT, INT, INT, LARGEST),
        ("smallint", SMALL, SMALL, SMALL, LARGEST),
        # One that was made by hand is bigint from the start, and one that was limited by hand stays so.
        ("bigint", LARGEST, INT, INT, LARGEST),
        ("integer", 1000, INT, 1000, 1000),
        ("bigint", 5000000000, INT, INT, 5000000000),
    ],
)
def test_a_sequence_ends_where_the_sources_column_does(
    kind: str, greatest: int, limit: int, limited: int, lifted: int
) -> None:
    assert sequence_after(kind, greatest, limit, True) == limited
    assert sequence_after(kind, greatest, limit, False) == lifted
