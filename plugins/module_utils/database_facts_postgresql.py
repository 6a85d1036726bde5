# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a PostgreSQL server tells about itself through psql, so that nothing is installed for it."""

# ruff: noqa: S608 - names are literals, the rest is constant

from typing import Any, Dict, List, Sequence

from ansible_collections.ocpizza.cutover.plugins.module_utils import rights, rights_postgresql
from ansible_collections.ocpizza.cutover.plugins.module_utils.client_postgresql import TABLES, literal

SETTINGS = (
    "config_file",
    "data_directory",
    "default_transaction_read_only",
    "hba_file",
    "listen_addresses",
    "max_connections",
    "max_logical_replication_workers",
    "max_replication_slots",
    "max_slot_wal_keep_size",
    "max_wal_senders",
    "max_worker_processes",
    "password_encryption",
    "port",
    "server_encoding",
    "server_version",
    "server_version_num",
    "shared_preload_libraries",
    "ssl",
    "synchronous_standby_names",
    "unix_socket_directories",
    "wal_level",
)
EMPTY = {
    "exists": False,
    "charset": "",
    "collation": "",
    "ctype": "",
    "bytes": 0,
    "rows": 0,
}  # type: Dict[str, Any]
LISTS = (
    "tables",
    "without_key",
    "unlogged",
    "foreign_tables",
    "views",
    "materialized_views",
    "sequences",
    "triggers",
    "routines",
    "extensions",
    "generated",
    "accounts",
    "events",
    "events_enabled",
    "settings",
    "generated_keys",
    "extension_tables",
    "event_triggers",
    "prepared",
    "vectors",
    "versioned",
)
KINDS = {
    "view": "views",
    "materialized view": "materialized_views",
    "foreign table": "foreign_tables",
    "sequence": "sequences",
    "trigger": "triggers",
    "routine": "routines",
    "extension": "extensions",
    "generated": "generated",
    "account": "accounts",
    "generated key": "generated_keys",
    "extension table": "extension_tables",
    "event trigger": "event_triggers",
    "prepared": "prepared",
}
# Logical replication came with 10, and what is asked of a database is there since then.
OLDEST = 100000


def server_script(databases: Sequence[str]) -> str:
    """What the server says of itself: lines of JSON, an array with the kind first."""
    known = ",".join("'{0}'".format(name) for name in SETTINGS)
    return (
        r"""
SELECT json_build_array('setting', name, setting) FROM pg_catalog.pg_settings WHERE name IN ({known});
SELECT json_build_array('setting', 'version', setting) FROM pg_catalog.pg_settings WHERE name = 'server_version';
SELECT json_build_array('setting', 'in_recovery', CASE WHEN pg_is_in_recovery() THEN 'on' ELSE 'off' END);
SELECT json_build_array('setting', 'lc_collate', datcollate) FROM pg_catalog.pg_database WHERE datname = 'template1';
SELECT json_build_array('setting', 'lc_ctype', datctype) FROM pg_catalog.pg_database WHERE datname = 'template1';
SELECT json_build_array('database', datname, pg_encoding_to_char(encoding), datcollate, datctype,
                        pg_database_size(oid))
  FROM pg_catalog.pg_database WHERE datname NOT IN ('template0', 'template1') ORDER BY datname;
SELECT json_build_array('used', 'slots', count(*)) FROM pg_catalog.pg_replication_slots;
SELECT json_build_array('used', 'senders', count(*)) FROM pg_catalog.pg_stat_replication;
SELECT json_build_array('role', rolname) FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_' ORDER BY rolname;
SELECT json_build_array('available', name) FROM pg_catalog.pg_available_extensions ORDER BY name;
""".format(known=known)
        + rights_postgresql.script(databases)
    )


def database_script(site: str = "") -> str:
    """What is in one database. What belongs to an extension comes with it, and is left out."""
    schema = literal("cutover_" + site.replace("-", "_"))
    # Names are made by format(): they can be read by people and be given to SQL.
    full = "format('%I.%I', n.nspname, c.relname)"
    listed = TABLES + "   AND coalesce(obj_description(n.oid, 'pg_namespace'), '') NOT LIKE 'ocpizza.cutover%'\n"
    script = r"""
SELECT json_build_array('table', {full}, c.relpersistence, greatest(c.reltuples, 0)::bigint,
       EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate
               AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND NOT EXISTS (
                 SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
                 AND NOT a.attnotnull)), c.relkind)
{listed}   AND c.relkind IN ('r', 'p') ORDER BY 1::text;
SELECT json_build_array(CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                                       WHEN 'f' THEN 'foreign table' ELSE 'sequence' END, {full})
{listed}   AND c.relkind IN ('v', 'm', 'f', 'S') ORDER BY 1::text;
SELECT json_build_array('trigger', format('%s.%I', {full}, t.tgname))
  FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT t.tgisinternal AND t.tgname !~ '^cutover_' ORDER BY 1::text;
SELECT json_build_array('routine', format('%I.%I', n.nspname, p.proname))
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
 WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^(pg|cutover)_'
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::regclass
                   AND d.objid = p.oid AND d.deptype = 'e') ORDER BY 1::text;
SELECT json_build_array('extension', extname) FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql' ORDER BY extname;
SELECT json_build_array('generated', format('%I.%I.%I', table_schema, table_name, column_name))
  FROM information_schema.columns WHERE is_generated = 'ALWAYS' ORDER BY 1::text;
SELECT json_build_array('incomparable', {full}, (SELECT string_agg(a.attname, ', ') FROM pg_catalog.pg_attribute a
       JOIN pg_catalog.pg_type t ON t.oid = a.atttypid WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
       AND t.typname IN ('json', 'xml', 'point', 'line', 'polygon', 'path', 'box')))
{listed}   AND c.relkind = 'r' ORDER BY 1::text;
SELECT json_build_array('generated key', {full})
{listed}   AND c.relkind IN ('r', 'p') AND EXISTS (SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_index i
       ON i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey)
       WHERE a.attrelid = c.oid AND to_jsonb(a)->>'attgenerated' = 's') ORDER BY 1::text;
SELECT json_build_array('extension table', format('%I (%I)', c.relname, x.extname)) FROM pg_catalog.pg_extension x
  JOIN pg_catalog.pg_class c ON c.oid = ANY (x.extconfig) WHERE c.relkind = 'r' ORDER BY 1::text;
SELECT json_build_array('event trigger', evtname) FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D';
SELECT json_build_array('prepared', gid) FROM pg_catalog.pg_prepared_xacts WHERE database = current_database();
SELECT json_build_array('large objects', count(*)) FROM pg_catalog.pg_largeobject_metadata;
SELECT DISTINCT json_build_array('account', r.rolname)::text
  FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid
  JOIN pg_catalog.pg_database d
    ON d.oid = CASE WHEN s.classid = 'pg_catalog.pg_database'::regclass THEN s.objid ELSE s.dbid END
 WHERE s.refclassid = 'pg_catalog.pg_authid'::regclass AND d.datname = current_database()
   AND r.rolname !~ '^cutover' ORDER BY 1;
""".format(full=full, listed=listed)
    if site:
        # The table may not be there, so the question is put only where it is.
        script += r"""
SELECT format('SELECT json_build_array(''fence'', count(*)) FROM %I.fence', {schema})
 WHERE to_regclass(format('%I.fence', {schema})) IS NOT NULL
\gexec
""".format(schema=schema)
    return script


def parse(rows: Sequence[List[Any]], databases: Sequence[str]) -> Dict[str, Any]:
    """The facts from what the server said of itself."""
    facts = {
        "settings": {},
        "databases": {},
        "other_databases": [],
        "used": {},
        "roles": [],
        "available_extensions": [],
        "authentication": rights_postgresql.METHODS,
    }  # type: Dict[str, Any]
    for name in databases:
        facts["databases"][name] = dict(EMPTY, engines={}, large_objects=0, incomparable={})
        facts["databases"][name].update((each, []) for each in LISTS)
    for kind, *values in rows:
        if kind == "setting":
            facts["settings"][values[0]] = values[1]
        elif kind == "used":
            facts["used"][values[0]] = int(values[1])
        elif kind == "role":
            facts["roles"].append(values[0])
        elif kind == "available":
            facts["available_extensions"].append(values[0])
        elif kind == "database":
            _add_database(facts, values)
    accounts, settings = rights_postgresql.parse(rows)
    facts["accounts"] = rights.facts(accounts)
    for name, setting in settings:
        facts["databases"][name]["settings"].append(setting)
    return facts


def _add_database(facts: Dict[str, Any], values: List[Any]) -> None:
    name, charset, collation, ctype, size = values
    if name in facts["databases"]:
        facts["databases"][name].update(exists=True, charset=charset, collation=collation, ctype=ctype, bytes=int(size))
    elif name != "postgres":
        facts["other_databases"].append(name)


def add_contents(database: Dict[str, Any], rows: Sequence[List[Any]]) -> bool:
    """What one database said of its contents; whether the site's fence is set in it."""
    fenced = False
    for kind, *values in rows:
        if kind == "table":
            _add_table(database, values)
        elif kind == "large objects":
            database["large_objects"] = int(values[0])
        elif kind == "incomparable":
            if values[1]:
                database["incomparable"][values[0]] = values[1]
        elif kind == "fence":
            fenced = int(values[0]) > 0
        elif kind in KINDS:
            database[KINDS[kind]].append(values[0])
    return fenced


def _add_table(database: Dict[str, Any], values: List[Any]) -> None:
    name, persistence, rows, keyed, kind = values
    database["tables"].append(name)
    # The rows of a partitioned table are those of its partitions.
    if kind == "r":
        database["rows"] += int(rows)
    if persistence == "u":
        database["unlogged"].append(name)
    # A unique key without NULL does as well as the primary one.
    if not keyed and kind == "r":
        database["without_key"].append(name)


def can_describe(settings: Dict[str, str]) -> bool:
    """Whether the server is new enough to be asked what is in its databases."""
    return int(settings.get("server_version_num") or 0) >= OLDEST
