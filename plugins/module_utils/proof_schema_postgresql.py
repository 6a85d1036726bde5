# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is defined in a PostgreSQL database, in words that do not depend on the version."""

# ruff: noqa: S608 - catalogue queries of constants

import re
from typing import Any, Dict, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_postgresql
from ansible_collections.ocpizza.cutover.plugins.module_utils.postgresql_wire import ask

# Objects that are no extension's, of a schema that is the site's.
_SITE = (
    "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%' "
    "AND coalesce(obj_description(n.oid, 'pg_namespace'), '') NOT LIKE 'ocpizza.cutover%' "
    "AND NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.objid = {0}.oid AND e.deptype = 'e')"
)
_ACL = (
    "(SELECT string_agg(DISTINCT concat_ws(' ', CASE WHEN x.grantee = 0 THEN 'PUBLIC' "
    "ELSE x.grantee::regrole::text END, x.privilege_type, CASE WHEN x.is_grantable AND x.grantee <> x.grantor "
    "THEN 'grantable' END), ', ') FROM aclexplode(coalesce({0}.{1}, "
    "acldefault({2}, {0}.{3}))) x WHERE x.privilege_type <> 'MAINTAIN')"
)
# What is not defined in words anywhere: that it is there has to do.
_OTHERS = (
    *("pg_operator", "pg_cast", "pg_opclass", "pg_opfamily", "pg_conversion", "pg_language", "pg_transform"),
    *("pg_ts_config", "pg_ts_dict", "pg_ts_parser", "pg_ts_template", "pg_am", "pg_foreign_data_wrapper"),
    *("pg_foreign_server", "pg_user_mapping"),
)
# Objects of the server itself have lower numbers.
_MADE = "{0}.oid >= 16384 AND NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.objid = {0}.oid AND e.deptype = 'e')"
SCHEMA_QUERIES = {
    # The one that every database has belongs to another role in each version.
    "schema": (
        "SELECT 'schema', n.nspname, '', n.nspowner::regrole, "
        + _ACL.format("n", "nspacl", "'n'", "nspowner")
        + " FROM pg_namespace n WHERE n.nspname <> 'public' AND "
        + _SITE.format("n")
    ),
    "default privileges": (
        "SELECT 'default privileges', concat_ws(' ', d.defaclrole::regrole, n.nspname), d.defaclobjtype, "
        "(SELECT string_agg(concat_ws(' ', CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END, "
        "x.privilege_type), ', ' ORDER BY 1) FROM aclexplode(d.defaclacl) x WHERE x.privilege_type <> 'MAINTAIN') "
        "FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace"
    ),
    "collation": (
        "SELECT n.nspname, c.collname, '', c.collprovider, c.collisdeterministic, coalesce(to_jsonb(c)->>'colllocale', "
        "to_jsonb(c)->>'colliculocale', c.collcollate) FROM pg_collation c "
        "JOIN pg_namespace n ON n.oid = c.collnamespace WHERE " + _SITE.format("c")
    ),
    "rule": (
        "SELECT n.nspname, c.relname, r.rulename, r.ev_enabled, pg_get_ruledef(r.oid) FROM pg_rewrite r "
        "JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE r.rulename <> '_RETURN' AND " + _SITE.format("c")
    ),
    "statistics": (
        "SELECT n.nspname, s.stxname, '', pg_get_statisticsobjdef(s.oid) FROM pg_statistic_ext s "
        "JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE " + _SITE.format("s")
    ),
    "comment": (
        "SELECT 'comment', pg_describe_object(d.classoid, d.objoid, d.objsubid), '', d.description "
        "FROM (SELECT s.*, s.objoid AS oid FROM pg_description s) d WHERE d.classoid <> 'pg_extension'::regclass "
        "AND d.description NOT LIKE 'ocpizza.cutover%' AND " + _MADE.format("d")
    ),
    "object": " UNION ALL ".join(
        "SELECT 'object', pg_describe_object('{0}'::regclass, o.oid, 0), '' FROM {0} o WHERE ".format(catalogue)
        + _MADE.format("o")
        for catalogue in _OTHERS
    ),
    "large objects": (
        "SELECT 'large objects', 'all', '', (SELECT count(*) FROM pg_largeobject_metadata), "
        "md5(string_agg(concat_ws(':', loid, pageno, md5(data)), ',' ORDER BY loid, pageno)) FROM pg_largeobject"
    ),
    "table": (
        "SELECT n.nspname, c.relname, '', c.relkind, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity, "
        "pg_get_expr(c.relpartbound, c.oid), CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END, "
        "c.relowner::regrole, "
        + _ACL.format("c", "relacl", "'r'", "relowner")
        + " FROM pg_class c JOIN pg_namespace n "
        "ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND " + _SITE.format("c")
    ),
    "column": (
        "SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, "
        "a.attgenerated, pg_get_expr(d.adbin, d.adrelid), CASE WHEN o.collprovider <> 'd' THEN o.collname END, "
        "(SELECT string_agg(concat_ws(' ', CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END, "
        "x.privilege_type), ', ' ORDER BY 1) FROM aclexplode(a.attacl) x) "
        "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
        "LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum "
        "LEFT JOIN pg_collation o ON o.oid = a.attcollation "
        "WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND a.attnum > 0 AND NOT a.attisdropped AND "
        + _SITE.format("c")
    ),
    "index": (
        "SELECT n.nspname, c.relname, '', pg_get_indexdef(c.oid), i.indisvalid, i.indisreplident FROM pg_index i "
        "JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE "
        + _SITE.format("c")
    ),
    "constraint": (
        "SELECT n.nspname, coalesce(c.relname, y.typname), k.conname, pg_get_constraintdef(k.oid), k.convalidated "
        "FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace LEFT JOIN pg_class c ON c.oid = k.conrelid "
        "LEFT JOIN pg_type y ON y.oid = k.contypid WHERE k.contype <> 'n' AND "
        + _SITE.format("k").replace("e.objid = k.oid", "e.objid IN (k.oid, c.oid)")
    ),
    "trigger": (
        "SELECT n.nspname, c.relname, t.tgname, t.tgenabled, pg_get_triggerdef(t.oid) FROM pg_trigger t "
        "JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE NOT t.tgisinternal AND t.tgname <> 'cutover_fence' AND " + _SITE.format("c")
    ),
    "routine": (
        "SELECT n.nspname, p.proname, pg_get_function_identity_arguments(p.oid), pg_get_function_result(p.oid), "
        "p.prokind, p.provolatile, p.proisstrict, p.prosecdef, p.proconfig, md5(p.prosrc), p.proowner::regrole, "
        + _ACL.format("p", "proacl", "'f'", "proowner")
        + " FROM pg_proc p "
        "JOIN pg_namespace n ON n.oid = p.pronamespace WHERE " + _SITE.format("p")
    ),
    "view": (
        "SELECT n.nspname, c.relname, '', pg_get_viewdef(c.oid) FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm') AND " + _SITE.format("c")
    ),
    "sequence": (
        "SELECT n.nspname, c.relname, '', format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmax, "
        "s.seqmin, s.seqcache, s.seqcycle, c.relowner::regrole, "
        + _ACL.format("c", "relacl", "'s'", "relowner")
        + " FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE " + _SITE.format("c")
    ),
    "type": (
        "SELECT n.nspname, t.typname, '', t.typtype, t.typnotnull, t.typdefault, "
        "CASE WHEN t.typbasetype <> 0 THEN format_type(t.typbasetype, t.typtypmod) END, "
        "(SELECT json_agg(l.enumlabel ORDER BY l.enumsortorder) FROM pg_enum l WHERE l.enumtypid = t.oid), "
        "t.typowner::regrole, "
        + _ACL.format("t", "typacl", "'T'", "typowner")
        + " FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype IN ('e', 'd', 'r') AND "
        + _SITE.format("t")
    ),
    "policy": (
        "SELECT n.nspname, c.relname, p.polname, p.polcmd, p.polpermissive, pg_get_expr(p.polqual, p.polrelid), "
        "pg_get_expr(p.polwithcheck, p.polrelid), p.polroles::regrole[] FROM pg_policy p "
        "JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE " + _SITE.format("c")
    ),
    "extension": "SELECT 'extension', extname, '' FROM pg_extension",
    "event trigger": "SELECT 'event trigger', evtname, '', evtevent, evtenabled, evttags FROM pg_event_trigger",
}


def normalised(kind: str, value: Any) -> str:
    """One spelling for what versions spell differently: from 16 on a view's columns lack the tables that 13 names."""
    if value is None:
        return "NULL"
    text = str(value)
    if kind == "view":
        text = re.sub(r'(?:"(?:[^"]|"")*"|[A-Za-z_][\w$]*)\.', "", text)
        text = re.sub(r"[\s()]+", " ", text).strip()
    if kind == "collation":
        # From 16 on a language tag is kept without what goes without saying.
        text = re.sub(r"-true(?=-|\Z)", "", text)
    return text


def schema(connection: Any, database: str) -> Dict[Tuple[str, str], str]:
    """Everything that is defined in a database: (kind, name) to a normalised definition."""
    found = {}
    for kind, query in SCHEMA_QUERIES.items():
        for row in ask(connection, query):
            name = ".".join(quote_postgresql(part) for part in row[:2])
            if row[2]:
                name += "({0})".format(row[2]) if kind == "routine" else "." + quote_postgresql(row[2])
            found[(kind, name)] = " ".join(normalised(kind, value) for value in row[3:])
    return found
