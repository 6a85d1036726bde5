# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: S608 - names are hexadecimal literals, the rest is constant
"""What the check says where MariaDB cannot replicate to the target's MySQL: how long a copy under hold would be, and
what would not get over.
"""

import re
from typing import Any, Callable, Dict, Iterator, List, Sequence

from ansible_collections.ocpizza.cutover.plugins.module_utils import copyover_dialect as dialect
from ansible_collections.ocpizza.cutover.plugins.module_utils.finding import INHIBITOR, WARNING, Finding, join

# Which engines go over by copy: the source's to the target's.
WAYS = {("mariadb", "mysql")}
# Copy and proof of 100,000 rows took from 1.3 s to 3.3 s with both servers on two cores; before anything is measured
# the worst of it is what to expect.
SECONDS_A_ROW = 3.3 / 100000
# What MySQL 9.7 does not know. It takes a body without looking, and fails when the body runs.
FUNCTIONS = (
    "add_months|chr|column_(?:add|check|create|delete|exists|get|json|list)|crc32c|decode|decode_histogram|des_decrypt|"
    "des_encrypt|encode|encrypt|json_(?:array_intersect|compact|detailed|equals|exists|loose|normalize|query)|kdf|"
    "lastval|lengthb|master_gtid_wait|md5|median|natural_sort_key|nextval|nvl|nvl2|old_password|password|setval|"
    "sformat|sha|sha1|sys_guid|to_char|uuid_v4|uuid_v7"
)
CALLED = re.compile(r"\b({0})\s*\(|\b(next value for|previous value for)\b".format(FUNCTIONS), re.IGNORECASE)
TYPES = ("uuid", "inet4", "inet6", "vector", "xmltype")
KINDS = {
    "SEQUENCE": ("is a sequence", "Replace it by an AUTO_INCREMENT column, and drop it"),
    "SYSTEM VERSIONED": ("is system-versioned", "ALTER TABLE … DROP SYSTEM VERSIONING"),
}


def queries(where: Callable[[str], str]) -> List[str]:
    """Statements for a MariaDB server, each giving lines of JSON: what may have no counterpart.

    ``where(column)`` limits one to the site's databases.
    """
    bodies = (
        ("ROUTINES", "ROUTINE_SCHEMA", "LOWER(ROUTINE_TYPE),' ',ROUTINE_NAME", "SQL_MODE", "ROUTINE_DEFINITION"),
        ("TRIGGERS", "TRIGGER_SCHEMA", "'trigger ',TRIGGER_NAME", "SQL_MODE", "ACTION_STATEMENT"),
        ("EVENTS", "EVENT_SCHEMA", "'event ',EVENT_NAME", "SQL_MODE", "EVENT_DEFINITION"),
        ("VIEWS", "TABLE_SCHEMA", "'view ',TABLE_NAME", "''", "VIEW_DEFINITION"),
    )
    found = [
        "SELECT JSON_ARRAY('apart',TABLE_SCHEMA,TABLE_NAME,'kind',TABLE_TYPE) FROM information_schema.TABLES "
        "WHERE TABLE_TYPE IN ('SEQUENCE','SYSTEM VERSIONED') AND " + where("TABLE_SCHEMA"),
        "SELECT JSON_ARRAY('apart',TABLE_SCHEMA,CONCAT(TABLE_NAME,'.',COLUMN_NAME),'type',LOWER(DATA_TYPE)) "
        "FROM information_schema.COLUMNS WHERE DATA_TYPE IN ({0}) AND ".format(
            ",".join("'{0}'".format(name) for name in TYPES)
        )
        + where("TABLE_SCHEMA"),
        "SELECT DISTINCT JSON_ARRAY('apart',TABLE_SCHEMA,TABLE_NAME,'collation',COLLATION_NAME) "
        "FROM information_schema.COLUMNS WHERE COLLATION_NAME REGEXP 'nopad|uca1400|mysql561|mysql500|thai_520' AND "
        + where("TABLE_SCHEMA"),
    ]
    for table, schema, name, mode, text in bodies:
        found.append(
            "SELECT JSON_ARRAY('apart',{1},CONCAT({2}),'body',{3},{4}) FROM information_schema.{0} "
            "WHERE {4} IS NOT NULL AND {4}<>'' AND {5}".format(table, schema, name, mode, text, where(schema))
        )
    return found


def apart(name: str, kind: str, values: Sequence[str]) -> List[Dict[str, str]]:
    """What is wrong with one thing that the server told, if anything: name, reason and remedy."""

    def one(reason: str, remedy: str) -> List[Dict[str, str]]:
        return [{"name": name, "reason": reason, "remedy": remedy}]

    if kind == "kind":
        return one(*KINDS[values[0]])
    if kind == "type":
        return one("has the type {0}".format(values[0]), "Make it CHAR or VARBINARY on the source")
    if kind == "collation":
        known = values[0] in dialect.COLLATIONS
        return [] if known else one("has the collation {0}".format(values[0]), "Give it one that MySQL knows")
    mode, text = values
    if "ORACLE" in mode.split(","):
        return one("is written in Oracle's PL/SQL", "Write it in standard SQL, with sql_mode without ORACLE")
    called = CALLED.search(re.sub(r"'(?:[^'\\]|\\.|'')*'|`(?:[^`]|``)*`", "", text))
    if called and not name.startswith("trigger cutover_"):
        word = (called.group(1) or called.group(2)).upper()
        return one(
            "uses {0}".format(word), "Take {0} out on the source; MySQL has another function, or none".format(word)
        )
    return []


def seconds(rows: int) -> float:
    """What to expect of a hold before anything was measured."""
    return round(max(1.0, rows * SECONDS_A_ROW), 1)


def offer(rows: int) -> str:
    """How to go over all the same, in words, with what it costs."""
    return (
        "Or set site_target_engines: {{mariadb: mysql}}: then the databases are copied while requests wait, about "
        "{0:g} s for some {1} rows by what other copies took; replicate.yml measures it, and the way back takes as "
        "long.".format(seconds(rows), rows)
    )


def copied(server: Dict[str, Any], names: Sequence[str], host: str, version: str) -> Iterator[Finding]:
    """The findings of a site that is to go over by copy."""
    databases = [(name, server["databases"][name]) for name in names]
    rows = sum(database["rows"] for _name, database in databases)
    yield Finding(
        "database.copied_under_hold",
        WARNING,
        "Requests wait while the databases are copied",
        "MariaDB does not replicate to {0} of {1}. A hold of about {2:g} s is to be expected for some {3} rows, by "
        "what other copies took.".format(version or "the MySQL", host, seconds(rows), rows),
        "Have replicate.yml measure it, and set switchover_copy_deadline, and the timeouts of proxies and clients, to "
        "more than that.",
    )
    for name, database in databases:
        found = database.get("apart", [])
        for remedy in sorted({each["remedy"] for each in found}):
            things = [
                "{0}.{1} {2}".format(name, each["name"], each["reason"]) for each in found if each["remedy"] == remedy
            ]
            yield Finding(
                "database.not_in_mysql",
                INHIBITOR,
                "MySQL has no counterpart of something in the database",
                "{0}.".format(join(things)),
                remedy + ".",
            )
