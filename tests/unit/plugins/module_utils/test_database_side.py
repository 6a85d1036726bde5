"""How modules get at a side's database, and what they say when they can't."""

import json
from pathlib import Path
from typing import Any, NoReturn

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import database_side, mariadb


class FailedError(Exception):
    """What a module's fail_json does here."""


class FakeModule:
    """As much of a module as is asked for."""

    def __init__(self, credentials: str) -> None:
        self.params = {"credentials": credentials, "site": "shop", "databases": ["shop"]}

    def fail_json(self, msg: str) -> NoReturn:
        raise FailedError(msg)


def write(path: Path, content: Any) -> str:
    path.write_text(json.dumps(content))
    return str(path)


def test_the_side_is_connected_with_its_own_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "c.json", {"source": {"user": "a"}, "target": {"user": "b"}})
    seen: list[Any] = []
    monkeypatch.setattr(mariadb, "connect", lambda *arguments: seen.append(arguments) or "connection")
    database = database_side.open_database(FakeModule(path), "target", 7.0)
    assert seen == [({"user": "b"}, 7.0)]
    assert (database.connection, database.name, database.databases) == ("connection", "cutover_shop", ["shop"])


@pytest.mark.parametrize("content", ["", "{}", "[]x"])
def test_credentials_that_cannot_be_read(tmp_path: Path, content: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(content)
    with pytest.raises(FailedError) as raised:
        database_side.open_database(FakeModule(str(path)), "source")
    assert str(raised.value).startswith(f"The credentials of the source's database cannot be read from {path}: ")
    assert str(raised.value).endswith("Run replicate.yml, which writes them.")


def test_no_credentials_at_all(tmp_path: Path) -> None:
    with pytest.raises(FailedError, match="No such file or directory"):
        database_side.open_database(FakeModule(str(tmp_path / "none")), "source")


@pytest.mark.parametrize(
    ("where", "shown"), [({"host": "10.0.0.5"}, "10.0.0.5"), ({"unix_socket": "/run/db.sock"}, "/run/db.sock")]
)
def test_a_server_that_cannot_be_reached_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: dict[str, str], shown: str
) -> None:
    def refuse(*_arguments: Any) -> NoReturn:
        raise OSError("Access denied")

    path = write(tmp_path / "c.json", {"source": {"user": "cutover", "password": "s3cret", **where}})
    monkeypatch.setattr(mariadb, "connect", refuse)
    with pytest.raises(FailedError) as raised:
        database_side.open_database(FakeModule(path), "source")
    assert str(raised.value) == f"The source's database at {shown} cannot be reached as cutover: Access denied"
