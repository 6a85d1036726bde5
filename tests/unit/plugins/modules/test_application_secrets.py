"""Secrets of this test's own process, compared."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.modules import application_secrets
from tests.unit.plugins.fakes import run_module

SERVE = "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"


@pytest.fixture
def port() -> Iterator[str]:
    """A process that listens and has a secret in its environment."""
    environment = {**os.environ, "SECRET_KEY": "the right one"}
    command = [sys.executable, "-c", SERVE]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.communicate("\n")


def test_names_alone_are_told(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"SECRET_KEY": "the right one", "TOKEN": "x"}
    same = run_module(application_secrets, monkeypatch, upstream=f"127.0.0.1:{port}", wanted=wanted)
    assert told(same) == {"same": ["SECRET_KEY"], "differing": [], "unknown": ["TOKEN"]}
    other = run_module(
        application_secrets, monkeypatch, upstream=f"127.0.0.1:{port}", wanted={"SECRET_KEY": "another one"}
    )
    assert told(other) == {"same": [], "differing": ["SECRET_KEY"], "unknown": []}
    assert "the right one" not in str({name: other[name] for name in other if name != "invocation"})
    assert same["changed"] is False


def test_nobody_who_listens_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]
    result = run_module(application_secrets, monkeypatch, upstream=f"127.0.0.1:{free}", wanted={"SECRET_KEY": "x"})
    assert told(result) == {"same": [], "differing": [], "unknown": ["SECRET_KEY"]}


def told(result: dict[str, Any]) -> dict[str, list[str]]:
    return {name: result[name] for name in ("same", "differing", "unknown")}
