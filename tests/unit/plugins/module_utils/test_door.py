# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The door: where a connection is carried by the flags that are there, on real sockets."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import door


class Place:
    """Something that listens, and answers with its name and what it was sent up to a line's end."""

    def __init__(self, name: str) -> None:
        self.name = name.encode()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.go = threading.Event()
        self.go.set()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _address = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as stream:
            line = stream.readline()
            self.go.wait(10)
            stream.write(self.name + b" " + line)


@pytest.fixture
def places() -> Iterator[dict[str, Place]]:
    found = {name: Place(name) for name in ("application", "valve", "relay")}
    yield found
    for place in found.values():
        place.socket.close()


@pytest.fixture
def plan(tmp_path: Path, places: dict[str, Place]) -> dict[str, Any]:
    for folder in ("run", "state"):
        (tmp_path / folder).mkdir()
    return {
        "runtime": str(tmp_path / "run"),
        "state": str(tmp_path / "state"),
        "application": f"127.0.0.1:{places['application'].port}",
        "valve": places["valve"].port,
        "relay": places["relay"].port,
    }


def ask(plan: dict[str, Any], sent: bytes = b"pizza\n") -> bytes:
    """What a client gets that comes through the door."""

    async def exchange() -> bytes:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await door.carry(plan, reader, writer)

        listener = await asyncio.start_server(handle, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.sockets[0].getsockname()[1])
        try:
            writer.write(sent)
            await writer.drain()
            return await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.close()
            listener.close()

    return asyncio.run(exchange())


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], "application"),
        (["run/valve"], "valve"),
        (["state/moved"], "relay"),
        # Going back, the hold begins while the site has moved.
        (["state/moved", "run/valve"], "valve"),
        (["run/hold", "run/near"], "application"),
    ],
)
def test_a_connection_is_carried_by_the_flags(
    plan: dict[str, Any], tmp_path: Path, flags: list[str], expected: str
) -> None:
    for flag in flags:
        (tmp_path / flag).touch()
    assert ask(plan) == expected.encode() + b" pizza\n"


def test_what_is_large_passes_whole(plan: dict[str, Any]) -> None:
    sent = b"x" * 500000 + b"\n"
    assert ask(plan, sent) == b"application " + sent


def test_an_application_that_is_not_there_closes_the_connection(plan: dict[str, Any], places: dict[str, Place]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    assert ask({**plan, "application": f"127.0.0.1:{port}"}) == b""


def test_a_site_that_is_gone_says_so_to_a_whole_request(plan: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "state" / "gone").touch()
    (tmp_path / "state" / "moved").touch()
    head, _empty, body = ask(plan, b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 410 Gone\r\n")
    assert f"Content-Length: {len(body)}".encode() in head


def test_asked_to_end_it_carries_what_it_has_to_its_end(plan: dict[str, Any], places: dict[str, Place]) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    code = (
        f"import socket; from {door.__name__} import serve; serve({plan!r}, socket.socket(fileno={listener.fileno()}))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", code], pass_fds=[listener.fileno()], env=environment)
    try:
        places["application"].go.clear()
        with socket.create_connection(("127.0.0.1", port), 20) as client:
            client.sendall(b"pizza\n")
            await_connection(places["application"].port)
            process.terminate()
            places["application"].go.set()
            with client.makefile("rb") as stream:
                assert stream.read() == b"application pizza\n"
        assert process.wait(10) == 0
        # The socket is still there for the next process: nobody is refused meanwhile.
        with socket.create_connection(("127.0.0.1", port), 10):
            pass
    finally:
        process.kill()
        process.wait(10)
        listener.close()


def test_a_connection_has_ended_once_all_of_it_is_with_the_kernel(plan: dict[str, Any]) -> None:
    sent = b"x" * 60000 + b"\n"

    async def exchange() -> bytes:
        carried: list[asyncio.Task[None]] = []

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
            carried.append(asyncio.ensure_future(door.carry(plan, reader, writer)))

        listener = await asyncio.start_server(handle, "127.0.0.1", 0)
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        narrow.connect(listener.sockets[0].getsockname())
        reader, writer = await asyncio.open_connection(sock=narrow, limit=1024)
        try:
            writer.write(sent)
            await writer.drain()
            # Nobody reads: a door that were at its end now would take the rest along.
            await asyncio.sleep(0.5)
            assert not carried[0].done()
            return await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.close()
            listener.close()

    assert asyncio.run(exchange()) == b"application " + sent


def await_connection(port: int) -> None:
    """Wait until somebody is connected to a port, as the kernel shows it."""
    wanted, until = f":{port:04X}", time.monotonic() + 20
    while time.monotonic() < until:
        lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
        if any(line.split()[1].endswith(wanted) and line.split()[3] == "01" for line in lines):
            return
        time.sleep(0.01)
    pytest.fail("nobody came")


class Kernel:
    """nft and systemctl as they answer here."""

    def __init__(self, led: bool, mended: bool) -> None:
        self.led, self.mended = led, mended
        self.asked: list[list[str]] = []

    def __call__(self, command: list[str], **_options: Any) -> subprocess.CompletedProcess[str]:
        self.asked.append(command)
        if command[0] == "systemctl":
            self.led = self.mended
            return subprocess.CompletedProcess(command, 0, "", "")
        return subprocess.CompletedProcess(
            command, 0 if self.led else 1, " redirect to :20000\n" if self.led else "", ""
        )


@pytest.mark.parametrize(
    ("led", "mended", "problems", "asked"),
    [
        (True, True, 0, ["nft"]),
        (False, True, 0, ["nft", "systemctl", "nft"]),
        (False, False, 1, ["nft", "systemctl", "nft"]),
    ],
)
def test_rules_that_are_gone_are_put_back_or_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, led: bool, mended: bool, problems: int, asked: list[str]
) -> None:
    (tmp_path / "door.nft").touch()
    kernel = Kernel(led, mended)
    monkeypatch.setattr(door.subprocess, "run", kernel)
    found = door.problems(str(tmp_path), "shop")
    assert len(found) == problems
    assert [command[0] for command in kernel.asked] == asked
    if problems:
        assert found == [
            "the kernel does not lead requests to the valve's door: 'nft list table ip cutover-shop' fails, and "
            "cutover-shop-door-rules.service does not put it back"
        ]


def test_where_the_web_server_looks_for_the_flags_itself_nobody_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Kernel(led=False, mended=False)
    monkeypatch.setattr(door.subprocess, "run", kernel)
    assert door.problems(str(tmp_path), "shop") == []
    assert kernel.asked == []


def test_a_host_without_nft_leads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "door.nft").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert len(door.problems(str(tmp_path), "shop")) == 1
