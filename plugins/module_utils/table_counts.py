# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many rows each table of a database has, asked through the server's own client."""

# ruff: noqa: S608 - names are quoted or hexadecimal

import json
from typing import Any, Dict, List, Optional

from ansible_collections.ocpizza.cutover.plugins.module_utils.database_facts import literal
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_mysql


class RefusedError(Exception):
    """What the server said."""


def client_command(module: Any, socket: Optional[str] = None) -> List[str]:
    """The client that gives one line of JSON for each row."""
    client = module.get_bin_path("mariadb") or module.get_bin_path("mysql", required=True)
    command = [client, "--batch", "--raw", "--skip-column-names", "--default-character-set=utf8mb4"]
    if socket:
        command.append("--socket={0}".format(socket))
    return command


def ask(module: Any, statement: str, socket: Optional[str] = None) -> List[Any]:
    """The rows of JSON that a statement gives."""
    code, output, error = module.run_command(client_command(module, socket), data=statement + ";\n")
    if code != 0:
        raise RefusedError(error.strip())
    # Not splitlines: it would also break at separators that JSON leaves in a name.
    return [json.loads(line) for line in output.split("\n") if line]


def count(module: Any, database: str, socket: Optional[str] = None) -> Dict[str, int]:
    """Exact numbers of rows by table."""
    tables = ask(
        module,
        "SELECT JSON_ARRAY(TABLE_NAME) FROM information_schema.TABLES WHERE TABLE_TYPE='BASE TABLE' "
        "AND CONVERT(TABLE_SCHEMA USING utf8mb4) COLLATE utf8mb4_bin={0}".format(literal(database)),
        socket,
    )
    found = {}
    for (table,) in tables:
        statement = "SELECT JSON_ARRAY(COUNT(*)) FROM {0}.{1}".format(quote_mysql(database), quote_mysql(table))
        ((rows,),) = ask(module, statement, socket)
        found[table] = int(rows)
    return found
