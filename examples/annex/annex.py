# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guestbook: the second site on the old server, which must notice nothing of the first one's move."""

import datetime
import html
import json
import os
import threading
import uuid
from urllib.parse import parse_qs

if os.environ.get("ANNEX_DATABASE_ENGINE") == "postgresql":
    import psycopg as driver
else:
    import pymysql as driver

LONGEST = 2000
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Guestbook</title></head><body>
<h1>Guestbook</h1>
<form method="post"><input type="hidden" name="key" value="{key}">
<p><label>Name <input name="author" required></label></p>
<p><label>Message <textarea name="message" required></textarea></label></p>
<p><button>Sign</button></p></form>
<ul>
{entries}
</ul></body></html>
"""
local = threading.local()


class RefusedError(Exception):
    pass


def connect():
    host, port = os.environ.get("ANNEX_DATABASE_HOST") or "127.0.0.1", os.environ.get("ANNEX_DATABASE_PORT")
    name = os.environ.get("ANNEX_DATABASE_NAME") or "annex"
    common = {
        "user": os.environ["ANNEX_DATABASE_USER"],
        "password": os.environ.get("ANNEX_DATABASE_PASSWORD", ""),
        "connect_timeout": 5,
        "autocommit": True,
    }
    socket = os.environ.get("ANNEX_DATABASE_SOCKET")
    if driver.__name__ == "psycopg":
        return driver.connect(host=socket or host, port=port or 5432, dbname=name, **common)
    return driver.connect(
        host=host,
        port=int(port or 3306),
        unix_socket=socket or None,
        database=name,
        charset="utf8mb4",
        collation="utf8mb4_general_ci",
        **common,
    )


def connection():
    """One for each worker thread; a connection that the server has closed is opened again."""
    known = getattr(local, "connection", None)
    if known is not None:
        try:
            with known.cursor() as cursor:
                cursor.execute("SELECT 1")
                cursor.fetchall()
            return known
        except driver.Error:
            local.connection = None
    local.connection = connect()
    return local.connection


def query(sql, values=()):
    try:
        with connection().cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchall() if cursor.description else []
    except driver.IntegrityError:
        raise
    except driver.Error:
        local.connection = None
        raise


def entry_of(key):
    rows = query("SELECT id, author, message FROM entry WHERE entry_key = %s", (key,))
    return {"id": rows[0][0], "key": key, "author": rows[0][1], "message": rows[0][2]} if rows else None


def submitted(environ):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length > 4 * LONGEST:
        raise RefusedError("the entry is too long")
    body = environ["wsgi.input"].read(length).decode("utf-8", "replace")
    if environ.get("CONTENT_TYPE", "").startswith("application/json"):
        try:
            fields = json.loads(body)
        except ValueError:
            raise RefusedError("the body must be JSON") from None
        if not isinstance(fields, dict):
            raise RefusedError("the body must be a JSON object")
    else:
        fields = {name: values[0] for name, values in parse_qs(body).items()}
    key = environ.get("HTTP_IDEMPOTENCY_KEY") or fields.get("key") or ""
    try:
        key = str(uuid.UUID(str(key)))
    except ValueError:
        raise RefusedError("the header Idempotency-Key must be a UUID") from None
    author, message = str(fields.get("author") or "").strip(), str(fields.get("message") or "").strip()
    if not author or not message or len(author) > 80 or len(message) > LONGEST:
        raise RefusedError(f"author (80 characters at most) and message ({LONGEST}) are needed")
    return key, author, message


def add(environ):
    key, author, message = submitted(environ)
    try:
        query(
            "INSERT INTO entry (entry_key, author, message, written) VALUES (%s, %s, %s, %s)",
            (key, author, message, datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)),
        )
        return "201 Created", as_json(entry_of(key))
    except driver.IntegrityError:
        known = entry_of(key)
        if known is None:
            raise
        return "200 OK", as_json(known)


def page():
    rows = query("SELECT author, message, written FROM entry ORDER BY id DESC LIMIT 20")
    entries = "\n".join(
        f"<li><b>{html.escape(author)}</b> <i>{written:%Y-%m-%d %H:%M}</i> {html.escape(message)}</li>"
        for author, message, written in rows
    )
    return "200 OK", ("text/html; charset=utf-8", PAGE.format(key=uuid.uuid4(), entries=entries))


def entries(environ):
    """Keys by id, for whoever compares what was acknowledged with what is there."""
    asked = parse_qs(environ.get("QUERY_STRING", ""))
    try:
        since = max(0, int(asked.get("since", ["0"])[0]))
    except ValueError:
        raise RefusedError("since must be a whole number") from None
    rows = query("SELECT id, entry_key FROM entry WHERE id > %s ORDER BY id LIMIT 1000", (since,))
    listed = [{"id": number, "key": key} for number, key in rows]
    return "200 OK", as_json({"entries": listed, "next": rows[-1][0] if rows else since, "more": len(rows) == 1000})


def as_json(value):
    return "application/json", json.dumps(value)


def answer(environ):
    method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "/")
    if path == "/" and method == "POST":
        return add(environ)
    if method not in ("GET", "HEAD"):
        return "405 Method Not Allowed", as_json({"error": "GET, or POST to /"})
    if path == "/":
        return page()
    if path == "/entries":
        return entries(environ)
    if path == "/healthz":
        query("SELECT 1")
        return "200 OK", as_json({"status": "ok"})
    return "404 Not Found", as_json({"error": "there is no such page"})


def application(environ, start_response):
    try:
        status, (kind, text) = answer(environ)
    except RefusedError as error:
        status, (kind, text) = "422 Unprocessable Entity", as_json({"error": str(error)})
    except driver.Error as error:
        environ["wsgi.errors"].write(f"annex: {error}\n")
        status, (kind, text) = "503 Service Unavailable", as_json({"error": "the database does not answer"})
    body = text.encode()
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]
