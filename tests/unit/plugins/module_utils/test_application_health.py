"""When an application is well."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils.application_health import ask


class Handler(BaseHTTPRequestHandler):
    """Answers by the path."""

    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/ok")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path == "/torn":
            self.send_response(200)
            self.send_header("Content-Length", "99")
            self.end_headers()
            return
        seen = self.headers["Host"], self.headers["X-Forwarded-Proto"]
        status = {"/ok": 200, "/empty": 200, "/none": 204}.get(self.path, 503)
        body = b"" if self.path in ("/empty", "/none") else repr(seen).encode()
        self.send_response(status if seen == ("shop.example", "https") else 400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    made = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()


@pytest.mark.parametrize(
    ("path", "trouble"),
    [
        ("/ok", ""),
        ("/empty", "{url} answered nothing"),
        ("/none", "{url} answered 204"),
        ("/ill", "{url}: HTTP Error 503: Service Unavailable"),
        # A redirect leads by name, and the name still leads to the origin: that one would answer.
        ("/moved", "{url}: HTTP Error 302: Found"),
        ("/torn", "{url}: IncompleteRead(0 bytes read, 99 more expected)"),
    ],
)
def test_an_application_is_well_when_it_says_so_itself(server: str, path: str, trouble: str) -> None:
    health = {"url": server + path, "host": "shop.example"}
    assert ask(health, 5.0) == trouble.format(url=health["url"])


def test_an_application_that_is_not_there_is_not_well() -> None:
    assert ask({"url": "http://127.0.0.1:1/", "host": "shop.example"}, 5.0) == (
        "http://127.0.0.1:1/: <urlopen error [Errno 111] Connection refused>"
    )
