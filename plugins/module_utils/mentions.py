# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an address is written: in files, in environments of processes, in the texts of a database's tables."""

import os
import re
import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Pattern, Sequence, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils import client_postgresql, database_facts
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_mysql, quote_postgresql
from ansible_collections.ocpizza.cutover.plugins.module_utils.table_counts import RefusedError

SKIP = {"__pycache__", "node_modules", ".git", ".hg", ".svn", "site-packages", "dist-packages"}
BYTES = 2000000
# Places that are told of one file or one kind; the rest are as many more of the same.
MOST = 20
BEFORE, AFTER = "[^0-9A-Za-z_.-]", "[^0-9A-Za-z_-]"
# Rows of (table, [columns]), the smallest table first: settings are in small ones.
MYSQL_COLUMNS = """
SELECT JSON_ARRAY(c.table_name, c.column_name) FROM information_schema.columns c JOIN information_schema.tables t
  ON t.table_schema = c.table_schema AND t.table_name = c.table_name
 WHERE c.table_schema = {0} AND t.table_type = 'BASE TABLE'
   AND c.data_type IN ('char', 'varchar', 'tinytext', 'text', 'mediumtext', 'longtext', 'json', 'enum', 'set', 'inet6')
 ORDER BY t.data_length, c.table_name, c.ordinal_position"""
POSTGRESQL_COLUMNS = (
    """
SELECT json_build_array(format('%I.%I', n.nspname, c.relname), a.attname)"""
    + client_postgresql.TABLES.replace(
        "pg_catalog.pg_class c", "pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid"
    )
    + """   AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
   AND a.atttypid::regtype::text ~ '^(text|character|json|xml|inet|cidr|citext|"char")'
 ORDER BY pg_catalog.pg_relation_size(c.oid), n.nspname, c.relname, a.attnum;
"""
)


class Found(NamedTuple):
    """Where something stands, and what could not be searched."""

    places: List[str]
    not_read: List[str]


def pattern(texts: Sequence[str]) -> "Pattern[str]":
    """Any of the texts, whole: 10.0.0.1 is not in 10.0.0.12, nor shop.test in www.shop.test."""
    words = "|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True))
    return re.compile("(?:^|{0})(?:{1})(?:$|{2})".format(BEFORE, words, AFTER), re.IGNORECASE | re.MULTILINE)


def files(paths: Sequence[str], wanted: "Pattern[str]", until: float) -> Found:
    """Files and lines at and below the paths; binary and very large ones are not read."""
    found = Found([], [])
    for path in paths:
        for name in [path] if os.path.isfile(path) else _below(path, found.not_read):
            if time.monotonic() > until:
                found.not_read.append("{0}: there was no time for all of it".format(path))
                break
            try:
                if os.path.getsize(name) > BYTES:
                    continue
                with open(name, "rb") as stream:
                    content = stream.read()
            except OSError as error:
                found.not_read.append("{0}: {1}".format(name, error.strerror))
                continue
            if b"\0" not in content[:4096]:
                _lines(name, content.decode("utf-8", "replace"), wanted, found.places)
        if not os.path.exists(path):
            found.not_read.append("{0}: No such file or directory".format(path))
    return found


def _below(path: str, not_read: List[str]) -> Iterator[str]:
    def trouble(error: OSError) -> None:
        not_read.append("{0}: {1}".format(error.filename, error.strerror))

    for base, folders, names in os.walk(path, onerror=trouble):
        folders[:] = sorted(
            name for name in folders if name not in SKIP and not os.path.exists(os.path.join(base, name, "pyvenv.cfg"))
        )
        for name in sorted(names):
            one = os.path.join(base, name)
            if os.path.isfile(one) and not os.path.islink(one):
                yield one


def _lines(name: str, text: str, wanted: "Pattern[str]", places: List[str]) -> None:
    # Most files have none: a look at the whole is quicker than one at each line.
    if not wanted.search(text):
        return
    numbers = [number for number, line in enumerate(text.splitlines(), 1) if wanted.search(line)]
    places += ["{0}:{1}".format(name, number) for number in numbers[:MOST]]
    if len(numbers) > MOST:
        places.append("{0}: {1} more lines".format(name, len(numbers) - MOST))


def environment(pid: int, wanted: "Pattern[str]") -> Found:
    """The variables of a process that have one of the texts, by name."""
    try:
        with open("/proc/{0}/environ".format(pid), encoding="utf-8", errors="replace") as stream:
            pairs = [part.partition("=") for part in stream.read().split("\0") if "=" in part]
    except OSError as error:
        return Found([], ["the environment of process {0}: {1}".format(pid, error.strerror)])
    # Ansible's own connection says from where it comes.
    own = [name for name, _equals, value in pairs if wanted.search(value) and not name.startswith("SSH_")]
    return Found(["environment of process {0}: {1}".format(pid, name) for name in sorted(own)], [])


Ask = Callable[[str, str], List[List[Any]]]


def tables(engine: str, database: str, texts: Sequence[str], ask: Ask, seconds: float) -> Found:
    """The columns of a database that have one of the texts in a row; no table is searched for longer than is left."""
    found, until = Found([], []), time.monotonic() + seconds
    label = "{0} {1}".format(engine, database)
    try:
        listed = ask(_columns(engine, database), database)
    except RefusedError as error:
        return Found([], ["{0}: {1}".format(label, error)])
    columns: Dict[str, List[str]] = {}
    for table, column in listed:
        columns.setdefault(table, []).append(column)
    for table, names in columns.items():
        left = until - time.monotonic()
        if left < 0.1:
            found.not_read.append("{0}.{1}: there was no time for it".format(label, table))
            continue
        try:
            rows = ask(search(engine, database, table, names, texts, left), database)
        except RefusedError as error:
            found.not_read.append("{0}.{1}: {2}".format(label, table, error))
            continue
        has = [name for place, name in enumerate(names) if any(row[place] for row in rows)]
        found.places.extend("{0}.{1}.{2}".format(label, table, name) for name in has)
    return found


def _columns(engine: str, database: str) -> str:
    if engine == "postgresql":
        return POSTGRESQL_COLUMNS
    return MYSQL_COLUMNS.format(database_facts.literal(database))


def _expressions(texts: Sequence[str]) -> List[Tuple[str, str]]:
    """What each text looks like to LIKE and to a regular expression."""
    escaped = [(re.sub(r"([\\%_])", r"\\\1", text), re.sub(r"([^\w-])", r"[\1]", text)) for text in texts]
    return [("%{0}%".format(like), "(^|{0}){1}($|{2})".format(BEFORE, word, AFTER)) for like, word in escaped]


def search(engine: str, database: str, table: str, columns: Sequence[str], texts: Sequence[str], seconds: float) -> str:
    """For each column of a table whether any row has one of the texts there."""
    postgresql = engine == "postgresql"
    literal = client_postgresql.literal if postgresql else database_facts.literal
    tests = []
    for column in columns:
        name = quote_postgresql(column) + "::text" if postgresql else quote_mysql(column)
        operator = "~" if postgresql else "REGEXP"
        alike = [
            "{0} LIKE {1} AND {0} {2} {3}".format(name, literal(like), operator, literal(word))
            for like, word in _expressions(texts)
        ]
        tests.append("COALESCE({0}, {1})".format(" OR ".join(alike), "false" if postgresql else "0"))
    condition = " OR ".join(tests)
    each = ", ".join("{0}({1})".format("bool_or" if postgresql else "MAX", test) for test in tests)
    if postgresql:
        limit = "SET statement_timeout = {0};\n".format(int(seconds * 1000))
        return limit + "SELECT json_build_array({0}) FROM {1} WHERE {2};".format(each, table, condition)  # noqa: S608 - names are quoted
    where = "{0}.{1}".format(quote_mysql(database), quote_mysql(table))
    rows = "JSON_ARRAY({0}) FROM {1} WHERE {2}".format(each, where, condition)
    if engine == "mysql":
        return "SELECT /*+ MAX_EXECUTION_TIME({0}) */ {1}".format(int(seconds * 1000), rows)
    return "SET STATEMENT max_statement_time={0:.1f} FOR SELECT {1}".format(seconds, rows)
