"""What the check says of a site that cannot replicate to MySQL: the hold to expect, and what has no counterpart."""

from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import copyover_findings, database_facts
from ansible_collections.ocpizza.cutover.plugins.module_utils.copyover_findings import apart
from ansible_collections.ocpizza.cutover.plugins.module_utils.finding import INFO, INHIBITOR, WARNING, Finding
from ansible_collections.ocpizza.cutover.plugins.module_utils.findings_databases import decide

DATABASE = {"exists": True, "engines": {"InnoDB": ["a"]}, "rows": 300000, "without_key": [], "events": []}


def found(target_engines: dict[str, str], running: str = "9.7.0", things: Any = ()) -> dict[str, Finding]:
    facts = {
        "site": {
            "engines": {"mariadb": ["shop"]},
            "target_engines": target_engines,
            "neighbours": [],
            "accounts": "copy",
            "accounts_left": [],
            "account_hosts": {},
        },
        "source": {
            "databases": {
                "mariadb": {
                    "running": True,
                    "settings": {"version": "10.5.29-MariaDB", "log_bin": "OFF"},
                    "databases": {"shop": DATABASE | {"apart": list(things)}},
                    "other_databases": [],
                    "accounts": {},
                }
            }
        },
        "targets": {"db": {"groups": ["database"], "databases": {"mariadb": {"settings": {"version": running}}}}},
    }
    return {finding.key: finding for finding in decide(facts)}


def test_without_the_variable_the_remedy_names_it_and_the_hold() -> None:
    finding = found({})["database.replication_impossible"]
    assert finding.severity == INHIBITOR
    assert finding.remedy == (
        "Use the same kind of server on the target (mysql_flavour: mariadb). Or set site_target_engines: "
        "{mariadb: mysql}: then the databases are copied while requests wait, about 9.9 s for some 300000 rows by what "
        "other copies took; replicate.yml measures it, and the way back takes as long."
    )


def test_with_it_the_hold_is_a_warning_and_nothing_else_stands_in_the_way() -> None:
    findings = found({"mariadb": "mysql"})
    assert list(findings) == ["database.copied_under_hold"], "no restart for a log that nobody reads"
    assert findings["database.copied_under_hold"].severity == WARNING
    assert "MySQL 9.7.0 of db. A hold of about 9.9 s" in findings["database.copied_under_hold"].reason


def test_a_target_that_runs_something_else_is_refused() -> None:
    finding = found({"mariadb": "mysql"}, "11.8.2-MariaDB")["database.target_engine"]
    assert finding.severity == INHIBITOR
    assert finding.reason == "site_target_engines has mysql for mariadb; db runs 11.8.2-MariaDB."


def test_without_the_variable_a_replicating_target_is_as_it_was() -> None:
    findings = found({}, "11.8.2-MariaDB")
    assert not [key for key in findings if "copied" in key or "engine" in key]
    assert findings["database.restart_needed"].severity == INFO


def test_what_has_no_counterpart_is_named_with_its_remedy() -> None:
    things = apart("numbers", "kind", ["SEQUENCE"]) + apart("trigger bill", "body", ["", "SET NEW.h = MD5(NEW.a)"])
    things += apart("twice", "kind", ["SEQUENCE"])
    findings = found({"mariadb": "mysql"}, things=things)
    finding = findings["database.not_in_mysql"]
    assert finding.severity == INHIBITOR
    # One a remedy; the last is that of MD5.
    assert finding.reason == "shop.trigger bill uses MD5."
    assert finding.remedy == "Take MD5 out on the source; MySQL has another function, or none."


@pytest.mark.parametrize(
    ("kind", "values", "reason"),
    [
        ("kind", ["SEQUENCE"], "is a sequence"),
        ("kind", ["SYSTEM VERSIONED"], "is system-versioned"),
        ("type", ["uuid"], "has the type uuid"),
        ("collation", ["utf8mb4_general_nopad_ci"], "has the collation utf8mb4_general_nopad_ci"),
        ("body", ["PIPES_AS_CONCAT,ORACLE", "BEGIN NULL; END"], "is written in Oracle's PL/SQL"),
        ("body", ["", "select sha1 ( 'x')"], "uses SHA1"),
        ("body", ["", "SET x = NEXT VALUE FOR numbers"], "uses NEXT VALUE FOR"),
        ("body", ["", "RETURN column_get(a, 'b' AS INT)"], "uses COLUMN_GET"),
    ],
)
def test_each_obstacle(kind: str, values: list[str], reason: str) -> None:
    (one,) = apart("thing", kind, values)
    assert (one["name"], one["reason"]) == ("thing", reason)
    assert one["remedy"]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("collation", ["utf8mb4_uca1400_ai_ci"]),
        ("body", ["STRICT_TRANS_TABLES", "SET NEW.a = SHA2(NEW.b, 256)"]),
        ("body", ["", "SELECT 'md5(x)', `nextval` FROM a WHERE my_md5(b)"]),
    ],
)
def test_what_mysql_has_too_is_none(kind: str, values: list[str]) -> None:
    assert apart("thing", kind, values) == []


def test_the_fences_own_triggers_are_none() -> None:
    assert apart("trigger cutover_insert_1", "body", ["", "IF md5(1) THEN"]) == []


def test_only_a_mariadb_is_asked() -> None:
    asked = [query for query in database_facts.queries(["shop"], "", True) if "'apart'" in query]
    assert asked
    assert not [query for query in database_facts.queries(["shop"]) if "'apart'" in query]
    assert all("IN ('73686F70')" in query for query in asked)


def test_what_a_server_told_is_kept_with_its_database() -> None:
    lines = '["apart","shop","numbers","kind","SEQUENCE"]\n["apart","other","x","kind","SEQUENCE"]\n'
    facts = database_facts.parse(lines, ["shop"])
    assert [one["name"] for one in facts["databases"]["shop"]["apart"]] == ["numbers"]


def test_a_hold_is_never_expected_to_be_nothing() -> None:
    assert copyover_findings.seconds(0) == 1.0
    assert copyover_findings.seconds(1000000) == 33.0
