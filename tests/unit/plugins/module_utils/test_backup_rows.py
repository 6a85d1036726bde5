"""One changed row is a difference; another order is none."""

import io

from ansible_collections.ocpizza.cutover.plugins.module_utils.backup_rows import (
    differences,
    of_mysql,
    of_postgresql,
)

OLD = b"-- x\nINSERT INTO `a``b` VALUES (1,'x'),(2,'INSERT INTO `c`');\nINSERT INTO `c` VALUES (1);\nUNLOCK TABLES;\n"
NEW = b"INSERT INTO `a` VALUES\n(1,'x;'),\n(2,'y');\nUNLOCK TABLES;\n"
TURNED = b"INSERT INTO `a` VALUES\n(2,'y'),\n(1,'x;');\n"
COPY = b"COPY public.a (id, \"t\") FROM stdin;\n1\tx\n2\ty\n\\.\nSELECT pg_catalog.setval('public.s', 2, true);\n"


def test_mysqldump_is_read_in_both_of_its_forms() -> None:
    assert {table: count for table, (count, _sum) in of_mysql(io.BytesIO(OLD)).items()} == {"`a``b`": 1, "`c`": 1}
    assert of_mysql(io.BytesIO(NEW))["`a`"][0] == 3
    assert differences(of_mysql(io.BytesIO(NEW)), of_mysql(io.BytesIO(TURNED))) == []


def test_one_changed_row_is_a_difference() -> None:
    for text, before, after in ((NEW, b"'y'", b"'z'"), (OLD, b"(2,", b"(3,")):
        assert differences(of_mysql(io.BytesIO(text)), of_mysql(io.BytesIO(text.replace(before, after)))) != []
    other = COPY.replace(b"2\ty", b"2\tz")
    assert differences(of_postgresql(io.BytesIO(COPY)), of_postgresql(io.BytesIO(other))) == ["public.a"]


def test_rows_and_sequences_of_copy_count() -> None:
    found = of_postgresql(io.BytesIO(COPY))
    assert {table: count for table, (count, _sum) in found.items()} == {"public.a": 2, "sequences": 1}
    turned = COPY.replace(b"1\tx\n2\ty\n", b"2\ty\n1\tx\n")
    assert of_postgresql(io.BytesIO(turned)) == found


def test_a_table_that_is_missing_is_a_difference() -> None:
    assert differences(of_mysql(io.BytesIO(OLD)), {}) == ["`a``b`", "`c`"]
