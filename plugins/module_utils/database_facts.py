# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a MariaDB or MySQL server tells about itself through its own client, so that nothing is installed for it."""

# ruff: noqa: S608 - names are hexadecimal literals, the rest is constant

import json
from typing import Any, Dict, List, Sequence

from ansible_collections.ocpizza.cutover.plugins.module_utils import copyover_findings

SETTINGS = (
    "version",
    "log_bin",
    "server_id",
    "binlog_format",
    "binlog_row_image",
    "gtid_domain_id",
    "gtid_mode",
    "gtid_strict_mode",
    "log_replica_updates",
    "log_slave_updates",
    "lower_case_table_names",
    "event_scheduler",
    "read_only",
    "have_ssl",
    "bind_address",
    "character_set_server",
    "collation_server",
    "datadir",
    "tmpdir",
    "socket",
    "port",
    "max_connections",
    "sql_mode",
    "innodb_flush_log_at_trx_commit",
    "sync_binlog",
    "slave_type_conversions",
    "binlog_row_value_options",
    "binlog_transaction_compression",
    "performance_schema",
    "server_uuid",
    "super_read_only",
)
SYSTEM = ("mysql", "information_schema", "performance_schema", "sys")


def literal(text: str) -> str:
    """A string as SQL, whatever is in it and whatever the mode is."""
    return "CONVERT(X'{0}' USING utf8mb4)".format(text.encode("utf-8").hex()) if text else "''"


def in_list(names: Sequence[str]) -> str:
    """The names as the right side of IN."""
    return "({0})".format(",".join(literal(name) for name in names) or "NULL")


def named(column: str, databases: Sequence[str]) -> str:
    """The condition that a column has one of these names."""
    # information_schema compares names by bytes in some versions and by letters in others: HEX settles it.
    return "HEX(CONVERT({0} USING utf8mb4)) IN ({1})".format(
        column, ",".join("'{0}'".format(name.encode("utf-8").hex().upper()) for name in databases) or "NULL"
    )


def queries(databases: Sequence[str], site: str = "", mariadb: bool = False) -> List[str]:
    """Statements that each give lines of JSON, an array with the kind first."""
    names = in_list(databases)
    known = ",".join("'{0}'".format(name) for name in SETTINGS)
    found = [
        "SELECT JSON_ARRAY('setting',LOWER(VARIABLE_NAME),VARIABLE_VALUE) "
        "FROM {{variables}} WHERE LOWER(VARIABLE_NAME) IN ({0})".format(known),
        "SELECT JSON_ARRAY('schema',SCHEMA_NAME,DEFAULT_CHARACTER_SET_NAME,DEFAULT_COLLATION_NAME) "
        "FROM information_schema.SCHEMATA",
        "SELECT JSON_ARRAY('table',t.TABLE_SCHEMA,t.TABLE_NAME,t.TABLE_TYPE,t.ENGINE,COALESCE(t.TABLE_ROWS,0),"
        "COALESCE(t.DATA_LENGTH+t.INDEX_LENGTH,0),(SELECT COUNT(*) FROM information_schema.STATISTICS s "
        "WHERE s.TABLE_SCHEMA=t.TABLE_SCHEMA AND s.TABLE_NAME=t.TABLE_NAME AND s.INDEX_NAME='PRIMARY')) "
        "FROM information_schema.TABLES t WHERE " + named("t.TABLE_SCHEMA", databases),
        "SELECT JSON_ARRAY('trigger',TRIGGER_SCHEMA,TRIGGER_NAME) FROM information_schema.TRIGGERS WHERE "
        + named("TRIGGER_SCHEMA", databases),
        "SELECT JSON_ARRAY('routine',ROUTINE_SCHEMA,ROUTINE_NAME) FROM information_schema.ROUTINES WHERE "
        + named("ROUTINE_SCHEMA", databases),
        "SELECT JSON_ARRAY('event',EVENT_SCHEMA,EVENT_NAME,STATUS) FROM information_schema.EVENTS WHERE "
        + named("EVENT_SCHEMA", databases),
        "SELECT DISTINCT JSON_ARRAY('account',TABLE_SCHEMA,GRANTEE) FROM information_schema.SCHEMA_PRIVILEGES WHERE "
        "REPLACE(TABLE_SCHEMA,'\\\\_','_') IN " + names,
    ]
    found.append(
        "SELECT DISTINCT JSON_ARRAY('vector',TABLE_SCHEMA,TABLE_NAME) FROM information_schema.COLUMNS "
        "WHERE DATA_TYPE='vector' AND " + named("TABLE_SCHEMA", databases)
    )
    if mariadb:
        found += copyover_findings.queries(lambda column: named(column, databases))
    else:
        found += [
            "SELECT JSON_ARRAY('setting','gtids_tagged',"
            "IF(@@GLOBAL.gtid_executed REGEXP ':[[:space:]]*[a-z_]','ON','OFF'))",
            "SELECT JSON_ARRAY('setting','replicas',CAST(COUNT(*) AS CHAR)) FROM performance_schema.threads "
            "WHERE PROCESSLIST_COMMAND LIKE 'Binlog Dump%'",
        ]
    if site:
        found.append(
            "SELECT JSON_ARRAY('fence table',TABLE_SCHEMA) FROM information_schema.TABLES WHERE TABLE_NAME='fence' "
            "AND TABLE_SCHEMA='cutover_{0}'".format(site.replace("-", "_"))
        )
    return found


def parse(output: str, databases: Sequence[str]) -> Dict[str, Any]:
    """The facts from the lines that the statements gave."""
    facts = {"settings": {}, "databases": {}, "other_databases": [], "accounts": {}, "authentication": []}  # type: Dict[str, Any]
    for name in databases:
        facts["databases"][name] = {
            "exists": False,
            "charset": "",
            "collation": "",
            "bytes": 0,
            "rows": 0,
            "tables": [],
            "without_key": [],
            "engines": {},
            "views": [],
            "triggers": [],
            "routines": [],
            "events": [],
            "events_enabled": [],
            "accounts": [],
            "vectors": [],
            "versioned": [],
        }
    # Not splitlines: it would also break at separators that JSON leaves in a name.
    for line in output.split("\n"):
        if not line.startswith("["):
            continue
        kind, *values = json.loads(line)
        if kind == "setting":
            facts["settings"][values[0]] = values[1]
        elif kind == "fence table":
            facts["fence_schema"] = values[0]
        elif kind == "schema":
            _add_schema(facts, values)
        else:
            name = values[0].replace("\\_", "_") if kind == "account" else values[0]
            if name in facts["databases"]:
                _add(facts["databases"][name], kind, values)
    return facts


def _add_schema(facts: Dict[str, Any], values: List[Any]) -> None:
    name, charset, collation = values
    if name in facts["databases"]:
        facts["databases"][name].update(exists=True, charset=charset, collation=collation)
    elif name.lower() not in SYSTEM and not name.startswith("cutover_"):
        facts["other_databases"].append(name)


def _add(database: Dict[str, Any], kind: str, values: List[Any]) -> None:
    if kind == "table":
        _schema, name, table_type, engine, rows, size, primary = values
        if table_type == "VIEW":
            database["views"].append(name)
            return
        database["tables"].append(name)
        if table_type == "SYSTEM VERSIONED":
            database["versioned"].append(name)
        database["rows"] += int(rows)
        database["bytes"] += int(size)
        database["engines"].setdefault(engine or "", []).append(name)
        if not int(primary):
            database["without_key"].append(name)
    elif kind == "apart":
        database.setdefault("apart", []).extend(copyover_findings.apart(values[1], values[2], values[3:]))
    elif not values[1].startswith("cutover_"):
        database[kind + "s"].append(values[1])
        if kind == "event" and values[2] == "ENABLED":
            database["events_enabled"].append(values[1])
