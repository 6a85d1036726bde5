#!/usr/bin/python
# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads schema and presets into an empty database, wholly or not at all."""

DOCUMENTATION = r"""
module: sql_load
short_description: Load SQL files from a zip into an empty database, once
version_added: 0.1.0
description:
  - A database that holds anything is left alone, so nothing is ever loaded over data.
  - A load that fails leaves the database empty, as it was found, and says in which file and line it failed.
    PostgreSQL does that with one transaction. MySQL and MariaDB commit as they go, so the database is made
    anew there, and a marker on the host tells a load that was interrupted from one that was finished.
  - Statements that act outside the database, and commands of the client itself, are refused before the load.
  - Runs on the database's host as a user who may do everything over the local socket.
options:
  engine:
    description: Kind of server. C(mysql) stands for MariaDB as well.
    type: str
    choices: [mysql, postgresql]
    required: true
  database:
    description: The database, which exists.
    type: str
    required: true
  archive:
    description: The zip, on the host.
    type: path
    required: true
  members:
    description: The files to load, in this order.
    type: list
    elements: str
    required: true
  marker:
    description: File that says how far the load came. Needed for C(engine=mysql).
    type: path
  owner:
    description: Role that shall own what is loaded, for C(engine=postgresql). Must be able to log in or be granted.
    type: str
  socket:
    description: Socket of the server, or its folder for C(engine=postgresql). The client's default when not given.
    type: path
  port:
    description: Port of the server, which names its socket for C(engine=postgresql).
    type: int
attributes:
  check_mode:
    description: Says whether it would load, after the files were examined.
    support: full
  diff_mode:
    description: What a load brings is in the archive.
    support: none
author:
  - The ocpizza.cutover team
"""

EXAMPLES = r"""
- name: Load schema and presets
  ocpizza.cutover.sql_load:
    engine: mysql
    database: ocpizza
    archive: /var/lib/cutover/mysql/BDD.zip
    members: [ocpizza_dump.sql, base_data.sql]
    marker: /var/lib/cutover/mysql/ocpizza.load
"""

RETURN = r"""
reason:
  description: Why the database was loaded or left alone.
  returned: always
  type: str
  sample: it holds 12 tables
objects:
  description: Number of tables and views in the database before the load.
  returned: always
  type: int
"""

import contextlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import shutil  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
import zipfile  # noqa: E402
from typing import Any, List, Optional, Tuple  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils import sql_load  # noqa: E402
from ansible_collections.ocpizza.cutover.plugins.module_utils.archive import ArchiveError, check_zip  # noqa: E402
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_mysql  # noqa: E402


class LoadError(Exception):
    """The load cannot be done; the text says why and what to do."""


class _Client:
    """Feeds a command-line client: its password-free socket login keeps secrets out of argv."""

    def __init__(self, command: List[str]) -> None:
        self.command = command

    def feed(self, *sources: Any) -> Tuple[int, str]:
        """Return code and errors of the client after it was given the open files."""
        # Files, not pipes: a client that waits to be read would never read on.
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors)
            with contextlib.suppress(BrokenPipeError):  # it stopped at an error, which it tells on stderr
                for source in sources:
                    shutil.copyfileobj(source, process.stdin)
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            code = process.wait()
            errors.seek(0)
            return code, errors.read().decode("utf-8", "replace")

    def ask(self, *arguments: str) -> str:
        """The answer to a question that holds no secret."""
        try:
            done = subprocess.run(
                [*self.command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                check=False,
            )
        except OSError as error:
            raise LoadError(
                "The client {0} cannot be run: {1}. Install it on this host.".format(self.command[0], error)
            ) from error
        if done.returncode:
            raise LoadError(
                "The server does not answer {0}: {1}. Start it, or let root in over its socket.".format(
                    self.command[0], done.stderr.decode("utf-8", "replace").strip()
                )
            )
        return done.stdout.decode("utf-8", "replace").strip()


class _MySQL:
    def __init__(self, params: Any) -> None:
        # Debian 13's MariaDB warns when it is called by its old name.
        name = shutil.which("mariadb") or shutil.which("mysql") or "mysql"
        socket = ["--socket=" + params["socket"]] if params["socket"] else []
        self.client = _Client([name, "--no-defaults", "--user=root", "--batch", "--skip-column-names", *socket])
        self.database = params["database"]
        self.marker = params["marker"]
        literal = self.database.replace("'", "''")
        self.count = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '{0}'".format(  # noqa: S608
            literal
        )
        self.defaults = (
            "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata "  # noqa: S608
            "WHERE schema_name = '{0}'".format(literal)
        )

    def objects(self) -> Optional[int]:
        if not self.client.ask("-e", self.defaults):
            return None
        return int(self.client.ask("-e", self.count))

    def state(self) -> Optional[str]:
        try:
            with open(self.marker, encoding="utf-8") as file:
                return str(json.load(file)["state"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def mark(self, state: str) -> None:
        text = json.dumps({"state": state, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())})
        beside = self.marker + ".new"
        with open(beside, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self.marker)

    def empty(self) -> None:
        """Make the database anew as it was; grants survive that."""
        charset, collation = self.client.ask("-e", self.defaults).split()
        name = quote_mysql(self.database)
        self.client.ask(
            "-e",
            "DROP DATABASE {0}; CREATE DATABASE {0} CHARACTER SET {1} COLLATE {2}".format(name, charset, collation),
        )

    def load(self, archive: zipfile.ZipFile, members: List[str], start_over: bool) -> Optional[sql_load.Broken]:
        if start_over:
            self.empty()
        self.mark("loading")
        client = _Client([*self.client.command, "--default-character-set=utf8mb4", self.database])
        for member in members:
            with archive.open(member) as source:
                code, errors = client.feed(source)
            if code:
                self.empty()
                os.unlink(self.marker)
                return sql_load.mysql_failure(member, errors)
        self.mark("loaded")
        return None


class _PostgreSQL:
    def __init__(self, params: Any) -> None:
        command = ["psql", "--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--no-align"]
        for option in ("socket", "port"):
            if params[option]:
                command.append("--{0}={1}".format({"socket": "host"}.get(option, option), params[option]))
        self.plain = command
        self.client = _Client([*command, "--dbname=" + params["database"]])
        self.database = params["database"]
        self.owner = params["owner"]

    def objects(self) -> Optional[int]:
        literal = self.database.replace("'", "''")
        there = "SELECT COUNT(*) FROM pg_database WHERE datname = '{0}'".format(literal)  # noqa: S608
        if _Client([*self.plain, "--dbname=postgres"]).ask("-c", there) == "0":
            return None
        return int(
            self.client.ask(
                "-c",
                "SELECT COUNT(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                "WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') "
                "AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'",
            )
        )

    def state(self) -> Optional[str]:
        return None

    def load(self, archive: zipfile.ZipFile, members: List[str], start_over: bool) -> Optional[sql_load.Broken]:
        lengths = []
        for member in members:
            with archive.open(member) as source:
                lengths.append((member, sum(1 for _line in source)))
        role = ['--command=SET ROLE "{0}"'.format(self.owner.replace('"', '""'))] if self.owner else []
        client = _Client([*self.client.command, "--single-transaction", "--set=ON_ERROR_STOP=1", *role, "--file=-"])
        code, errors = client.feed(*[_Ended(archive.open(member)) for member in members])
        return sql_load.psql_failure(lengths, errors) if code else None


class _Ended:
    """A member whose last line ends, so that the next one begins a line of its own."""

    def __init__(self, source: Any) -> None:
        self.source = source
        self.last = b"\n"

    def read(self, size: int) -> bytes:
        data = self.source.read(size)  # type: bytes
        if not data and self.last != b"\n":
            data = b"\n"
        self.last = data[-1:] or self.last
        return data


def examine(params: Any, archive: zipfile.ZipFile) -> None:
    """Refuse files that would act outside the database."""
    for member in params["members"]:
        with archive.open(member) as source:
            refused = sql_load.find_refused(params["engine"], params["database"], source)
        if refused:
            raise LoadError(
                "{0}, line {1}: '{2}' is refused in a file to be loaded into {3}; nothing was loaded. Make the dump "
                "of this one database only, without statements for databases, accounts or transactions.".format(
                    member, refused.line, refused.found, params["database"]
                )
            )


def act(params: Any, check: bool) -> Tuple[bool, str, int]:
    """Whether something was (or would be) loaded, why, and how much was there before."""
    check_zip(params["archive"], params["members"])
    server = _MySQL(params) if params["engine"] == "mysql" else _PostgreSQL(params)  # type: Any
    with zipfile.ZipFile(params["archive"]) as archive:
        examine(params, archive)
        objects = server.objects()
        if objects is None:
            if check:
                return True, "it does not exist yet", 0
            raise LoadError("There is no database {0}. Create it first.".format(params["database"]))
        decision = sql_load.decide(objects, server.state())
        if decision == sql_load.LEAVE:
            return False, "it holds {0} tables".format(objects), objects
        if not check:
            broken = server.load(archive, params["members"], decision == sql_load.START_OVER)
            if broken:
                raise LoadError(
                    "{0}. The load into {1} was taken back: the database is empty again. "
                    "Correct the file, build the archive again and run once more.".format(
                        broken.describe().rstrip("."), params["database"]
                    )
                )
    reason = "an earlier load was interrupted" if decision == sql_load.START_OVER else "it was empty"
    return True, reason, objects


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "engine": {"type": "str", "choices": ["mysql", "postgresql"], "required": True},
            "database": {"type": "str", "required": True},
            "archive": {"type": "path", "required": True},
            "members": {"type": "list", "elements": "str", "required": True},
            "marker": {"type": "path"},
            "owner": {"type": "str"},
            "socket": {"type": "path"},
            "port": {"type": "int"},
        },
        required_if=[("engine", "mysql", ["marker"])],
        supports_check_mode=True,
    )
    try:
        changed, reason, objects = act(module.params, module.check_mode)
    except (ArchiveError, LoadError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, reason=reason, objects=objects)


if __name__ == "__main__":
    main()
