# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP/1.1 over asyncio streams, as little as the traffic needs; it never sends anything twice by itself."""

from __future__ import annotations

import asyncio
import json
import select
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

BODY_LIMIT = 8 * 1024 * 1024


class RequestError(Exception):
    """A request without a usable answer; `kind` is what the timeline counts."""

    def __init__(self, kind: str, *, sent: bool, answered: bool = False) -> None:
        """`sent`: a byte of the request may have left; `answered`: a byte of a response came."""
        super().__init__(kind)
        self.kind = kind
        self.sent = sent
        self.answered = answered


@dataclass
class Request:
    """What is asked for."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def idempotent(self) -> bool:
        """Whether RFC 9110 (9.2.2) lets a client send it again: safe to repeat by method, or by a key in it."""
        return self.method in {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"} or "Idempotency-Key" in self.headers


@dataclass
class Response:
    """What came back; header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; an empty one when it is something else."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def keeps_alive(self) -> bool:
        """Whether the server leaves the connection open."""
        return self.headers.get("connection", "").lower() != "close"


@dataclass(frozen=True)
class Server:
    """Where connections go and what the Host header says."""

    address: str
    port: int
    host: str
    tls: ssl.SSLContext | None = None
    find: Callable[[], Awaitable[str]] | None = None


class Connection:
    """One TCP connection; requests one after the other."""

    def __init__(self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Use `open` instead."""
        self._server = server
        self._reader = reader
        self._writer = writer
        self.used = 0
        self._expires = float("inf")

    @classmethod
    async def open(cls, server: Server) -> Connection:
        """Connect, by name where the server has one; a refusal is a RequestError."""
        address = await server.find() if server.find else server.address
        try:
            reader, writer = await asyncio.open_connection(
                address,
                server.port,
                ssl=server.tls,
                server_hostname=server.host if server.tls else None,
            )
        except OSError as problem:
            raise RequestError("refused", sent=False) from problem
        return cls(server, reader, writer)

    @property
    def closed_by_server(self) -> bool:
        """Whether the server ended the stream while nothing was being asked.

        The kernel is asked, as urllib3 does before it uses a connection again: on a busy machine the end may have
        come and this loop may not have read it.
        """
        if self._reader.at_eof() or self._writer.is_closing() or self._reader.exception() is not None:
            return True
        # Over TLS a readable socket may be a session ticket.
        socket = self._writer.get_extra_info("socket")
        if self._server.tls is not None or socket is None or socket.fileno() < 0:
            return False
        waiting = select.poll()
        waiting.register(socket.fileno(), select.POLLIN | select.POLLHUP | select.POLLRDHUP)
        return bool(waiting.poll(0))

    @property
    def expired(self) -> bool:
        """Whether the server said in `Keep-Alive: timeout=` that it would be gone by now."""
        return time.monotonic() >= self._expires

    async def ask(self, request: Request, *, close: bool = False) -> Response:
        """Send one request and read its answer."""
        if self.closed_by_server:
            raise RequestError("closed", sent=False)
        lines = {
            "Host": self._server.host,
            "User-Agent": "ocpizza-lab",
            "Connection": "close" if close else "keep-alive",
            **request.headers,
        }
        if request.body or request.method in {"POST", "PUT"}:
            lines["Content-Length"] = str(len(request.body))
        head = f"{request.method} {request.path} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
        answered = False
        try:
            self._writer.write(head.encode("latin-1") + request.body)
            await self._writer.drain()
            start = await self._reader.readline()
            answered = bool(start)
            if not start:
                raise RequestError("closed", sent=True)
            response = await self._rest(start)
        except OSError as problem:
            raise RequestError("reset", sent=True, answered=answered) from problem
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, IndexError, ValueError) as problem:
            raise RequestError("malformed", sent=True, answered=answered) from problem
        self.used += 1
        self._note_keep_alive(response)
        return response

    def close(self) -> None:
        """Close without waiting."""
        self._writer.close()

    async def _rest(self, start: bytes) -> Response:
        status = int(start.split(None, 2)[1])
        headers = await self._headers()
        while 100 <= status < 200:
            status = int((await self._reader.readline()).split(None, 2)[1])
            headers = await self._headers()
        return Response(status, headers, await self._body(status, headers))

    async def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        while line := (await self._reader.readline()).decode("latin-1").strip():
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return headers

    async def _body(self, status: int, headers: dict[str, str]) -> bytes:
        if status in {204, 304}:
            return b""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return await self._chunks()
        if "content-length" in headers:
            return await self._reader.readexactly(int(headers["content-length"]))
        headers["connection"] = "close"
        return await self._reader.read(BODY_LIMIT)

    async def _chunks(self) -> bytes:
        body = b""
        while True:
            line = await self._reader.readline()
            if not line:
                raise asyncio.IncompleteReadError(body, None)
            size = int(line.split(b";")[0], 16)
            if size == 0:
                await self._headers()
                return body
            body += (await self._reader.readexactly(size + 2))[:-2]

    def _note_keep_alive(self, response: Response) -> None:
        for part in response.headers.get("keep-alive", "").split(","):
            name, _, value = part.strip().partition("=")
            if name.lower() == "timeout" and value.isdigit():
                # As browsers do: leave a margin rather than race the server's own closing.
                self._expires = time.monotonic() + max(int(value) - 1, 0)


class Client:
    """Keep-alive connections used in turn, and fresh ones beside them."""

    def __init__(self, server: Server, *, connections: int, timeout: float) -> None:
        """`connections`: how many keep-alive connections the crowd holds open at rest."""
        self._server = server
        self._wanted = connections
        self._timeout = timeout
        self._idle: list[Connection] = []
        self._open = 0
        self.reconnected = 0
        self.repeated_writes = 0
        self.idle_closed = 0
        self.opened = 0

    async def ask(self, request: Request, *, fresh: bool) -> Response:
        """One request, one answer, within the timeout."""
        sent = [False]
        try:
            return await asyncio.wait_for(self._ask(request, fresh, sent), self._timeout)
        except asyncio.TimeoutError as problem:
            raise RequestError("timeout", sent=sent[0]) from problem

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().close()

    async def _ask(self, request: Request, fresh: bool, sent: list[bool]) -> Response:
        if fresh:
            return await self._fresh(request, sent)
        connection = self._take() or await self._connect()
        reused = connection.used > 0
        sent[0] = True
        try:
            response = await self._kept(connection, request)
        except RequestError as failure:
            closed_idle = reused and failure.kind in {"closed", "reset"} and not failure.answered
            if not closed_idle or (failure.sent and not request.idempotent):
                raise
            self.reconnected += 1
            self.repeated_writes += failure.sent and request.method == "POST"
            response = await self._kept(await self._connect(), request)
        return response

    async def _kept(self, connection: Connection, request: Request) -> Response:
        kept = False
        try:
            response = await connection.ask(request)
            kept = response.keeps_alive
        finally:
            if kept:
                self._idle.append(connection)
            else:
                self._open -= 1
                connection.close()
        return response

    async def _fresh(self, request: Request, sent: list[bool]) -> Response:
        self.opened += 1
        connection = await Connection.open(self._server)
        sent[0] = True
        try:
            return await connection.ask(request, close=True)
        finally:
            connection.close()

    async def _connect(self) -> Connection:
        self.opened += 1
        self._open += 1
        try:
            return await Connection.open(self._server)
        except BaseException:
            self._open -= 1
            raise

    def _take(self) -> Connection | None:
        """The connection that has been idle longest; none while the crowd is still gathering."""
        while self._idle:
            if self._open < self._wanted:
                return None
            connection = self._idle.pop(0)
            if not connection.closed_by_server and not connection.expired:
                return connection
            self.idle_closed += 1
            self._open -= 1
            connection.close()
        return None
