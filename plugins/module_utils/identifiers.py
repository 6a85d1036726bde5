# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that a site gives to things on servers, and how to quote them."""

import hashlib
import re


def quote_mysql(name: str) -> str:
    """An identifier for MySQL and MariaDB, whatever is in it."""
    if not name or "\0" in name:
        raise ValueError("an identifier must not be empty or hold a null character")
    return "`" + name.replace("`", "``") + "`"


# Every word that PostgreSQL 13 or 17 wants quoted: its own quote_ident() answers by version, and the sides differ.
POSTGRESQL_WORDS = frozenset(
    """
    all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case
    cast char character check coalesce collate collation column concurrently constraint create cross current_catalog
    current_date current_role current_schema current_time current_timestamp current_user dec decimal default
    deferrable desc distinct do else end except exists extract false fetch float for foreign freeze from full grant
    greatest group grouping having ilike in initially inner inout int integer intersect interval into is isnull join
    json json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar json_serialize
    json_table json_value lateral leading least left like limit localtime localtimestamp merge_action national
    natural nchar none normalize not notnull null nullif numeric offset on only or order out outer overlaps overlay
    placing position precision primary real references returning right row select session_user setof similar
    smallint some substring symmetric system_user table tablesample then time timestamp to trailing treat trim true
    union unique user using values varchar variadic verbose when where window with xmlattributes xmlconcat
    xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable
    """.split()  # noqa: SIM905 - a line a word would be a page
)


def quote_postgresql(name: str) -> str:
    """An identifier for PostgreSQL, whatever is in it; the same for every version, and plain where it can be."""
    if not name or "\0" in name:
        raise ValueError("an identifier must not be empty or hold a null character")
    if re.match(r"[a-z_][a-z0-9_]*\Z", name) and name not in POSTGRESQL_WORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


def schema_for(site: str) -> str:
    """The database that holds the site's marker and fence, beside the site's own on both sides."""
    return "cutover_" + site.replace("-", "_")


def trigger_name(event: str, table: str) -> str:
    """The name of a fence trigger; hashed, for a table's name may fill the 64 characters alone."""
    return "cutover_{0}_{1}".format(event.lower(), hashlib.sha256(table.encode("utf-8")).hexdigest()[:16])


def wildcard(name: str) -> str:
    """A database for replicate_wild_do_table, where % and _ would match more than themselves."""
    return "{0}.%".format(name.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%"))
