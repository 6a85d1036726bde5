# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts and what they may do in the site's databases: which come over, and what differs.

Nothing here holds a secret: how an account logs in is read and written by the engine's own file alone.
"""

from typing import Any, Dict, FrozenSet, Iterable, List, NamedTuple, Sequence, Set, Tuple


class Right(NamedTuple):
    """One privilege, on a database, a table or a routine; or a role, where ``privilege`` is empty."""

    kind: str
    privilege: str
    database: str
    name: str
    grantable: bool = False

    def where(self) -> str:
        """On what it is, in words."""
        place = ".".join(part for part in (self.database, self.name) if part)
        return "{0} {1}{2}".format(self.kind, place, " with grant option" if self.grantable else "")


class Account(NamedTuple):
    """An account or a role of one server.

    ``methods`` are its authentication plugins; ``everywhere`` what reaches beyond the site's databases; ``owns``
    what of the site runs as it.
    """

    name: str
    user: str
    host: str
    login: bool
    methods: Tuple[str, ...] = ()
    rights: FrozenSet[Right] = frozenset()
    everywhere: Tuple[str, ...] = ()
    owns: Tuple[str, ...] = ()
    exists: bool = True

    def is_sites(self) -> bool:
        """Whether it has anything to do with the site's databases in particular."""
        return bool(self.rights or self.owns)


class Settings(NamedTuple):
    """What was chosen: ``left`` are accounts that stay behind, ``hosts`` where those of a host log in from now."""

    left: FrozenSet[str] = frozenset()
    hosts: Dict[str, List[str]] = {}  # noqa: RUF012 - never changed

    def stays(self, account: Account) -> bool:
        """Whether it is left behind on purpose, by its name or its user's."""
        return account.name in self.left or account.user in self.left


class Move(NamedTuple):
    """An account of the source, what it is called on the target, and who stands for it there already."""

    account: Account
    name: str
    user: str
    host: str
    there: Tuple[Account, ...]


def label(user: str, host: str) -> str:
    """An account as people write it; a role has no host."""
    return "{0}@{1}".format(user, host) if host else user


def facts(accounts: Dict[str, Account]) -> Dict[str, Any]:
    """The accounts as plain data."""
    return {
        name: dict(
            account._asdict(),
            methods=list(account.methods),
            rights=sorted(list(right) for right in account.rights),
            everywhere=list(account.everywhere),
            owns=list(account.owns),
        )
        for name, account in accounts.items()
    }


def of_facts(told: Dict[str, Any]) -> Dict[str, Account]:
    """The accounts from plain data."""
    return {
        name: Account(
            account["name"],
            account["user"],
            account["host"],
            account["login"],
            tuple(account["methods"]),
            frozenset(Right(*right) for right in account["rights"]),
            tuple(account["everywhere"]),
            tuple(account["owns"]),
            account["exists"],
        )
        for name, account in told.items()
    }


def moves(
    source: Dict[str, Account], target: Dict[str, Account], settings: Settings, brought: Iterable[str] = ()
) -> List[Move]:
    """The source's accounts that are the site's, each once for every host that it gets.

    Where the target knows the user from other hosts, whoever set it up has decided from where and with what
    password it logs in: nobody else comes beside it. ``brought`` are those that came earlier.
    """
    found = []
    users = {}  # type: Dict[str, List[Account]]
    for account in target.values():
        if account.exists and account.name not in set(brought):
            users.setdefault(account.user, []).append(account)
    for account in sorted(source.values()):
        if not account.is_sites() or not account.exists or settings.stays(account):
            continue
        for host in settings.hosts.get(account.host, [account.host]) if account.login else [account.host]:
            name = label(account.user, host)
            same = target.get(name)
            there = [same] if same and same.exists else users.get(account.user, [])
            found.append(Move(account, name, account.user, host, tuple(there)))
    return found


def missing(found: Sequence[Move]) -> List[Move]:
    """Those that nobody stands for."""
    return [move for move in found if not move.there]


def differences(move: Move) -> List[str]:
    """What an account may do on one side only, in words."""
    theirs: Set[Right] = set()
    for account in move.there:
        theirs |= account.rights
    said = []
    for verb, rights in (("lacks", move.account.rights - theirs), ("has beyond it", theirs - move.account.rights)):
        said += ["{0} {1}".format(verb, text) for text in grouped(rights)]
    return said


def grouped(rights: Iterable[Right]) -> List[str]:
    """Rights in words, those on the same thing together."""
    places = {}  # type: Dict[str, List[str]]
    for right in rights:
        places.setdefault(right.where(), []).append(right.privilege)
    return [
        "{0} on {1}".format(", ".join(sorted(privileges)), where) if any(privileges) else "the " + where
        for where, privileges in sorted(places.items())
    ]


def beyond(accounts: Dict[str, Account], settings: Settings) -> List[Account]:
    """The site's accounts with rights that are not for the site's databases alone."""
    return [
        account
        for account in sorted(accounts.values())
        if account.is_sites() and account.everywhere and not settings.stays(account)
    ]


def others(accounts: Dict[str, Account], settings: Settings) -> List[Account]:
    """Accounts that reach the site's databases, but only as they reach every other."""
    return [
        account
        for account in sorted(accounts.values())
        if not account.is_sites() and account.everywhere and not settings.stays(account)
    ]


def lacking_methods(found: Sequence[Move], methods: Iterable[str]) -> List[Tuple[str, str]]:
    """(account, plugin) of those that are to come and could not log in on the target."""
    known = set(methods)
    return [
        (move.name, method)
        for move in missing(found)
        if move.account.login
        for method in move.account.methods
        if method not in known
    ]
