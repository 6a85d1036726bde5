"""The relay: bytes both ways over TLS, on a real loop with a certificate made here."""

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ansible_collections.ocpizza.cutover.plugins.module_utils import relay

NAME = "target.test"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and self-signed certificate for the target's name, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName(NAME), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "target.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what came, in capitals, after its own words."""
    writer.write(b"hello ")
    data = await reader.readuntil(b"\n")
    writer.write(data.upper())
    await writer.drain()
    writer.close()


async def exchange(certificate: Path, handler: Handler, sent: bytes, name: str = NAME, up: bool = True) -> bytes:
    """What a client of the relay gets until the end of its connection."""
    there = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    there.load_cert_chain(certificate)
    target = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=there)
    port = target.sockets[0].getsockname()[1]
    if not up:
        target.close()
        await target.wait_closed()
    context = ssl.create_default_context(cafile=str(certificate))

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await relay.carry(reader, writer, "127.0.0.1", port, context, name)

    listener = await asyncio.start_server(carry, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.sockets[0].getsockname()[1])
    try:
        writer.write(sent)
        await writer.drain()
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()
        listener.close()
        target.close()


def run(*arguments: Any, **named: Any) -> bytes:
    return asyncio.run(exchange(*arguments, **named))


def test_bytes_pass_both_ways(certificate: Path) -> None:
    assert run(certificate, answer, b"pizza\n") == b"hello PIZZA\n"


def test_what_is_larger_than_a_chunk_passes_whole(certificate: Path) -> None:
    sent = b"x" * (3 * relay.CHUNK) + b"\n"

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(len(sent)))
        await writer.drain()
        writer.close()

    assert run(certificate, echo, sent) == sent


def test_the_end_of_the_answer_ends_the_request_too(certificate: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\n")
        writer.close()

    assert run(certificate, hang_up, b"pizza\n") == b""


def test_a_target_that_is_not_there_closes_the_connection(certificate: Path) -> None:
    assert run(certificate, answer, b"pizza\n", up=False) == b""


def test_a_certificate_of_another_name_gets_no_request(certificate: Path) -> None:
    seen: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read())
        writer.close()

    assert run(certificate, listen, b"pizza\n", name="other.test") == b""
    assert b"".join(seen) == b""


def test_it_listens_on_loopback_alone_and_verifies_the_target(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    async def start_server(handle: Handler, host: str, port: int, backlog: int) -> None:
        asked.update(host=host, port=port, backlog=backlog)
        await handle(None, None)  # type: ignore[arg-type]

    async def carry(_reader: None, _writer: None, address: str, port: int, context: ssl.SSLContext, name: str) -> None:
        asked.update(target=(address, port, name), verified=(context.verify_mode, context.check_hostname))

    class Loop:
        """Runs what never waits."""

        def run_until_complete(self, coroutine: Coroutine[Any, Any, None]) -> None:
            with pytest.raises(StopIteration):
                coroutine.send(None)

        def run_forever(self) -> None:
            asked.update(forever=True)

    monkeypatch.setattr(relay.asyncio, "start_server", start_server)
    monkeypatch.setattr(relay, "carry", carry)
    monkeypatch.setattr(relay.asyncio, "new_event_loop", Loop)
    monkeypatch.setattr(relay.asyncio, "set_event_loop", lambda _loop: None)
    relay.serve(18001, "10.0.0.5", 443, NAME, str(certificate))
    assert asked == {
        "host": "127.0.0.1",
        "port": 18001,
        "backlog": 4096,
        "target": ("10.0.0.5", 443, NAME),
        "verified": (ssl.CERT_REQUIRED, True),
        "forever": True,
    }
