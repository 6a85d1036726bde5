# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to PostgreSQL: how they are opened, asked, and followed; every value is written as a literal here.

The simple protocol is used throughout: one round trip a request, and several statements in one are one
transaction. Inside the pause that is what counts.
"""

import os
import ssl
import struct
import sys
import time
from collections import defaultdict
from typing import Any, Dict, Iterator, List, Sequence, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.database import words

# What every session of ours has, so that the same value is the same text on both sides. In a replication
# session too, whose row images are compared with what the proof reads.
SESSION = {
    "client_encoding": "UTF8",
    "search_path": "pg_catalog",
    "standard_conforming_strings": "on",
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "xmlbinary": "base64",
    "lc_monetary": "C",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "row_security": "off",
    "idle_in_transaction_session_timeout": "0",
    "synchronous_commit": "on",
    "client_min_messages": "warning",
    # Compiling a statement takes longer than running it.
    "jit": "off",
}
# Tables with rows of the site: not the server's, not ours, not an extension's.
SITE_TABLES = (
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relpersistence <> 't' "
    "AND n.nspname NOT IN ('information_schema') AND n.nspname NOT LIKE 'pg\\_%' "
    "AND coalesce(obj_description(n.oid, 'pg_namespace'), '') NOT LIKE 'ocpizza.cutover%' "
    "AND NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid "
    "AND e.deptype = 'e')"
)
TYPED = {16: lambda text: text == "t", 20: int, 21: int, 23: int, 26: int, 700: float, 701: float}  # type: Dict[int, Any]
EPOCH_2000 = 946684800
MISSING_DRIVER = (
    "pg8000 cannot be imported by {0}: {1}. Run the task with PYTHONPATH set to the site's agent.pyz, "
    "which brings it along, or install python3-pg8000 on this host."
)


def literal(value: Any) -> str:
    """A value as SQL; a list as the right side of IN."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, (int, float)):
        return "({0!r})".format(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return "({0})".format(",".join(literal(each) for each in value) or "NULL")
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("{0!r} cannot be written in SQL".format(value))
    # Backslashes mean nothing in it: standard_conforming_strings is on in every session of ours.
    return "'" + value.replace("'", "''") + "'"


def render(statement: str, arguments: Sequence[Any] = ()) -> str:
    """A statement with its arguments in place of each %s."""
    return statement % tuple(literal(argument) for argument in arguments) if arguments else statement


def code_of(error: BaseException) -> str:
    """The SQLSTATE of a server's error; '' where it is another kind of error."""
    said = error.args[0] if error.args else None
    return str(said.get("C", "")) if isinstance(said, dict) else ""


def connect(
    credentials: Dict[str, Any],
    timeout: float = 5.0,
    database: str = "",
    typed: bool = False,
    replication: bool = False,
) -> Any:
    """A connection to one database, in autocommit mode, whose every answer comes within ``timeout`` seconds.

    Rows are lists of text, numbers and booleans too where ``typed``. With ``ssl_ca`` the server's certificate
    must come from that CA; the name in it is not looked at, for the site's CA signs nothing but its machines.
    """
    try:
        import pg8000.core  # noqa: PLC0415 - most sites have no PostgreSQL, and it takes its time
    except ImportError as error:
        raise RuntimeError(MISSING_DRIVER.format(sys.executable, error)) from error
    context = False  # type: Any
    if credentials.get("ssl_ca"):
        context = ssl.create_default_context(cafile=credentials["ssl_ca"])
        context.check_hostname = False
    port = int(credentials.get("port") or 5432)
    path = credentials.get("unix_socket")
    if path and os.path.isdir(path):
        path = os.path.join(path, ".s.PGSQL.{0}".format(port))
    session = dict(SESSION, lock_timeout=milliseconds(timeout, 0.5), statement_timeout=milliseconds(timeout, 0.9))
    if replication:
        # The server asks after a reader that says nothing for so long, and ends what does not answer.
        session.update(statement_timeout="0", wal_sender_timeout="20s")
    try:
        connection = pg8000.core.CoreConnection(
            credentials["user"],
            host=credentials.get("host") or "localhost",
            port=port,
            database=database or "postgres",
            password=credentials.get("password"),
            unix_sock=path or None,
            ssl_context=context,
            timeout=timeout,
            application_name="cutover",
            replication="database" if replication else None,
        )
    except pg8000.exceptions.DatabaseError as error:
        raise ConnectionError(words(error)) from error
    ask(connection, "; ".join("SET {0} = {1}".format(*setting) for setting in rendered(session)))
    connection.pg_types = defaultdict(lambda: str, TYPED if typed else {})
    return connection


def rendered(session: Dict[str, str]) -> List[Tuple[str, str]]:
    """Settings with their values as SQL; a list of several is several values."""
    return [(name, ", ".join(literal(part) for part in value.split(", "))) for name, value in sorted(session.items())]


def milliseconds(seconds: float, share: float) -> str:
    """A setting for the server, a share of our own timeout, so that the server's word comes first."""
    return "{0}ms".format(max(50, int(seconds * 1000 * share)))


def ask(connection: Any, statement: str, arguments: Sequence[Any] = ()) -> List[List[Any]]:
    """The rows of one request. Several statements in it are one transaction."""
    return list(connection.execute_simple(render(statement, arguments)).rows or [])


def parse_lsn(text: str) -> int:
    """A position in the log as a number."""
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def format_lsn(position: int) -> str:
    """A position in the log as PostgreSQL writes it."""
    return "{0:X}/{1:X}".format(position >> 32, position & 0xFFFFFFFF)


def stream(connection: Any, slot: str, since: int, publications: Sequence[str]) -> Iterator[bytes]:
    """The plugin's messages from a slot, for ever; ``connection`` is a replication connection, and used up by it.

    Nothing is ever confirmed beyond ``since``: the slot stays where it is, and the next reader sees it all again.
    """
    names = ",".join('"{0}"'.format(name) for name in publications)
    connection.send_QUERY(
        "START_REPLICATION SLOT {0} LOGICAL {1} (proto_version '1', publication_names {2})".format(
            '"{0}"'.format(slot), format_lsn(since), literal(names)
        )
    )
    connection._sock.flush()
    while True:
        kind, body = _message(connection)
        if kind == b"E":
            fields = [part.decode("utf-8", "replace") for part in body.split(b"\0") if part]
            raise RuntimeError(" ".join(field[1:] for field in fields if field[0] in "MD"))
        if kind in (b"c", b"C", b"Z"):
            raise RuntimeError("the server ended the replication stream")
        if kind != b"d":
            continue
        if body[:1] == b"w":
            yield body[25:]
        elif body[:1] == b"k" and body[17:18] == b"\1":
            _reply(connection, struct.unpack_from("!q", body, 1)[0], since)


def _message(connection: Any) -> Tuple[bytes, bytes]:
    head = _exactly(connection, 5)
    return head[:1], _exactly(connection, struct.unpack("!i", head[1:])[0] - 4)


def _exactly(connection: Any, length: int) -> bytes:
    found = connection._sock.read(length) if length else b""
    if len(found) != length:
        raise RuntimeError("the server closed the replication stream")
    return bytes(found)


def _reply(connection: Any, received: int, flushed: int) -> None:
    now = int((time.time() - EPOCH_2000) * 1000000)
    status = b"r" + struct.pack("!qqqqb", received, flushed, flushed, now, 0)
    connection._sock.write(b"d" + struct.pack("!i", len(status) + 4) + status)
    connection._sock.flush()
