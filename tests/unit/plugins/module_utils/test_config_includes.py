# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an include names, and what is told of one that names nothing."""

from __future__ import annotations

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils.config_includes import included

FILES = {"/etc/a/*.conf": ["/etc/a/1.conf", "/etc/a/2.conf"], "/etc/one": ["/etc/one"]}


@pytest.mark.parametrize(
    ("pattern", "too_deep", "found", "missing"),
    [
        ("/etc/a/*.conf", False, ["/etc/a/1.conf", "/etc/a/2.conf"], []),
        ("/etc/one", False, ["/etc/one"], []),
        ("/etc/none", False, [], ["/etc/none: No such file or directory"]),
        # A pattern may be for files that come later.
        ("/etc/none/*.conf", False, [], []),
        ("/etc/none[12]", False, [], []),
        ("/etc/one", True, [], ["/etc/one: included too deep"]),
    ],
)
def test_the_files_of_an_include(pattern: str, too_deep: bool, found: list[str], missing: list[str]) -> None:
    told: list[str] = []
    assert included(pattern, lambda asked: FILES.get(asked, []), too_deep, told) == found
    assert told == missing
