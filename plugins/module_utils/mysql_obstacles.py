# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in the way of replication between two MySQL servers; what ``prepare()`` sets itself is none."""

from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.gtids import is_tagged

Obstacle = Dict[str, str]

# SHOW REPLICA STATUS, CHANGE REPLICATION SOURCE TO and performance_schema.processlist as they are used here.
OLDEST = (8, 0, 23)

# Each session takes its own copy of these when it begins, so setting them is not enough.
WHOLE_ROWS = {
    "binlog_format": "ROW",
    "binlog_row_image": "FULL",
    "binlog_row_value_options": "",
    "binlog_transaction_compression": "OFF",
}


def _obstacle(key: str, title: str, remedy: str) -> Obstacle:
    return {"key": "database." + key, "title": title, "remedy": remedy}


def version(text: str) -> Tuple[int, ...]:
    """9.7.4-2 as (9, 7, 4)."""
    numbers = []
    for part in text.split("-", maxsplit=1)[0].split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def between(source: str, target: str) -> List[Obstacle]:
    """What two versions, as the servers tell them, do not allow."""
    ours, theirs = ("mariadb" in text.lower() for text in (source, target))
    if ours != theirs:
        return [
            _obstacle(
                "replication_impossible",
                "The source runs {0}, the target {1}: the two cannot replicate".format(source, target),
                "Use the same kind of server on the target. Else the databases have to be dumped and loaded while "
                "requests are held (about 5 s for 100,000 rows), and there is no way back without doing that again",
            )
        ]
    found = []
    if version(target)[:2] < version(source)[:2]:
        found.append(
            _obstacle(
                "target_older",
                "The source runs {0}, the target {1}: replication goes to newer servers only".format(source, target),
                "Install at least the source's version on the target",
            )
        )
    if not ours and version(source) < OLDEST:
        found.append(
            _obstacle(
                "source_too_old",
                "The source runs {0}; from {1} on it is supported".format(source, ".".join(map(str, OLDEST))),
                "Upgrade the source's server first",
            )
        )
    return found


def obstacles(source: Dict[str, Any], target: Optional[Dict[str, Any]] = None) -> List[Obstacle]:
    """What the facts of both sides forbid; without a target, what the source alone does."""
    if target is None:
        return [*_logs("source", source), *_gtids("source", source, ""), *_tables(source)]
    found = between(source["settings"]["version"], target["settings"]["version"])
    if any(each["key"] == "database.replication_impossible" for each in found):
        return found
    return [
        *found,
        *_logs("source", source),
        *_logs("target", target),
        *_gtids("source", source, target["settings"]["server_uuid"]),
        *_gtids("target", target, source["settings"]["server_uuid"]),
        *_identity(source, target),
        *_tables(source),
    ]


def _logs(side: str, facts: Dict[str, Any]) -> Iterator[Obstacle]:
    settings = facts["settings"]
    if settings.get("log_bin") != "ON" or settings.get("log_replica_updates") != "ON":
        yield _obstacle(
            "binary_log_off",
            "The {0} keeps no binary log, or not of what it replicates".format(side),
            "Remove skip-log-bin, disable-log-bin and log_replica_updates from /etc/mysql and restart the server; the "
            "source's behind the valve",
        )
    if facts["log_filtered"]:
        yield _obstacle(
            "binary_log_filtered",
            "The {0} leaves databases out of its binary log".format(side),
            "Remove binlog-do-db and binlog-ignore-db and restart the server; the source's behind the valve",
        )
    for name, wanted in WHOLE_ROWS.items():
        value = settings.get(name, wanted)
        if value != wanted:
            yield _obstacle(
                "binary_log_partial",
                "{0} is {1} on the {2}: its binary log cannot be read whole".format(name, value, side),
                "SET PERSIST {0} = '{1}', and have the application connect anew: open sessions keep theirs".format(
                    name, wanted
                ),
            )
    if settings.get("performance_schema") != "ON":
        yield _obstacle(
            "performance_schema_off",
            "performance_schema is off on the {0}, so it is not known who writes".format(side),
            "Turn it on and restart the server; the source's behind the valve",
        )
    if settings.get("super_read_only") == "ON" and side == "target":
        yield _obstacle("read_only", "The target is read-only", "SET PERSIST super_read_only = OFF, read_only = OFF")


def _gtids(side: str, facts: Dict[str, Any], theirs: str) -> Iterator[Obstacle]:
    settings = facts["settings"]
    replicas = [replica for replica in facts["replicas"] if replica != theirs]
    if settings.get("gtid_mode") != "ON" and (replicas or any(not one["auto"] for one in facts["channels"])):
        yield _obstacle(
            "gtids_off",
            "gtid_mode is {0} on the {1}, which replicates with others".format(settings.get("gtid_mode"), side),
            "Turn GTIDs on in the whole of that topology first, as MySQL's manual has it",
        )
    if is_tagged(settings.get("gtid_executed", "")):
        yield _obstacle(
            "gtids_tagged",
            "GTIDs of the {0} have tags, and its log of changes cannot be read".format(side),
            "Use no tags in gtid_next. Those that are there go only with RESET BINARY LOGS AND GTIDS",
        )
    if side == "target" and replicas:
        yield _obstacle(
            "target_has_replicas",
            "The target has replicas of its own, which would not get the copy",
            "Take them away, and make them anew from the target after the copy",
        )
    for channel in facts["channels"]:
        if theirs and channel["of"] == theirs and channel["name"] != facts["own_channel"]:
            yield _obstacle(
                "second_channel",
                "Channel {0} brings another site to the {1} from the same server; with GTIDs two channels lose what "
                "the other one leaves out".format(channel["name"], side),
                "Move both as one site (site_databases), or finish that one first",
            )


def _identity(source: Dict[str, Any], target: Dict[str, Any]) -> Iterator[Obstacle]:
    ours, theirs = source["settings"], target["settings"]
    if ours["server_uuid"] == theirs["server_uuid"]:
        yield _obstacle(
            "same_server_uuid",
            "Both servers have the same server_uuid: one is a clone of the other",
            "Remove auto.cnf from the target's data directory and restart it",
        )
    elif ours["server_id"] == theirs["server_id"] and source["channels"]:
        yield _obstacle(
            "same_server_id",
            "Both servers have server_id {0}, and replicate already".format(ours["server_id"]),
            "SET PERSIST server_id on the target to another number, and start its channels anew",
        )
    if ours.get("lower_case_table_names") != theirs.get("lower_case_table_names"):
        yield _obstacle(
            "case_differs",
            "lower_case_table_names is {0} on the source and {1} on the target".format(
                ours.get("lower_case_table_names"), theirs.get("lower_case_table_names")
            ),
            "Initialise the target with the source's value; it cannot be changed later",
        )


def _tables(source: Dict[str, Any]) -> Iterator[Obstacle]:
    tables = source["tables"]
    others = ["{0} ({1})".format(_name(table), table["engine"]) for table in tables if table["engine"] != "InnoDB"]
    if others:
        yield _obstacle(
            "engine_not_transactional",
            "Tables that cannot be copied consistently: {0}".format(_list(others)),
            "ALTER TABLE … ENGINE=InnoDB on the source",
        )
    bare = [_name(table) for table in tables if not int(table["keyed"])]
    if bare:
        yield _obstacle(
            "table_without_key",
            "Tables without primary key, of which no changed row can be proven: {0}".format(_list(bare)),
            "Give each a primary key, or waive this if nothing writes to them",
        )
    vectors = [_name(table) for table in tables if int(table["vectors"])]
    if vectors:
        yield _obstacle(
            "vectors",
            "The binary log of tables with VECTOR columns cannot be read: {0}".format(_list(vectors)),
            "Waive this if nothing writes to them on the day of the switchover",
        )
    if source["events"]:
        yield _obstacle(
            "events",
            "Events run on the source: {0}".format(_list(source["events"])),
            "Nothing: they are off on the target until the site is there",
        )


def _name(table: Dict[str, Any]) -> str:
    return "{0}.{1}".format(table["db"], table["tbl"])


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (" and {0} more".format(len(names) - 5) if len(names) > 5 else "")
