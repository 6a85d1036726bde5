# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab knows of each engine; ENGINE chooses, inventories/lab/group_vars/all/engines.yml says the same."""

from __future__ import annotations

import os

from tests.lab.docker import LabError

# Reads SQL, prints a line a row with a tab between the columns.
CLIENTS = {
    "mariadb": "sudo mariadb --batch --skip-column-names {database}",
    "mysql": "sudo mysql --batch --skip-column-names {database}",
    "postgresql": "cd / && sudo -u postgres psql -AtqX -v ON_ERROR_STOP=1 --field-separator='\t' {database}",
}
# Debian 11 has no MySQL, and the unstable suite's packages need a newer system.
OLDEST = {"mariadb": "bullseye", "mysql": "trixie", "postgresql": "bullseye"}


def engines() -> tuple[str, ...]:
    """The engine of the site's database and, where there is a second one, the engine of its stock's."""
    chosen = tuple((os.environ.get("ENGINE") or "mariadb").split(","))
    unknown = [name for name in chosen if name not in CLIENTS]
    if unknown or len(chosen) > 2 or len(set(chosen)) < len(chosen) or {"mariadb", "mysql"} <= set(chosen):
        raise LabError(
            f"ENGINE={','.join(chosen)}: give mariadb, mysql or postgresql, or postgresql and one of the others"
            " with a comma between them"
        )
    target = os.environ.get("TARGET_ENGINE")
    if target and (chosen, target) != (("mariadb",), "mysql"):
        raise LabError(f"TARGET_ENGINE={target}: nothing but mysql, and only beside ENGINE=mariadb, goes over by copy")
    return chosen


def engine_on(host: str, engine: str) -> str:
    """What the databases of one of the site's engines run on: on the new server it may be another one."""
    return engine if host == "old" else os.environ.get("TARGET_ENGINE") or engine


def suite(chosen: tuple[str, ...]) -> str:
    """The old server's Debian."""
    return "trixie" if any(OLDEST[name] == "trixie" for name in chosen) else "bullseye"


def client(engine: str, database: str) -> str:
    """The command on a machine that asks its server, as the server's own administrator."""
    return CLIENTS[engine].format(database=database)
