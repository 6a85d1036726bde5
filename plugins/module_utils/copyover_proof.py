# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The definitions of MariaDB and MySQL in one spelling, so that they can be compared.

Each thing that both write differently has one rule here, and no more is forgiven than the rule says. Expressions
(checks, generated columns, views) have no common spelling: the trial copy notes how each side writes what MySQL made
of the source's own, and from then on both must stay as they were noted.
"""

import re
from typing import Any, Dict, List, Mapping, Optional, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils import copyover_dialect as dialect
from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_mariadb import OWN_OBJECTS, fetch, flavour

Definitions = Dict[Tuple[str, str], str]
# How both sides write an expression: {"kind name": [the one, the other]}.
Noted = Mapping[str, List[str]]
EXPRESSIONS = ("check", "generated column", "view")

QUERIES = {
    "column": (
        "SELECT CONCAT(TABLE_NAME,'.',COLUMN_NAME), ORDINAL_POSITION, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, "
        "CHARACTER_SET_NAME, COLLATION_NAME FROM information_schema.COLUMNS c WHERE TABLE_SCHEMA=%s AND NOT EXISTS "
        "(SELECT 1 FROM information_schema.VIEWS v WHERE v.TABLE_SCHEMA=c.TABLE_SCHEMA AND v.TABLE_NAME=c.TABLE_NAME)"
    ),
    "view": (
        "SELECT TABLE_NAME, VIEW_DEFINITION, CHECK_OPTION, SECURITY_TYPE FROM information_schema.VIEWS "
        "WHERE TABLE_SCHEMA=%s"
    ),
    "generated column": (
        "SELECT CONCAT(TABLE_NAME,'.',COLUMN_NAME), GENERATION_EXPRESSION FROM information_schema.COLUMNS "
        "WHERE GENERATION_EXPRESSION<>'' AND TABLE_SCHEMA=%s"
    ),
    "index": (
        "SELECT CONCAT(TABLE_NAME,'.',INDEX_NAME), MIN(NON_UNIQUE), MIN(INDEX_TYPE), GROUP_CONCAT(CONCAT_WS(':',"
        "COLUMN_NAME,SUB_PART,IF(COLLATION='D','D',NULL)) ORDER BY SEQ_IN_INDEX SEPARATOR ',') "
        "FROM information_schema.STATISTICS WHERE TABLE_SCHEMA=%s GROUP BY TABLE_NAME, INDEX_NAME"
    ),
    "foreign key": (
        "SELECT CONCAT(k.TABLE_NAME,'.',k.CONSTRAINT_NAME), MIN(r.UPDATE_RULE), MIN(r.DELETE_RULE), "
        "GROUP_CONCAT(CONCAT_WS(':',k.COLUMN_NAME,k.REFERENCED_TABLE_NAME,k.REFERENCED_COLUMN_NAME) "
        "ORDER BY k.ORDINAL_POSITION SEPARATOR ',') FROM information_schema.KEY_COLUMN_USAGE k "
        "JOIN information_schema.REFERENTIAL_CONSTRAINTS r ON r.CONSTRAINT_SCHEMA=k.CONSTRAINT_SCHEMA "
        "AND r.TABLE_NAME=k.TABLE_NAME AND r.CONSTRAINT_NAME=k.CONSTRAINT_NAME WHERE k.CONSTRAINT_SCHEMA=%s "
        "GROUP BY k.TABLE_NAME, k.CONSTRAINT_NAME"
    ),
    "table": (
        "SELECT TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_COLLATION FROM information_schema.TABLES WHERE TABLE_SCHEMA=%s"
    ),
    "trigger": (
        "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_TIMING, SHA2(ACTION_STATEMENT,256) "
        "FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA=%s"
    ),
    "routine": (
        "SELECT CONCAT(ROUTINE_TYPE,' ',ROUTINE_NAME), SHA2(ROUTINE_DEFINITION,256), SQL_DATA_ACCESS, SECURITY_TYPE, "
        "IS_DETERMINISTIC FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA=%s"
    ),
    "event": (
        "SELECT EVENT_NAME, EVENT_TYPE, INTERVAL_VALUE, INTERVAL_FIELD, SHA2(EVENT_DEFINITION,256) "
        "FROM information_schema.EVENTS WHERE EVENT_SCHEMA=%s"
    ),
}
# MariaDB names a column's check after the column, MySQL by counting: the table's checks are compared together.
CHECKS = {
    "mariadb": (
        "SELECT TABLE_NAME, GROUP_CONCAT(CHECK_CLAUSE ORDER BY CHECK_CLAUSE SEPARATOR ' ; ') "
        "FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA=%s GROUP BY TABLE_NAME"
    ),
    "mysql": (
        "SELECT t.TABLE_NAME, GROUP_CONCAT(CONCAT(c.CHECK_CLAUSE,IF(t.ENFORCED='YES','',' NOT ENFORCED')) "
        "ORDER BY c.CHECK_CLAUSE SEPARATOR ' ; ') FROM information_schema.TABLE_CONSTRAINTS t "
        "JOIN information_schema.CHECK_CONSTRAINTS c ON c.CONSTRAINT_SCHEMA=t.CONSTRAINT_SCHEMA "
        "AND c.CONSTRAINT_NAME=t.CONSTRAINT_NAME WHERE t.CONSTRAINT_TYPE='CHECK' AND t.CONSTRAINT_SCHEMA=%s "
        "GROUP BY t.TABLE_NAME"
    ),
}


def column_type(text: str) -> str:
    """MySQL 8 no longer writes the width of an integer that is not filled with zeros, nor that of a year."""
    if "zerofill" in text:
        return text
    return re.sub(r"\A(smallint|mediumint|int|bigint|year|tinyint(?!\(1\)))\(\d+\)", r"\1", text)


def default(kind: str, value: Optional[str], extra: str) -> str:
    """A column's default: nothing, a literal's value, or an expression.

    MariaDB writes the SQL of it; MySQL the bare value of a literal, and says of an expression that it is one.
    """
    if value is None or (kind == "mariadb" and value == "NULL"):
        return "none"
    if kind == "mysql" and "DEFAULT_GENERATED" not in extra:
        return "literal " + value
    # MySQL writes the quotes of a literal within an expression escaped, and its charset before them.
    text = re.sub(r"\A_[a-z0-9]+\\'(.*)\\'\Z", r"'\1'", value, flags=re.DOTALL) if kind == "mysql" else value
    quoted = re.match(r"'(.*)'\Z", text, re.DOTALL)
    if quoted:
        return "literal " + quoted.group(1).replace("''", "'")
    if kind == "mariadb" and re.match(r"-?\d+(\.\d+)?\Z|b'[01]*'\Z", text):
        return "literal " + text
    return "expression " + moment(text)


def moment(text: str) -> str:
    """current_timestamp() and CURRENT_TIMESTAMP, now(6) as current_timestamp(6)."""
    return re.sub(r"(?i)\b(?:current_timestamp|now)\b(\(\))?", "current_timestamp", text)


def extras(text: str) -> str:
    """What else is said of a column: MySQL adds there that its default is an expression."""
    return " ".join(sorted(moment(text.replace("DEFAULT_GENERATED", "")).lower().split()))


def introduced(text: str) -> str:
    """MySQL writes a charset before each literal of an expression, and another one after the table was altered."""
    return re.sub(r"\b_[a-z0-9]+(?=\\')", "", text)


def rule(text: str) -> str:
    """NO ACTION is RESTRICT, in InnoDB of either."""
    return "RESTRICT" if text == "NO ACTION" else text


def spelled(kind: str, what: str, values: Tuple[Any, ...]) -> str:
    """One definition, ``kind`` being whose: mariadb or mysql."""
    texts = list(values)
    if what == "column":
        place, type_, nullable, given, extra, charset, collation = texts
        texts = [place, column_type(type_), nullable, default(kind, given, extra), extras(extra)]
        texts += [dialect.charset(charset or ""), _collation(kind, collation)]
    elif what == "table":
        texts[-1] = _collation(kind, texts[-1])
    elif what in EXPRESSIONS:
        texts[0] = introduced(texts[0])
    elif what == "foreign key":
        texts[:2] = [rule(texts[0]), rule(texts[1])]
    return " ".join("NULL" if text is None else str(text) for text in texts)


def _collation(kind: str, name: Optional[str]) -> str:
    # MySQL's names are the common ones, whichever side is asked.
    return dialect.collation(name or "") if kind == "mariadb" else name or ""


def definitions(connection: Any, database: str) -> Definitions:
    """Everything that is defined in a database: (kind, name) to its definition in the common spelling."""
    kind = flavour(connection)
    found = {}
    for what, query in dict(QUERIES, check=CHECKS[kind]).items():
        for row in fetch(connection, (query, (database,))):
            name, *values = (value.decode("utf-8") if isinstance(value, bytes) else value for value in row)
            if not OWN_OBJECTS.match(name):
                found[(what, name)] = spelled(kind, what, tuple(values))
    return found


def noted(one: Definitions, other: Definitions) -> Dict[str, List[str]]:
    """How both sides write their expressions, to be compared with later."""
    return {
        "{0} {1}".format(*key): [one[key], other[key]] for key in sorted(one) if key[0] in EXPRESSIONS and key in other
    }


def differences(one: Definitions, other: Definitions, known: Noted) -> List[str]:
    """What is defined differently, in words; ``one`` is the source's, whichever way the rows go."""
    found = []
    for key in sorted(set(one) | set(other)):
        name = "{0} {1}".format(*key)
        ours, theirs = one.get(key), other.get(key)
        if theirs is None:
            found.append("{0} is missing on the target".format(name))
        elif ours is None:
            found.append("{0} is only on the target".format(name))
        elif ours != theirs and list(known.get(name, ())) != [ours, theirs]:
            found.append("{0} is '{1}' on the source and '{2}' on the target".format(name, ours, theirs))
    return found
