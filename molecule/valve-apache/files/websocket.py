"""A WebSocket's handshake, and two lines with a pause between: websocket.py DOMAIN [SECONDS]; prints what comes."""

import socket
import sys
import time

domain, pause = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
connection = socket.create_connection(("127.0.0.1", 80), 15)
connection.sendall(
    b"GET /socket HTTP/1.1\r\nHost: " + domain.encode() + b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
with connection.makefile("rb") as stream:
    status = stream.readline().split()[1].decode()
    while stream.readline().strip():
        pass
    print(status, flush=True)
    for number in (b"one\n", b"two\n"):
        connection.sendall(number)
        print(stream.readline().decode().strip() or "ended", flush=True)
        time.sleep(pause if number == b"one\n" else 0)
