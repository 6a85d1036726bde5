# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries held requests to the target over TLS.

systemd-socket-proxyd forwards bytes as they are, and what waits in the valve was written in the clear for
the application beside it. The relay listens on loopback and speaks TLS to the target for those requests.
"""

import asyncio
import ssl

CHUNK = 65536


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry one direction until it ends; then pass the end on, where the other side can be told."""
    try:
        while True:
            data = await reader.read(CHUNK)
            if not data:
                break
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except (OSError, asyncio.IncompleteReadError):
        pass


async def carry(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    address: str,
    port: int,
    context: ssl.SSLContext,
    name: str,
) -> None:
    """Carry one connection. A target that cannot be reached closes it, which the web server reports."""
    try:
        there_reader, there_writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=name)
    except OSError:
        writer.close()
        return
    upward = asyncio.ensure_future(pump(reader, there_writer))
    downward = asyncio.ensure_future(pump(there_reader, writer))
    # The answer's end is the end: TLS knows no half-closed connection, so the other direction may never end.
    await asyncio.wait([downward])
    upward.cancel()
    there_writer.close()
    writer.close()


def serve(listen: int, address: str, port: int, name: str, ca: str) -> None:
    """Listen on loopback and carry what comes to address:port, whose certificate must be for ``name``."""
    context = ssl.create_default_context(cafile=ca or None)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await carry(reader, writer, address, port, context, name)

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(asyncio.start_server(handle, "127.0.0.1", listen, backlog=4096))
    loop.run_forever()
