# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in the way of moving PostgreSQL's databases."""

from typing import Any, Dict, Iterator

from ansible_collections.ocpizza.cutover.plugins.module_utils.finding import INFO, INHIBITOR, WARNING, Finding, join

# What a server has that is told nothing else, and what replicate.yml gives a source at its restart.
USUAL = {
    "wal_level": "replica",
    "max_replication_slots": "10",
    "max_wal_senders": "10",
    "max_logical_replication_workers": "4",
    "max_worker_processes": "8",
}
GIVEN = {"wal_level": "logical", "max_replication_slots": "10", "max_wal_senders": "10"}
FEW = 4


def contents(name: str, database: Dict[str, Any]) -> Iterator[Finding]:
    """What of one database does not replicate."""
    if database["unlogged"]:
        yield Finding(
            "database.unlogged",
            INHIBITOR,
            "Tables are not replicated",
            "Unlogged tables of {0}: {1}. The target has what the first copy brought.".format(
                name, join(database["unlogged"])
            ),
            "ALTER TABLE … SET LOGGED on the source, or waive this if nothing writes to them: their rows are compared.",
        )
    if database["large_objects"]:
        yield Finding(
            "database.large_objects",
            INHIBITOR,
            "Large objects are not replicated",
            "Database {0} has {1}. The target has what the first copy brought.".format(name, database["large_objects"]),
            "Move them into bytea columns, or waive this if none changes any more.",
        )
    if database["foreign_tables"]:
        yield Finding(
            "database.foreign_tables",
            INHIBITOR,
            "Tables are on another server",
            "Foreign tables of {0}: {1}. Their rows are not copied, and no fence stops writes through them.".format(
                name, join(database["foreign_tables"])
            ),
            "Let the target reach their servers with the same accounts, then waive this.",
        )
    for table in sorted(set(database["without_key"]) & set(database["incomparable"])):
        yield Finding(
            "database.without_key_or_equality",
            INHIBITOR,
            "Changes of a table cannot be applied",
            "{0} of {1} has no key, and {2} of a type that cannot be compared: an UPDATE or DELETE of it stops the "
            "replication.".format(table, name, database["incomparable"][table]),
            "Give it a primary key, or waive this if nothing changes in it.",
        )
    for key, found, title, reason, remedy in (
        (
            "database.generated_key",
            database["generated_keys"],
            "Keys are not sent",
            "Tables of {0} whose key has a generated column: {1}.",
            "Choose another primary key.",
        ),
        (
            "database.prepared_transactions",
            database["prepared"],
            "Transactions wait to be committed",
            "Prepared transactions of {0}: {1}. The first copy waits for them, and so does the fence.",
            "COMMIT PREPARED or ROLLBACK PREPARED on the source.",
        ),
    ):
        if found:
            yield Finding(key, INHIBITOR, title, reason.format(name, join(found)), remedy)
    for key, found, title, reason, remedy in (
        (
            "database.extension_tables",
            database["extension_tables"],
            "Tables of extensions are not replicated",
            "Those of {0}: {1}. The target has what the first copy brought of your own rows in them.",
            "Add none until the switchover, or add them on both sides.",
        ),
        (
            "database.event_triggers",
            database["event_triggers"],
            "Event triggers see what is made for the move",
            "Those of {0}: {1}. They run at our own CREATE TRIGGER and CREATE PUBLICATION.",
            "Make sure that they let these pass, or disable them for the move.",
        ),
    ):
        if found:
            yield Finding(key, WARNING, title, reason.format(name, join(found)), remedy)
    if database["settings"]:
        yield Finding(
            "database.settings",
            WARNING,
            "A database has settings of its own",
            "They are no part of the copy: {0}.".format(join(database["settings"])),
            "ALTER DATABASE … SET on the target, where the application needs them.",
        )
    if database["materialized_views"]:
        yield Finding(
            "database.materialized_views",
            WARNING,
            "Materialized views are not replicated",
            "Those of {0}: {1}. The target has what the first copy brought.".format(
                name, join(database["materialized_views"])
            ),
            "Have the job that refreshes them run on the target after the switchover.",
        )


def source(facts: Dict[str, Any], server: Dict[str, Any]) -> Iterator[Finding]:
    """What of the source's settings forbids replication, or has to change for it."""
    settings = server["settings"]
    if settings.get("in_recovery") == "on":
        yield Finding(
            "database.standby",
            INHIBITOR,
            "The source's database server is a standby",
            "It follows another server and takes no writes.",
            "Name the host of its primary as the source.",
        )
        return
    wanted = facts["site"].get("source_settings", {})
    restart = [
        "{0} is {1}".format(name, settings[name])
        for name, enough in (
            ("wal_level", settings.get("wal_level", "logical") == "logical"),
            ("max_replication_slots", int(settings.get("max_replication_slots", 10)) >= FEW),
            ("max_wal_senders", int(settings.get("max_wal_senders", 10)) >= FEW),
        )
        if not enough
    ]
    after = dict(settings)
    if restart:
        after.update((name, max(settings.get(name, value), value, key=_number)) for name, value in GIVEN.items())
        after.update((name, str(value)) for name, value in wanted.items())
        yield Finding(
            "database.restart_needed",
            INFO,
            "The source's database server will be restarted once",
            "{0}. The restart is done behind the valve: requests wait, none is refused.".format(join(restart)),
            "Nothing to do; choose a quiet hour for replicate.yml.",
        )
    remedy = "Set it in the source's configuration and restart the server" + (
        ", or in replication_source_settings.postgresql: it is read at the restart that comes anyway"
        if restart
        else " in a quiet hour"
    )
    yield from _capacity(facts, "the source", after, server.get("used", {}), remedy + ".")


def target(
    facts: Dict[str, Any], server: Dict[str, Any], host: str, known: Dict[str, Any], planned: Dict[str, Any]
) -> Iterator[Finding]:
    """What the target is or will be that does not go with the source."""
    settings = dict(USUAL, **known.get("settings", {}))
    settings.update((name, str(value)) for name, value in planned.get("postgresql_settings", {}).items())
    if settings["wal_level"] != "logical":
        yield Finding(
            "database.wal_level",
            INHIBITOR,
            "There would be no way back",
            "wal_level is {0} on {1}, so that its changes cannot be followed.".format(settings["wal_level"], host),
            "Set wal_level: logical in postgresql_settings.",
        )
    yield from _capacity(facts, host, settings, known.get("used", {}), "Set it in postgresql_settings.")
    for name in facts["site"]["engines"]["postgresql"]:
        ours = server["databases"][name]
        if ours["exists"]:
            yield from _extensions(name, ours, host, known)
            yield from _text(name, ours, host, known.get("databases", {}).get(name, {}))
            yield from _roles(facts["site"], name, server, host, known, planned)


def _capacity(
    facts: Dict[str, Any], where: str, settings: Dict[str, str], used: Dict[str, int], remedy: str
) -> Iterator[Finding]:
    # A link and a proof for each database on each side; one worker applies what comes back.
    count = len(facts["site"]["engines"]["postgresql"])
    needs = (
        ("database.max_replication_slots", "max_replication_slots", used.get("slots", 0) + 2 * count),
        ("database.max_wal_senders", "max_wal_senders", used.get("senders", 0) + 2 * count),
        ("database.replication_workers", "max_logical_replication_workers", count),
        ("database.replication_workers", "max_worker_processes", count + 1),
    )
    for key, name, needed in needs:
        if int(settings.get(name, USUAL[name])) < needed:
            yield Finding(
                key,
                INHIBITOR,
                "A server can serve too few links",
                "{0} is {1} on {2}; with what uses them already {3} are needed.".format(
                    name, settings[name], where, needed
                ),
                remedy,
            )
    if int(settings.get("max_slot_wal_keep_size", -1)) >= 0:
        yield Finding(
            "database.slot_limit",
            WARNING,
            "A link that lags is lost",
            "max_slot_wal_keep_size is {0} MB on {1}: a link that lags by more has to be made anew.".format(
                settings["max_slot_wal_keep_size"], where
            ),
            "Set it to -1 until the move is over, and watch the disk.",
        )


def _extensions(name: str, ours: Dict[str, Any], host: str, known: Dict[str, Any]) -> Iterator[Finding]:
    if not ours["extensions"]:
        return
    if not known.get("running"):
        yield Finding(
            "database.extensions_unknown",
            WARNING,
            "It is not known whether the target has the extensions",
            "Database {0} uses {1}; {2} has no server yet that could be asked.".format(
                name, join(ours["extensions"]), host
            ),
            "Run check.yml again after backup.yml, which installs the server; its restore needs them too.",
        )
        return
    missing = sorted(set(ours["extensions"]) - set(known["available_extensions"]))
    if missing:
        yield Finding(
            "database.extensions",
            INHIBITOR,
            "The target lacks extensions",
            "Database {0} uses {1}, which {2} cannot create.".format(name, join(missing), host),
            "Install their packages on the target; 'apt-cache search postgresql-' lists them.",
        )


def _text(name: str, ours: Dict[str, Any], host: str, theirs: Dict[str, Any]) -> Iterator[Finding]:
    if not theirs.get("exists"):
        return
    if ours["charset"] != theirs["charset"]:
        yield Finding(
            "database.encoding",
            INHIBITOR,
            "A database has two encodings",
            "Database {0} is in {1} on the source and in {2} on {3}; text that one of them cannot write stops the "
            "replication.".format(name, ours["charset"], theirs["charset"], host),
            "Make the target's database with the source's encoding.",
        )
    for what in ("collation", "ctype"):
        if ours[what] != theirs[what]:
            yield Finding(
                "database.collation",
                WARNING,
                "A database sorts text in two ways",
                "The {0} of database {1} is {2} on the source and {3} on {4}: lists come in another order.".format(
                    what, name, ours[what], theirs[what], host
                ),
                "Make the target's database with the source's collation, or accept the new order.",
            )


def _roles(
    site: Dict[str, Any],
    name: str,
    server: Dict[str, Any],
    host: str,
    known: Dict[str, Any],
    planned: Dict[str, Any],
) -> Iterator[Finding]:
    # Those of the inventory come with prepare.yml, others with replicate.yml unless they are to stay.
    come = set() if site["accounts"] != "copy" else set(server["accounts"]) - set(site["accounts_left"])
    missing = sorted(
        set(server["databases"][name]["accounts"]) - set(known.get("roles", [])) - set(planned["users"]) - come
    )
    if missing:
        yield Finding(
            "database.roles_missing",
            INHIBITOR,
            "Roles with rights are missing on the target",
            "Of those that own or may do something in database {0}, neither {1} nor postgresql_users has {2}.".format(
                name, host, join(missing)
            ),
            "Add them to postgresql_users, let replicate.yml bring them (site_accounts, site_accounts_left), or take "
            "away what they have (REASSIGN OWNED, DROP OWNED) on the source; "
            "the copy gives everything to its owner.",
        )


def _number(value: Any) -> float:
    return float(value) if str(value).isdigit() else float(str(value) == "logical")
