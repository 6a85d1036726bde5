# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small application server for the web roles' scenarios: answers with what it was sent.

upstream.py NAME PORT [CERTIFICATE KEY]; GET /requests counts the others, /header sends a header of its own,
/die closes the connection without an answer, /account is for who has its credentials. Who asks for a WebSocket gets its
lines back after the server's name, until it ends: what is carried is not looked at.
"""

import json
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    requests = 0
    connections = frozenset()

    def echo(self):
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.end_headers()
        self.close_connection = True
        for line in self.rfile:
            self.wfile.write(sys.argv[1].encode() + b" " + line)
            self.wfile.flush()

    def answer(self):
        if self.headers.get("Upgrade", "").lower() == "websocket":
            self.echo()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/requests":
            text = json.dumps({"requests": Handler.requests, "connections": len(Handler.connections)})
        else:
            Handler.requests += 1
            Handler.connections |= {self.client_address[1]}
            text = json.dumps(
                {
                    "server": sys.argv[1],
                    "method": self.command,
                    "path": self.path,
                    "headers": {name.lower(): value for name, value in self.headers.items()},
                    "bytes": len(body),
                }
            )
        if self.path == "/die":
            self.close_connection = True
            return
        known = self.path != "/account" or self.headers.get("Authorization") == "Bearer right"
        self.send_response(200 if known else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        if self.path == "/header":
            self.send_header("X-Frame-Options", "DENY")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text.encode())

    do_GET = do_POST = do_HEAD = answer  # noqa: N815

    def log_message(self, *_arguments):
        pass


server = ThreadingHTTPServer(("", int(sys.argv[2])), Handler)
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
