# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: S608 - every name in a statement went through quote_postgresql(), every value is an argument
"""The first copy of the site's databases: a slot, the snapshot that belongs to it, pg_dump and pg_restore.

Replication goes on from the slot, so that nothing lies between the copy and it. The dump lies on the source's
disk for a while, for only a dump in a folder can be written and loaded by several processes.
"""

import os
import shutil
import subprocess
import tempfile
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Progress
from ansible_collections.ocpizza.cutover.plugins.module_utils.dump_stream import SeedFailed
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_postgresql
from ansible_collections.ocpizza.cutover.plugins.module_utils.postgresql import PostgreSQL, conninfo, write_position
from ansible_collections.ocpizza.cutover.plugins.module_utils.postgresql_wire import SITE_TABLES, ask, connect, literal

# What replication never sends; the copy brings it, and what changes later is lost to the other side.
ROLES = (
    "SELECT DISTINCT r.rolname FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid JOIN pg_database d "
    "ON d.oid = CASE WHEN s.classid = 'pg_database'::regclass THEN s.objid ELSE s.dbid END "
    "WHERE s.refclassid = 'pg_authid'::regclass AND d.datname = current_database() ORDER BY 1"
)
SIZE = "SELECT coalesce(sum(pg_table_size(c.oid)), 0)::bigint " + SITE_TABLES + " AND c.relkind IN ('r', 'm')"
COPY_SLOT_SECONDS = 600.0


def seeded(target: PostgreSQL) -> Optional[str]:
    """Where the copies that completed earlier began; None where one is missing."""
    target.make_schema()
    found = {database: target.seeded_in(database) for database in target.databases}
    parts = {database: position for database, position in found.items() if position is not None}
    return write_position(parts) if len(parts) == len(found) else None


def begun(target: PostgreSQL, database: str) -> bool:
    """Whether a copy of this database was begun earlier."""
    found = target.rows(database, "SELECT to_regclass(%s) IS NOT NULL", "{0}.seeding".format(target.schema))
    return bool(found == [[True]])


def seed(source: PostgreSQL, target: PostgreSQL, plan: Dict[str, Any], progress: Progress) -> Dict[str, Any]:
    """Copy the databases, each unless that was done.

    The plan: ``target``, how the target is reached from here; ``directory`` for the dump; ``jobs``; and
    ``superuser``, a user of the system and of PostgreSQL, where the source's credentials hold no password.
    """
    done = seeded(target)
    if done is not None:
        return {"changed": False, "position": done}
    waiting = [database for database in target.databases if target.seeded_in(database) is None]
    for database in waiting:
        refuse(source, target, database)
    room(source, waiting, plan["directory"])
    source.make_schema()
    started = time.monotonic()
    copied = 0
    for database in waiting:
        copied += Copy(source, target, database, plan, progress).run()
    return {
        "changed": True,
        "position": seeded(target) or "",
        "bytes": copied,
        "seconds": round(time.monotonic() - started, 3),
    }


def refuse(source: PostgreSQL, target: PostgreSQL, database: str) -> None:
    """What must be known before anything is copied."""
    if not begun(target, database):
        present = [table["tbl"] for table in target.tables() if table["db"] == database]
        if present:
            raise SeedFailed(
                "database {0} on the target already has {1}; the copy never writes over tables that it did not "
                "bring. Drop the database on the target, or name another one".format(database, ", ".join(present[:5]))
            )
    there = {row[0] for row in target.rows(database, "SELECT rolname FROM pg_roles")}
    missing = [row[0] for row in source.rows(database, ROLES) if row[0] not in there]
    if missing:
        raise SeedFailed(
            "database {0} has owners and rights of roles that the target does not have: {1}. Create them there "
            "(postgresql_users)".format(database, ", ".join(missing))
        )


def room(source: PostgreSQL, databases: List[str], directory: str) -> None:
    """The dump is compressed, and the tables' own size is more than it will ever need."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    needed = max(int(source.value(database, SIZE)) for database in databases)
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise SeedFailed(
            "the dump may need {0} MB, and {1} has {2} MB free; make room there, or choose another folder".format(
                needed >> 20, directory, free >> 20
            )
        )


class Copy:
    """The copy of one database."""

    def __init__(
        self, source: PostgreSQL, target: PostgreSQL, database: str, plan: Dict[str, Any], progress: Progress
    ) -> None:
        self.source = source
        self.target = target
        self.database = database
        self.plan = plan
        self.progress = progress
        self.jobs = str(int(plan.get("jobs") or os.cpu_count() or 1))
        self.folder = os.path.join(plan["directory"], "dump")
        self.slot = source.slot(database)

    def run(self) -> int:
        """Copy, and keep where the copy began; the bytes of the dump."""
        if begun(self.target, self.database):
            self.clear()
        else:
            self.remember()
        self.source.make_publications(self.database)
        self.source.drop_slot(self.database, self.slot)
        shutil.rmtree(self.folder, ignore_errors=True)
        keeper = connect(self.source.credentials, COPY_SLOT_SECONDS, self.database, replication=True)
        try:
            position, size = self.copy(keeper)
        except BaseException:
            self.source.drop_slot(self.database, self.slot)
            raise
        finally:
            keeper.close()
            shutil.rmtree(self.folder, ignore_errors=True)
        self.target.rows(self.database, "ANALYZE")
        self.target.rows(
            self.database,
            "INSERT INTO {0}.seed VALUES (1, %s, now()); DROP TABLE {0}.seeding".format(self.target.schema),
            position,
        )
        return size

    def copy(self, keeper: Any) -> Tuple[str, int]:
        """Where the slot begins, and the bytes of the dump. The snapshot lives as long as ``keeper`` does nothing."""
        ((_name, position, snapshot, _plugin),) = ask(
            keeper, 'CREATE_REPLICATION_SLOT "{0}" LOGICAL pgoutput EXPORT_SNAPSHOT'.format(self.slot)
        )
        total = max(1, int(self.source.value(self.database, SIZE)))
        local, superuser = dict(self.source.credentials), self.plan.get("superuser")
        as_user = []  # type: List[str]
        if superuser and not local.get("password"):
            local["user"] = superuser
            as_user = ["runuser", "-u", superuser, "--"]
            shutil.chown(self.plan["directory"], superuser)
        if local.get("unix_socket"):
            path = local["unix_socket"]
            local["host"] = path if os.path.isdir(path) else os.path.dirname(path)
        common = ["--no-publications", "--no-subscriptions", "--no-password", "--jobs=" + self.jobs]
        dump = [
            *as_user,
            "pg_dump",
            "--format=directory",
            "--compress=1",
            "--file=" + self.folder,
            "--snapshot=" + snapshot,
            '--exclude-schema="{0}"'.format(self.source.name),
            *common,
        ]
        self.work("the dump on the source", dump, local, lambda: min(used(self.folder), total), total)
        size = used(self.folder)
        restore = ["pg_restore", "--exit-on-error", *common]
        self.work(
            "loading on the target",
            restore,
            dict(self.plan["target"]),
            lambda: min(int(self.target.value(self.database, SIZE)), total) + total,
            total,
            [self.folder],
        )
        return position, size

    def work(
        self,
        what: str,
        command: List[str],
        account: Dict[str, Any],
        done: Callable[[], int],
        total: int,
        arguments: Optional[List[str]] = None,
    ) -> None:
        """Run one of PostgreSQL's programs, and tell how far it is; half of the work is each."""
        account = {"port": 5432, "host": "127.0.0.1", **account}
        secret = account.pop("password", None)
        # In a file, not a pipe: a program that has much to say must not wait for us to listen.
        with tempfile.TemporaryFile() as said, tempfile.NamedTemporaryFile("w", prefix="cutover-") as passwords:
            environment = dict(os.environ, LC_ALL="C", PGOPTIONS="-c statement_timeout=0 -c lock_timeout=0")
            if secret:
                passwords.write(":".join(["*"] * 4 + [escaped(secret)]) + "\n")
                passwords.flush()
                environment["PGPASSFILE"] = passwords.name
            command = [*command, "--dbname=" + conninfo(account, self.database), *(arguments or [])]
            running = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, env=environment
            )
            try:
                while True:
                    try:
                        running.wait(timeout=1.0)
                        break
                    except subprocess.TimeoutExpired:
                        self.progress(done(), 2 * total, "bytes of database {0}: {1}".format(self.database, what))
            except BaseException:
                running.terminate()
                running.wait()
                raise
            if running.returncode != 0:
                said.seek(0)
                raise SeedFailed(
                    "{0} of database {1} failed: {2}".format(
                        what, self.database, said.read().decode("utf-8", "replace").strip()
                    )
                )

    def remember(self) -> None:
        """Keep what the target's database had before: what comes later was brought by the copy."""
        self.target.rows(
            self.database,
            "CREATE TABLE {0}.seeding AS SELECT 'schema' AS kind, nspname::text AS name FROM pg_namespace "
            "UNION ALL SELECT 'extension', extname FROM pg_extension".format(self.target.schema),
        )

    def clear(self) -> None:
        """Take away what a broken copy brought; an empty ``public`` stays as it was."""
        before = self.target.rows(self.database, "SELECT kind, name FROM {0}.seeding".format(self.target.schema))
        kept = {(kind, name) for kind, name in before}
        statements = ["DROP PUBLICATION IF EXISTS {0}".format(self.target.publication)]
        for (name,) in self.target.rows(self.database, "SELECT extname FROM pg_extension"):
            if ("extension", name) not in kept:
                statements.append("DROP EXTENSION IF EXISTS {0} CASCADE".format(quote_postgresql(name)))
        for (name,) in self.target.rows(
            self.database,
            "SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%%' "
            "AND nspname NOT IN ('information_schema', %s)",
            self.target.name,
        ):
            if ("schema", name) not in kept:
                statements.append("DROP SCHEMA IF EXISTS {0} CASCADE".format(quote_postgresql(name)))
            else:
                statements += self.emptied(name)
        statements.append("SELECT lo_unlink(oid) FROM pg_largeobject_metadata")
        for statement in statements:
            self.target.rows(self.database, statement)

    def emptied(self, schema: str) -> List[str]:
        """Statements that drop what is in a schema and belongs to no extension."""
        found = []
        for kind, query in CONTENT:
            for (text,) in self.target.rows(self.database, query.format(literal(schema))):
                found.append("DROP {0} IF EXISTS {1} CASCADE".format(kind, text))
        return found


_OWN = (
    " AND x.{0} = (SELECT oid FROM pg_namespace WHERE nspname = {{0}}) "
    "AND NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.objid = x.oid AND e.deptype IN ('e', 'i'))"
)
_CLASS = "SELECT x.oid::regclass::text FROM pg_class x WHERE x.relkind IN ({0})" + _OWN.format("relnamespace")
_ROUTINE = "SELECT x.oid::regprocedure::text FROM pg_proc x WHERE x.prokind {0} 'a'" + _OWN.format("pronamespace")
_TYPE = "SELECT x.oid::regtype::text FROM pg_type x WHERE {0}" + _OWN.format("typnamespace")
# Types of tables go with their tables.
_COMPOSITE = "x.typtype = 'c' AND EXISTS (SELECT 1 FROM pg_class c WHERE c.oid = x.typrelid AND c.relkind = 'c')"
CONTENT = [
    ("VIEW", _CLASS.replace("{0}", "'v'", 1)),
    ("MATERIALIZED VIEW", _CLASS.replace("{0}", "'m'", 1)),
    ("FOREIGN TABLE", _CLASS.replace("{0}", "'f'", 1)),
    ("TABLE", _CLASS.replace("{0}", "'r', 'p'", 1)),
    ("SEQUENCE", _CLASS.replace("{0}", "'S'", 1)),
    ("ROUTINE", _ROUTINE.replace("{0}", "<>", 1)),
    ("AGGREGATE", _ROUTINE.replace("{0}", "=", 1)),
    ("TYPE", _TYPE.replace("{0}", "(x.typtype IN ('e', 'r') OR ({0}))".format(_COMPOSITE), 1)),
    ("DOMAIN", _TYPE.replace("{0}", "x.typtype = 'd'", 1)),
    (
        "COLLATION",
        "SELECT quote_ident({0}) || '.' || quote_ident(x.collname) FROM pg_collation x WHERE TRUE"
        + _OWN.format("collnamespace"),
    ),
    (
        "TEXT SEARCH CONFIGURATION",
        "SELECT x.oid::regconfig::text FROM pg_ts_config x WHERE TRUE" + _OWN.format("cfgnamespace"),
    ),
    (
        "TEXT SEARCH DICTIONARY",
        "SELECT x.oid::regdictionary::text FROM pg_ts_dict x WHERE TRUE" + _OWN.format("dictnamespace"),
    ),
]


def escaped(secret: str) -> str:
    """A password as the file of passwords has it."""
    return secret.replace("\\", "\\\\").replace(":", "\\:")


def used(folder: str) -> int:
    """The bytes of the files in a folder, which may come and go meanwhile."""
    total = 0
    try:
        for entry in os.scandir(folder):
            total += entry.stat().st_size
    except FileNotFoundError:
        pass
    return total
