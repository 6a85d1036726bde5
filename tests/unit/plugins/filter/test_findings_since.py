# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that compares the findings of two checks."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.filter.findings_since import FilterModule

SINCE = FilterModule().filters()["findings_since"]


def test_what_is_new_is_told_with_the_time_of_the_earlier_check() -> None:
    earlier = {"findings": [{"key": "clock.skew", "reason": "x"}], "time": "2026-11-29T10:00:00.123+00:00"}
    compared = SINCE(earlier, [{"key": "disk.too_small", "reason": "y"}])
    assert (compared["new"], compared["gone"], compared["changed"]) == (["disk.too_small"], ["clock.skew"], [])
    assert compared["text"].startswith("since the check of 2026-11-29T10:00: gone: clock.skew; new: ")


@pytest.mark.parametrize("earlier", [{}, [], "x", {"findings": None}])
def test_without_an_earlier_check_nothing_is_said(earlier: Any) -> None:
    assert SINCE(earlier, [{"key": "clock.skew", "reason": "x"}])["text"] == ""
