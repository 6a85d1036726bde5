# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: S608 - every part of a statement is a constant
"""What stands in the way of replication between two PostgreSQL servers, or is not carried by it."""

import json
from typing import Any, Callable, Dict, Iterator, List, Optional

from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_postgresql
from ansible_collections.ocpizza.cutover.plugins.module_utils.postgresql_wire import SITE_TABLES
from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_postgresql import database_order

Obstacle = Dict[str, str]
Facts = Dict[str, Any]

# FULL identity compares whole rows, which these types cannot.
_UNKEYED = (
    "SELECT n.nspname, c.relname, (SELECT string_agg(a.attname, ', ') FROM pg_attribute a JOIN pg_type t "
    "ON t.oid = a.atttypid WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
    "AND t.typname IN ('json', 'xml', 'point', 'line', 'polygon', 'path', 'box')) "
    + SITE_TABLES
    + " AND c.relkind = 'r' AND c.relpersistence = 'p' AND NOT EXISTS (SELECT 1 FROM pg_index i "
    "WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL "
    "AND i.indexprs IS NULL AND NOT EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid "
    "AND a.attnum = ANY (i.indkey) AND NOT a.attnotnull)) ORDER BY 1, 2"
)
_TABLES = "SELECT n.nspname, c.relname " + SITE_TABLES + " AND {0} ORDER BY 1, 2"
# An extension's table whose rows it leaves to its user; what is in it is not compared and not replicated.
_EXTENSION_TABLES = (
    "SELECT x.extname, c.relname FROM pg_extension x JOIN pg_class c ON c.oid = ANY (x.extconfig) "
    "WHERE c.relkind = 'r' ORDER BY 1, 2"
)


def facts_of(ask: Callable[[str], List[List[Any]]]) -> Facts:
    """What ``obstacles()`` decides by; ``ask`` gives the rows of a statement in one database."""

    def names(statement: str) -> List[str]:
        return [".".join(quote_postgresql(part) for part in row[:2]) for row in ask(statement)]

    def count(what: str) -> int:
        return int(ask("SELECT count(*) FROM " + what)[0][0])

    settings = dict(
        ask(
            "SELECT name, setting FROM pg_settings WHERE name IN ('wal_level', 'max_replication_slots', "
            "'max_wal_senders', 'max_logical_replication_workers', 'max_worker_processes', 'server_version', "
            "'server_version_num', 'max_slot_wal_keep_size')"
        )
    )
    ((database, encoding, described),) = ask(
        "SELECT datname, pg_encoding_to_char(encoding), to_jsonb(d) FROM pg_database d "
        "WHERE datname = current_database()"
    )
    return {
        "database": database,
        "settings": settings,
        "encoding": encoding,
        "order": database_order(json.loads(described)),
        "slots": int(ask("SELECT count(*) FROM pg_replication_slots WHERE slot_name NOT LIKE 'cutover\\_%'")[0][0]),
        "senders": int(
            ask("SELECT count(*) FROM pg_stat_replication WHERE application_name NOT LIKE 'cutover%'")[0][0]
        ),
        "large_objects": int(ask("SELECT count(*) FROM pg_largeobject_metadata")[0][0]),
        "unlogged": names(_TABLES.format("c.relkind = 'r' AND c.relpersistence = 'u'")),
        "foreign": names(_TABLES.format("c.relkind = 'f'")),
        "unkeyed": [[".".join(map(quote_postgresql, row[:2])), row[2] or ""] for row in ask(_UNKEYED)],
        "generated": names(
            _TABLES.format(
                "c.relkind IN ('r', 'p') AND EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid "
                "AND a.attgenerated = 's' AND EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid "
                "AND i.indisprimary AND a.attnum = ANY (i.indkey)))"
            )
        ),
        "extension_tables": names(_EXTENSION_TABLES),
        "extensions": sorted(row[0] for row in ask("SELECT extname FROM pg_extension")),
        "available": sorted(row[0] for row in ask("SELECT name FROM pg_available_extensions")),
        "event_triggers": [row[0] for row in ask("SELECT evtname FROM pg_event_trigger WHERE evtenabled <> 'D'")],
        "prepared": count("pg_prepared_xacts WHERE database = current_database()"),
    }


def _obstacle(key: str, title: str, remedy: str) -> Obstacle:
    return {"key": "database." + key, "title": title, "remedy": remedy}


def _some(names: List[str]) -> str:
    return ", ".join(names[:5]) + (" and {0} more".format(len(names) - 5) if len(names) > 5 else "")


def obstacles(source: Facts, target: Optional[Facts], databases: int = 1) -> List[Obstacle]:
    """What one database's facts on both sides forbid or leave behind; the target may not be known yet."""
    found = list(_of_rows(source))
    found += _of_server("source", source, databases)
    if target is not None:
        found += _of_server("target", target, databases)
        found += _between(source, target)
    return found


def _of_rows(facts: Facts) -> Iterator[Obstacle]:
    where = "database {0}".format(facts["database"])
    if facts["large_objects"]:
        yield _obstacle(
            "large_objects",
            "{0} has {1} large objects, which do not replicate".format(where, facts["large_objects"]),
            "The first copy brings them. Move them into bytea columns, or see to it that none changes until the open; "
            "there is no way back for those that change after it",
        )
    if facts["unlogged"]:
        yield _obstacle(
            "unlogged",
            "{0} has unlogged tables, which do not replicate: {1}".format(where, _some(facts["unlogged"])),
            "ALTER TABLE … SET LOGGED, or empty them: the target begins with what the first copy brought",
        )
    if facts["foreign"]:
        yield _obstacle(
            "foreign_tables",
            "{0} has foreign tables, whose rows are elsewhere: {1}".format(where, _some(facts["foreign"])),
            "Let the target reach their servers too; the fence does not stop writes through them",
        )
    plain = [name for name, columns in facts["unkeyed"] if not columns]
    if plain:
        yield _obstacle(
            "without_key",
            "{0} has tables without a key: {1}".format(where, _some(plain)),
            "Add a primary key. Without one they get REPLICA IDENTITY FULL, which is slow to apply, and a change to "
            "one of them just before the switchover refuses it",
        )
    for name, columns in facts["unkeyed"]:
        if columns:
            yield _obstacle(
                "without_key_or_equality",
                "{0} in {1} has no key, and {2} of a type that cannot be compared: its updates stop the "
                "replication".format(name, where, columns),
                "Add a primary key to it",
            )
    if facts["generated"]:
        yield _obstacle(
            "generated_key",
            "{0} has keys with generated columns, which are not sent: {1}".format(where, _some(facts["generated"])),
            "Choose another primary key",
        )
    if facts["extension_tables"]:
        yield _obstacle(
            "extension_tables",
            "{0} has tables that belong to extensions and are not replicated: {1}".format(
                where, _some(facts["extension_tables"])
            ),
            "The first copy brings rows of your own; add none until the open",
        )
    if facts["event_triggers"]:
        yield _obstacle(
            "event_triggers",
            "{0} has event triggers, which see our own CREATE TRIGGER too: {1}".format(
                where, _some(facts["event_triggers"])
            ),
            "Make sure that they let it pass, or disable them for the move",
        )
    if facts["prepared"]:
        yield _obstacle(
            "prepared_transactions",
            "{0} has {1} prepared transactions, which hold the first copy up".format(where, facts["prepared"]),
            "Commit them or roll them back",
        )


def _of_server(side: str, facts: Facts, databases: int) -> Iterator[Obstacle]:
    settings = facts["settings"]
    if settings["wal_level"] != "logical":
        yield _obstacle(
            "wal_level",
            "wal_level is {0} on the {1}".format(settings["wal_level"], side),
            "Set it to logical and restart the server; replicate.yml does so behind the valve",
        )
    # A link and a proof for each database; a copy's own is the link's.
    for name, used, what in (
        ("max_replication_slots", facts["slots"], "replication slots"),
        ("max_wal_senders", facts["senders"], "senders"),
    ):
        if int(settings[name]) < used + 2 * databases:
            yield _obstacle(
                name,
                "{0} is {1} on the {2}, where others use {3} and the move needs {4}".format(
                    name, settings[name], side, used, 2 * databases
                ),
                "Set {0} to {1} at least, for the {2}, and restart the server".format(name, used + 2 * databases, what),
            )
    if int(settings["max_logical_replication_workers"]) < databases or int(settings["max_worker_processes"]) < (
        databases + 1
    ):
        yield _obstacle(
            "replication_workers",
            "the {0} can apply changes of {1} databases at once, and the move needs {2}".format(
                side,
                min(int(settings["max_logical_replication_workers"]), int(settings["max_worker_processes"]) - 1),
                databases,
            ),
            "Raise max_logical_replication_workers and max_worker_processes",
        )
    if int(settings.get("max_slot_wal_keep_size", -1)) >= 0:
        yield _obstacle(
            "slot_limit",
            "max_slot_wal_keep_size is {0} MB on the {1}: a link that lags more is lost".format(
                settings["max_slot_wal_keep_size"], side
            ),
            "Set it to -1 until the move is over, and watch the disk",
        )


def _between(source: Facts, target: Facts) -> Iterator[Obstacle]:
    ours, theirs = (int(facts["settings"]["server_version_num"]) // 10000 for facts in (source, target))
    if ours < 13:
        yield _obstacle(
            "source_too_old",
            "the source runs PostgreSQL {0}; 13 is the oldest that was tried".format(
                source["settings"]["server_version"]
            ),
            "Upgrade the source's server first",
        )
    if theirs < ours:
        yield _obstacle(
            "target_older",
            "the source runs PostgreSQL {0}, the target {1}: a dump goes to newer servers only".format(ours, theirs),
            "Install at least the source's version on the target",
        )
    missing = sorted(set(source["extensions"]) - set(target["available"]))
    if missing:
        yield _obstacle(
            "extensions",
            "the target cannot have extensions that database {0} uses: {1}".format(source["database"], _some(missing)),
            "Install their packages on the target",
        )
    if source["encoding"] != target["encoding"]:
        yield _obstacle(
            "encoding",
            "database {0} is in {1} on the source and in {2} on the target".format(
                source["database"], source["encoding"], target["encoding"]
            ),
            "Make it with the source's encoding; else text that one of them cannot write stops the replication",
        )
    if source["order"] != target["order"]:
        yield _obstacle(
            "collation",
            "database {0} sorts text by '{1}' on the source and by '{2}' on the target".format(
                source["database"], source["order"], target["order"]
            ),
            "Make it with the source's LC_COLLATE; else lists are in another order, and the proof of tables with a key "
            "of text sorts them each time",
        )
