# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A web server on the loopback address that answers what a test puts in, with TLS and an authority of its own."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

Reply = tuple[int, dict[str, str], bytes]
Answering = Callable[[str, str], Reply]


class WebServer(ThreadingHTTPServer):
    """``answer`` gets host and path of each request; what was asked stays in ``asked``."""

    daemon_threads = True

    def __init__(self, answer: Answering, tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host = self.headers.get("Host", "")
                outer.asked.append((self.command, host, self.path))
                status, headers, body = outer.answer(host, self.path)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *_arguments: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.server_address[1]}"
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that break off are part of the tests."""

    def close(self) -> None:
        self.shutdown()
        self.server_close()


def certificate(folder: Path, names: list[str], days: float = 90) -> tuple[Path, Path]:
    """Paths of an authority's certificate and of a server's, with its key, that it signed."""
    now = datetime.now(UTC)

    def build(
        subject: str,
        issuer: str,
        key: ec.EllipticCurvePrivateKey,
        signer: ec.EllipticCurvePrivateKey,
        end: datetime,
        authority: bool,
    ) -> x509.Certificate:
        name = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in (subject, issuer)]
        builder = (
            x509.CertificateBuilder()
            .subject_name(name[0])
            .issuer_name(name[1])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=400))
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if not authority:
            alternatives = x509.SubjectAlternativeName([x509.DNSName(each) for each in names])
            builder = builder.add_extension(alternatives, critical=False)
        return builder.sign(signer, hashes.SHA256())

    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = build("authority", "authority", authority_key, authority_key, now + timedelta(days=900), True)
    own = build(names[0], "authority", key, authority_key, now + timedelta(days=days), False)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "ca.pem").write_bytes(authority.public_bytes(pem))
    (folder / "server.pem").write_bytes(own.public_bytes(pem) + authority.public_bytes(pem) + private)
    return folder / "ca.pem", folder / "server.pem"


def context(server: Path) -> ssl.SSLContext:
    """What a server with this certificate speaks."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(server)
    return tls
