# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import itertools
import sqlite3
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import proof, proof_mariadb, proof_postgresql
from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_mariadb import Column, Table
from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_walk import Walk
from tests.unit.plugins.fakes import pair

PAIRS = Table("d", "t", [Column("a", "int(11)"), Column("b", "int(11)")], ["a", "b"], "InnoDB", 10)
keys = st.tuples(st.integers(-3, 3), st.integers(-3, 3))


@given(st.sets(keys), st.one_of(st.none(), keys), st.one_of(st.none(), keys))
def test_range_condition_selects_what_tuples_compare(rows, lower, upper):
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE t (a INT, b INT)")
    database.executemany("INSERT INTO t VALUES (?, ?)", rows)

    where, arguments = proof_mariadb.range_condition(["a", "b"], lower, upper)
    found = set(database.execute("SELECT a, b FROM t WHERE " + where.replace("%s", "?"), arguments))  # noqa: S608

    expected = {row for row in rows if (lower is None or row > lower) and (upper is None or row <= upper)}
    assert found == expected


class FakeSql:
    """A provider whose table is a sorted list of keys."""

    def __init__(self, rows):
        self.rows = sorted(rows)

    def last_key(self, _table):
        return self.rows[-1:]

    def boundary(self, _table, lower, last, size):
        left = [row for row in self.rows if (lower is None or row > lower) and row <= last]
        return left[size - 1 : size]

    def fetch(self, _connection, answer):
        return answer


def walked(walk):
    """Every chunk of a walk, to its end."""
    return list(iter(lambda: walk.next(None), None))


@given(st.sets(keys), st.integers(1, 5))
def test_chunks_cover_every_key_once(rows, size):
    bounds = walked(Walk(FakeSql(rows), PAIRS, size))

    assert bounds[0][0] is None
    assert bounds[-1][1] is None
    assert all(one[1] == two[0] for one, two in itertools.pairwise(bounds))
    for row in rows:
        assert sum((low is None or row > low) and (high is None or row <= high) for low, high in bounds) == 1
    sizes = [sum((low is None or row > low) and (high is None or row <= high) for row in rows) for low, high in bounds]
    assert max(sizes) <= size


@given(st.sets(st.integers(-40, 40), min_size=1), st.integers(1, 5), st.integers(0, 90))
def test_whole_numbers_are_cut_without_asking_the_server(numbers, size, estimate):
    rows = [(number,) for number in numbers]
    sql = FakeSql(rows)
    asked = []
    boundary = sql.boundary
    sql.boundary = lambda *arguments: asked.append(arguments) or boundary(*arguments)

    bounds = walked(Walk(sql, PAIRS._replace(key=["a"], rows_estimate=estimate), size))

    assert (bounds[0][0], bounds[-1][1]) == (None, None)
    assert all(one[1] == two[0] for one, two in itertools.pairwise(bounds))
    sizes = [sum((low is None or row > low) and (high is None or row <= high) for row in rows) for low, high in bounds]
    assert (sum(sizes), max(sizes) <= size) == (len(rows), True)
    if max(rows)[0] - min(rows)[0] <= 2 * estimate:
        assert len(asked) == 1


def test_a_walk_that_was_stopped_hands_out_nothing_more():
    walk = Walk(FakeSql([(n, n) for n in range(9)]), PAIRS, 2)
    assert walk.next(None) == (None, (1, 1))
    walk.stop()
    assert walked(walk) == []


class SlowSql(FakeSql):
    """A provider of two sides, each a mapping of keys to hashes, on which every chunk takes a moment."""

    MAX_HASHES = 1000

    def __init__(self, source, target):
        super().__init__(source)
        self.sides = {"source": source, "target": target}
        self.readers = set()
        self.readers_at_once = threading.Barrier(2)

    def covered(self, _column):
        return True

    def checksum(self, _table, lower, upper):
        return lambda side: [(len(self.chunk(side, lower, upper)), hash(str(self.chunk(side, lower, upper))))]

    def hashes(self, _table, lower, upper):
        return lambda side: [(*key, value) for key, value in self.chunk(side, lower, upper)]

    def hashes_of(self, _table, wanted):
        return lambda side: [(*key, self.sides[side][key]) for key in wanted if key in self.sides[side]]

    column_hashes_of = hashes_of

    def chunk(self, side, lower, upper):
        rows = sorted(self.sides[side].items())
        return [row for row in rows if (lower is None or row[0] > lower) and (upper is None or row[0] <= upper)]

    def fetch(self, connection, answer):
        if not callable(answer):
            return answer
        if connection not in self.readers and connection.startswith("source"):
            self.readers.add(connection)
            # Passed only if the two read at the same time.
            self.readers_at_once.wait(timeout=10)
        return answer(connection.split()[0])


def test_two_pairs_of_connections_share_a_table(monkeypatch):
    source = {(n, 0): str(n) for n in range(50)}
    target = {**source, (7, 0): "other", (99, 0): "more"}
    del target[41, 0]
    sql = SlowSql(source, target)
    monkeypatch.setattr(proof, "provider", lambda _connection: sql)
    told = []
    result = proof.compare_table(
        [("source 1", "target 1"), ("source 2", "target 2")], PAIRS, proof.Settling(None, 2, 0), told.append, 5
    )
    assert sql.readers == {"source 1", "source 2"}
    assert (result.status, result.rows, sum(told)) == ("different", 50, 50)
    kinds = {difference.key[0]: difference.kind for difference in result.differences}
    assert kinds == {7: "different", 41: "missing", 99: "extra"}


def test_an_error_of_one_pair_ends_the_others(monkeypatch):
    sql = SlowSql({(n, 0): str(n) for n in range(50)}, {})
    monkeypatch.setattr(proof, "provider", lambda _connection: sql)
    with pytest.raises(KeyError, match="target-without-table"):
        proof.compare_table([("source 1", "target"), ("source 2", "target-without-table")], PAIRS, chunk_rows=1)


@pytest.mark.parametrize(
    ("module", "ours", "theirs", "agreed"),
    [
        (proof_mariadb, proof_mariadb.MD5, proof_mariadb.MD5, proof_mariadb.MD5),
        (proof_mariadb, proof_mariadb.MD5, proof_mariadb.SHA2, proof_mariadb.COMMON),
        (proof_postgresql, proof_postgresql.NUMBER, proof_postgresql.NUMBER, proof_postgresql.NUMBER),
        (proof_postgresql, proof_postgresql.MD5, proof_postgresql.NUMBER, proof_postgresql.MD5),
    ],
)
def test_both_sides_hash_in_the_same_way(module, ours, theirs, agreed):
    table = module.Table("d", "t", [], [], "", 0)
    assert proof.pair(table._replace(digest=ours), table._replace(digest=theirs)).digest == agreed


def test_names_are_quoted_for_arguments():
    assert proof_mariadb.quote("a`b%s") == "`a``b%%s`"


def test_key_is_primary_or_shortest_required_unique():
    assert proof_mariadb.choose_key(PAIRS, {"z": ["a"], "PRIMARY": ["a", "b"]}) == ["a", "b"]
    assert proof_mariadb.choose_key(PAIRS, {"z": ["a", "b"], "y": ["b"]}) == ["b"]
    assert proof_mariadb.choose_key(PAIRS, {"z": ["a", ""]}) == []


def settle(source, target, caught_up=lambda: True):
    """Reads come one after the other; the last repeats."""

    def reader(values):
        queue = list(values)
        return lambda _keys: {(1,): queue.pop(0) if len(queue) > 1 else queue[0]}

    return proof.settle([(1,)], reader(source), reader(target), proof.Settling(caught_up, 4, 0))


def test_lag_settles_to_equal():
    assert settle(["new"], ["new"]) == ([], [])
    assert settle(["old", "new"], ["new"]) == ([], [])


def test_row_that_stayed_and_differs_is_different():
    assert settle(["x"], ["y"]) == ([(1,)], [])


def test_row_that_never_stays_is_unsettled():
    assert settle([str(n) for n in range(20)], ["other"]) == ([], [(1,)])


def test_target_that_does_not_follow_is_unsettled():
    assert settle(["x"], ["y"], lambda: False) == ([], [(1,)])


def test_differences_name_missing_extra_and_different():
    found = proof.name_differences(PAIRS, {(1, 1): "a", (1, 2): "b"}, {(1, 2): "c", (9, 9): "d"})

    assert [each.text() for each in found] == [
        "d.t (1, 1): missing on the target",
        "d.t (1, 2): different",
        "d.t (9, 9): extra on the target",
    ]


class Follower:
    """A target that was asked to wait."""

    def __init__(self, answers):
        self.answers = list(answers)
        self.waited = []

    def wait_for(self, position, seconds):
        self.waited.append((position, seconds))
        return self.answers.pop(0)


def test_a_target_is_caught_up_once_it_has_a_marker_of_now():
    source, _target = pair([])
    target = Follower([True, True])
    caught_up = proof.follower(source, target, 3.0)
    assert [caught_up(), caught_up()] == [True, True]
    assert target.waited == [("0-1-1", 3.0), ("0-1-2", 3.0)]
    first = source.markers[1]
    caught_up = proof.follower(source, Follower([True]))
    caught_up()
    assert source.markers[1] != first


def test_a_target_that_does_not_follow_costs_the_whole_patience_twice_only():
    source, _target = pair([])
    target = Follower([False, False, False, True, True])
    caught_up = proof.follower(source, target, 3.0)
    assert [caught_up() for _turn in range(5)] == [False, False, False, True, True]
    # Once it follows again it is waited for again.
    assert [seconds for _position, seconds in target.waited] == [3.0, 3.0, 0.05, 0.05, 3.0]


class EmptySql(FakeSql):
    """A database without a table."""

    def prepare(self, _connection):
        pass

    def position(self, connection):
        return f"where {connection} is"

    def load_tables(self, _connection, _database):
        return []

    def schema(self, _connection, _database):
        return {}

    def flavour(self, _connection):
        return "mariadb"


@pytest.mark.parametrize(("given", "told"), [("0-1-5", "0-1-5"), ("", "where source is")])
def test_a_proof_tells_its_position(monkeypatch, given, told):
    monkeypatch.setattr(proof, "provider", lambda _connection: EmptySql([]))
    result = proof.compare_database("source", "target", "shop", position=given)
    assert (result["position"], result["engine"], result["verdict"]) == (told, "mariadb", "PARTIAL")


def test_a_connection_of_an_unknown_driver_has_no_proof():
    with pytest.raises(ValueError, match="no proof is known for connections of builtins"):
        proof.provider("a string")
