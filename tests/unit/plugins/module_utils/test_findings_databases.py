# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in the way of moving databases of MySQL and PostgreSQL, and of several engines at once."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import (
    database_facts_postgresql,
    findings,
    findings_databases,
)
from ansible_collections.ocpizza.cutover.plugins.module_utils.finding import join
from ansible_collections.ocpizza.cutover.plugins.module_utils.findings_postgresql import contents
from tests.unit.plugins.module_utils.test_findings import HEALTHY

ANSWERS = Path(__file__).parents[1] / "answers"


def postgresql(version: int, databases: list[str]) -> dict[str, Any]:
    """What a real server told."""
    said = json.loads((ANSWERS / f"postgresql-{version}.json").read_text(encoding="utf-8"))

    def rows(text: str) -> list[Any]:
        return [json.loads(line) for line in text.split("\n") if line]

    found = database_facts_postgresql.parse(rows(said["server"]), databases)
    for name in databases:
        if found["databases"][name]["exists"]:
            database_facts_postgresql.add_contents(found["databases"][name], rows(said[name]))
    return {**found, "running": True, "error": ""}


def facts_for(engine: str) -> dict[str, Any]:
    """A healthy site with this engine; the target has no server yet."""
    facts: dict[str, Any] = copy.deepcopy(HEALTHY)
    facts["site"]["engines"] = {engine: ["stock"]}
    target = facts["targets"]["db"]
    target["databases"] = {engine: {}}
    if engine == "postgresql":
        server = postgresql(13, ["stock"])
        for kind in database_facts_postgresql.LISTS:
            server["databases"]["stock"][kind] = []
        server["databases"]["stock"].update(large_objects=0, incomparable={})
        server["settings"]["wal_level"] = "logical"
        server["other_databases"] = []
        target["packages"] = {"postgresql": {"installed": "", "candidate": "17+278"}}
        target["planned"] = {"postgresql_settings": {"wal_level": "logical"}, "postgresql_users": ["app"]}
    else:
        server = copy.deepcopy(HEALTHY["source"]["databases"]["mariadb"])
        server["databases"] = {"stock": server["databases"]["pizza"]}
        server["settings"].update(version="8.4.6", gtid_mode="ON", server_id="1")
        target["packages"] = {"mysql-server": {"installed": "", "candidate": "9.7.0-1"}}
        target["planned"] = {"flavour": "mysql"}
    facts["source"]["databases"] = {engine: server}
    return facts


@pytest.fixture
def elephant() -> dict[str, Any]:
    return facts_for("postgresql")


def change(facts: dict[str, Any], path: str, value: Any) -> None:
    inner: Any = facts
    *names, last = path.split("/")
    for name in names:
        inner = inner[name]
    inner[last] = value


@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_a_healthy_site_has_no_findings(engine: str) -> None:
    assert findings.decide(facts_for(engine)) == []


SOURCE, STOCK = "source/databases/postgresql", "source/databases/postgresql/databases/stock"
TARGET, PLANNED = "targets/db/databases/postgresql", "targets/db/planned"
CASES = [
    (f"{SOURCE}/running", False, "not_running", "inhibitor", "PostgreSQL: there is no client on the source."),
    (
        SOURCE,
        {"running": False, "databases": {}, "error": "no cluster uses port 5433; there is 13/main on 5432"},
        "not_running",
        "inhibitor",
        "PostgreSQL: no cluster uses port 5433; there is 13/main on 5432. Remedy: Start it, or name its port in",
    ),
    (f"{STOCK}/exists", False, "missing", "inhibitor", "no database 'stock' in the source's PostgreSQL"),
    (
        f"{STOCK}/without_key",
        ['"Zwei B"."x"'],
        "table_without_key",
        "inhibitor",
        'stock without primary key: "Zwei B"."x". If they change during the switchover, nothing can be proven of them. '
        "They get REPLICA IDENTITY FULL",
    ),
    (f"{STOCK}/unlogged", ["public.cache"], "unlogged", "inhibitor", "Unlogged tables of stock: public.cache"),
    (f"{STOCK}/large_objects", 7, "large_objects", "inhibitor", "Database stock has 7."),
    (f"{STOCK}/foreign_tables", ["public.ext"], "foreign_tables", "inhibitor", "Foreign tables of stock: public.ext"),
    (
        f"{STOCK}/generated_keys",
        ["public.g"],
        "generated_key",
        "inhibitor",
        "stock whose key has a generated column: p",
    ),
    (f"{STOCK}/prepared", ["tx1"], "prepared_transactions", "inhibitor", "Prepared transactions of stock: tx1. The"),
    (f"{STOCK}/extension_tables", ["t (x)"], "extension_tables", "warning", "Those of stock: t (x). The target has"),
    (f"{STOCK}/event_triggers", ["watch"], "event_triggers", "warning", "Those of stock: watch. They run at our own"),
    (f"{STOCK}/materialized_views", ["public.mv"], "materialized_views", "warning", "Those of stock: public.mv"),
    (
        f"{SOURCE}/settings/version",
        "9.6.24",
        "source_too_old",
        "inhibitor",
        "PostgreSQL 9.6.24; replication to a newer",
    ),
    (f"{SOURCE}/settings/in_recovery", "on", "standby", "inhibitor", "follows another server"),
    (f"{SOURCE}/settings/wal_level", "replica", "restart_needed", "info", "wal_level is replica."),
    (f"{SOURCE}/settings/max_wal_senders", "3", "restart_needed", "info", "max_wal_senders is 3."),
    (f"{SOURCE}/settings/max_slot_wal_keep_size", "512", "slot_limit", "warning", "is 512 MB on the source"),
    (
        f"{SOURCE}/used",
        {"slots": 9, "senders": 0},
        "max_replication_slots",
        "inhibitor",
        "max_replication_slots is 10 on the source; with what uses them already 11 are needed. Remedy: Set it in the "
        "source's configuration and restart the server in a quiet hour.",
    ),
    (
        f"{SOURCE}/settings/max_logical_replication_workers",
        "0",
        "replication_workers",
        "inhibitor",
        "is 0 on the source",
    ),
    (f"{SOURCE}/other_databases", ["annex"], "shared_server", "warning", "PostgreSQL has databases that are not"),
    ("targets/db/packages", {}, "no_package", "inhibitor", "db knows no package postgresql"),
    ("targets/db/packages/postgresql/candidate", "11+200", "target_older", "inhibitor", "db has 11+200"),
    (f"{PLANNED}/postgresql_settings", {}, "wal_level", "inhibitor", "wal_level is replica on db"),
    (
        f"{PLANNED}/postgresql_settings/max_wal_senders",
        1,
        "max_wal_senders",
        "inhibitor",
        "max_wal_senders is 1 on db; with what uses them already 2 are needed. Remedy: Set it in postgresql_settings.",
    ),
    (
        f"{STOCK}/extensions",
        ["hstore"],
        "extensions_unknown",
        "warning",
        "Database stock uses hstore; db has no server",
    ),
    (
        f"{STOCK}/accounts",
        ["app", "re port", "zed"],
        "roles_missing",
        "inhibitor",
        "may do something in database stock, neither db nor postgresql_users has re port, zed.",
    ),
]


@pytest.mark.parametrize(("path", "value", "key", "severity", "text"), CASES)
def test_a_finding_of_postgresql(
    elephant: dict[str, Any], path: str, value: Any, key: str, severity: str, text: str
) -> None:
    change(elephant, path, value)
    (found,) = findings.decide(elephant)
    assert (found.key, found.severity) == ("database." + key, severity)
    assert text in findings.describe(found)
    assert found.remedy.endswith(".")
    (waived,) = findings.decide(elephant, ["database." + key])
    assert findings.standing([waived]) == []


def test_a_server_as_it_really_was() -> None:
    facts = facts_for("postgresql")
    facts["source"]["databases"]["postgresql"] = postgresql(13, ["stock"])
    facts["targets"]["db"]["databases"]["postgresql"] = postgresql(17, ["stock"])
    assert [found.key.partition(".")[2] for found in findings.decide(facts)] == [
        "table_without_key", "unlogged", "large_objects", "foreign_tables", "roles_missing", "materialized_views",
        "shared_server", "not_in_database", "restart_needed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value", "key", "severity", "text"),
    [
        ("charset", "LATIN1", "encoding", "inhibitor", "stock is in UTF8 on the source and in LATIN1 on db"),
        (
            "collation",
            "fr_FR.UTF-8",
            "collation",
            "warning",
            "collation of database stock is C.UTF-8 on the source and fr",
        ),
        ("ctype", "C", "collation", "warning", "The ctype of database stock is C.UTF-8 on the source and C on db"),
    ],
)
def test_a_database_that_is_on_the_target_already(
    elephant: dict[str, Any], path: str, value: str, key: str, severity: str, text: str
) -> None:
    target = postgresql(17, ["stock"])
    target["databases"]["stock"].update(exists=True, charset="UTF8", collation="C.UTF-8", ctype="C.UTF-8")
    change(elephant, TARGET, target)
    assert findings.decide(elephant) == []
    target["databases"]["stock"][path] = value
    (found,) = findings.decide(elephant)
    assert (found.key, found.severity) == ("database." + key, severity)
    assert text in found.reason


def test_a_target_that_runs_is_asked_for_extensions_and_roles(elephant: dict[str, Any]) -> None:
    change(elephant, TARGET, postgresql(17, ["stock"]))
    change(elephant, f"{STOCK}/accounts", ["postgres"])
    change(elephant, f"{STOCK}/extensions", ["hstore", "postgis"])
    (found,) = findings.decide(elephant)
    assert (found.key, found.severity) == ("database.extensions", "inhibitor")
    assert found.reason == "Database stock uses postgis, which db cannot create."


def test_a_restart_that_comes_anyway_brings_what_was_too_little(elephant: dict[str, Any]) -> None:
    settings = elephant["source"]["databases"]["postgresql"]["settings"]
    settings.update(wal_level="replica", max_replication_slots="1", max_logical_replication_workers="0")
    assert [found.key for found in findings.decide(elephant)] == [
        "database.replication_workers", "database.restart_needed",
    ]  # fmt: skip
    elephant["site"]["source_settings"] = {"max_logical_replication_workers": 4}
    (found,) = findings.decide(elephant)
    assert found.reason.startswith("max_replication_slots is 1, wal_level is replica. The restart")


MYSQL = "source/databases/mysql"
MYSQL_CASES = [
    (f"{MYSQL}/running", False, "not_running", "inhibitor", "MySQL: there is no client on the source"),
    (
        f"{MYSQL}/settings/version",
        "10.5.29-MariaDB",
        "wrong_engine",
        "inhibitor",
        "says mysql, the source runs MariaDB",
    ),
    (f"{MYSQL}/settings/log_bin", "OFF", "binary_log_off", "inhibitor", "log_bin is OFF"),
    (f"{MYSQL}/settings/binlog_format", "STATEMENT", "binary_log_partial", "inhibitor", "binlog_format is STATEMENT"),
    (f"{MYSQL}/settings/binlog_row_image", "MINIMAL", "binary_log_partial", "inhibitor", "binlog_row_image is MINIMAL"),
    (f"{MYSQL}/settings/gtid_mode", "OFF", "gtids_off", "info", "gtid_mode is OFF"),
    (f"{MYSQL}/settings/gtids_tagged", "ON", "gtids_tagged", "inhibitor", "gtid_executed holds GTIDs with tags"),
    (
        f"{MYSQL}/settings",
        {"version": "8.4.6", "gtid_mode": "OFF", "replicas": "2"},
        "gtids_off_replicas",
        "inhibitor",
        "gtid_mode is OFF and 2 replicas are connected",
    ),
    (f"{MYSQL}/settings/version", "5.6.51", "source_too_old", "inhibitor", "MySQL 5.6.51; replication to a newer one"),
    (f"{MYSQL}/settings/version", "8.0.44", "version_gap", "warning", "8.0.44, db has 9.7.0-1; MySQL promises"),
    (f"{MYSQL}/databases/stock/engines", {"MyISAM": ["x"]}, "engine_not_transactional", "inhibitor", "x in MyISAM"),
    ("targets/db/packages/mysql-server/candidate", "8.0.44-1", "target_older", "inhibitor", "db has 8.0.44-1"),
    ("targets/db/planned/flavour", "mariadb", "replication_impossible", "inhibitor", "db is to get MariaDB"),
    (
        "targets/db/databases/mysql",
        {"settings": {"version": "11.8.6-MariaDB"}},
        "replication_impossible",
        "inhibitor",
        "The source runs MySQL 8.4.6, db runs 11.8.6-MariaDB. Remedy: Use the same kind of server on the target "
        "(mysql_flavour: mysql). To change the kind, move first and then dump and load",
    ),
]


@pytest.mark.parametrize(("path", "value", "key", "severity", "text"), MYSQL_CASES)
def test_a_finding_of_mysql(path: str, value: Any, key: str, severity: str, text: str) -> None:
    facts = facts_for("mysql")
    change(facts, path, value)
    found = {each.key: each for each in findings.decide(facts)}
    assert found["database." + key].severity == severity
    assert text in findings.describe(found["database." + key])
    # A version that is too old leaves series between as well.
    assert set(found) - {"database.version_gap"} <= {"database." + key}


@pytest.mark.parametrize(
    ("name", "events", "keys"),
    [
        ("it's", ["nightly"], ["database.events", "database.events_not_dumped"]),
        ("it\\s", ["nightly"], ["database.events", "database.events_not_dumped"]),
        ("it's", [], []),
        ("its", ["nightly"], ["database.events"]),
    ],
)
def test_events_of_a_database_whose_name_is_escaped(name: str, events: list[str], keys: list[str]) -> None:
    facts = copy.deepcopy(HEALTHY)
    facts["site"]["engines"] = {"mariadb": [name]}
    server = facts["source"]["databases"]["mariadb"]
    server["databases"] = {name: {**server["databases"]["pizza"], "events": events}}
    found = {finding.key: finding for finding in findings.decide(facts)}
    assert sorted(found) == keys
    if len(keys) > 1:
        assert f"Database {name} has events and a quote" in found["database.events_not_dumped"].reason
        assert "SHOW CREATE EVENT says of nightly" in found["database.events_not_dumped"].remedy


def test_tables_named_in_two_ways() -> None:
    facts = facts_for("mysql")
    facts["source"]["databases"]["mysql"]["settings"]["lower_case_table_names"] = "0"
    facts["targets"]["db"]["databases"]["mysql"] = {"settings": {"version": "9.7.0", "lower_case_table_names": "1"}}
    (found,) = findings.decide(facts)
    assert (found.key, found.severity) == ("database.case_differs", "inhibitor")
    assert found.reason == "lower_case_table_names is 0 on the source and 1 on db."


def test_every_engine_of_a_site_is_looked_at() -> None:
    facts = facts_for("postgresql")
    facts["site"]["engines"]["mariadb"] = ["pizza"]
    facts["source"]["databases"]["mariadb"] = copy.deepcopy(HEALTHY["source"]["databases"]["mariadb"])
    target = facts["targets"]["db"]
    target["packages"].update(HEALTHY["targets"]["db"]["packages"])
    target["planned"].update(HEALTHY["targets"]["db"]["planned"])
    assert findings.decide(facts) == []
    for server in facts["source"]["databases"].values():
        server.update(running=False, error="")
    assert [found.reason.split(":")[0] for found in findings.decide(facts)] == ["MariaDB", "PostgreSQL"]
    facts["source"]["databases"]["mysql"] = {"running": False, "databases": {}}
    facts["site"]["engines"]["mysql"] = ["more"]
    conflict = findings.decide(facts)[0]
    assert (conflict.key, conflict.severity) == ("database.engines_conflict", "inhibitor")


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("10.5.29-MariaDB-0+deb11u1", (10, 5)),
        ("1:11.8.6-0+deb13u1", (11, 8)),
        ("17+278", (17,)),
        ("13.23 (Debian 13.23-0+deb11u4)", (13, 23)),
        ("", ()),
        ("unknown", ()),
    ],
)
def test_versions_of_servers_and_packages(text: str, numbers: tuple[int, ...]) -> None:
    assert findings_databases.version(text) == numbers


def test_the_releases_of_postgresql() -> None:
    assert findings_databases.major("postgresql", "13.23 (Debian)") == (13,)
    assert findings_databases.major("postgresql", "9.6.24") == (9, 6)
    assert findings_databases.major("mariadb", "10.5.29-MariaDB") == (10, 5)


def test_many_names_are_cut_short(elephant: dict[str, Any]) -> None:
    assert join(["b", "a"]) == "a, b"
    stock = dict(elephant["source"]["databases"]["postgresql"]["databases"]["stock"])
    stock["unlogged"] = [f"public.t{number:02}" for number in range(12)]
    (found,) = contents("stock", stock)
    assert "public.t00, public.t01" in found.reason
    assert "public.t09 and 2 more. The target" in found.reason


def test_a_table_whose_changes_cannot_be_applied(elephant: dict[str, Any]) -> None:
    stock = elephant["source"]["databases"]["postgresql"]["databases"]["stock"]
    stock.update(without_key=["public.plain", "public.worse"], incomparable={"public.worse": "j", "public.keyed": "j"})
    found = {one.key: findings.describe(one) for one in findings.decide(elephant)}
    assert sorted(found) == ["database.table_without_key", "database.without_key_or_equality"]
    assert "public.worse of stock has no key, and j of a type that" in found["database.without_key_or_equality"]


@pytest.mark.parametrize(
    ("path", "value", "key", "text"),
    [
        ("settings/performance_schema", "OFF", "performance_schema_off", "performance_schema is OFF."),
        ("settings/binlog_row_value_options", "PARTIAL_JSON", "binary_log_partial", "options is PARTIAL_JSON."),
        ("settings/binlog_transaction_compression", "ON", "binary_log_partial", "compression is ON."),
        ("log_filtered", True, "binary_log_filtered", "binlog-do-db or binlog-ignore-db is set."),
        ("databases/stock/vectors", ["v"], "vectors", "Tables of stock with VECTOR columns: v."),
    ],
)
def test_what_mysqls_log_does_not_tell(path: str, value: Any, key: str, text: str) -> None:
    facts = facts_for("mysql")
    change(facts, "source/databases/mysql/" + path, value)
    (finding,) = findings.decide(facts)
    assert (finding.key, finding.severity) == ("database." + key, "inhibitor")
    assert text in findings.describe(finding)


@pytest.mark.parametrize(
    ("settings", "key", "text"),
    [
        ({"server_uuid": "u-1"}, "same_server_uuid", "server_uuid is u-1 on the source and on db."),
        ({"super_read_only": "ON"}, "read_only", "super_read_only is ON on db."),
    ],
)
def test_a_target_that_takes_no_copy(settings: dict[str, str], key: str, text: str) -> None:
    facts = facts_for("mysql")
    facts["source"]["databases"]["mysql"]["settings"]["server_uuid"] = "u-1"
    facts["targets"]["db"]["databases"]["mysql"] = {"running": True, "settings": {"version": "9.7.0", **settings}}
    (finding,) = findings.decide(facts)
    assert (finding.key, finding.severity) == ("database." + key, "inhibitor")
    assert text in findings.describe(finding)


@pytest.mark.parametrize(
    ("engine", "tables", "asked", "unknown"),
    [
        ("mysql", ["orders", "lines"], ["stock.orders"], ""),
        ("mysql", ["orders"], ["all"], ""),
        ("mysql", ["orders"], ["stock.odrers"], "site_widen names stock.odrers; MySQL has no such table."),
        ("mysql", ["orders"], ["other.of another engine"], ""),
        ("postgresql", ['public."user"'], ["stock.public.user"], ""),
        ("postgresql", ["public.orders"], ["stock.orders"], "site_widen names stock.orders; PostgreSQL has no such"),
    ],
)
def test_a_table_that_is_to_be_widened_must_be_there(
    engine: str, tables: list[str], asked: list[str], unknown: str
) -> None:
    facts = facts_for(engine)
    facts["source"]["databases"][engine]["databases"]["stock"]["tables"] = tables
    facts["site"]["widen"] = asked
    found = [finding for finding in findings.decide(facts) if finding.key == "database.widen_unknown"]
    assert [finding.severity for finding in found] == ["inhibitor"] * bool(unknown)
    assert all(unknown in finding.reason for finding in found)
