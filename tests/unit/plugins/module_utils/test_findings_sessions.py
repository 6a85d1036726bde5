"""Whether people stay signed in."""

from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import findings_sessions


def found(secrets: dict[str, list[str]], tables: list[str]) -> list[Any]:
    databases = {"mariadb": {"databases": {"shop": {"tables": tables}}}}
    return list(findings_sessions.decide({"source": {"secrets": secrets, "databases": databases}}))


@pytest.mark.parametrize("table", ["django_session", "sessions", "shop.session", "public.sessions"])
def test_sessions_of_a_database_with_the_same_key_stay(table: str) -> None:
    assert found({"same": ["SECRET_KEY"], "differing": [], "unknown": []}, ["orders", table]) == []


def test_a_key_that_differs_forbids_going_on() -> None:
    (one,) = found({"differing": ["SECRET_KEY"]}, ["sessions"])
    assert (one.key, one.severity) == ("session.secret_differs", "inhibitor")
    assert one.reason == "What the target is to have as SECRET_KEY is not what the application on the source has."


def test_what_is_not_known_is_said() -> None:
    one, two = found({"unknown": ["SECRET_KEY"]}, ["orders", "obsession"])
    assert (one.key, two.key) == ("session.secret_unknown", "session.not_in_database")
    assert one.reason.startswith("SECRET_KEY is not in the environment of the application on the source")
    assert two.reason.startswith("No table is called session or sessions; those in files")


def test_an_empty_database_says_nothing() -> None:
    assert found({}, []) == []
