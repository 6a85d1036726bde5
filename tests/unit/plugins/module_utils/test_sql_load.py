"""What may be loaded, when, and where a load broke."""

from __future__ import annotations

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import sql_load


@pytest.mark.parametrize(
    ("engine", "line", "found"),
    [
        ("mysql", b"USE other;", "USE other"),
        ("mysql", b"/*!40000 DROP DATABASE IF EXISTS `ocpizza`*/;", "DROP DATABASE"),
        ("mysql", b"create schema x;", "create schema"),
        ("mysql", b"  system rm -rf /", "system"),
        ("mysql", b"\\! id", "\\!"),
        ("mysql", b"source /etc/passwd", "source"),
        ("mysql", b"GRANT ALL ON *.* TO x;", "GRANT"),
        ("postgresql", b"\\connect other", "\\connect"),
        ("postgresql", b"\\! id", "\\!"),
        ("postgresql", b"COMMIT;", "COMMIT"),
        ("postgresql", b"BEGIN;", "BEGIN;"),
        ("postgresql", b"DROP DATABASE x;", "DROP DATABASE"),
    ],
)
def test_lines_that_leave_the_database_are_refused(engine: str, line: bytes, found: str) -> None:
    refused = sql_load.find_refused(engine, "ocpizza", [b"-- a dump\n", line + b"\n"])
    assert refused == sql_load.Refused(2, found)


@pytest.mark.parametrize(
    ("engine", "lines"),
    [
        ("mysql", [b"USE `ocpizza`;\n", b"INSERT INTO t VALUES ('system');\n", b"DROP TABLE IF EXISTS t;\n"]),
        ("mysql", [b"COMMIT;\n"]),
        ("postgresql", [b"BEGIN\n", b"  RETURN 1;\n", b"END;\n"]),
        ("postgresql", [b"\\restrict abc\n", b"\\unrestrict abc\n"]),
        ("postgresql", [b"COPY t (a) FROM stdin;\n", b"\\N\tcommit\n", b"commit\n", b"\\.\n"]),
    ],
)
def test_lines_of_a_plain_dump_pass(engine: str, lines: list[bytes]) -> None:
    assert sql_load.find_refused(engine, "ocpizza", lines) is None


def test_lines_after_copied_rows_are_looked_at_again() -> None:
    lines = [b"COPY t (a) FROM stdin;\n", b"commit\n", b"\\.\n", b"commit;\n"]
    assert sql_load.find_refused("postgresql", "ocpizza", lines) == sql_load.Refused(4, "commit")


@pytest.mark.parametrize(
    ("objects", "marker", "decision"),
    [
        (0, None, sql_load.LOAD),
        (0, "loaded", sql_load.LOAD),
        (0, "loading", sql_load.LOAD),
        (3, None, sql_load.LEAVE),
        (3, "loaded", sql_load.LEAVE),
        (3, "loading", sql_load.START_OVER),
    ],
)
def test_nothing_is_loaded_over_data(objects: int, marker: str | None, decision: str) -> None:
    assert sql_load.decide(objects, marker) == decision


def test_failure_of_mysql_has_its_line() -> None:
    errors = "ERROR 1146 (42S02) at line 3: Table 'half.nowhere' doesn't exist\n"
    broken = sql_load.mysql_failure("base_data.sql", errors)
    assert broken.describe() == "base_data.sql, line 3: Table 'half.nowhere' doesn't exist (error 1146)"


def test_failure_of_mysql_without_a_line() -> None:
    broken = sql_load.mysql_failure("a.sql", "ERROR 2013 (HY000): Lost connection\n")
    assert broken.describe() == "a.sql: Lost connection (error 2013)"


def test_failure_of_psql_is_put_into_its_file() -> None:
    errors = 'psql:<stdin>:12: ERROR:  relation "nowhere" does not exist\nLINE 1: INSERT\n'
    broken = sql_load.psql_failure([("schema.sql", 9), ("base_data.sql", 5)], errors)
    assert broken == sql_load.Broken("base_data.sql", 3, 'relation "nowhere" does not exist')


@pytest.mark.parametrize("errors", ["", "\n"])
def test_failure_without_a_word(errors: str) -> None:
    assert "without a word" in sql_load.mysql_failure("a.sql", errors).describe()
    assert "without a word" in sql_load.psql_failure([("a.sql", 1)], errors).describe()
