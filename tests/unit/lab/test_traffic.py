# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The traffic must count every wrong it is there to find; here each wrong is planted."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab.traffic.__main__ import add_windows, drive, parse, passed
from tests.lab.traffic.http import Client, Connection, Request, RequestError, Server
from tests.lab.traffic.ledger import Ledger, Write
from tests.lab.traffic.names import Resolvers
from tests.lab.traffic.readback import Findings
from tests.lab.traffic.timeline import Sample, Window, by_second, in_window, percentile
from tests.unit.plugins.name_server import NameServer

Handler = Callable[["FakeSite", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class FakeSite:
    """Enough of the shop and the guestbook to be told to misbehave."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, object]] = {}
        self.statuses: dict[str, str] = {}
        self.pictures: dict[str, bytes] = {}
        self.loses_pictures = False
        self.sessions = {"sessionid=known"}
        self.seen: list[tuple[str, str]] = []
        self.fail_next = 0
        self.mute_next = 0
        self.forget: set[int] = set()
        self.garble: set[int] = set()
        self.double: set[int] = set()
        self.page = 10
        self.keeps_statuses = True
        self.close_after = 0
        self.written = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answered = 0
        while line := await reader.readline():
            method, path, _ = line.decode().split()
            headers = {}
            while (header := (await reader.readline()).decode().strip()) != "":
                name, _, value = header.partition(":")
                headers[name.lower()] = value.strip()
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.seen.append((method, path))
            if self.close_after and answered >= self.close_after:
                break
            if self.mute_next:
                self.mute_next -= 1
                await asyncio.sleep(60)
            status, answer = self._answer(method, path, headers, body)
            content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
            answered += 1
            if headers["connection"] == "close":
                break
        writer.close()

    def _answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, object]:
        if self.fail_next:
            self.fail_next -= 1
            return 500, {}
        if path.endswith("/status"):
            if self.keeps_statuses:
                self.statuses[path.split("/")[3]] = json.loads(body)["status"]
            return 200, {"status": "ready"}
        if path == "/api/media":
            url = f"/media/{headers['idempotency-key']}.png"
            self.pictures[url] = b"" if self.loses_pictures else body
            return 201, {"url": url}
        if method == "POST":
            key = headers["idempotency-key"]
            self.written += 1
            answer = {"key": key, "id": self.written, "number": self.written, "total": "9.50"}
            if self.written not in self.forget:
                self.rows[key] = {**answer, "total": "0"} if self.written in self.garble else answer
            return 201, answer
        if path == "/admin/":
            return (200, b"<a>Log out</a>") if headers["cookie"] in self.sessions else (302, b"")
        return (200, self.pictures[path]) if path in self.pictures else self._read(path)

    def _read(self, path: str) -> tuple[int, object]:
        if "since=" in path:
            return 200, self._listing(path)
        if path.startswith("/api/"):
            key = path.rsplit("/", 1)[1]
            if key not in self.rows:
                return 404, {}
            return 200, {**self.rows[key], "status": self.statuses.get(key, "placed")}
        return 200, {"page": path}

    def _listing(self, path: str) -> dict[str, Any]:
        since = int(path.partition("since=")[2])
        rows = [
            {"id": row["id"], "key": key, "status": self.statuses.get(key, "placed")}
            for key, row in sorted(self.rows.items(), key=lambda item: int(str(item[1]["id"])))
            for _ in range(2 if row["id"] in self.double else 1)
            if int(str(row["id"])) > since
        ][: self.page]
        name = "orders" if "orders" in path else "entries"
        return {name: rows, "next": rows[-1]["id"] if rows else since, "more": len(rows) == self.page}


async def listen(site: FakeSite) -> tuple[asyncio.Server, int]:
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


def run(site: FakeSite, out: Path, *more: str, requests: int = 60) -> dict[str, Any]:
    async def scenario() -> dict[str, Any]:
        server, port = await listen(site)
        async with server:
            plan = parse(
                [
                    f"--url=http://127.0.0.1:{port}",
                    "--host=ocpizza.test",
                    "--rate=400",
                    "--seed=1",
                    f"--max-requests={requests}",
                    f"--out={out / 'traffic.json'}",
                    *more,
                ]
            )
            return await drive(plan)

    return asyncio.run(scenario())


def ask(site: FakeSite, *requests: Request, timeout: float = 5) -> tuple[list[object], Client]:
    """Ask one after the other on one keep-alive connection."""

    async def scenario() -> tuple[list[object], Client]:
        server, port = await listen(site)
        async with server:
            client = Client(Server("127.0.0.1", port, "ocpizza.test"), connections=1, timeout=timeout)
            results: list[object] = []
            for request in requests:
                try:
                    results.append((await client.ask(request, fresh=False)).status)
                except RequestError as failure:
                    results.append(failure.kind)
            client.close()
            return results, client

    return asyncio.run(scenario())


def order(key: str = "k") -> Request:
    return Request("POST", "/api/orders", {"Idempotency-Key": key}, b"{}")


def token(directory: Path) -> str:
    (directory / "token").write_text("secret")
    return f"--staff-token-file={directory / 'token'}"


def test_all_is_well(tmp_path: Path) -> None:
    summary = run(FakeSite(), tmp_path, token(tmp_path))
    assert passed(summary)
    assert summary["requests"] >= 60
    assert summary["acknowledged_writes"] > 5
    assert json.loads((tmp_path / "traffic.json").read_text()) == summary


def test_lost_write_is_found(tmp_path: Path) -> None:
    site = FakeSite()
    site.forget = {2}
    summary = run(site, tmp_path)
    assert (summary["failed"], summary["lost_writes"]) == (0, 1)
    assert not passed(summary)


def test_lost_upload_is_found(tmp_path: Path) -> None:
    more = ("--media", "--writes=1", token(tmp_path))
    well = run(FakeSite(), tmp_path, *more)
    assert (well["failed"], well["lost_writes"]) == (0, 0)
    site = FakeSite()
    site.loses_pictures = True
    # Every twentieth request is one.
    assert run(site, tmp_path, *more)["lost_writes"] == len(site.pictures) == 3


def test_as_many_are_sent_as_asked_for(tmp_path: Path) -> None:
    assert run(FakeSite(), tmp_path, "--writes=0", requests=60)["requests"] == 60


def test_upload_that_is_not_there_at_once_is_a_failure(tmp_path: Path) -> None:
    site = FakeSite()
    site.loses_pictures = True
    more = ("--media", "--writes=0.5", token(tmp_path))
    assert run(site, tmp_path, *more, requests=400)["sites"]["ocpizza"]["failures"].keys() == {"wrong-answer"}


@pytest.mark.parametrize("known", [True, False])
def test_who_has_signed_in_stays_so(tmp_path: Path, known: bool) -> None:
    (tmp_path / "session").write_text("known" if known else "forgotten")
    site = FakeSite()
    counted = run(site, tmp_path, "--writes=0", f"--session-file={tmp_path / 'session'}", requests=100)
    asked = len([path for _, path in site.seen if path == "/admin/"])
    assert asked == 4
    assert counted["sites"]["ocpizza"]["failures"] == ({} if known else {"http-302": asked})


def test_changed_write_is_lost(tmp_path: Path) -> None:
    site = FakeSite()
    site.garble = {1, 3}
    assert run(site, tmp_path)["lost_writes"] == 2


def test_write_listed_twice_is_duplicated(tmp_path: Path) -> None:
    site = FakeSite()
    site.double = {4}
    site.page = 1000
    summary = run(site, tmp_path)
    assert (summary["lost_writes"], summary["duplicated_writes"]) == (0, 1)


def test_status_that_went_back_is_lost(tmp_path: Path) -> None:
    site = FakeSite()
    site.keeps_statuses = False
    summary = run(site, tmp_path, "--writes=1", token(tmp_path), requests=200)
    assert summary["failed"] == 0
    assert summary["lost_writes"] == len([path for _, path in site.seen if path.endswith("/status")])


def database(rows: str, which: str = "") -> list[str]:
    program = f"import sys; sys.stdin.read(); print({rows!r}, end='')"
    return [f'--{which}database={sys.executable} -c "{program}"', f"--{which}query=SELECT 1"]


@pytest.mark.parametrize("which", ["", "stock-"])
def test_write_missing_in_a_database_is_lost(tmp_path: Path, which: str) -> None:
    summary = run(FakeSite(), tmp_path, *database("", which))
    assert summary["lost_writes"] > 5


def test_duplicate_row_is_found() -> None:
    found = Findings()
    found.count({"a", "b"}, {"a": 2, "b": 1, "other": 5})
    assert (found.lost, found.duplicated) == (set(), {"a"})


@pytest.mark.parametrize("which", ["", "stock-"])
def test_database_that_cannot_be_asked_is_no_proof(tmp_path: Path, which: str) -> None:
    summary = run(FakeSite(), tmp_path, f"--{which}database=false", f"--{which}query=SELECT 1")
    assert (summary["failed"], summary["lost_writes"], summary["duplicated_writes"]) == (0, None, None)
    assert summary["sites"]["ocpizza"]["unproven"].startswith("could not count rows in the database")
    assert not passed(summary)


@pytest.mark.parametrize("which", ["", "stock-"])
def test_database_may_be_named_while_it_runs(tmp_path: Path, which: str) -> None:
    command = f'{sys.executable} -c "import sys; sys.stdin.read()"'
    (tmp_path / "traffic-control.json").write_text(json.dumps({f"{which}database".replace("-", "_"): command}))
    summary = run(FakeSite(), tmp_path, f"--{which}database=false", f"--{which}query=SELECT 1", requests=200)
    assert summary["lost_writes"] > 5


def test_error_answer_is_a_failure_and_its_write_unknown(tmp_path: Path) -> None:
    site = FakeSite()
    site.fail_next = 5
    summary = run(site, tmp_path, "--writes=1")
    assert summary["failed"] == 5
    assert summary["sites"]["ocpizza"]["failures"] == {"http-500": 5}
    assert summary["sites"]["ocpizza"]["unknown_writes"] == 5
    assert summary["lost_writes"] == 0


def test_timeout_is_a_failure(tmp_path: Path) -> None:
    site = FakeSite()
    site.mute_next = 1
    summary = run(site, tmp_path, "--timeout=0.5")
    assert summary["sites"]["ocpizza"]["failures"] == {"timeout": 1}
    assert summary["longest_ms"] >= 500


def test_refused_connection_is_a_failure(tmp_path: Path) -> None:
    plan = parse(["--url=http://127.0.0.1:1", "--host=a", "--max-requests=3", f"--out={tmp_path / 't.json'}"])
    summary = asyncio.run(drive(plan))
    assert summary["sites"]["ocpizza"]["failures"] == {"refused": summary["requests"]}


def test_idle_connection_closed_is_asked_again_when_reading() -> None:
    site = FakeSite()
    site.close_after = 1
    results, client = ask(site, Request("GET", "/"), Request("GET", "/pizza/1/"))
    assert results == [200, 200]
    assert client.reconnected == 1
    assert site.seen == [("GET", "/"), ("GET", "/pizza/1/"), ("GET", "/pizza/1/")]


def test_write_without_a_key_is_never_sent_twice() -> None:
    site = FakeSite()
    site.close_after = 1
    write = order()
    del write.headers["Idempotency-Key"]
    results, client = ask(site, Request("GET", "/"), write)
    assert results == [200, "closed"]
    assert client.reconnected == client.repeated_writes == 0
    assert site.seen.count(("POST", "/api/orders")) == 1


def test_write_with_a_key_is_repeated_once_where_an_idle_connection_was_closed_and_is_counted() -> None:
    site = FakeSite()
    site.close_after = 1
    results, client = ask(site, Request("GET", "/"), order())
    assert results == [200, 201]
    assert client.reconnected == client.repeated_writes == 1
    assert site.seen.count(("POST", "/api/orders")) == 2


def test_first_request_of_a_connection_is_never_sent_twice() -> None:
    async def slam(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def scenario() -> str:
        server = await asyncio.start_server(slam, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            client = Client(Server("127.0.0.1", port, "a"), connections=1, timeout=5)
            with pytest.raises(RequestError) as caught:
                await client.ask(Request("GET", "/"), fresh=False)
            return caught.value.kind

    assert asyncio.run(scenario()) in {"closed", "reset"}


def test_connection_the_server_has_left_is_not_used() -> None:
    async def scenario() -> tuple[int, int, int]:
        site = FakeSite()
        server, port = await listen(site)
        async with server:
            client = Client(Server("127.0.0.1", port, "a"), connections=1, timeout=5)
            await client.ask(Request("GET", "/"), fresh=False)
            connection: Connection = client._idle[0]
            connection._reader.feed_eof()
            response = await client.ask(order(), fresh=False)
            client.close()
            return response.status, client.idle_closed, client.reconnected

    assert asyncio.run(scenario()) == (201, 1, 0)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1;x=y\r\ni\r\n0\r\nA: b\r\n\r\n", b"hi"),
        (b"HTTP/1.0 200 OK\r\n\r\nhi", b"hi"),
        (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 204 No\r\n\r\n", b""),
    ],
)
def test_bodies(answer: bytes, body: bytes) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async def scenario() -> bytes:
        server = await asyncio.start_server(speak, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            client = Client(Server("127.0.0.1", port, "a"), connections=1, timeout=5)
            return (await client.ask(Request("GET", "/"), fresh=True)).body

    assert asyncio.run(scenario()) == body


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", b"nonsense\r\n\r\n"])
def test_half_an_answer_is_a_failure(answer: bytes) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async def scenario() -> str:
        server = await asyncio.start_server(speak, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            client = Client(Server("127.0.0.1", port, "a"), connections=1, timeout=5)
            with pytest.raises(RequestError) as caught:
                await client.ask(Request("GET", "/"), fresh=True)
            return caught.value.kind

    assert asyncio.run(scenario()) == "malformed"


@pytest.mark.parametrize("url", ["http://192.0.2.1", "http://example.org", "ftp://127.0.0.1", "127.0.0.1"])
def test_only_this_machine_is_loaded(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse([f"--url={url}", "--host=a", "--out=/nowhere"])
    assert "traffic goes to a loopback address only" in capsys.readouterr().err


@pytest.mark.parametrize("within", ["0.0.0.0/0", "8.8.8.0/24"])
def test_no_other_network_is_loaded(within: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--url=http://8.8.8.8", "--host=a", f"--within={within}", "--out=/nowhere"])
    assert "traffic goes to a loopback address only" in capsys.readouterr().err


def test_each_connection_goes_where_the_name_points_then() -> None:
    told = NameServer("a.test. 0 A 127.0.0.1")

    async def find(within: str = "127.0.0.0/8") -> str:
        return await Resolvers([told.name], "a.test", within).find()

    assert asyncio.run(find()) == "127.0.0.1"
    told.records[:] = ["a.test. 0 A 127.0.0.2"]
    assert asyncio.run(find()) == "127.0.0.2"
    with pytest.raises(RequestError, match="elsewhere"):
        asyncio.run(find("10.0.0.0/8"))
    told.records.clear()
    with pytest.raises(RequestError, match="unresolved"):
        asyncio.run(find())
    told.close()


def test_rate_and_stop_come_from_the_control_file(tmp_path: Path) -> None:
    (tmp_path / "traffic-control.json").write_text(json.dumps({"rate": 20, "stop": True}))
    summary = run(FakeSite(), tmp_path, requests=100_000)
    assert summary["requests"] < 100_000


def test_neighbour_is_counted_apart(tmp_path: Path) -> None:
    summary = run(FakeSite(), tmp_path, "--neighbour=annex.test", "--neighbour-rate=200")
    annex = summary["sites"]["annex"]
    assert annex["requests"] >= 60
    assert annex["acknowledged_writes"] > 0
    assert summary["requests"] == annex["requests"] + summary["sites"]["ocpizza"]["requests"]


def sample(due: float, latency: float, outcome: str = "ok", served: str = "") -> Sample:
    return Sample(due, latency, "ocpizza", "browse", outcome, True, served)


def test_window_has_what_was_under_way() -> None:
    samples = [sample(9, 500), sample(9, 1500), sample(10.5, 700, "reset"), sample(11.5, 9000)]
    found = in_window(samples, Window("switchover", 10, 11))
    assert (found["requests"], found["failed"], found["longest_ms"]) == (2, 1, 1500)


def test_seconds_tell_who_served() -> None:
    rows = by_second([sample(1.2, 5, served="old"), sample(1.9, 7, served="app1"), sample(2.1, 1, "reset")])
    assert rows[0] == {
        "time": 1,
        "requests": 2,
        "failed": 0,
        "longest_ms": 7,
        "served": {"old": 1, "app1": 1},
    }
    assert rows[1]["failed"] == 1


def test_windows_are_worked_in_afterwards(tmp_path: Path) -> None:
    summary = run(FakeSite(), tmp_path)
    window = Window("cutover", float(str(summary["started"])), float(str(summary["finished"])))
    later = add_windows(tmp_path / "traffic.json", [window], baseline=window)
    assert later["windows"][0]["requests"] == summary["requests"]
    assert later["baseline_p50_ms"] == later["windows"][0]["p50_ms"]


@pytest.mark.parametrize(
    ("values", "share", "expected"), [([], 0.5, 0), ([3, 1, 2], 0.5, 2), ([1] * 99 + [9], 0.99, 1)]
)
def test_percentile(values: list[float], share: float, expected: float) -> None:
    assert percentile(values, share) == expected


def test_ledger_is_on_disk_line_by_line(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append(Write("ocpizza", "order", "k", 1.0, True, {"number": 1}))
    kept = json.loads((tmp_path / "ledger.jsonl").read_text())
    assert (kept["key"], kept["acknowledged"], kept["answer"]) == ("k", True, {"number": 1})
