# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database engines: the one place that lists them. What an engine is, ``database.py`` says.

Imported by name, not found by name: Ansible packs what a module imports, and sees only what is written out.
"""

from typing import Any

from ansible_collections.ocpizza.cutover.plugins.module_utils import (
    mariadb,
    mysql,
    postgresql,
    rights_mysql,
    rights_postgresql,
    seed_mariadb,
    seed_mysql,
    seed_postgresql,
)

ENGINES = {
    "mariadb": (mariadb, seed_mariadb, rights_mysql),
    "mysql": (mysql, seed_mysql, rights_mysql),
    "postgresql": (postgresql, seed_postgresql, rights_postgresql),
}


def server(engine: str) -> Any:
    """The engine's file: ``SERVER``, its class of Database, and ``connect()``."""
    return _of(engine)[0]


def seeder(engine: str) -> Any:
    """The engine's first copy: ``seed()`` and ``seeded()``."""
    return _of(engine)[1]


def rights(engine: str) -> Any:
    """The engine's accounts: ``Rights``, who they are and what they may do."""
    return _of(engine)[2]


def _of(engine: str) -> Any:
    if engine not in ENGINES:
        raise ValueError("engine '{0}' is not one of {1}".format(engine, ", ".join(sorted(ENGINES))))
    return ENGINES[engine]
