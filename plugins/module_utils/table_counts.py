# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many rows each table of a database has, asked through the server's own client."""

# ruff: noqa: S608 - names are quoted or hexadecimal

import json
from typing import Any, Dict, List, Optional, Sequence

from ansible_collections.ocpizza.cutover.plugins.module_utils.database_facts import literal
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_mysql

# So many rows are counted in a few milliseconds; then the server rests a little.
PIECE = 20000
REST = "; DO SLEEP(0.01); "
WHOLE = ("tinyint", "smallint", "mediumint", "int", "bigint")
# A key of one whole number, where there is one. Names are compared as they are: a database may have both A and a.
TABLES = """
SELECT JSON_ARRAY(t.TABLE_NAME, IFNULL(t.TABLE_ROWS, 0), k.col) FROM information_schema.TABLES t LEFT JOIN (
  SELECT CONVERT(c.TABLE_NAME USING utf8mb4) COLLATE utf8mb4_bin AS tbl, MIN(c.COLUMN_NAME) AS col
  FROM information_schema.COLUMNS c
  WHERE c.COLUMN_KEY='PRI' AND CONVERT(c.TABLE_SCHEMA USING utf8mb4) COLLATE utf8mb4_bin={database}
  GROUP BY tbl HAVING COUNT(*)=1 AND MIN(c.DATA_TYPE) IN ({types})
) k ON k.tbl = CONVERT(t.TABLE_NAME USING utf8mb4) COLLATE utf8mb4_bin
WHERE t.TABLE_TYPE='BASE TABLE' AND CONVERT(t.TABLE_SCHEMA USING utf8mb4) COLLATE utf8mb4_bin={database}"""


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
    """Exact numbers of rows by table; of large ones piece by piece, for the site's requests are answered there too."""
    tables = ask(module, TABLES.format(database=literal(database), types=", ".join(map(literal, WHOLE))), socket)
    found = {}
    for table, estimated, key in tables:
        name = "{0}.{1}".format(quote_mysql(database), quote_mysql(table))
        bounds = []  # type: List[int]
        if key and estimated > 2 * PIECE:
            ((lowest, highest),) = ask(
                module, "SELECT JSON_ARRAY(MIN({0}), MAX({0})) FROM {1}".format(quote_mysql(key), name), socket
            )
            bounds = pieces(lowest, highest, estimated)
        counted = "SELECT JSON_ARRAY(COUNT(*)) FROM " + name
        statements = [counted + where for where in ranges(quote_mysql(key) if key else "", bounds)]
        found[table] = sum(int(rows) for (rows,) in ask(module, REST.join(statements), socket))
    return found


def pieces(lowest: Optional[int], highest: Optional[int], rows: int) -> List[int]:
    """Where a table's key is cut, so that a piece has about so many rows; none where it has none."""
    if lowest is None or highest is None:
        return []
    number = rows // PIECE
    return sorted({lowest + (highest - lowest) * each // number for each in range(1, number)})


def ranges(key: str, bounds: Sequence[int]) -> List[str]:
    """Conditions of which every row fulfils one, those that come meanwhile too."""
    edges = [None, *bounds, None]
    found = []
    for start, end in zip(edges, edges[1:]):
        parts = ["{0} >= {1}".format(key, start)] if start is not None else []
        parts += ["{0} < {1}".format(key, end)] if end is not None else []
        found.append(" WHERE " + " AND ".join(parts) if parts else "")
    return found
