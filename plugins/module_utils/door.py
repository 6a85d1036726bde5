# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The door: looks for the flags on behalf of a web server that cannot, as Squid, one connection at a time.

The kernel leads the connections that the web server opens to the application to the door instead. It carries each to
the application, to the valve while requests are held, and to the relay once the site has moved.
"""

import asyncio
import os
import signal
import socket
import subprocess
from typing import Any, Dict, List, Optional, Set, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.relay import pump

Address = Tuple[str, int]

RULES = "door.nft"
GONE = "gone"
GONE_ANSWER = (
    b"HTTP/1.1 410 Gone\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 24\r\n"
    b"Cache-Control: no-store\r\nConnection: close\r\n\r\nThis site is not here.\r\n"
)
# A request's headers are longer nowhere, and who sends none within this time gets no answer.
LONGEST_HEAD, HEAD_S = 65536, 10.0


def way(plan: Dict[str, Any]) -> Optional[Address]:
    """Where a connection that begins now is carried; None once the site is gone from here for good."""
    if os.path.exists(os.path.join(plan["runtime"], "valve")):
        return ("127.0.0.1", int(plan["valve"]))
    if os.path.exists(os.path.join(plan["state"], GONE)):
        return None
    if os.path.exists(os.path.join(plan["state"], "moved")):
        return ("127.0.0.1", int(plan["relay"]))
    host, _colon, port = plan["application"].rpartition(":")
    return (host, int(port))


async def say_gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer that the site is gone; what was sent is read first, else the kernel would take the answer back."""
    try:
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HEAD_S)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.TimeoutError):
        return
    writer.write(GONE_ANSWER)
    await writer.drain()


async def carry(plan: Dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry one connection to its end; one that nobody takes is closed, which the web server reports as before."""
    try:
        there = way(plan)
        if there is None:
            await say_gone(reader, writer)
            return
        there_reader, there_writer = await asyncio.open_connection(*there)
        # Nothing waits in this process: at its end what it has carried is the kernel's.
        for one in (writer, there_writer):
            one.transport.set_write_buffer_limits(0)
        upward = asyncio.ensure_future(pump(reader, there_writer))
        # The answer's end is the end.
        await pump(there_reader, writer)
        upward.cancel()
        there_writer.close()
    except OSError:
        pass
    finally:
        writer.close()


async def _serve(plan: Dict[str, Any], listener: socket.socket) -> None:
    """Carry what comes until the process is asked to end; then no more, and what is on its way to its end."""
    loop = asyncio.get_event_loop()
    ended = loop.create_future()
    running: Set["asyncio.Future[None]"] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(carry(plan, reader, writer))
        running.add(task)
        task.add_done_callback(running.discard)

    loop.add_signal_handler(signal.SIGTERM, ended.cancel)
    server = await asyncio.start_server(handle, sock=listener, limit=LONGEST_HEAD)
    await asyncio.wait([ended])
    # The socket is systemd's: who comes from now on waits in it for the next process.
    server.close()
    while running:
        await asyncio.wait(set(running))


def serve(plan: Dict[str, Any], listener: socket.socket) -> None:
    """Carry what comes to a socket that listens, until the process is told to end."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(_serve(plan, listener))


def problems(state: str, site: str) -> List[str]:
    """Why requests would pass a hold by; none where the web server looks for the flags itself.

    Whoever loads all of a host's rules anew takes the door's away: they are put back first.
    """
    if not os.path.exists(os.path.join(state, RULES)) or is_led(site):
        return []
    _run(["systemctl", "restart", "cutover-{0}-door-rules.service".format(site)])
    if is_led(site):
        return []
    return [
        "the kernel does not lead requests to the valve's door: 'nft list table ip cutover-{0}' fails, and "
        "cutover-{0}-door-rules.service does not put it back".format(site)
    ]


def is_led(site: str) -> bool:
    """Whether the kernel leads the web server's new connections to the door."""
    done = _run(["nft", "list", "table", "ip", "cutover-" + site])
    return done.returncode == 0 and " redirect to " in done.stdout


def _run(command: List[str]) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True, check=False
        )
    except OSError:
        return subprocess.CompletedProcess(command, 127, "", "")
