# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files run two at a time, each whole in one process; those that use the same machines one after the other."""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

SAME_MACHINES = {
    "tests/integration/test_mariadb_server.py": "tests/integration/test_proof.py",
    "tests/integration/test_widening.py": "tests/integration/test_postgresql.py",
}


class ByMachines(LoadFileScheduling):
    """What has one scope runs in one process, in order."""

    def _split_scope(self, nodeid: str) -> str:
        scope = super()._split_scope(nodeid)
        return SAME_MACHINES.get(scope, scope)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByMachines:
    return ByMachines(config, log)
