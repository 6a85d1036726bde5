# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: S608 - every name in a statement went through quote_mysql(), every value is an argument
"""Copy under hold: how a site's databases get from MariaDB to MySQL, and back, where nothing replicates.

The definitions are made once, by the trial copy; from then on only rows go, whichever way. So the way back needs no
more than the way there: the source keeps its own definitions. The trial also says how long a hold would be.
"""

import json
import os
import time
from contextlib import ExitStack
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional

from ansible_collections.ocpizza.cutover.plugins.module_utils import (
    copyover_proof,
    copyover_rows,
    copyover_schema,
    journal,
    proof,
    proof_mariadb,
)
from ansible_collections.ocpizza.cutover.plugins.module_utils.copy_databases import quiet_events, refuse
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Progress
from ansible_collections.ocpizza.cutover.plugins.module_utils.dump_stream import SeedFailed
from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_mysql
from ansible_collections.ocpizza.cutover.plugins.module_utils.mariadb import MariaDB
from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_result import describe
from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_walk import Walk

SAMPLE_ROWS = 500
# The snapshot's readers begin at one point, for which all writing stops an instant; behind a long statement it would
# stop longer, so it is given up and tried again.
LOCK_SECONDS = 2
ATTEMPTS = 10


class Ends(NamedTuple):
    """The site's databases on both sides, and new connections to either."""

    source: MariaDB
    target: MariaDB
    connect: Mapping[str, Callable[[], Any]]
    jobs: int


def count_rows(server: MariaDB) -> int:
    """The site's rows now, counted: what a server estimates may be minutes old, and wrong."""
    return sum(
        int(server.value("SELECT COUNT(*) FROM {0}.{1}".format(quote_mysql(table["db"]), quote_mysql(table["tbl"]))))
        for table in server.tables()
    )


def predicted(trial: Mapping[str, Any], rows: int) -> float:
    """Seconds that a hold would take: what the last copy and its proof took, by how much the data has grown."""
    growth = max(1.0, rows / max(1.0, float(trial["rows"])))
    return round((float(trial["copy_seconds"]) + float(trial["proof_seconds"])) * growth, 1)


def basis(trial: Mapping[str, Any]) -> str:
    """What a prediction is made from, in words."""
    return "{0} rows copied in {1} s and proven in {2} s at {3}".format(
        trial["rows"], trial["copy_seconds"], trial["proof_seconds"], trial["time"]
    )


def compare(ends: Ends, databases: List[str]) -> Dict[str, Dict[str, copyover_proof.Definitions]]:
    """The definitions of each database on both sides."""
    found = {}
    with ExitStack() as opened:
        connections = {}
        for side in ("source", "target"):
            connections[side] = ends.connect[side]()
            opened.callback(connections[side].close)
            proof_mariadb.prepare(connections[side])
        for name in databases:
            found[name] = {
                side: copyover_proof.definitions(connection, name) for side, connection in connections.items()
            }
    return found


def differences(ends: Ends, noted: Mapping[str, Any]) -> Dict[str, List[str]]:
    """What is defined differently, by database."""
    return {
        name: copyover_proof.differences(both["source"], both["target"], noted.get(name, {}))
        for name, both in compare(ends, ends.source.databases).items()
    }


def copy(ends: Ends, origin: str, check: Callable[[int], None], reader: Optional[Callable[[], Any]] = None) -> int:
    """Copy every row from one side into the emptied tables of the other; how many."""
    destination = "target" if origin == "source" else "source"
    server = ends.target if destination == "target" else ends.source
    read, write = reader or ends.connect[origin], ends.connect[destination]
    rows = copyover_rows.Copy(read, write, ends.jobs, check).run(server.databases)
    ours, theirs = read(), write()
    for connection in (ours, theirs):
        proof_mariadb.prepare(connection)
    for database in server.databases:
        copyover_rows.set_counters(ours, server.unlogged, theirs, database)
    for connection in (ours, theirs):
        connection.close()
    copyover_schema.mend(server)
    return rows


def prove(
    ends: Ends,
    noted: Mapping[str, Any],
    position: str,
    check: Callable[[int], None],
    reader: Optional[Callable[[], Any]] = None,
) -> List[Dict[str, Any]]:
    """Compare every row and every definition of both sides, neither of which is written to; as proof.json has it."""
    found = []
    defined = differences(ends, noted)
    for name in ends.source.databases:
        with ExitStack() as opened:
            pairs = []
            for _job in range(ends.jobs):
                pairs.append(((reader or ends.connect["source"])(), ends.connect["target"]()))
                for connection in pairs[-1]:
                    opened.callback(_close, connection)
            found.append(
                proof.compare_database(
                    *pairs[0],
                    name,
                    proof.Settling(None, 2),
                    lambda done, _total, _what: check(done),
                    position=position,
                    more_pairs=pairs[1:],
                    defined=defined[name],
                )
            )
    return found


def _close(connection: Any) -> None:
    if connection.open:
        connection.close()


def refuse_unproven(proofs: List[Dict[str, Any]]) -> None:
    """Stop where a database is not proven equal."""
    if not all(each["equal"] for each in proofs):
        raise SeedFailed("; ".join(describe(each) for each in proofs if not each["equal"]))


# The trial.


def read_trial(path: str) -> Dict[str, Any]:
    """What the last copy took; nothing where there was none."""
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as stream:
        return dict(json.load(stream))


def trial(ends: Ends, known: Dict[str, Any], progress: Progress) -> Dict[str, Any]:
    """Make the target's definitions and a proven copy of the rows as they are now, and measure it.

    Not again where that was done and the definitions are still the same.
    """
    source, target = ends.source, ends.target
    source.make_schema()
    if known and target.seeded() is not None and not any(differences(ends, known["noted"]).values()):
        return dict(known, changed=False)
    if target.seeded() is None:
        refuse(target)
    begin(target)
    total = int(
        source.value(
            "SELECT COALESCE(SUM(table_rows), 0) FROM information_schema.tables WHERE table_schema IN %s",
            [source.databases],
        )
    )
    with quiet_events(source, target), ExitStack() as opened:
        copyover_schema.make(source, target)
        copyover_schema.keep_triggers(source, target)
        # Readers of one snapshot: the workers', the one that finds the chunks, the counters', and the proofs'.
        readers = snapshot(ends, ends.jobs + 2 + ends.jobs * len(source.databases), opened)
        begun = time.monotonic()
        rows = copy(ends, "source", lambda done: progress(done, max(total, done), "rows copied"), lambda: next(readers))
        copied = time.monotonic()
        noted = {
            name: copyover_proof.noted(both["source"], both["target"])
            for name, both in compare(ends, source.databases).items()
        }
        proofs = prove(
            ends,
            noted,
            "a snapshot at {0}".format(journal.utc_now()),
            lambda done: progress(done, max(rows, done), "rows proven"),
            lambda: next(readers),
        )
        proven = time.monotonic()
    refuse_unproven(proofs)
    back = sample_back(ends)
    end(target)
    found = measured(rows, copied - begun, proven - copied)
    return dict(found, changed=True, noted=noted, proof=proofs, rows_back=back)


def begin(target: MariaDB) -> None:
    """Note that what is on the target is no whole copy, but one of ours."""
    target.seeded()
    target.unlogged(
        "CREATE TABLE IF NOT EXISTS {0}.seeding (id TINYINT PRIMARY KEY)".format(target.schema),
        "DELETE FROM {0}.seed".format(target.schema),
    )


def end(target: MariaDB) -> None:
    """Note that the copy is whole and proven."""
    target.unlogged(
        "REPLACE INTO {0}.seed VALUES (1, 'copied', UTC_TIMESTAMP(6))".format(target.schema),
        "DROP TABLE IF EXISTS {0}.seeding".format(target.schema),
    )


def measured(rows: int, copy_seconds: float, proof_seconds: float) -> Dict[str, Any]:
    """What a copy took, to predict the next by."""
    return {
        "rows": rows,
        "copy_seconds": round(copy_seconds, 3),
        "proof_seconds": round(proof_seconds, 3),
        "time": journal.utc_now(),
    }


def snapshot(ends: Ends, count: int, opened: ExitStack) -> Iterator[Any]:
    """Connections to the source that all see the same instant."""
    readers = [ends.connect["source"]() for _each in range(count)]
    stopper = ends.connect["source"]()
    for connection in [*readers, stopper]:
        opened.callback(_close, connection)
        proof_mariadb.prepare(connection)
    proof_mariadb.fetch(stopper, ("SET SESSION lock_wait_timeout={0:d}".format(LOCK_SECONDS), ()))
    for attempt in range(ATTEMPTS):
        try:
            proof_mariadb.fetch(stopper, ("FLUSH TABLES WITH READ LOCK", ()))
            break
        except Exception as error:
            if error.args[:1] != (1205,) or attempt == ATTEMPTS - 1:
                raise
            time.sleep(LOCK_SECONDS)
    for reader in readers:
        proof_mariadb.fetch(reader, ("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", ()))
        proof_mariadb.fetch(reader, ("START TRANSACTION WITH CONSISTENT SNAPSHOT", ()))
    proof_mariadb.fetch(stopper, ("UNLOCK TABLES", ()))
    return iter(readers)


def sample_back(ends: Ends) -> int:
    """Try the way back with the first rows of each table: into a table beside the site's, and compared; how many."""
    source, target = ends.connect["source"](), ends.connect["target"]()
    beside = "{0}.back".format(ends.source.schema)
    count = 0
    try:
        proof_mariadb.prepare(target)
        copyover_rows.prepare_writer(source)
        for database in ends.source.databases:
            for layout in copyover_rows.layouts(target, database):
                if not layout.table.key:
                    continue
                table = layout.table._replace(digest=layout.table.common)
                ends.source.unlogged(
                    "DROP TABLE IF EXISTS {0}".format(beside),
                    "CREATE TABLE {0} LIKE {1}.{2}".format(beside, quote_mysql(database), quote_mysql(table.name)),
                )
                lower, upper = Walk(proof_mariadb, table, SAMPLE_ROWS).next(target) or (None, None)
                into = table._replace(database=ends.source.name, name="back")
                count += copyover_rows.carry(target, source, layout, lower, upper, into)
                mine = proof_mariadb.fetch(source, proof_mariadb.checksum(into))
                source.commit()
                if mine != proof_mariadb.fetch(target, proof_mariadb.checksum(table, lower, upper)):
                    raise SeedFailed(
                        "rows of {0}.{1} do not come back from the target as they are; look at the types of its "
                        "columns".format(database, table.name)
                    )
    finally:
        ends.source.unlogged("DROP TABLE IF EXISTS {0}".format(beside))
        source.close()
        target.close()
    return count
