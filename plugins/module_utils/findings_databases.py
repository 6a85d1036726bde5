# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in the way of moving the databases, engine by engine."""

import re
from typing import Any, Dict, Iterator, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils import (
    copyover_findings,
    findings_accounts,
    findings_postgresql,
)
from ansible_collections.ocpizza.cutover.plugins.module_utils.finding import INFO, INHIBITOR, WARNING, Finding, join

LABELS = {"mariadb": "MariaDB", "mysql": "MySQL", "postgresql": "PostgreSQL"}
PLANNED_USERS = {"mariadb": "mysql_users", "mysql": "mysql_users", "postgresql": "postgresql_users"}
PACKAGES = {"mariadb": "mariadb-server", "mysql": "mysql-server", "postgresql": "postgresql"}
START = {
    "mariadb": "Start it, and let root log in through its socket.",
    "mysql": "Start it, and let root log in through its socket.",
    "postgresql": "Start it, or name its port in replication_ports.postgresql; if the site has no PostgreSQL, correct "
    "site_engines.",
}
# The oldest that replication, fence and proof were made for.
OLDEST = {"mariadb": (10, 2), "mysql": (8, 0), "postgresql": (10,)}
# What each series of MySQL replicates to by its manual, beside itself.
SERIES = ((5, 7), (8, 0), (8, 4), (9, 0))
# Each session takes its own copy of these when it begins, so that setting them is not enough.
WHOLE_ROWS = {
    "binlog_format": "ROW",
    "binlog_row_image": "FULL",
    "binlog_row_value_options": "",
    "binlog_transaction_compression": "OFF",
}
ESCAPED = set("'\"\\")
# What every server has that is told nothing else.
USUAL_IDS = {"server_id": "1", "gtid_domain_id": "0"}


def decide(facts: Dict[str, Any]) -> Iterator[Finding]:
    """The findings of all engines of the site."""
    engines = facts["site"]["engines"]
    if {"mariadb", "mysql"} <= set(engines):
        yield Finding(
            "database.engines_conflict",
            INHIBITOR,
            "One host cannot have both servers",
            "site_engines has mariadb and mysql; Debian installs one of them.",
            "Move the databases of one engine with one site, and those of the other with another site and target.",
        )
    for engine in sorted(engines):
        server = facts["source"]["databases"][engine]
        if not server["running"]:
            yield _not_running(engine, server)
            continue
        wrong = list(_wrong_engine(engine, server))
        yield from wrong or _of_server(facts, engine, server)


def _not_running(engine: str, server: Dict[str, Any]) -> Finding:
    return Finding(
        "database.not_running",
        INHIBITOR,
        "The source's database server does not answer",
        "{0}: {1}.".format(LABELS[engine], (server.get("error") or "there is no client on the source").rstrip(".")),
        START[engine],
    )


def _wrong_engine(engine: str, server: Dict[str, Any]) -> Iterator[Finding]:
    text = server["settings"].get("version", "")
    if engine not in ("postgresql", flavour(text)):
        other = flavour(text)
        yield Finding(
            "database.wrong_engine",
            INHIBITOR,
            "The site's engine is another one",
            "The inventory says {0}, the source runs {1} {2}.".format(engine, LABELS[other], text),
            "Set site_engine, or the name in site_engines, to {0}.".format(other),
        )


def _of_server(facts: Dict[str, Any], engine: str, server: Dict[str, Any]) -> Iterator[Finding]:
    for name in facts["site"]["engines"][engine]:
        yield from _of_database(engine, server, name)
    yield from _widened(facts["site"], engine, server)
    # Copied rows ask nothing of the source's version and log; its accounts are made anew by the role.
    copied = engine in facts["site"].get("target_engines", {})
    if not copied:
        yield from findings_accounts.source(engine, facts["site"], server)
        yield from _old_source(engine, server)
    for host, target in sorted(facts["targets"].items()):
        if "database" in target.get("groups", []) and not target.get("unreachable"):
            yield from _between(facts, engine, server, host, target)
    if engine == "postgresql":
        yield from findings_postgresql.source(facts, server)
    elif not copied:
        yield from _binary_log(engine, server["settings"])
        if server.get("log_filtered"):
            yield Finding(
                "database.binary_log_filtered",
                INHIBITOR,
                "The source's binary log leaves databases out",
                "binlog-do-db or binlog-ignore-db is set.",
                "Remove both from /etc/mysql and restart the server in a quiet hour.",
            )
    if server["other_databases"]:
        yield Finding(
            "database.shared_server",
            WARNING if not facts["site"].get("neighbours") else INFO,
            "Others use the same database server",
            "{0} has databases that are not the site's: {1}.".format(LABELS[engine], join(server["other_databases"])),
            "Name the sites that use them in site_neighbours, so that their requests wait during a restart too.",
        )


def _of_database(engine: str, server: Dict[str, Any], name: str) -> Iterator[Finding]:
    database = server["databases"][name]
    if not database["exists"]:
        yield Finding(
            "database.missing",
            INHIBITOR,
            "A database is not there",
            "There is no database '{0}' in the source's {1}.".format(name, LABELS[engine]),
            "Correct site_databases or site_engines; the server has {0}.".format(
                join(server["other_databases"]) or "no others"
            ),
        )
        return
    for kind, tables in sorted(database["engines"].items()):
        if kind != "InnoDB":
            yield Finding(
                "database.engine_not_transactional",
                INHIBITOR,
                "Tables cannot be copied consistently",
                "Database {0} keeps {1} in {2}.".format(name, join(tables), kind or "an unknown engine"),
                "ALTER TABLE … ENGINE=InnoDB on the source.",
            )
    if database["without_key"]:
        identity = (
            " They get REPLICA IDENTITY FULL, with which every UPDATE and DELETE searches the whole table on the other "
            "side, and only the table as a whole can be proven."
            if engine == "postgresql"
            else ""
        )
        yield Finding(
            "database.table_without_key",
            INHIBITOR,
            "Rows cannot be told apart",
            "Tables of {0} without primary key: {1}. If they change during the switchover, nothing can "
            "be proven of them.{2}".format(name, join(database["without_key"]), identity),
            "Give each a primary key, or waive this if nothing writes to them.",
        )
    if database.get("versioned"):
        yield Finding(
            "database.history",
            INHIBITOR,
            "The history of tables does not come along",
            "System-versioned tables of {0}: {1}. The target has their present rows, and keeps history from the copy "
            "on.".format(name, join(database["versioned"])),
            "Keep a dump of the history (mariadb-dump --dump-history), then waive this.",
        )
    if engine == "mysql" and database["vectors"]:
        yield Finding(
            "database.vectors",
            INHIBITOR,
            "Changes of tables cannot be read from the log",
            "Tables of {0} with VECTOR columns: {1}.".format(name, join(database["vectors"])),
            "Waive this if nothing writes to them on the day of the switchover.",
        )
    if engine == "mariadb" and database["events"] and set(name) & ESCAPED:
        yield Finding(
            "database.events_not_dumped",
            INHIBITOR,
            "Events cannot be dumped",
            "Database {0} has events and a quote or a backslash in its name: mariadb-dump --events looks for it under "
            "the escaped name and fails.".format(name),
            "Keep what SHOW CREATE EVENT says of {0}, drop them on the source, and create them on the target after the "
            "move.".format(join(database["events"])),
        )
    if database["events"]:
        yield Finding(
            "database.events",
            INFO,
            "The database has events",
            "Events of {0}: {1}. Those that are enabled stay off on the target until the switchover, which turns them "
            "off on the source and on at the target.".format(name, join(database["events"])),
            "Set event_scheduler to ON on the target, or none of them runs there.",
        )
    if engine == "postgresql":
        yield from findings_postgresql.contents(name, database)


def _widened(site: Dict[str, Any], engine: str, server: Dict[str, Any]) -> Iterator[Finding]:
    """The tables of site_widen that are not there; what else keeps a key from being widened is told by replicate."""
    names = site["engines"][engine]
    known = {"{0}.{1}".format(name, table) for name in names for table in server["databases"][name].get("tables", [])}
    # PostgreSQL's are quoted where SQL needs it.
    known |= {name.replace('"', "") for name in known}
    asked = [table for table in site.get("widen", []) if any(table.startswith(name + ".") for name in names)]
    unknown = [table for table in asked if table not in known]
    if unknown:
        yield Finding(
            "database.widen_unknown",
            INHIBITOR,
            "A table that is to be widened is not there",
            "site_widen names {0}; {1} has no such table.".format(join(unknown), LABELS[engine]),
            "Name tables as {0}, or [all].".format(
                "database.schema.table" if engine == "postgresql" else "database.table"
            ),
        )


def _old_source(engine: str, server: Dict[str, Any]) -> Iterator[Finding]:
    text = server["settings"].get("version", "")
    if version(text) and version(text) < OLDEST[engine]:
        yield Finding(
            "database.source_too_old",
            INHIBITOR,
            "The source's database server is too old",
            "It runs {0} {1}; replication to a newer one needs {2} at least.".format(
                LABELS[engine], text, ".".join(map(str, OLDEST[engine]))
            ),
            "Upgrade the source's server first, or move the database by dump in an announced outage.",
        )


def _between(
    facts: Dict[str, Any], engine: str, server: Dict[str, Any], host: str, target: Dict[str, Any]
) -> Iterator[Finding]:
    ours = server["settings"].get("version", "")
    known = target.get("databases", {}).get(engine, {})
    running = known.get("settings", {}).get("version", "")
    wanted = facts["site"].get("target_engines", {}).get(engine, engine)
    package = target.get("packages", {}).get(PACKAGES[wanted], {})
    planned = target.get("planned", {})
    theirs = running or package.get("installed") or package.get("candidate") or ""
    kind = flavour(running) if running else planned.get("flavour") or engine
    names = facts["site"]["engines"][engine]
    if wanted != engine and wanted == kind and theirs:
        yield from copyover_findings.copied(server, names, host, "{0} {1}".format(LABELS[kind], theirs))
        return
    if wanted not in (engine, kind):
        yield Finding(
            "database.target_engine",
            INHIBITOR,
            "The target's engine is another one than site_target_engines says",
            "site_target_engines has {0} for {1}; {2} {3}.".format(
                wanted, engine, host, "runs " + running if running else "is to get " + LABELS[kind]
            ),
            "Correct site_target_engines, or mysql_flavour.",
        )
        return
    if engine not in ("postgresql", kind):
        copies = (engine, kind) in copyover_findings.WAYS
        rows = sum(server["databases"][name]["rows"] for name in names) if copies else 0
        yield Finding(
            "database.replication_impossible",
            INHIBITOR,
            "The two servers cannot replicate",
            "The source runs {0} {1}, {2} {3}.".format(
                LABELS[engine], ours, host, "runs " + running if running else "is to get " + LABELS[kind]
            ),
            "Use the same kind of server on the target (mysql_flavour: {0}). {1}".format(
                engine,
                copyover_findings.offer(rows)
                if copies
                else "To change the kind, move first and then dump and load the database in an announced outage.",
            ),
        )
        return
    if not theirs:
        yield Finding(
            "database.no_package",
            INHIBITOR,
            "The target has no database server to install",
            "{0} knows no package {1}.".format(host, PACKAGES[wanted]),
            "Correct its package sources and run 'apt-get update' there.",
        )
        return
    if major(engine, theirs) < major(engine, ours):
        yield Finding(
            "database.target_older",
            INHIBITOR,
            "The target's database is older than the source's",
            "The source runs {0}, {1} has {2}; replication goes to newer servers only.".format(ours, host, theirs),
            "Install at least the source's version on the target.",
        )
    planned = dict(planned, version=version(theirs), users=planned.get(PLANNED_USERS[engine], []))
    yield from findings_accounts.target(engine, facts["site"], server, host, known, planned)
    if engine == "postgresql":
        yield from findings_postgresql.target(facts, server, host, known, planned)
    else:
        yield from _mysql_target(facts, engine, server["settings"], host, known.get("settings", {}), planned)
        if engine == "mysql" and _series(theirs) > _series(ours) + 1:
            yield Finding(
                "database.version_gap",
                WARNING,
                "A series lies between the two servers",
                "The source runs {0}, {1} has {2}; MySQL promises replication to the next series only.".format(
                    ours, host, theirs
                ),
                "Move to the series between first, or rehearse: replicate.yml sees a row go both ways before it ends.",
            )


def _mysql_target(
    facts: Dict[str, Any],
    engine: str,
    ours: Dict[str, str],
    host: str,
    theirs: Dict[str, str],
    planned: Dict[str, Any],
) -> Iterator[Finding]:
    # MySQL's numbers are set apart by replicate.yml.
    if engine == "mariadb":
        wanted = {name.replace("-", "_"): str(value) for name, value in planned.get("mysql_settings", {}).items()}
        given = facts["site"].get("source_ids", {}) if ours.get("log_bin") == "OFF" else {}
        for name, usual in sorted(USUAL_IDS.items()):
            mine = str(given.get(name, ours.get(name, usual)))
            other = wanted.get(name, theirs.get(name, usual))
            if mine == other:
                yield Finding(
                    "database.same_" + name,
                    INHIBITOR,
                    "Both servers have the same number",
                    "{0} is {1} on the source and on {2}; each takes what the other writes for its own.".format(
                        name, mine, host
                    ),
                    "Give the target another one in mysql_settings.",
                )
    if ours.get("server_uuid") and ours["server_uuid"] == theirs.get("server_uuid"):
        yield Finding(
            "database.same_server_uuid",
            INHIBITOR,
            "One server is a clone of the other",
            "server_uuid is {0} on the source and on {1}.".format(ours["server_uuid"], host),
            "Remove auto.cnf from the target's data directory and restart it.",
        )
    if theirs.get("super_read_only") == "ON":
        yield Finding(
            "database.read_only",
            INHIBITOR,
            "The target takes no copy",
            "super_read_only is ON on {0}.".format(host),
            "SET PERSIST super_read_only = OFF, read_only = OFF on the target.",
        )
    case = "lower_case_table_names"
    if case in ours and case in theirs and ours[case] != theirs[case]:
        yield Finding(
            "database.case_differs",
            INHIBITOR,
            "The two servers do not name tables alike",
            "{0} is {1} on the source and {2} on {3}.".format(case, ours[case], theirs[case], host),
            "Initialise the target with the source's value; it cannot be changed later.",
        )


def _binary_log(engine: str, settings: Dict[str, str]) -> Iterator[Finding]:
    if engine == "mysql":
        yield from _binary_log_of_mysql(settings)
    elif settings.get("log_bin") == "OFF":
        yield Finding(
            "database.restart_needed",
            INFO,
            "The source's database server will be restarted once",
            "Its binary log is off. The restart is done behind the valve: requests wait, none is refused.",
            "Nothing to do; choose a quiet hour for replicate.yml.",
        )
    elif settings.get("binlog_format", "ROW") != "ROW":
        yield Finding(
            "database.restart_needed",
            INFO,
            "The source's database server will be restarted once",
            "binlog_format is {0} and has to be ROW. The restart is done behind the valve: requests wait, none is "
            "refused.".format(settings["binlog_format"]),
            "Nothing to do; choose a quiet hour for replicate.yml.",
        )


def _binary_log_of_mysql(settings: Dict[str, str]) -> Iterator[Finding]:
    if settings.get("log_bin", "ON") != "ON":
        yield Finding(
            "database.binary_log_off",
            INHIBITOR,
            "The source keeps no binary log",
            "log_bin is {0}; MySQL keeps one unless it is told not to.".format(settings["log_bin"]),
            "Remove skip-log-bin and disable-log-bin from /etc/mysql, and restart the server in a quiet hour.",
        )
        return
    if settings.get("performance_schema", "ON") != "ON":
        yield Finding(
            "database.performance_schema_off",
            INHIBITOR,
            "It cannot be known who writes on the source",
            "performance_schema is {0}.".format(settings["performance_schema"]),
            "Remove performance_schema=OFF from /etc/mysql and restart the server in a quiet hour.",
        )
    for name, wanted in WHOLE_ROWS.items():
        if settings.get(name, wanted) != wanted:
            yield Finding(
                "database.binary_log_partial",
                INHIBITOR,
                "The source's binary log cannot be read whole",
                "{0} is {1}.".format(name, settings[name]),
                "SET PERSIST {0} = '{1}', and have the application connect anew: open sessions keep theirs.".format(
                    name, wanted
                ),
            )
    if settings.get("gtids_tagged", "OFF") != "OFF":
        yield Finding(
            "database.gtids_tagged",
            INHIBITOR,
            "The source's changes cannot be followed",
            "gtid_executed holds GTIDs with tags; the reader of the binary log knows those without.",
            "Have no application set gtid_next to AUTOMATIC:tag; load a dump into a new server of the same version "
            "without its GTIDs, and move that one.",
        )
    if settings.get("gtid_mode", "ON") != "ON" and settings.get("replicas", "0") != "0":
        yield Finding(
            "database.gtids_off_replicas",
            INHIBITOR,
            "The source's replicas would stop when GTIDs are turned on",
            "gtid_mode is {0} and {1} replicas are connected.".format(settings["gtid_mode"], settings["replicas"]),
            "Turn GTIDs on yourself, step by step on the source and on each replica, as MySQL's manual has it; "
            "then run this again.",
        )
    elif settings.get("gtid_mode", "ON") != "ON":
        yield Finding(
            "database.gtids_off",
            INFO,
            "The source will give its transactions GTIDs",
            "gtid_mode is {0}. replicate.yml turns it on step by step, without a restart.".format(
                settings["gtid_mode"]
            ),
            "Nothing to do.",
        )


def flavour(text: str) -> str:
    """MariaDB or MySQL by what a server says of itself."""
    return "mariadb" if "mariadb" in text.lower() else "mysql"


def version(text: str) -> Tuple[int, ...]:
    """10.5.29-MariaDB, 1:11.8.6-0+deb13u1 and 17+278 as (10, 5), (11, 8) and (17,)."""
    match = re.match(r"(\d+)(?:\.(\d+))?", text.partition(":")[2] if re.match(r"\d+:", text) else text)
    return tuple(int(part) for part in match.groups() if part) if match else ()


def major(engine: str, text: str) -> Tuple[int, ...]:
    """What has to be the same or newer. PostgreSQL names its releases by one number since 10."""
    numbers = version(text)
    return numbers[:1] if engine == "postgresql" and numbers[:1] >= (10,) else numbers


def _series(text: str) -> int:
    found = [number for number, series in enumerate(SERIES) if series <= version(text)]
    return found[-1] if found else 0
