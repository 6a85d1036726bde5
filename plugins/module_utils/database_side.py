# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the database modules share: where a side's credentials are and how to get at its server."""

import json
from typing import Any, Dict, NoReturn

from ansible_collections.ocpizza.cutover.plugins.module_utils import engines
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Database, words

SIDE_OPTIONS = {
    "credentials": {"type": "path", "required": True},
    "engine": {"type": "str", "default": "mariadb", "choices": sorted(engines.ENGINES)},
    "side": {"type": "str", "required": True, "choices": ["source", "target"]},
    "site": {"type": "str", "required": True},
    "databases": {"type": "list", "elements": "str", "required": True},
}


def read_credentials(module: Any, side: str) -> Dict[str, Any]:
    """How one side's server of the module's engine is reached, or one clear failure."""
    path = module.params["credentials"]
    try:
        with open(path, encoding="utf-8") as stream:
            return dict(json.load(stream)[side][module.params["engine"]])
    except (OSError, ValueError, KeyError, TypeError) as error:
        _fail(
            module,
            "The credentials of the {0}'s database cannot be read from {1}: {2}. "
            "Run replicate.yml, which writes them.".format(side, path, error),
        )


def unreachable(module: Any, side: str, credentials: Dict[str, Any], error: Exception) -> NoReturn:
    """Fail: whose server, where, as whom, and what it said."""
    _fail(
        module,
        "The {0}'s database at {1} cannot be reached as {2}: {3}".format(
            side, credentials.get("host") or credentials.get("unix_socket"), credentials.get("user"), words(error)
        ),
    )


def open_database(module: Any, side: str, timeout: float = 30.0) -> Database:
    """One side's databases, or one clear failure."""
    credentials = read_credentials(module, side)
    try:
        server: Database = engines.server(module.params["engine"]).SERVER.open_server(
            credentials, module.params["site"], module.params["databases"], side, timeout
        )
    except Exception as error:
        unreachable(module, side, credentials, error)
    return server


def open_reader(module: Any, side: str, name: str, timeout: float) -> Any:
    """A connection for the proof of one database, or one clear failure."""
    credentials = read_credentials(module, side)
    try:
        return engines.server(module.params["engine"]).connect(credentials, timeout, database=name)
    except Exception as error:
        unreachable(module, side, credentials, error)


def _fail(module: Any, message: str) -> NoReturn:
    module.fail_json(msg=message)
    raise SystemExit(1)
