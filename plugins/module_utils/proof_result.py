# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a proof found, and what a person reads of it."""

from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

Key = Tuple[Any, ...]

EQUAL, DIFFERENT, UNSETTLED, UNKNOWN = "equal", "different", "unsettled", "unknown"
MISSING, EXTRA = "missing", "extra"
PASSED, PARTIAL, FAILED = "PASSED", "PARTIAL", "FAILED"
MAX_NAMED = 100


class Difference(NamedTuple):
    """One row that the sides do not share: missing or extra on the target, or different in ``columns``."""

    database: str
    table: str
    key: Key
    kind: str
    columns: Sequence[str] = ()

    def text(self) -> str:
        """What a person reads."""
        where = "{0}.{1} {2}".format(self.database, self.table, printable_key(self.key))
        if self.kind == DIFFERENT and self.columns:
            return "{0}: different in {1}".format(where, ", ".join(self.columns))
        return "{0}: {1}".format(where, self.kind if self.kind == DIFFERENT else self.kind + " on the target")


class TableProof(NamedTuple):
    """What is known about one table. ``rows`` is what was compared on the source; ``uncovered`` names columns."""

    database: str
    table: str
    status: str
    rows: int
    differences: List[Difference]
    unsettled: List[Key]
    reason: str = ""
    uncovered: Sequence[str] = ()


def printable_key(key: Key) -> str:
    """A key as text, safe to print."""
    return "({0})".format(", ".join(printable(value) for value in key))


def printable(value: Any) -> str:
    """A key's value as text, at most 80 characters long."""
    text = "0x" + value.hex() if isinstance(value, (bytes, bytearray)) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def summarise(database: str, proofs: Sequence[TableProof], schema: Sequence[str]) -> Dict[str, Any]:
    """One verdict from the tables' proofs: PARTIAL where something is not known, FAILED where something differs."""
    rows = sum(proof.rows for proof in proofs)
    counted = [proof for proof in proofs if proof.status in (EQUAL, DIFFERENT)]
    unsure = [proof for proof in proofs if proof.status not in (EQUAL, DIFFERENT)]
    # A table counts as at least one row, so that an empty table that could not be compared lowers the share.
    weight = sum(max(1, proof.rows) for proof in proofs)
    coverage = sum(max(1, proof.rows) for proof in counted) / weight if weight else 0.0
    if any(proof.status == DIFFERENT for proof in proofs) or schema:
        verdict = FAILED
    elif unsure or not proofs:
        verdict = PARTIAL
    else:
        verdict = PASSED
    return {
        "database": database,
        "tables": len(proofs),
        "rows": rows,
        "equal": verdict == PASSED,
        "verdict": verdict,
        "coverage": coverage if not unsure else min(coverage, 0.999999),
        "differences": [difference.text() for proof in proofs for difference in proof.differences][:MAX_NAMED],
        "schema_differences": list(schema),
        "tables_detail": [
            {
                "table": proof.table,
                "status": proof.status,
                "rows": proof.rows,
                "reason": proof.reason,
                "unsettled": [printable_key(key) for key in proof.unsettled[:MAX_NAMED]],
            }
            for proof in proofs
        ],
    }


def describe(result: Dict[str, Any]) -> str:
    """A database's proof in a sentence: what is equal, or the first thing that is not."""
    if result["equal"]:
        return "database {0}: {1} tables with {2} rows are equal".format(
            result["database"], result["tables"], result["rows"]
        )
    reasons = [*result["schema_differences"], *result["differences"]]
    details = [one for one in result["tables_detail"] if one["reason"]]
    reasons += ["table {0}: {1}".format(one["table"], one["reason"]) for one in details]
    if not result["tables"]:
        reasons.append("there is no table in it on the source")
    return "database {0} is {1}: {2}{3}".format(
        result["database"],
        "different" if result["verdict"] == FAILED else "not proven equal",
        "; ".join(reasons[:5]),
        "; and {0} more".format(len(reasons) - 5) if len(reasons) > 5 else "",
    )
