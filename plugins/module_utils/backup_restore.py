# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings back a table, a database or files: into the site, or beside it."""

# ruff: noqa: S608 - names are quoted

import os
import time
from typing import Any, Dict, List, NamedTuple, Optional

from ansible_collections.ocpizza.cutover.plugins.module_utils import (
    backup_drill,
    backup_files,
    backup_pipes,
    backup_rows,
    backup_site,
    backup_store,
    table_counts,
)
from ansible_collections.ocpizza.cutover.plugins.module_utils.backup_store import StoreError
from ansible_collections.ocpizza.cutover.plugins.module_utils.client_postgresql import connection_string, identifier
from ansible_collections.ocpizza.cutover.plugins.module_utils.database_facts import literal
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_mysql


class Wish(NamedTuple):
    """What is to be restored: ``into`` a database of another name, or the site's own."""

    databases: List[str]
    table: Optional[str]
    into: Optional[str]
    files: Optional[str]
    directory: Optional[str]


def choose(backup: backup_store.Backup, wish: Wish) -> List[Dict[str, Any]]:
    """The parts that are asked for, or a refusal that says what there is."""
    parts = backup.manifest["parts"]
    if wish.files:
        found = [part for part in parts if part["kind"] == "files" and part["name"] == wish.files]
        asked, there = [wish.files], [part["name"] for part in parts if part["kind"] == "files"]
    else:
        databases = [part for part in parts if part["kind"] == "database"]
        asked = wish.databases or [part["database"] for part in databases]
        found = [part for part in databases if part["database"] in asked]
        there = [part["database"] for part in databases]
    missing = sorted(set(asked) - set(there))
    if missing or not found:
        raise StoreError(
            "the backup {0} has no {1}; it has {2}".format(
                backup.name, ", ".join(missing) or "databases", ", ".join(there) or "nothing"
            )
        )
    if len(found) > 1 and (wish.into or wish.table):
        raise StoreError("name one database: the backup {0} has {1}".format(backup.name, ", ".join(there)))
    if wish.table and wish.table not in found[0]["rows"]:
        raise StoreError(
            "the backup {0} has no table {1} in {2}; it has {3}".format(
                backup.name, wish.table, found[0]["database"], ", ".join(sorted(found[0]["rows"]))
            )
        )
    return found


def restore(
    site: backup_site.Site, store: backup_store.Store, backup: backup_store.Backup, wish: Wish
) -> Dict[str, Any]:
    """What was asked for. The site is touched when the same backup was restored beside it and found equal."""
    started = time.time()
    parts = choose(backup, wish)
    backup_store.check(backup, site.site, parts)
    entry = {"backup": backup.name, "rows": 0, "open": []}  # type: Dict[str, Any]
    if wish.files:
        _files(site, backup, parts[0], str(wish.directory))
    elif wish.into:
        server = site.server(parts[0]["engine"])
        server.logged = True
        if wish.into in _names(server):
            raise StoreError("there is a database {0} already; name one that is not there".format(wish.into))
        entry["rows"] = backup_drill.load(site, backup, parts[0], wish.into, server)
    else:
        for part in parts:
            entry["rows"] += _prove(site, backup, part, keep=bool(wish.table) and part["engine"] != "postgresql")
        # So that there is a way back from the way back.
        entry["before"] = backup_site.make(site, store).name
        for part in parts:
            way = PostgreSQL(site, backup, part) if part["engine"] == "postgresql" else MySQL(site, backup, part)
            if wish.table:
                way.table(wish.table)
            else:
                way.database(store.path(entry["before"]))
                # Where the site is open, somebody may have written since.
                entry["open"] += backup_rows.differences(
                    backup_site.rows_in_backup(site, backup, part),
                    backup_site.rows_in_database(site, part["engine"], part["database"]),
                )
    entry["seconds"] = round(time.time() - started, 3)
    return entry


def _names(server: Any) -> List[str]:
    if server.form is backup_files.CUSTOM:
        return [name for (name,) in server.client.ask("SELECT json_build_array(datname) FROM pg_catalog.pg_database;")]
    rows = table_counts.ask(
        server.module, "SELECT JSON_ARRAY(SCHEMA_NAME) FROM information_schema.SCHEMATA", server.socket
    )
    return [name for (name,) in rows]


def _prove(site: backup_site.Site, backup: backup_store.Backup, part: Dict[str, Any], keep: bool) -> int:
    server = site.server(part["engine"])
    name = server.scratch(part["database"])
    server.drop(name)
    rows = backup_drill.load(site, backup, part, name, server)
    if not keep:
        server.drop(name)
    return rows


def _files(site: backup_site.Site, backup: backup_store.Backup, part: Dict[str, Any], directory: str) -> None:
    if directory != "/" and os.path.isdir(directory) and os.listdir(directory):
        raise StoreError("{0} is not empty; name a folder that is, or / for where the files were".format(directory))
    path = os.path.join(backup.path, part["file"])
    # Read to its end before the first file is written.
    backup_pipes.unpack(path, [*site.unseal(), ["tar", "--list", "--file=-"]])
    os.makedirs(directory, mode=0o700, exist_ok=True)
    command = ["tar", "--extract", "--file=-", "--same-owner", "--preserve-permissions", "--directory=" + directory]
    backup_pipes.unpack(path, [*site.unseal(), command])


class PostgreSQL:
    """In one transaction: all of it, or the site as before."""

    def __init__(self, site: backup_site.Site, backup: backup_store.Backup, part: Dict[str, Any]) -> None:
        self.site = site
        self.part = part
        self.path = os.path.join(backup.path, part["file"])
        self.client = site.server("postgresql").client
        # Whoever holds a lock ends the restore, not the patience of those behind it.
        self.where = connection_string(part["database"]) + " options='-c lock_timeout=60s'"

    def database(self, _before: str) -> None:
        options = ["--clean", "--if-exists", "--single-transaction", "--no-publications", "--no-subscriptions"]
        command = self.client.command("pg_restore", *options, "--dbname=" + self.where)
        backup_pipes.unpack(self.path, [*self.site.unseal(), command])

    def table(self, table: str) -> None:
        """Its rows; what it is stays, and what refers to it."""
        schema, name = split_name(table)
        text = self.client.offline("pg_restore", "--data-only", "--strict-names", "--file=-")
        text += ["--schema=" + schema, "--table=" + name]
        start = "SET session_replication_role = replica; DELETE FROM ONLY {0}.{1}".format(
            identifier(schema), identifier(name)
        )
        load = self.client.command("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction")
        load += ["--dbname=" + self.where, "--command=" + start, "--file=-"]
        backup_pipes.unpack(self.path, [*self.site.unseal(), text, load])


class MySQL:
    """A table in one transaction; a database anew, and as it was before if that fails."""

    def __init__(self, site: backup_site.Site, backup: backup_store.Backup, part: Dict[str, Any]) -> None:
        self.site = site
        self.part = part
        self.path = os.path.join(backup.path, part["file"])
        self.server = site.server(part["engine"])
        self.server.logged = True

    def database(self, before: str) -> None:
        name = self.part["database"]
        found = self._ask(
            "SELECT JSON_ARRAY(DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME) FROM information_schema.SCHEMATA "
            "WHERE SCHEMA_NAME = {0}".format(literal(name))
        )
        charset, collation = found[0] if found else ("utf8mb4", "utf8mb4_general_ci")
        anew = "CREATE DATABASE {0} CHARACTER SET {1} COLLATE {2}".format(quote_mysql(name), charset, collation)
        try:
            self._anew(anew, self.path)
        except Exception as error:
            if not found:
                self.server.drop(name)
                raise
            manifest = backup_store.read(before)
            (part,) = [one for one in manifest.manifest["parts"] if one.get("database") == name]
            self._anew(anew, os.path.join(before, part["file"]))
            raise backup_files.IncompleteError(
                "{0}; {1} is again what it was before, from the backup {2}".format(error, name, manifest.name)
            ) from error

    def _anew(self, create: str, path: str) -> None:
        self.server.drop(self.part["database"])
        self.server.run(create)
        backup_pipes.unpack(path, [*self.site.unseal(), self.server.load_command(self.part["database"])])

    def table(self, table: str) -> None:
        """Its rows, out of the scratch database that proved the backup."""
        database, scratch = self.part["database"], self.server.scratch(self.part["database"])
        try:
            columns = self._columns(database, table)
            if not columns or columns != self._columns(scratch, table):
                raise StoreError(
                    "the table {0} of {1} has other columns than in the backup; restore into another database".format(
                        table, database
                    )
                )
            triggers = self._ask(
                "SELECT JSON_ARRAY(TRIGGER_NAME) FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = {0} "
                "AND EVENT_OBJECT_TABLE = {1}".format(literal(database), literal(table))
            )
            if triggers:
                raise StoreError(
                    "the table {0} has triggers, which would run: {1}; restore into another database".format(
                        table, ", ".join(name for (name,) in triggers)
                    )
                )
            names = ", ".join(quote_mysql(name) for name, _kind, generated in columns if not generated)
            here, there = ("{0}.{1}".format(quote_mysql(one), quote_mysql(table)) for one in (database, scratch))
            # By rows, as MySQL does anyway: no replica has the scratch database.
            by_rows = "SET SESSION binlog_format = ROW; " if self.part["engine"] == "mariadb" else ""
            self.server.run(
                by_rows
                + "SET foreign_key_checks = 0; START TRANSACTION; "
                "DELETE FROM {0}; INSERT INTO {0} ({1}) SELECT {1} FROM {2}; COMMIT".format(here, names, there)
            )
        finally:
            site = self.site.server(self.part["engine"])
            site.drop(scratch)

    def _columns(self, database: str, table: str) -> List[Any]:
        return self._ask(
            "SELECT JSON_ARRAY(COLUMN_NAME, COLUMN_TYPE, EXTRA LIKE '%GENERATED%' AND EXTRA NOT LIKE "
            "'%DEFAULT_GENERATED%') FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {0} AND TABLE_NAME = {1} "
            "ORDER BY ORDINAL_POSITION".format(literal(database), literal(table))
        )

    def _ask(self, statement: str) -> List[Any]:
        return table_counts.ask(self.server.module, statement, self.server.socket)


def split_name(table: str) -> List[str]:
    """Schema and table of a name that PostgreSQL quoted where it had to."""
    names, name, quoted = [], "", False
    for letter in table.replace('""', "\0"):
        if letter == '"':
            quoted = not quoted
        elif letter == "." and not quoted:
            names.append(name)
            name = ""
        else:
            name += letter
    return [one.replace("\0", '"') for one in [*names, name]]
