"""What the kernel tells of established connections."""

import contextlib
import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import socket_diag, valve

MAPPED = "::ffff:127.0.0.1"


@contextlib.contextmanager
def connected(address: str, family: socket.AddressFamily, number: int) -> Iterator[tuple[int, list[int]]]:
    """So many connections to a server on both families: its port, and theirs."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket(socket.AF_INET6))
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind(("::", 0))
        server.listen()
        port = server.getsockname()[1]
        theirs = []
        for _number in range(number):
            client = stack.enter_context(socket.socket(family))
            client.connect((address, port))
            stack.enter_context(server.accept()[0])
            theirs.append(client.getsockname()[1])
        yield port, sorted(theirs)


@pytest.mark.parametrize(
    ("address", "family", "told"),
    [
        ("127.0.0.1", socket.AF_INET, "127.0.0.1"),
        ("::1", socket.AF_INET6, "::1"),
        (MAPPED, socket.AF_INET6, "127.0.0.1"),
    ],
)
def test_connections_are_found_from_both_ends(address: str, family: socket.AddressFamily, told: str) -> None:
    with connected(address, family, 3) as (port, theirs):
        accepted = socket_diag.established(port_here=port)
        assert sorted(accepted) == [(port, told, their) for their in theirs]
        opened = socket_diag.established(port_there=port)
        assert sorted(opened) == [(their, told, port) for their in theirs]
        for endpoint in (valve.Endpoint(port=port), valve.Endpoint(told, port, False)):
            assert valve.count_asked(endpoint) == valve.count_listed(endpoint) == valve.in_flight(endpoint) == 3
        assert valve.in_flight(valve.Endpoint("192.0.2.1", port, False)) == 0
    assert socket_diag.established(port_here=port) == []


def test_many_are_told_in_several_messages() -> None:
    with connected("127.0.0.1", socket.AF_INET, 700) as (port, theirs):
        assert sorted(there for _here, _address, there in socket_diag.established(port_here=port)) == theirs


@given(st.sampled_from([socket.AF_INET, socket.AF_INET6]), st.integers(0, 65535), st.integers(0, 65535), st.data())
def test_a_connection_comes_out_as_it_went_in(family: int, here: int, there: int, data: Any) -> None:
    address = data.draw(st.ip_addresses(v=4 if family == socket.AF_INET else 6))
    body = struct.pack("=BBBB", family, 1, 0, 0) + struct.pack(">HH", here, there) + bytes(16)
    body += address.packed.ljust(16, b"\0") + bytes(20)
    expected = getattr(address, "ipv4_mapped", None) or ipaddress.ip_address(address)
    assert socket_diag.connection(body) == (here, str(expected), there)


def test_messages_are_told_apart() -> None:
    first, last = struct.pack("=IHHII", 18, 20, 0, 1, 0) + b"ab\0\0", struct.pack("=IHHII", 20, 3, 0, 1, 0) + bytes(4)
    assert list(socket_diag.messages(first + last)) == [(20, b"ab"), (3, bytes(4))]
    with pytest.raises(OSError, match="cannot be read"):
        list(socket_diag.messages(bytes(16)))


class Kernel:
    """Answers that it has no such module, at once or at the end."""

    kind = socket_diag.ERROR

    def __init__(self, *_what: int) -> None:
        self.answer = struct.pack("=IHHIIi", 20, self.kind, 0, 1, 0, -errno.ENOENT)

    def __enter__(self) -> "Kernel":
        return self

    def __exit__(self, *_what: object) -> None:
        pass

    def settimeout(self, _seconds: float) -> None:
        pass

    def send(self, _question: bytes) -> None:
        pass

    def recv(self, _most: int) -> bytes:
        return self.answer


@pytest.mark.parametrize("kind", [socket_diag.ERROR, socket_diag.DONE])
def test_a_kernel_that_does_not_tell_is_an_error_and_the_tables_are_read(
    monkeypatch: pytest.MonkeyPatch, kind: int
) -> None:
    monkeypatch.setattr(Kernel, "kind", kind)
    with connected("127.0.0.1", socket.AF_INET, 2) as (port, _theirs):
        monkeypatch.setattr(socket_diag.socket, "socket", Kernel)
        with pytest.raises(FileNotFoundError, match=os.strerror(errno.ENOENT)):
            socket_diag.established(port_here=port)
        assert valve.in_flight(valve.Endpoint(port=port)) == 2
