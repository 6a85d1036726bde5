# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the two ends of a media link speak: frames of a length and that many bytes, over TLS with a certificate each way.

A message is one frame of JSON. A file is frames of its content, an empty one, and a message with its checksum; where it
could not be read to its end that message has ``error`` instead, and the other end keeps nothing of it.
"""

import hashlib
import json
import socket
import ssl
import struct
import sys
from typing import Any, Dict, Iterable, Iterator, List

from ansible_collections.ocpizza.cutover.plugins.module_utils.media_tree import MediaError

LENGTH = struct.Struct("!I")
LONGEST = 1 << 26
ENOUGH = 1 << 18
Message = Dict[str, Any]


def client_context(ca: str, certificate: str, key: str) -> ssl.SSLContext:
    """For the end that connects: it checks whom it speaks to, and shows who it is."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca)
    context.load_cert_chain(certificate, key)
    return as_others(context)


def server_context(ca: str, certificate: str, key: str) -> ssl.SSLContext:
    """For the end that listens: nobody gets in without a certificate of the same authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate, key)
    if sys.version_info >= (3, 7):
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    return as_others(context)


def as_others(context: ssl.SSLContext) -> ssl.SSLContext:
    """From 3.13 on Python refuses certificates that the site's other servers take, for want of an extension."""
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    return context


def names_of(certificate: Any) -> List[str]:
    """The names that a certificate is for."""
    return [str(name) for _kind, name in (certificate or {}).get("subjectAltName", ())]


class Wire:
    """One connection, either end of it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._buffer = bytearray()
        # What is said goes once there is enough of it, or an answer is waited for: small files make one packet.
        self._unsent = bytearray()

    def close(self) -> None:
        """Hang up."""
        self.connection.close()

    def send(self, message: Message) -> None:
        """Say something."""
        self._frame(json.dumps(message).encode("ascii"))

    def receive(self) -> Message:
        """Hear something; an error of the other end is raised."""
        message = json.loads(self._next().decode("ascii"))
        if "error" in message:
            raise MediaError(message["error"])
        return dict(message)

    def send_file(self, pieces: Iterable[bytes]) -> str:
        """Send a file, and return its checksum."""
        found = hashlib.sha256()
        end: Message = {}
        try:
            for piece in pieces:
                found.update(piece)
                self._frame(piece)
            end["sha256"] = found.hexdigest()
        except MediaError as error:
            end["error"] = str(error)
        self._frame(b"")
        self.send(end)
        return str(end.get("sha256", ""))

    def receive_file(self) -> Iterator[bytes]:
        """The content of a file; MediaError at its end where it is not what was sent."""
        found = hashlib.sha256()
        while True:
            piece = self._next()
            if not piece:
                break
            found.update(piece)
            yield piece
        if self.receive()["sha256"] != found.hexdigest():
            raise MediaError("a file has arrived with another checksum than it was sent with")

    def _frame(self, content: bytes) -> None:
        self._unsent += LENGTH.pack(len(content))
        self._unsent += content
        if len(self._unsent) >= ENOUGH:
            self.flush()

    def flush(self) -> None:
        """Let go of what was said."""
        unsent, self._unsent = self._unsent, bytearray()
        if unsent:
            self.connection.sendall(unsent)

    def _next(self) -> bytes:
        (length,) = LENGTH.unpack(self._exactly(LENGTH.size))
        if length > LONGEST:
            raise MediaError("the other end of the media link sends what cannot be a frame")
        return self._exactly(length)

    def _exactly(self, length: int) -> bytes:
        while len(self._buffer) < length:
            self.flush()
            received = self.connection.recv(1 << 18)
            if not received:
                raise EOFError("the other end of the media link has hung up")
            self._buffer += received
        content = bytes(self._buffer[:length])
        del self._buffer[:length]
        return content


def undelayed(connection: socket.socket) -> socket.socket:
    """Small messages go at once, and an end that is lost is noticed."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return connection
