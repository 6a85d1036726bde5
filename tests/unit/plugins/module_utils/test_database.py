# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every engine is asked for: the words of a link, and that nothing of the contract is left out."""

import inspect
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import engines
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Database, Link, words
from tests.unit.plugins.fakes import FakeDatabase

CONTRACT = {name: method for name, method in vars(Database).items() if inspect.isfunction(method)}


@pytest.mark.parametrize(
    ("link", "trouble"),
    [
        (Link(True, True, True, 0, ""), ""),
        (Link(True, True, True, 900, ""), ""),
        (Link(False, False, False, None, ""), "there is no replication link"),
        (Link(True, True, True, 0, "error 1062"), "error 1062"),
        (Link(True, False, True, 0, ""), "the replica is not connected to its source"),
        (Link(True, True, False, 0, ""), "the replica does not apply what it receives"),
        (Link(True, True, True, None, ""), "the replica does not know its lag"),
    ],
)
def test_what_is_not_known_is_trouble(link: Link, trouble: str) -> None:
    assert link.trouble() == trouble


def arguments(method: Any) -> list[tuple[str, Any]]:
    return [(one.name, one.default) for one in inspect.signature(method).parameters.values()]


def misfits(made: Any, names: set[str]) -> list[str]:
    """Methods that can't be called as the contract says; more arguments may be had where they have defaults."""
    found = []
    for name in sorted(names):
        wanted, there = arguments(CONTRACT[name]), arguments(getattr(made, name))
        more = [default for _name, default in there[len(wanted) :]]
        if there[: len(wanted)] != wanted or inspect.Parameter.empty in more:
            found.append(name)
    return found


@pytest.mark.parametrize("engine", sorted(engines.ENGINES))
def test_an_engine_has_the_whole_contract(engine: str) -> None:
    server = engines.server(engine).SERVER
    assert issubclass(server, Database)
    assert server.__abstractmethods__ == frozenset()
    assert server.engine == engine
    assert misfits(server, set(CONTRACT)) == []


@pytest.mark.parametrize("engine", sorted(engines.ENGINES))
def test_an_engine_connects_for_the_proof(engine: str) -> None:
    assert [name for name, _default in arguments(engines.server(engine).connect)][:3] == [
        "credentials",
        "timeout",
        "database",
    ]


def test_the_stand_in_takes_what_a_server_takes() -> None:
    stands_in = set(CONTRACT) & set(vars(FakeDatabase))
    assert len(stands_in) > 20
    assert misfits(FakeDatabase, stands_in) == []


class Plain(Database):
    """An engine without anything of its own."""


Plain.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]


def test_an_engine_may_have_nothing_to_prepare_and_no_counters() -> None:
    one, other = Plain(), Plain()  # type: ignore[abstract]
    assert one.prepare(other) == []
    assert one.take_counters(other) == 0
    assert one.let_events_run(True) == 0


SAID = {"S": "ERROR", "V": "ERROR", "C": "08006", "M": "could not connect", "F": "x.c"}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RuntimeError(SAID), "could not connect"),
        (RuntimeError(dict(SAID, D="the server said no.\nTwice.")), "could not connect: the server said no. Twice"),
        (RuntimeError({"C": "57P01"}), "error 57P01"),
        (RuntimeError({}), "error without a name"),
        (RuntimeError(1045, "Access denied for user 'a'@'b'"), "Access denied for user 'a'@'b' (1045)"),
        (OSError(111, "Connection refused"), "[Errno 111] Connection refused"),
        (RuntimeError("in words\n  and more"), "in words and more"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_what_a_server_said(error: Exception, text: str) -> None:
    assert words(error) == text


@pytest.mark.parametrize(
    "quoted",
    [
        "password=s3cret host=b",
        "invalid connection string: host='b' password='it\\'s s3cret' port=5",
        "CONNECTION 'host=''b'' password=''s3cret'' port=5'",
        "CONNECTION 'host=''b'' password=''no''''s3cret'' port=5'",
        "near 'MASTER_PASSWORD='s3cret', MASTER_SSL=1'",
        "near 'SOURCE_PASSWORD='s3cr",
        "near 'MASTER_PASSWORD=\"a s3cret\", MASTER_SSL=1'",
        "near 'IDENTIFIED BY 's3cret' REQUIRE SSL'",
        "near 'IDENTIFIED WITH caching_sha2_password AS 's3cret''",
        "near 'IDENTIFIED BY PASSWORD 's3cret' ACCOUNT LOCK'",
        "near 'IDENTIFIED VIA ed25519 USING 's3cret' OR unix_socket'",
        "near 'PASSWORD TO 's3cret''",
    ],
)
def test_a_password_is_never_told(quoted: str) -> None:
    for error in (RuntimeError(1064, quoted), RuntimeError({"M": "no", "D": quoted}), RuntimeError(quoted)):
        told = words(error)
        assert "s3cr" not in told
        assert "***" in told
    for known in ("host=b", "MASTER_SSL=1", "REQUIRE SSL", "port=5"):
        assert (known in quoted) == (known in words(RuntimeError(quoted)))


def test_a_password_in_pieces_is_not_told_either() -> None:
    assert words(RuntimeError('missing "=" after "hunter2"'), "hunter2", "") == 'missing "=" after "***"'
