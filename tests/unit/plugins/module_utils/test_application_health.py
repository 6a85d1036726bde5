"""When an application is well."""

import socket
import ssl
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import application_health

ask = application_health.ask


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
        if self.path.startswith("/page/"):
            body = urllib.parse.unquote(self.path[len("/page/") :]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        seen = self.headers["Host"], self.headers["X-Forwarded-Proto"]
        if self.path == "/own":
            body = b"well" if self.headers.get("X-Cutover-Side") == "secret" else b""
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
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


def word(folder: Path) -> str:
    (folder / "asked").write_text("secret\n")
    return str(folder / "asked")


def test_a_web_server_is_told_that_its_own_application_is_asked_for(server: str, tmp_path: Path) -> None:
    health = {"url": server + "/own", "host": "shop.example"}
    assert ask(health, 5.0) == f"{health['url']} answered nothing"
    assert ask({**health, "own": word(tmp_path)}, 5.0) == ""
    missing = str(tmp_path / "missing")
    assert ask({**health, "own": missing}, 5.0).endswith(f"No such file or directory: '{missing}'")


def test_an_application_on_a_unix_socket(tmp_path: Path) -> None:
    class Server(HTTPServer):
        address_family = socket.AF_UNIX

        def server_bind(self) -> None:
            self.socket.bind(self.server_address)

        def get_request(self) -> Any:
            return self.socket.accept()[0], ("", 0)

    path = str(tmp_path / "shop.sock")
    made = Server(path, Handler)  # type: ignore[arg-type]
    threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    health = {"url": "http://localhost/ok", "host": "shop.example", "socket": path}
    assert ask(health, 5.0) == ""
    assert ask({**health, "url": "http://localhost/ill"}, 5.0) == f"{path}: HTTP Error 503: Service Unavailable"
    made.shutdown()
    made.server_close()
    assert ask({**health, "socket": path + "x"}, 5.0).startswith(f"{path}x: <urlopen error [Errno 2]")


def test_this_hosts_own_certificate_is_not_judged_and_its_name_is_sent(tmp_path: Path) -> None:
    certificate, key = str(tmp_path / "own.pem"), str(tmp_path / "own.key")
    made_by = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=other"]
    subprocess.run([*made_by, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    names: list[str] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    made = HTTPServer(("127.0.0.1", 0), Handler)
    made.socket = context.wrap_socket(made.socket, server_side=True)
    threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    health = {"url": f"https://127.0.0.1:{made.server_port}/own", "host": "shop.example"}
    assert "CERTIFICATE_VERIFY_FAILED" in ask(health, 5.0)
    assert ask({**health, "own": word(tmp_path)}, 5.0) == ""
    assert names == [None, "shop.example"]
    made.shutdown()
    made.server_close()


@pytest.mark.parametrize(
    ("body", "text", "trouble"),
    [
        (b"", "", "nothing"),
        (b"well", "", ""),
        (b"all is well", "is well", ""),
        (b"no database", "is well", "200, but without 'is well' (site_health_text)"),
        (b'{"status": "ok"}', "", ""),
        (b'{"status": "Failed"}', "", "200, but with the status 'Failed'"),
        (b'{"status": "down", "x": "ok"}', "ok", "200, but with the status 'down'"),
        # Not what a page says of itself.
        (b'{"database": {"status": "down"}}', "", ""),
        (b'{"status": 500}', "", ""),
        (b'["status", "down"]', "", ""),
        (b'{"status": "down"', "", ""),
        (b"\xff\xfe", "", ""),
        (b"\xff\xfe", "ok", "200, but without 'ok' (site_health_text)"),
    ],
)
def test_a_page_that_answers_200_may_say_that_something_is_wrong(body: bytes, text: str, trouble: str) -> None:
    assert application_health.trouble_in(body, text) == trouble


def test_what_the_page_says_is_heard(server: str) -> None:
    health = {"url": server + "/page/" + urllib.parse.quote('{"status": "error"}'), "host": "shop.example"}
    assert ask(health, 5.0) == f"{health['url']} answered 200, but with the status 'error'"
    health = {"url": server + "/page/fine", "host": "shop.example", "text": "well"}
    assert ask(health, 5.0) == f"{health['url']} answered 200, but without 'well' (site_health_text)"
    assert ask({**health, "text": "fine"}, 5.0) == ""


@pytest.mark.parametrize(
    ("body", "release"),
    [
        (b'{"release": "1.0"}', "1.0"),
        (b'{"release": 7}', "7"),
        (b'{"release": null}', ""),
        (b'{"release": {}}', ""),
        (b'{"version": "1.0"}', ""),
        (b'"release"', ""),
        (b"release: 1.0", ""),
        (b"", ""),
    ],
)
def test_the_release_that_a_page_tells(body: bytes, release: str) -> None:
    assert application_health.release_in(body) == release


@pytest.mark.parametrize(
    ("here", "there", "problem"),
    [
        ('{"release": "1.0"}', '{"release": "1.0"}', ""),
        ('{"release": "1.0"}', '{"release": "1.1"}', "has release '1.1', and the site runs '1.0'"),
        ('{"release": "1.0"}', "well", ""),
        ("well", '{"release": "1.1"}', ""),
    ],
)
def test_another_release_shows_where_both_tell_theirs(server: str, here: str, there: str, problem: str) -> None:
    origin, destination = (
        {"url": server + "/page/" + urllib.parse.quote(page), "host": "shop.example"} for page in (here, there)
    )
    assert application_health.other_release(origin, destination, 5.0) == problem
