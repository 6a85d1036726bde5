"""How modules get at a side's database, and what they say when they can't."""

import json
from pathlib import Path
from typing import Any, NoReturn

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import database_side, engines


class FailedError(Exception):
    """What a module's fail_json does here."""


class FakeModule:
    """As much of a module as is asked for."""

    def __init__(self, credentials: str, engine: str = "mariadb") -> None:
        self.params = {"credentials": credentials, "site": "shop", "databases": ["shop"], "engine": engine}

    def fail_json(self, msg: str) -> NoReturn:
        raise FailedError(msg)


def write(path: Path, content: Any) -> str:
    path.write_text(json.dumps(content))
    return str(path)


class FakeEngine:
    """An engine's file; it remembers how it was asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.SERVER = self
        self.asked: list[tuple[Any, ...]] = []
        self.error: Exception | None = None

    def _answer(self, what: str, *arguments: Any) -> str:
        self.asked.append((what, *arguments))
        if self.error:
            raise self.error
        return f"{what} of {self.name}"

    def open_server(self, credentials: Any, site: str, databases: Any, side: str, timeout: float) -> str:
        return self._answer("server", credentials, site, databases, side, timeout)

    def connect(self, credentials: Any, timeout: float, database: str) -> str:
        return self._answer("reader", credentials, timeout, database)


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeEngine]:
    made = {name: FakeEngine(name) for name in engines.ENGINES}
    monkeypatch.setattr(engines, "server", made.__getitem__)
    return made


BOTH = {
    "source": {"mariadb": {"user": "a"}, "postgresql": {"user": "p"}},
    "target": {"mariadb": {"user": "b"}, "postgresql": {"user": "q"}},
}


@pytest.mark.parametrize(("engine", "side", "user"), [("mariadb", "target", "b"), ("postgresql", "source", "p")])
def test_the_side_is_connected_with_its_own_credentials(
    tmp_path: Path, fakes: dict[str, FakeEngine], engine: str, side: str, user: str
) -> None:
    module = FakeModule(write(tmp_path / "c.json", BOTH), engine)
    assert database_side.open_database(module, side, 7.0) == f"server of {engine}"  # type: ignore[comparison-overlap]
    assert database_side.open_reader(module, side, "shop", 8.0) == f"reader of {engine}"
    assert fakes[engine].asked == [
        ("server", {"user": user}, "shop", ["shop"], side, 7.0),
        ("reader", {"user": user}, 8.0, "shop"),
    ]
    assert database_side.read_credentials(module, side) == {"user": user}


def test_the_engines_are_the_ones_of_the_list() -> None:
    assert database_side.SIDE_OPTIONS["engine"] == {
        "type": "str",
        "default": "mariadb",
        "choices": ["mariadb", "mysql", "postgresql"],
    }


def test_credentials_of_another_engine_are_none(tmp_path: Path, fakes: dict[str, FakeEngine]) -> None:
    module = FakeModule(write(tmp_path / "c.json", BOTH), "mysql")
    with pytest.raises(FailedError) as raised:
        database_side.open_database(module, "source")
    assert str(raised.value) == (
        f"The credentials of the source's database cannot be read from {tmp_path}/c.json: 'mysql'. "
        "Run replicate.yml, which writes them."
    )
    assert fakes["mysql"].asked == []


@pytest.mark.parametrize(
    "content", ["", "{}", "[]x", "[]", '{"source": {}}', '{"source": []}', '{"source": {"mariadb": 5}}']
)
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
    tmp_path: Path, fakes: dict[str, FakeEngine], where: dict[str, str], shown: str
) -> None:
    credentials = {"user": "cutover", "password": "s3cret", **where}
    module = FakeModule(write(tmp_path / "c.json", {"source": {"mariadb": credentials}}))
    fakes["mariadb"].error = OSError("Access denied")
    for open_it in (
        lambda: database_side.open_database(module, "source"),
        lambda: database_side.open_reader(module, "source", "shop", 5.0),
    ):
        with pytest.raises(FailedError) as raised:
            open_it()
        assert str(raised.value) == f"The source's database at {shown} cannot be reached as cutover: Access denied"
