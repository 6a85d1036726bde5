# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import io
import json

import annex
import pymysql
import pytest

KEY = "6f6a1f0e-52a4-4a53-9f0e-0a5f4ea0c009"


@pytest.fixture
def entries(monkeypatch):
    """A table of entries in place of the server's; the integration test has a real one."""
    rows = {}

    def query(sql, values=()):
        if sql.startswith("INSERT"):
            if values[0] in rows:
                raise pymysql.IntegrityError(1062, "Duplicate entry")
            rows[values[0]] = (len(rows) + 1, *values[1:])
            return ()
        return (rows[values[0]],) if values and values[0] in rows else ()

    monkeypatch.setattr(annex, "query", query)
    return rows


def request(method="GET", path="/", body=None, **extra):
    content = json.dumps(body).encode() if body is not None else b""
    answered = []
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "CONTENT_LENGTH": str(len(content)),
        "CONTENT_TYPE": "application/json",
        "wsgi.input": io.BytesIO(content),
        "wsgi.errors": io.StringIO(),
        **extra,
    }
    chunks = annex.application(environ, lambda status, headers: answered.append(status))
    return answered[0].split()[0], b"".join(chunks)


def test_an_entry_is_added_once_for_a_key(entries):
    body = {"author": "Zoé", "message": "bonjour"}
    first = request("POST", body=body, HTTP_IDEMPOTENCY_KEY=KEY)
    second = request("POST", body=body, HTTP_IDEMPOTENCY_KEY=KEY)
    assert (first[0], second[0]) == ("201", "200")
    assert json.loads(first[1]) == json.loads(second[1]) == {"id": 1, "key": KEY, **body}


@pytest.mark.parametrize(
    ("body", "key", "text"),
    [
        ({"author": "a", "message": "b"}, "", "the header Idempotency-Key must be a UUID"),
        ({"author": "", "message": "b"}, KEY, "author (80 characters at most) and message (2000) are needed"),
        ([], KEY, "the body must be a JSON object"),
    ],
)
def test_a_wrong_entry_is_refused_in_words(entries, body, key, text):
    status, content = request("POST", body=body, HTTP_IDEMPOTENCY_KEY=key)
    assert (status, json.loads(content)) == ("422", {"error": text})


def test_a_database_that_is_away_is_answered_with_503(monkeypatch):
    def away(sql, values=()):
        raise pymysql.OperationalError(2003, "Can't connect")

    monkeypatch.setattr(annex, "query", away)
    assert request(path="/healthz")[0] == "503"


def test_other_pages_and_methods(entries):
    assert request(path="/nothing")[0] == "404"
    assert request("PUT")[0] == "405"
    assert request(path="/healthz")[0] == "200"
