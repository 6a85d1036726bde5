# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the database servers of a host say of themselves; nothing in them is changed, no password is asked for."""

import os
from typing import Any, Callable, Dict, List, Optional, Tuple

Run = Callable[..., Tuple[int, str, str]]
Found = Dict[str, Any]
MYSQL = """
SELECT 'version', VERSION();
SELECT 'database', s.schema_name, s.default_character_set_name, s.default_collation_name, COALESCE(t.number, 0),
  COALESCE(t.bytes, 0) FROM information_schema.schemata s LEFT JOIN (SELECT table_schema, COUNT(*) AS number,
  SUM(data_length + index_length) AS bytes FROM information_schema.tables WHERE table_type = 'BASE TABLE'
  GROUP BY table_schema) t ON t.table_schema = s.schema_name
  WHERE s.schema_name NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys');
SELECT 'account', CONCAT(user, '@', host) FROM mysql.user ORDER BY 2;
"""
DEBIAN = "/etc/mysql/debian.cnf"
POSTGRESQL = """
SELECT 'version', current_setting('server_version');
SELECT 'database', datname, pg_encoding_to_char(encoding), datcollate, '', pg_database_size(oid) FROM pg_database
  WHERE NOT datistemplate AND datallowconn AND datname <> 'postgres' ORDER BY 2;
SELECT 'account', rolname FROM pg_roles WHERE rolcanlogin ORDER BY 2;
"""
TABLES = (
    "SELECT 'tables', current_database(), count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE relkind IN ('r', 'p') AND nspname !~ '^pg_' AND nspname <> 'information_schema';"
)
PSQL = ["runuser", "-u", "postgres", "--", "psql", "-AtqXw", "-F", "\t"]


def empty() -> Found:
    """A server of which nothing is known."""
    return {"version": "", "databases": [], "names": [], "accounts": []}


def parse(text: str) -> Found:
    """What the questions above were answered with."""
    found = empty()
    tables: Dict[str, int] = {}
    for line in text.splitlines():
        row = line.split("\t")
        if row[0] == "version" and len(row) == 2:
            found["version"] = row[1]
        elif row[0] == "account" and len(row) == 2:
            found["accounts"].append(row[1])
        elif row[0] == "tables" and len(row) == 3:
            tables[row[1]] = int(row[2])
        elif row[0] == "database" and len(row) == 6:
            one = {"name": row[1], "charset": row[2], "collation": row[3], "bytes": int(row[5])}
            found["databases"].append(dict(one, tables=int(row[4]) if row[4] else None))
    for one in found["databases"]:
        one["tables"] = tables.get(one["name"], one["tables"])
    found["names"] = [one["name"] for one in found["databases"]]
    return found


class Servers:
    """Asks the servers as root may, over their own sockets."""

    def __init__(self, run: Run, not_read: List[str]) -> None:
        self.run = run
        self.not_read = not_read

    def ask(self, engine: str) -> Found:
        """Version, databases and accounts of an engine's server."""
        if engine in ("mariadb", "mysql"):
            return self._mysql(engine)
        if engine == "postgresql":
            return self._postgresql()
        self.not_read.append("databases of {0}: it is not an engine that is read".format(engine))
        return empty()

    def _answer(self, command: List[str], question: str) -> Tuple[Optional[str], str]:
        try:
            code, output, error = self.run(
                command, data=question, environ_update={"LC_ALL": "C.UTF-8"}, handle_exceptions=False, cwd="/"
            )
        except OSError:
            return None, "there is no {0} on this server".format(command[0])
        return (output, error) if code == 0 else (None, (error or output).strip()[:300] or "status %d" % code)

    def _mysql(self, engine: str) -> Found:
        client = ["mysql", "--batch", "--skip-column-names"]
        told, error = self._answer(client, MYSQL)
        if told is None and os.path.exists(DEBIAN):
            told, _error = self._answer([client[0], "--defaults-file=" + DEBIAN, *client[1:]], MYSQL)
        if told is None:
            self.not_read.append("databases of {0}: {1}".format(engine, error))
        return parse(told or "")

    def _postgresql(self) -> Found:
        told, error = self._answer([*PSQL, "postgres"], POSTGRESQL)
        if told is None:
            self.not_read.append("databases of postgresql: {0}".format(error))
            return empty()
        names = parse(told)["names"]
        connect = [
            "\\connect '{0}'\n{1}\n".format(name.replace("\\", "\\\\").replace("'", "''"), TABLES) for name in names
        ]
        tables, error = self._answer([*PSQL, "postgres"], "".join(connect))
        if tables is None:
            self.not_read.append("tables of postgresql: {0}".format(error))
        return parse(told + (tables or ""))
