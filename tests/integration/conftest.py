# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files run two at a time, each whole in one process; those that use the same machines one after the other."""

from __future__ import annotations

import pytest

SAME_MACHINES = {"test_mariadb_server": "test_proof", "test_widening": "test_postgresql"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        name = item.path.stem
        item.add_marker(pytest.mark.xdist_group(SAME_MACHINES.get(name, name)))
