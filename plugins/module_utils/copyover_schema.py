# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: S608 - every name in a statement went through quote_mysql(), every value is an argument
"""Makes a MariaDB source's definitions on a MySQL target, and keeps triggers away while rows come in."""

from typing import Any, Dict, Iterable, List, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils import copyover_dialect as dialect
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import words
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_mysql
from ansible_collections.ocpizza.cutover.plugins.module_utils.mariadb import MariaDB

# What is asked of the server, with what column of SHOW CREATE has the statement.
BODIES = {
    "FUNCTION": "Create Function",
    "PROCEDURE": "Create Procedure",
    "TRIGGER": "SQL Original Statement",
    "EVENT": "Create Event",
}


class DefinitionFailed(Exception):  # noqa: N818  a word of the journal, not of Python
    """MySQL does not take a definition: which one, and what it says."""


def make(source: MariaDB, target: MariaDB) -> int:
    """Make the site's databases anew on the target, with everything but rows and triggers; how many objects."""
    defaults = {
        row["charset"]: row["collation"]
        for row in source.rows(
            "SELECT character_set_name AS charset, collation_name AS collation FROM information_schema.collations "
            "WHERE is_default = 'Yes'"
        )
    }
    made = 0
    source.rows("SET SESSION sql_mode = '', SESSION sql_quote_show_create = 1")
    for database in source.databases:
        (schema,) = source.rows(
            "SELECT default_character_set_name AS charset, default_collation_name AS collation "
            "FROM information_schema.schemata WHERE schema_name = %s",
            [database],
        )
        name = quote_mysql(database)
        target.unlogged(
            "DROP DATABASE IF EXISTS {0}".format(name),
            "CREATE DATABASE {0} CHARACTER SET {1} COLLATE {2}".format(
                name, dialect.charset(schema["charset"]), dialect.collation(schema["collation"])
            ),
        )
        target.rows("USE {0}".format(name))
        made += _tables(source, target, database, defaults)
        made += sum(_bodies(source, target, database, kind) for kind in ("FUNCTION", "PROCEDURE"))
        made += _views(source, target, database)
        made += _bodies(source, target, database, "EVENT")
    return made


def _tables(source: MariaDB, target: MariaDB, database: str, defaults: Dict[str, str]) -> int:
    names = [row["tbl"] for row in source.tables() if row["db"] == database]
    # In any order: what a foreign key refers to may come after it.
    target.rows("SET SESSION foreign_key_checks = 0, SESSION sql_mode = ''")
    for name in names:
        (shown,) = source.rows("SHOW CREATE TABLE {0}.{1}".format(quote_mysql(database), quote_mysql(name)))
        _run(target, "table {0}.{1}".format(database, name), dialect.table(shown["Create Table"], defaults))
    target.rows("SET SESSION foreign_key_checks = 1")
    return len(names)


def _views(source: MariaDB, target: MariaDB, database: str) -> int:
    waiting = {}
    for row in source.rows(
        "SELECT table_name AS name FROM information_schema.views WHERE table_schema = %s ORDER BY 1", [database]
    ):
        (shown,) = source.rows("SHOW CREATE VIEW {0}.{1}".format(quote_mysql(database), quote_mysql(row["name"])))
        waiting[row["name"]] = shown["Create View"]
    count = len(waiting)
    while waiting:
        failures = {}
        for name, statement in waiting.items():
            try:
                _run(target, "view {0}.{1}".format(database, name), statement)
            except DefinitionFailed as failure:
                failures[name] = failure
        # One view may read another that comes later.
        if len(failures) == len(waiting):
            raise failures[min(failures)]
        waiting = {name: waiting[name] for name in failures}
    return count


def _names(source: MariaDB, database: str, kind: str) -> List[str]:
    table, column, condition = {
        "TRIGGER": ("triggers", "trigger", ""),
        "EVENT": ("events", "event", ""),
    }.get(kind, ("routines", "routine", " AND routine_type = '{0}'".format(kind)))
    order = ", action_order" if kind == "TRIGGER" else ""
    found = source.rows(
        "SELECT {1}_name AS name FROM information_schema.{0} WHERE {1}_schema = %s{2} ORDER BY 1{3}".format(
            table, column, condition, order
        ),
        [database],
    )
    return [row["name"] for row in found if not row["name"].startswith("cutover_")]


def shown(server: MariaDB, database: str, kind: str, name: str) -> Tuple[str, str]:
    """The mode and the statement of something with a body."""
    (row,) = server.rows("SHOW CREATE {0} {1}.{2}".format(kind, quote_mysql(database), quote_mysql(name)))
    statement = row[BODIES[kind]]
    if statement is None:
        raise DefinitionFailed(
            "the {0} {1}.{2} cannot be read; its definition is kept from this account".format(
                kind.lower(), database, name
            )
        )
    return row["sql_mode"], statement


def _bodies(source: MariaDB, target: MariaDB, database: str, kind: str) -> int:
    names = _names(source, database, kind)
    for name in names:
        sql_mode, statement = shown(source, database, kind, name)
        _run(target, "{0} {1}.{2}".format(kind.lower(), database, name), statement, dialect.modes(sql_mode))
    return len(names)


def _run(target: MariaDB, what: str, statement: str, sql_mode: str = "") -> None:
    target.rows("SET SESSION sql_mode = %s", [sql_mode])
    try:
        target.unlogged(statement)
    except Exception as error:
        raise DefinitionFailed(
            "MySQL does not take the {0}: {1}. Change it on the source, or drop it there".format(what, words(error))
        ) from error
    finally:
        target.rows("SET SESSION sql_mode = ''")


# Triggers: a row that comes in must be as it was, so none fires meanwhile.


def keep_triggers(source: MariaDB, target: MariaDB) -> None:
    """Note on the target what the site's triggers are, as the source has them; ``mend()`` makes them."""
    _note(target, [(database, *one) for database in source.databases for one in _triggers(source, database)])


def part_with_triggers(server: MariaDB) -> None:
    """Note the site's triggers on the server itself, then drop them, the fence's too."""
    found = [(database, *one) for database in server.databases for one in _triggers(server, database)]
    _note(server, found)
    for database, name, *_rest in found:
        server.unlogged("DROP TRIGGER {0}.{1}".format(quote_mysql(database), quote_mysql(name)))
    server.drop_fence()


def _triggers(server: MariaDB, database: str) -> Iterable[Tuple[str, int, str, str]]:
    order = {
        row["name"]: int(row["at"])
        for row in server.rows(
            "SELECT trigger_name AS name, action_order AS at FROM information_schema.triggers "
            "WHERE trigger_schema = %s",
            [database],
        )
    }
    for name in _names(server, database, "TRIGGER"):
        sql_mode, statement = shown(server, database, "TRIGGER", name)
        yield name, order[name], dialect.modes(sql_mode), statement


def _note(server: MariaDB, triggers: Iterable[Tuple[Any, ...]]) -> None:
    server.unlogged(
        "CREATE TABLE IF NOT EXISTS {0}.kept (db VARCHAR(64) NOT NULL, name VARCHAR(64) NOT NULL, place INT NOT NULL, "
        "mode VARCHAR(1000) NOT NULL, statement LONGTEXT NOT NULL, PRIMARY KEY (db, name)) ENGINE=InnoDB "
        "DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin".format(server.schema)
    )
    server.rows("SET SESSION sql_log_bin = 0")
    for values in triggers:
        server.rows("REPLACE INTO {0}.kept VALUES (%s, %s, %s, %s, %s)".format(server.schema), values)
    server.rows("SET SESSION sql_log_bin = 1")


def mend(server: MariaDB) -> int:
    """Make the triggers again that were put aside here, then the fence's; how many. Nothing on a second call."""
    known = server.rows(
        "SELECT 1 FROM information_schema.tables WHERE table_schema = %s AND table_name = 'kept'", [server.name]
    )
    kept = (
        server.rows(
            "SELECT db AS db, name AS name, mode AS mode, statement AS statement FROM {0}.kept "
            "ORDER BY place, db, name".format(server.schema)
        )
        if known
        else []
    )
    for row in kept:
        if row["name"] not in _names(server, row["db"], "TRIGGER"):
            server.rows("USE {0}".format(quote_mysql(row["db"])))
            _run(server, "trigger {db}.{name}".format(**row), row["statement"], row["mode"])
    if kept:
        server.unlogged("DELETE FROM {0}.kept".format(server.schema))
    return len(kept) + server.make_triggers()


def clear(server: MariaDB) -> None:
    """Empty the site's tables, so that rows can come in; no trigger is left that could change one."""
    part_with_triggers(server)
    server.rows("SET SESSION foreign_key_checks = 0")
    for table in server.tables():
        server.unlogged("TRUNCATE TABLE {0}.{1}".format(quote_mysql(table["db"]), quote_mysql(table["tbl"])))
    server.rows("SET SESSION foreign_key_checks = 1")
