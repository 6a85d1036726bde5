# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How each engine dumps a database, and restores it into one that is dropped again."""

import subprocess
from typing import Any, Dict, List, Optional

from ansible_collections.ocpizza.cutover.plugins.module_utils import backup_files, table_counts
from ansible_collections.ocpizza.cutover.plugins.module_utils.client_postgresql import (
    Client,
    connection_string,
    identifier,
    literal,
)
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_mysql

SUFFIX = "_restore_drill"


class MySQL:
    """MariaDB and MySQL, through the client of the host."""

    form = backup_files.SQL

    def __init__(self, module: Any, engine: str, socket: Optional[str] = None) -> None:
        self.module = module
        self.engine = engine
        self.socket = socket
        # Nothing of a drill gets to a replica; what is restored for good does.
        self.logged = False

    def count(self, database: str) -> Dict[str, int]:
        return table_counts.count(self.module, database, self.socket)

    def charset(self, _database: str) -> str:
        """Each table names its own."""
        return ""

    def dump(self, database: str, path: str) -> backup_files.Written:
        return backup_files.write_dump(self.dump_command(database), path)

    def dump_command(self, database: str) -> List[str]:
        """A consistent dump of one database, without a statement that names it."""
        client = self.module.get_bin_path("mariadb-dump") or self.module.get_bin_path("mysqldump", required=True)
        command = [client, "--single-transaction", "--quick", "--routines", "--triggers", "--events", "--hex-blob"]
        command.append("--default-character-set=utf8mb4")
        if self.engine == "mysql":
            # The position belongs to this server; a server with one of its own refuses it.
            command.append("--set-gtid-purged=OFF")
        if self.socket:
            command.append("--socket={0}".format(self.socket))
        return [*command, "--", database]

    def scratch(self, database: str) -> str:
        """The name of the database to restore into; 64 characters are what fits."""
        return database[: 64 - len(SUFFIX)] + SUFFIX

    def create(self, name: str, _charset: str) -> None:
        self.run("CREATE DATABASE {0} CHARACTER SET utf8mb4".format(quote_mysql(name)))

    def drop(self, name: str) -> None:
        self.run("DROP DATABASE IF EXISTS {0}".format(quote_mysql(name)))

    def load(self, name: str, path: str, sha256: str) -> None:
        backup_files.load_dump(self.load_command(name), path, sha256)

    def load_command(self, name: str) -> List[str]:
        """What takes a dump on its standard input."""
        return [*self._client(), "--database={0}".format(name)]

    def _client(self) -> List[str]:
        command = table_counts.client_command(self.module, self.socket)
        return command if self.logged else [*command, "--init-command=SET sql_log_bin=0"]

    def run(self, statement: str) -> None:
        """Statements whose answers nobody needs."""
        code, _output, error = self.module.run_command(self._client(), data=statement + ";\n")
        if code != 0:
            raise table_counts.RefusedError(error.strip())


class PostgreSQL:
    """PostgreSQL, through its own programs as its own superuser."""

    form = backup_files.CUSTOM

    def __init__(self, module: Any, port: int, socket: Optional[str] = None) -> None:
        self.client = Client(module, port, socket)

    def count(self, database: str) -> Dict[str, int]:
        return self.client.count(database)

    def charset(self, database: str) -> str:
        """The encoding of a database, which all its text has."""
        ((encoding,),) = self.client.ask(
            "SELECT json_build_array(pg_encoding_to_char(encoding)) FROM pg_catalog.pg_database "
            "WHERE datname = current_database();",
            database,
        )
        return str(encoding)

    def dump(self, database: str, path: str) -> backup_files.Written:
        """One snapshot of a database, packed; restored by pg_restore."""
        return backup_files.write_dump(self.dump_command(database), path, self.form, self._examine)

    def dump_command(self, database: str, *options: str) -> List[str]:
        """A consistent dump of one database, in PostgreSQL's own form."""
        # A lock that somebody holds ends the dump and not the patience of those who wait behind it.
        command = self.client.command("pg_dump", "--format=custom", "--lock-wait-timeout=60s", *options)
        return [*command, "--dbname=" + connection_string(database)]

    def _examine(self, path: str) -> None:
        """Whether pg_restore can read what a dump holds."""
        listing = self.client.offline("pg_restore", "--list")
        with open(path, "rb") as stream:
            done = subprocess.run(
                listing, stdin=stream, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/", check=False
            )
        if done.returncode != 0:
            raise backup_files.IncompleteError(
                "pg_restore cannot read the dump: {0}".format(done.stderr.decode("utf-8", "replace").strip())
            )

    def scratch(self, database: str) -> str:
        """The name of the database to restore into; 63 bytes are what fits, and no half letters."""
        return database.encode("utf-8")[: 63 - len(SUFFIX)].decode("utf-8", "ignore") + SUFFIX

    def create(self, name: str, charset: str) -> None:
        # C goes with every encoding, and is on every host.
        self.client.ask(
            "CREATE DATABASE {0} TEMPLATE template0 ENCODING {1} LC_COLLATE 'C' LC_CTYPE 'C';".format(
                identifier(name), literal(charset or "UTF8")
            )
        )

    def drop(self, name: str) -> None:
        self.client.ask("DROP DATABASE IF EXISTS {0};".format(identifier(name)))

    def load(self, name: str, path: str, sha256: str) -> None:
        backup_files.load_dump(self.load_command(name), path, sha256, self.form)

    def load_command(self, name: str) -> List[str]:
        """What takes a dump on its standard input."""
        # The roles may not be there yet; what is proven are the rows and that everything can be made.
        left_out = ["--no-owner", "--no-privileges", "--no-publications", "--no-subscriptions", "--no-tablespaces"]
        command = self.client.command("pg_restore", "--exit-on-error", *left_out)
        return [*command, "--dbname=" + connection_string(name)]


def provider(module: Any, engine: str, port: Optional[int] = None, socket: Optional[str] = None) -> Any:
    """How one engine of this host is backed up."""
    return PostgreSQL(module, port or 5432, socket) if engine == "postgresql" else MySQL(module, engine, socket)
