# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SQL of the proof for MariaDB and MySQL: tables, exact row hashes, chunks by key, positions.

Every statement is a pair (text, arguments) in the way of the DB-API; a percent sign in a name is doubled.
"""

# ruff: noqa: S608 - every name in a statement went through quote(), every value is an argument

import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_row_mariadb import (
    BYTES,
    CHARACTER,
    COMMON,
    LISTED,
    MD5,
    PLAIN,
    SHA2,
    TEXTUAL,
    Column,
    covered,
    number,
    quote,
    row_hash,
)

__all__ = ["Column", "Table", "covered"]

Statement = Tuple[str, Tuple[Any, ...]]
Key = Tuple[Any, ...]

# What the collection itself puts into a database (the triggers of the fence) is no part of the site.
OWN_OBJECTS = re.compile(r"cutover_")
MAX_HASHES = 200000


class Table(NamedTuple):
    """One base table. ``key`` is empty where no key identifies a row; ``digest`` is how its server hashes."""

    database: str
    name: str
    columns: List[Column]
    key: List[str]
    engine: str
    rows_estimate: int
    digest: str = MD5

    @property
    def common(self) -> str:
        """How both servers can hash, whatever they are."""
        return COMMON

    def column(self, name: str) -> Column:
        """The column of this name."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


def table_name(table: Table) -> str:
    """The table with its database."""
    return "{0}.{1}".format(quote(table.database), quote(table.name))


def usable_in_key(column: Column) -> bool:
    """A key column must compare the same way as it sorts, and exactly."""
    return column.base in PLAIN + TEXTUAL + CHARACTER + BYTES + LISTED


def sortable(column: Column) -> str:
    """What a key column is ordered and limited by: an ENUM sorts by number and compares by text."""
    return "({0}+0)".format(quote(column.name)) if column.base in LISTED else quote(column.name)


def range_condition(names: Sequence[str], lower: Optional[Key], upper: Optional[Key]) -> Statement:
    """lower < key <= upper, written so that the optimiser sees index ranges (it does not in row constructors)."""
    texts = []  # type: List[str]
    arguments = []  # type: List[Any]
    for bound, sign, last_sign in ((lower, ">", ">"), (upper, "<", "<=")):
        if bound is None:
            continue
        options = []
        for position in range(len(names)):
            last = position == len(names) - 1
            parts = ["{0}=%s".format(name) for name in names[:position]]
            parts.append("{0}{1}%s".format(names[position], last_sign if last else sign))
            options.append("({0})".format(" AND ".join(parts)))
            arguments.extend(bound[: position + 1])
        texts.append("({0})".format(" OR ".join(options)))
    return " AND ".join(texts) or "TRUE", tuple(arguments)


def keys_condition(names: Sequence[str], keys: Sequence[Key]) -> Statement:
    """The rows with these keys."""
    if len(names) == 1:
        return "{0} IN ({1})".format(names[0], ",".join(["%s"] * len(keys))), tuple(key[0] for key in keys)
    one = "({0})".format(" AND ".join("{0}=%s".format(name) for name in names))
    return "({0})".format(" OR ".join([one] * len(keys))), tuple(value for key in keys for value in key)


def _where(table: Table, lower: Optional[Key], upper: Optional[Key]) -> Statement:
    return range_condition([sortable(table.column(name)) for name in table.key], lower, upper)


def checksum(table: Table, lower: Optional[Key] = None, upper: Optional[Key] = None) -> Statement:
    """Count and number of a chunk's rows."""
    where, arguments = _where(table, lower, upper)
    one = number(table.columns, table.digest, bool(table.key))
    return "SELECT COUNT(*),{0} FROM {1} WHERE {2}".format(one, table_name(table), where), arguments


def last_key(table: Table) -> Statement:
    """The greatest key there is."""
    names = [sortable(table.column(name)) for name in table.key]
    order = ",".join(name + " DESC" for name in names)
    return "SELECT {0} FROM {1} ORDER BY {2} LIMIT 1".format(",".join(names), table_name(table), order), ()


def boundary(table: Table, lower: Optional[Key], last: Key, size: int) -> Statement:
    """The key of the last row of the chunk of ``size`` rows that follows ``lower``, not beyond ``last``."""
    where, arguments = _where(table, lower, last)
    names = ",".join(sortable(table.column(name)) for name in table.key)
    return (
        "SELECT {0} FROM {1} WHERE {2} ORDER BY {0} LIMIT 1 OFFSET {3:d}".format(
            names, table_name(table), where, size - 1
        ),
        arguments,
    )


def _key_names(table: Table) -> str:
    return ",".join(quote(name) for name in table.key)


def hashes(table: Table, lower: Optional[Key], upper: Optional[Key]) -> Statement:
    """Key columns, then the hash, of every row of a chunk."""
    where, arguments = _where(table, lower, upper)
    return (
        "SELECT {0},{1} FROM {2} WHERE {3} LIMIT {4:d}".format(
            _key_names(table), row_hash(table.columns, table.digest), table_name(table), where, MAX_HASHES
        ),
        arguments,
    )


def hashes_of(table: Table, keys: Sequence[Key]) -> Statement:
    """Key columns, then the hash, of the rows with these keys."""
    where, arguments = keys_condition([quote(name) for name in table.key], keys)
    return (
        "SELECT {0},{1} FROM {2} WHERE {3}".format(
            _key_names(table), row_hash(table.columns, table.digest), table_name(table), where
        ),
        arguments,
    )


def column_hashes_of(table: Table, keys: Sequence[Key]) -> Statement:
    """Key columns, then one hash a column, of the rows with these keys."""
    where, arguments = keys_condition([quote(name) for name in table.key], keys)
    columns = ",".join(row_hash([column], table.digest) for column in table.columns)
    return (
        "SELECT {0},{1} FROM {2} WHERE {3}".format(_key_names(table), columns, table_name(table), where),
        arguments,
    )


def multiset(table: Table) -> Statement:
    """The hashes of a table without key, and how often each comes."""
    return (
        "SELECT {0} AS h,COUNT(*) FROM {1} GROUP BY h LIMIT {2:d}".format(
            row_hash(table.columns, table.digest), table_name(table), MAX_HASHES
        ),
        (),
    )


# What asks the server.


def fetch(connection: Any, statement: Statement) -> List[Tuple[Any, ...]]:
    """All rows, as tuples even where the connection gives dictionaries."""
    import pymysql.cursors  # noqa: PLC0415 - the connection is PyMySQL's, but the pure part needs none

    with connection.cursor(pymysql.cursors.Cursor) as cursor:
        cursor.execute(statement[0], tuple(statement[1]))
        return list(cursor.fetchall())


def prepare(connection: Any) -> None:
    """One time zone, one charset, one mode on both sides; every statement sees the present, and waits for no lock.

    The connection is the proof's alone: a transaction that is open on it is committed.
    """
    fetch(
        connection,
        (
            "SET NAMES utf8mb4, SESSION time_zone='+00:00', SESSION sql_mode='', SESSION autocommit=1, "
            "SESSION lock_wait_timeout=10, SESSION group_concat_max_len=1048576",
            (),
        ),
    )
    if flavour(connection) == "mysql":
        # Numbers of rows are remembered for a day else; a primary key that the server made must be seen.
        wanted = {"information_schema_stats_expiry": 0, "show_gipk_in_create_table_and_information_schema": 1}
        for name, _value in fetch(connection, ("SHOW VARIABLES WHERE Variable_name IN %s", (tuple(wanted),))):
            fetch(connection, ("SET SESSION {0}=%s".format(name), (wanted[name],)))


def load_tables(connection: Any, database: str) -> List[Table]:
    """The base tables of a database in the order of their names."""
    found = fetch(
        connection,
        (
            "SELECT TABLE_NAME, ENGINE, COALESCE(TABLE_ROWS,0) FROM information_schema.TABLES "
            "WHERE TABLE_SCHEMA=%s AND TABLE_TYPE IN ('BASE TABLE','SYSTEM VERSIONED') ORDER BY TABLE_NAME",
            (database,),
        ),
    )
    columns = {}  # type: Dict[str, List[Column]]
    required = set()
    for table, name, kind, charset, nullable in fetch(
        connection,
        (
            "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, CHARACTER_SET_NAME, IS_NULLABLE "
            "FROM information_schema.COLUMNS WHERE TABLE_SCHEMA=%s ORDER BY TABLE_NAME, ORDINAL_POSITION",
            (database,),
        ),
    ):
        columns.setdefault(table, []).append(Column(name, _text(kind), charset, nullable=nullable != "NO"))
        if nullable == "NO":
            required.add((table, name))
    keys = {}  # type: Dict[str, Dict[str, List[str]]]
    for table, index, column, prefix in fetch(
        connection,
        (
            "SELECT TABLE_NAME, INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS "
            "WHERE TABLE_SCHEMA=%s AND NON_UNIQUE=0 ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX",
            (database,),
        ),
    ):
        usable = prefix is None and column is not None and (table, column) in required
        keys.setdefault(table, {}).setdefault(index, []).append(column if usable else "")
    digest = SHA2 if flavour(connection) == "mysql" else MD5
    tables = []
    for name, engine, rows in found:
        table = Table(database, name, columns.get(name, []), [], engine or "", int(rows), digest)
        tables.append(table._replace(key=choose_key(table, keys.get(name, {}))))
    return tables


def choose_key(table: Table, indexes: Dict[str, List[str]]) -> List[str]:
    """The primary key, else the shortest unique key of columns that are never NULL ('' stands for a nullable one)."""
    for name in sorted(indexes, key=lambda name: (name != "PRIMARY", len(indexes[name]), name)):
        if all(column and usable_in_key(table.column(column)) for column in indexes[name]):
            return indexes[name]
    return []


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def flavour(connection: Any) -> str:
    """mariadb or mysql."""
    ((version,),) = fetch(connection, ("SELECT VERSION()", ()))
    return "mariadb" if "mariadb" in version.lower() else "mysql"


def position(connection: Any) -> str:
    """The server's position in its own binary log; empty where it keeps none."""
    ((log_bin,),) = fetch(connection, ("SELECT @@log_bin", ()))
    if not int(log_bin):
        return ""
    name = "gtid_binlog_pos" if flavour(connection) == "mariadb" else "gtid_executed"
    ((value,),) = fetch(connection, ("SELECT @@GLOBAL.{0}".format(name), ()))
    return _text(value or "").replace("\n", "")


SCHEMA_QUERIES = {
    "database": (
        "SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA "
        "WHERE SCHEMA_NAME=%s"
    ),
    "column": (
        "SELECT CONCAT(TABLE_NAME,'.',COLUMN_NAME), COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, "
        "CHARACTER_SET_NAME, COLLATION_NAME, GENERATION_EXPRESSION, COLUMN_COMMENT FROM information_schema.COLUMNS "
        "WHERE TABLE_SCHEMA=%s"
    ),
    "index": (
        "SELECT CONCAT(TABLE_NAME,'.',INDEX_NAME), MIN(NON_UNIQUE), MIN(INDEX_TYPE), "
        "GROUP_CONCAT(CONCAT_WS(':',COLUMN_NAME,SUB_PART) ORDER BY SEQ_IN_INDEX SEPARATOR ',') "
        "FROM information_schema.STATISTICS WHERE TABLE_SCHEMA=%s GROUP BY TABLE_NAME, INDEX_NAME"
    ),
    "foreign key": (
        "SELECT CONCAT(r.TABLE_NAME,'.',r.CONSTRAINT_NAME), r.UPDATE_RULE, r.DELETE_RULE, r.REFERENCED_TABLE_NAME, "
        "(SELECT GROUP_CONCAT(CONCAT(k.COLUMN_NAME,'=',k.REFERENCED_COLUMN_NAME) ORDER BY k.ORDINAL_POSITION) "
        "FROM information_schema.KEY_COLUMN_USAGE k WHERE k.CONSTRAINT_SCHEMA=r.CONSTRAINT_SCHEMA "
        "AND k.CONSTRAINT_NAME=r.CONSTRAINT_NAME AND k.TABLE_NAME=r.TABLE_NAME) "
        "FROM information_schema.REFERENTIAL_CONSTRAINTS r WHERE r.CONSTRAINT_SCHEMA=%s"
    ),
    "table": (
        "SELECT TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_COLLATION, TABLE_COMMENT FROM information_schema.TABLES "
        "WHERE TABLE_SCHEMA=%s"
    ),
    "partition": (
        "SELECT CONCAT_WS('.',TABLE_NAME,PARTITION_NAME,SUBPARTITION_NAME), PARTITION_METHOD, PARTITION_EXPRESSION, "
        "PARTITION_DESCRIPTION, SUBPARTITION_METHOD, SUBPARTITION_EXPRESSION FROM information_schema.PARTITIONS "
        "WHERE PARTITION_NAME IS NOT NULL AND TABLE_SCHEMA=%s"
    ),
    "check": (
        "SELECT CONCAT(TABLE_NAME,'.',CONSTRAINT_NAME), CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS "
        "WHERE CONSTRAINT_SCHEMA=%s"
    ),
    "view": (
        "SELECT TABLE_NAME, DEFINER, SECURITY_TYPE, CHECK_OPTION, VIEW_DEFINITION FROM information_schema.VIEWS "
        "WHERE TABLE_SCHEMA=%s"
    ),
    "trigger": (
        "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_TIMING, SHA2(ACTION_STATEMENT,256), "
        "DEFINER, SQL_MODE FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA=%s"
    ),
    "routine": (
        "SELECT CONCAT(ROUTINE_TYPE,' ',ROUTINE_NAME), SHA2(ROUTINE_DEFINITION,256), SQL_DATA_ACCESS, SECURITY_TYPE, "
        "IS_DETERMINISTIC, DEFINER, SQL_MODE, ROUTINE_COMMENT FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA=%s"
    ),
    "parameter": (
        "SELECT CONCAT(ROUTINE_TYPE,' ',SPECIFIC_NAME,'.',ORDINAL_POSITION), PARAMETER_MODE, PARAMETER_NAME, "
        "DTD_IDENTIFIER FROM information_schema.PARAMETERS WHERE SPECIFIC_SCHEMA=%s"
    ),
    # On the side that the site is not on its events are off; what the site itself has turned off is off on both.
    "event": (
        "SELECT EVENT_NAME, EVENT_TYPE, INTERVAL_VALUE, INTERVAL_FIELD, SHA2(EVENT_DEFINITION,256), STATUS='DISABLED', "
        "EXECUTE_AT, STARTS, ENDS, TIME_ZONE, ON_COMPLETION, DEFINER, SQL_MODE, EVENT_COMMENT "
        "FROM information_schema.EVENTS WHERE EVENT_SCHEMA=%s"
    ),
}

# What MariaDB does not have, or writes in another way in each version.
MYSQL_QUERIES = {
    "index": (
        "SELECT CONCAT(TABLE_NAME,'.',INDEX_NAME), MIN(NON_UNIQUE), MIN(INDEX_TYPE), MIN(IS_VISIBLE), "
        "GROUP_CONCAT(CONCAT_WS(':',COLUMN_NAME,EXPRESSION,SUB_PART,COLLATION) ORDER BY SEQ_IN_INDEX SEPARATOR ',') "
        "FROM information_schema.STATISTICS WHERE TABLE_SCHEMA=%s GROUP BY TABLE_NAME, INDEX_NAME"
    ),
    "check": (
        "SELECT CONCAT(t.TABLE_NAME,'.',t.CONSTRAINT_NAME), t.ENFORCED, c.CHECK_CLAUSE "
        "FROM information_schema.TABLE_CONSTRAINTS t JOIN information_schema.CHECK_CONSTRAINTS c "
        "ON c.CONSTRAINT_SCHEMA=t.CONSTRAINT_SCHEMA AND c.CONSTRAINT_NAME=t.CONSTRAINT_NAME "
        "WHERE t.CONSTRAINT_TYPE='CHECK' AND t.CONSTRAINT_SCHEMA=%s"
    ),
}


SEQUENCES = "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE='SEQUENCE' AND TABLE_SCHEMA=%s"
SEQUENCE = "SELECT start_value, minimum_value, maximum_value, increment, cache_size, cycle_option FROM {0}.{1}"


def normalised(value: Any, kind: str = "") -> str:
    """One spelling for what versions spell differently."""
    if value is None:
        return "NULL"
    if kind == "view":
        value = re.sub(r"[\s()]+", " ", _text(value)).strip()
    # MySQL reads _utf8mb4'x' beside a latin1 column, and from then on writes it as _latin1'x'.
    text = re.sub(r"\b_[a-z0-9]+(?=\\')", "", _text(value))
    return re.sub(r"\butf8(?=\b|_(?!mb))", "utf8mb3", text)


def schema(connection: Any, database: str) -> Dict[Tuple[str, str], str]:
    """Everything that is defined in a database: (kind, name) to a normalised definition."""
    found = {}
    queries = dict(SCHEMA_QUERIES, **(MYSQL_QUERIES if flavour(connection) == "mysql" else {}))
    for kind, query in queries.items():
        for row in fetch(connection, (query, (database,))):
            name = _text(row[0])
            if not OWN_OBJECTS.match(name):
                found[(kind, name)] = " ".join(normalised(value, kind) for value in row[1:])
    # MySQL has none.
    for (name,) in fetch(connection, (SEQUENCES, (database,))):
        (row,) = fetch(connection, (SEQUENCE.format(quote(database), quote(name)), ()))
        found[("sequence", name)] = " ".join(normalised(value) for value in row)
    return found
