# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of the accounts of the site's databases, and what stands in their way."""

from typing import Any, Dict, Iterator, List

from ansible_collections.ocpizza.cutover.plugins.module_utils import rights
from ansible_collections.ocpizza.cutover.plugins.module_utils.finding import INFO, INHIBITOR, WARNING, Finding, join

# MySQL has had it since it was the only one; 8.4 still brings it, turned off.
GONE = {
    "mysql": {
        "mysql_native_password": ((8, 4), "ALTER USER … IDENTIFIED WITH caching_sha2_password BY … on the source")
    }
}
BY_SYSTEM_USER = ("unix_socket", "auth_socket")
PLUGINS = {
    "mariadb": "INSTALL SONAME on the target ('apt-cache search mariadb-plugin' lists what is packaged apart), or give "
    "the account another plugin on the source",
    "mysql": "INSTALL PLUGIN on the target, or give the account another plugin on the source",
}
LEFT = "or leave it behind by its name in site_accounts_left"


def source(engine: str, site: Dict[str, Any], server: Dict[str, Any]) -> Iterator[Finding]:
    """What the source's accounts say, whatever the target is."""
    accounts = rights.of_facts(server["accounts"])
    settings = _settings(site)
    if site["accounts"] == "ignore":
        names = [move.name for move in rights.moves(accounts, {}, settings)]
        if names:
            yield Finding(
                "database.accounts_ignored",
                WARNING,
                "Accounts stay on the source",
                "site_accounts is ignore; nobody looks after {0}.".format(join(names)),
                "See to it that whoever uses them has an account on the target.",
            )
        return
    for account in rights.beyond(accounts, settings):
        yield Finding(
            "database.account_everywhere",
            INHIBITOR,
            "An account of the site has rights beyond its databases",
            "{0} has {1}{2}. They do not come along: only its rights on the site's databases do.".format(
                account.name, join(account.everywhere), _runs(account)
            ),
            "Take them away on the source if nothing needs them, {0}. To have them on the target too, give them there "
            "by hand and waive this.".format(LEFT),
        )
    others = [
        "{0} ({1})".format(account.name, join(account.everywhere, 3)) for account in rights.others(accounts, settings)
    ]
    if others:
        yield Finding(
            "database.accounts_of_the_server",
            WARNING,
            "Accounts with rights on every database stay behind",
            "They reach the site's too: {0}.".format(join(others)),
            "Make those that are still needed (backups, monitoring) on the target, with rights on what they need.",
        )
    lost = [account for account in sorted(accounts.values()) if not account.exists and account.owns]
    for account in lost:
        yield Finding(
            "database.definer_missing",
            INHIBITOR,
            "Something runs as an account that does not exist",
            "{0} of {1} is not on the source; neither side can use it.".format(join(account.owns, 5), account.name),
            "Define it anew with an account that exists, or drop it; waive this if nothing uses it.",
        )


def target(
    engine: str, site: Dict[str, Any], server: Dict[str, Any], host: str, known: Dict[str, Any], planned: Dict[str, Any]
) -> Iterator[Finding]:
    """What becomes of the source's accounts on one target."""
    if site["accounts"] == "ignore":
        return
    theirs = rights.of_facts(known.get("accounts", {}))
    users = {account.user for account in theirs.values()}
    # What prepare.yml is to make; with what rights is known once it has.
    coming = [name for name in planned.get("users", []) if name not in users]
    theirs.update(("{0} of the inventory".format(name), rights.Account(name, name, "", True)) for name in coming)
    moves = rights.moves(rights.of_facts(server["accounts"]), theirs, _settings(site))
    missing = rights.missing(moves)
    if missing and site["accounts"] == "compare":
        yield Finding(
            "database.accounts_missing",
            INHIBITOR if known.get("running") else WARNING,
            "Accounts are not on the target",
            "{0} does not have {1}; site_accounts is compare, so nobody makes them.".format(
                host, join([move.name for move in missing])
            ),
            "Make them there, set site_accounts to copy, or name those in site_accounts_left that stay behind.",
        )
    elif missing:
        yield Finding(
            "database.accounts",
            INFO,
            "Accounts come along",
            "replicate.yml brings {0} to {1}, locked until the switchover.".format(
                join([move.name for move in missing]), host
            ),
            "Add rules for them to postgresql_hba: nothing else lets them in."
            if engine == "postgresql"
            else "Nothing to do; where hosts change, say so in site_account_hosts.",
        )
        yield from _methods(engine, missing, host, known, planned)
    for move in moves:
        differences = rights.differences(move) if move.there and move.account.user not in coming else []
        if differences:
            yield Finding(
                "database.account_differs",
                WARNING,
                "An account has other rights on the target",
                "{0} on {1} ({2} on the source) {3}.".format(
                    join([account.name for account in move.there]), host, move.account.name, "; ".join(differences)
                ),
                "Correct it where it is made (mysql_users, postgresql_users), or leave it so if that is meant.",
            )


def _methods(
    engine: str, missing: List[rights.Move], host: str, known: Dict[str, Any], planned: Dict[str, Any]
) -> Iterator[Finding]:
    if engine == "postgresql":
        old = [move.name for move in missing if "md5" in move.account.methods]
        if old and not any(line.split()[-1:] == ["md5"] for line in planned.get("postgresql_hba", [])):
            yield Finding(
                "database.account_plugin",
                INHIBITOR,
                "Accounts could not log in on the target",
                "The passwords of {0} are kept as md5, and no rule in postgresql_hba of {1} takes that.".format(
                    join(old), host
                ),
                "Set password_encryption to scram-sha-256 on the source and give them their passwords anew, add rules "
                "with md5 for them to postgresql_hba, {0}.".format(LEFT),
            )
        return
    if known.get("running"):
        lacking = rights.lacking_methods(missing, known["authentication"])
    else:
        without = [name for name, (last, _remedy) in GONE.get(engine, {}).items() if planned["version"][:2] > last]
        lacking = [(move.name, method) for move in missing for method in move.account.methods if method in without]
    for name, method in lacking:
        _last, remedy = GONE.get(engine, {}).get(method, ((), PLUGINS[engine]))
        yield Finding(
            "database.account_plugin",
            INHIBITOR,
            "Accounts could not log in on the target",
            "{0} logs in by {1}, which {2} does not have.".format(name, method, host),
            "{0}, {1}.".format(remedy, LEFT),
        )
    system = [move.name for move in missing if set(move.account.methods) & set(BY_SYSTEM_USER)]
    if system:
        yield Finding(
            "database.account_by_system_user",
            WARNING,
            "Accounts log in as users of the system",
            "{0}: on {1} that is whoever has the user of that name there, and nobody from another host.".format(
                join(system), host
            ),
            "Give them a password on the source if the application uses them, {0}.".format(LEFT),
        )


def _runs(account: rights.Account) -> str:
    return ", and {0} of it".format(join(account.owns, 3)) if account.owns else ""


def _settings(site: Dict[str, Any]) -> rights.Settings:
    return rights.Settings(frozenset(site["accounts_left"]), site["account_hosts"])
