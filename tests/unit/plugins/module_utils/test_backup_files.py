# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import sys

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import backup_files


def client(code):
    return [sys.executable, "-c", code]


def test_dump_goes_there_and_back(tmp_path):
    path = tmp_path / "d.sql.gz"
    written = backup_files.write_dump(client("print('SELECT 1;'); print('-- Dump completed on 2026')"), str(path))

    assert written.bytes == path.stat().st_size
    backup_files.load_dump(
        client("import sys; sys.exit('SELECT 1' not in sys.stdin.read())"), str(path), written.sha256
    )
    with pytest.raises(backup_files.IncompleteError, match="the server refused the dump: no such column"):
        backup_files.load_dump(
            client("import sys; sys.stdin.read(); sys.exit('no such column')"), str(path), written.sha256
        )
    with pytest.raises(backup_files.IncompleteError, match="has checksum"):
        backup_files.load_dump(client(""), str(path), "0" * 64)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("print('SELECT 1;')", "ended without '-- Dump completed'"),
        ("import sys; print('-- Dump completed'); sys.exit('access denied')", "ended with 1: access denied"),
    ],
)
def test_incomplete_dump_leaves_the_old_one(tmp_path, code, text):
    path = tmp_path / "d.sql.gz"
    path.write_bytes(b"old")

    with pytest.raises(backup_files.IncompleteError, match=text):
        backup_files.write_dump(client(code), str(path))

    assert [each.name for each in tmp_path.iterdir()] == ["d.sql.gz"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("expected", "restored", "problems"),
    [
        ({"a": [5, 5]}, {"a": 5}, []),
        ({"a": [5, 50]}, {"a": 60}, []),
        ({"a": [5, 5]}, {"a": 4}, ["table a has 4 rows, 5 to 5 were expected"]),
        ({"a": [5, 5]}, {}, ["tables are missing: a"]),
        ({}, {"a": 5}, ["tables were not expected: a"]),
    ],
)
def test_restored_tables_and_rows(expected, restored, problems):
    assert backup_files.compare_restore(expected, restored) == problems


def test_a_dump_that_packs_itself_is_kept_as_it_is(tmp_path):
    path = tmp_path / "d.dump"
    seen = []
    written = backup_files.write_dump(client("print('PGDMP')"), str(path), backup_files.CUSTOM, seen.append)

    assert path.read_bytes() == b"PGDMP\n"
    assert len(seen) == 1
    backup_files.load_dump(
        client("import sys; sys.exit(sys.stdin.read() != 'PGDMP\\n')"), str(path), written.sha256, backup_files.CUSTOM
    )


def test_a_dump_that_cannot_be_read_takes_no_name(tmp_path):
    def examine(path):
        raise backup_files.IncompleteError("pg_restore cannot read the dump")

    with pytest.raises(backup_files.IncompleteError, match=r"^pg_restore cannot read the dump$"):
        backup_files.write_dump(client("print('PG')"), str(tmp_path / "d.dump"), backup_files.CUSTOM, examine)

    assert list(tmp_path.iterdir()) == []
