# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the database modules share: where a side's credentials are and how to get at its server."""

import json
from typing import Any, Dict, NoReturn

from ansible_collections.ocpizza.cutover.plugins.module_utils import mariadb

SIDE_OPTIONS = {
    "credentials": {"type": "path", "required": True},
    "side": {"type": "str", "required": True, "choices": ["source", "target"]},
    "site": {"type": "str", "required": True},
    "databases": {"type": "list", "elements": "str", "required": True},
}


def open_database(module: Any, side: str, timeout: float = 30.0) -> mariadb.MariaDB:
    """One side's database, or one clear failure: whose, as whom, and what the server said."""
    path = module.params["credentials"]
    try:
        with open(path, encoding="utf-8") as stream:
            credentials: Dict[str, Any] = dict(json.load(stream)[side])
    except (OSError, ValueError, KeyError) as error:
        _fail(
            module,
            "The credentials of the {0}'s database cannot be read from {1}: {2}. "
            "Run replicate.yml, which writes them.".format(side, path, error),
        )
    try:
        connection = mariadb.connect(credentials, timeout)
    except Exception as error:
        _fail(
            module,
            "The {0}'s database at {1} cannot be reached as {2}: {3}".format(
                side,
                credentials.get("host") or credentials.get("unix_socket"),
                credentials.get("user"),
                error,
            ),
        )
    return mariadb.MariaDB(connection, module.params["site"], module.params["databases"])


def _fail(module: Any, message: str) -> NoReturn:
    module.fail_json(msg=message)
    raise SystemExit(1)
