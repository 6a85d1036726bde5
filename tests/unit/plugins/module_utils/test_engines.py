# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of engines: each is whole, and one that is not on it is refused by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import engines

PLUGINS = Path(__file__).parents[4] / "plugins"
NAMES = sorted(engines.ENGINES)


@pytest.mark.parametrize("engine", NAMES)
def test_an_engine_is_the_files_of_its_name(engine: str) -> None:
    assert engines.server(engine).__name__.rpartition(".")[2] == engine
    assert engines.seeder(engine).__name__.rpartition(".")[2] == f"seed_{engine}"
    assert callable(engines.server(engine).connect)
    assert callable(engines.seeder(engine).seed)
    assert callable(engines.seeder(engine).seeded)


@pytest.mark.parametrize("of", [engines.server, engines.seeder])
@pytest.mark.parametrize("engine", ["oracle", "MariaDB", ""])
def test_an_engine_that_is_not_on_the_list_is_refused_with_the_list(of: Callable[[str], Any], engine: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011  its whole text follows
        of(engine)
    assert str(raised.value) == f"engine '{engine}' is not one of mariadb, mysql, postgresql"


def test_no_seed_lies_beside_the_list() -> None:
    assert sorted(path.stem[len("seed_") :] for path in PLUGINS.glob("module_utils/seed_*.py")) == NAMES
