# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the check says of the accounts of the site's databases."""

import copy
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import findings, rights
from ansible_collections.ocpizza.cutover.plugins.module_utils.finding import Finding
from ansible_collections.ocpizza.cutover.plugins.module_utils.rights import Account, Right
from tests.unit.plugins.module_utils.test_findings_databases import facts_for

SELECT = Right("database", "SELECT", "stock", "")


def account(name: str, *given: Right, method: str = "caching_sha2_password", **more: Any) -> Account:
    user, _at, host = name.partition("@")
    return Account(name, user, host, **{"login": True, "methods": (method,), "rights": frozenset(given), **more})


def told(*accounts: Account) -> dict[str, Any]:
    return rights.facts({one.name: one for one in accounts})


def decide(engine: str, *accounts: Account, target: Any = None, **site: Any) -> list[Finding]:
    facts = copy.deepcopy(facts_for(engine))
    facts["site"].update(site)
    facts["source"]["databases"][engine]["accounts"] = told(*accounts)
    if target:
        facts["targets"]["db"]["databases"] = {engine: target}
    return findings.decide(facts)


def running(*accounts: Account, **more: Any) -> dict[str, Any]:
    return {
        "running": True,
        "settings": {"version": "9.7.0"},
        "authentication": ["caching_sha2_password"],
        "accounts": told(*accounts),
        **more,
    }


REPORT = account("report@localhost", SELECT)


def one(found: list[Finding]) -> tuple[str, str, str]:
    (finding,) = found
    return finding.key, finding.severity, findings.describe(finding)


def test_accounts_come_and_it_is_said() -> None:
    key, severity, text = one(decide("mysql", REPORT))
    assert (key, severity) == ("database.accounts", "info")
    assert "replicate.yml brings report@localhost to db, locked until the switchover." in text
    assert "site_account_hosts" in text


def test_roles_come_but_nothing_lets_them_in() -> None:
    key, _severity, text = one(decide("postgresql", account("report", SELECT, method="scram-sha-256")))
    assert key == "database.accounts"
    assert "Remedy: Add rules for them to postgresql_hba" in text


@pytest.mark.parametrize("site", [{"accounts_left": ["report"]}, {"account_hosts": {"localhost": []}}])
def test_who_is_left_is_no_finding(site: dict[str, Any]) -> None:
    assert decide("mysql", REPORT, **site) == []


def test_who_is_ignored_is_named() -> None:
    key, severity, text = one(decide("mysql", REPORT, accounts="ignore"))
    assert (key, severity) == ("database.accounts_ignored", "warning")
    assert "nobody looks after report@localhost" in text


@pytest.mark.parametrize(("target", "severity"), [(None, "warning"), (running(), "inhibitor")])
def test_who_is_to_be_made_by_others(target: Any, severity: str) -> None:
    key, found, text = one(decide("mysql", REPORT, target=target, accounts="compare"))
    assert (key, found) == ("database.accounts_missing", severity)
    assert "db does not have report@localhost; site_accounts is compare" in text


def test_the_inventorys_accounts_are_to_come_by_themselves() -> None:
    facts = facts_for("mysql")
    facts["source"]["databases"]["mysql"]["accounts"] = told(REPORT)
    facts["targets"]["db"]["planned"]["mysql_users"] = ["report"]
    assert findings.decide(facts) == []


def test_rights_everywhere_do_not_come() -> None:
    wide = account("wide@%", SELECT, everywhere=("FILE", "SUPER"), owns=("view stock.v",))
    (first, second) = decide("mysql", wide)
    assert (first.key, first.severity, second.key) == ("database.account_everywhere", "inhibitor", "database.accounts")
    text = findings.describe(first)
    assert "wide@% has FILE, SUPER, and view stock.v of it. They do not come along" in text
    assert "site_accounts_left" in text
    assert "waive this" in text


def test_the_servers_own_accounts_stay() -> None:
    key, severity, text = one(decide("mysql", account("dba@%", everywhere=("DELETE", "INSERT", "SELECT", "SUPER"))))
    assert (key, severity) == ("database.accounts_of_the_server", "warning")
    assert "dba@% (DELETE, INSERT, SELECT and 1 more)" in text


def test_what_runs_as_nobody() -> None:
    lost = account("gone@10.%", owns=("trigger stock.t", "view stock.v"), exists=False)
    key, severity, text = one(decide("mysql", lost))
    assert (key, severity) == ("database.definer_missing", "inhibitor")
    assert "trigger stock.t, view stock.v of gone@10.% is not on the source" in text


def test_other_rights_on_the_target_are_told() -> None:
    there = account("report@10.0.0.4", Right("database", "INSERT", "stock", ""))
    key, severity, text = one(decide("mysql", REPORT, target=running(there)))
    assert (key, severity) == ("database.account_differs", "warning")
    assert (
        "report@10.0.0.4 on db (report@localhost on the source) lacks SELECT on database stock; has beyond it INSERT "
        "on database stock." in text
    )


@pytest.mark.parametrize("target", [None, running()])
def test_a_plugin_that_mysql_9_has_no_more(target: Any) -> None:
    old = account("report@%", SELECT, method="mysql_native_password")
    (first, _comes) = decide("mysql", old, target=target)
    assert (first.key, first.severity) == ("database.account_plugin", "inhibitor")
    text = findings.describe(first)
    assert "report@% logs in by mysql_native_password, which db does not have." in text
    assert "ALTER USER … IDENTIFIED WITH caching_sha2_password BY … on the source, or leave it behind" in text


def test_a_plugin_that_has_to_be_installed() -> None:
    text = findings.describe(decide("mysql", account("report@%", SELECT, method="ldap"), target=running())[0])
    assert "report@% logs in by ldap, which db does not have. Remedy: INSTALL PLUGIN on the target" in text


def test_users_of_the_system() -> None:
    found = {one.key: one for one in decide("mysql", account("report@localhost", SELECT, method="auth_socket"))}
    assert sorted(found) == ["database.account_by_system_user", "database.accounts"]
    assert "report@localhost: on db that is whoever" in found["database.account_by_system_user"].reason


@pytest.mark.parametrize(("rules", "forbidden"), [([], True), (["host all report 10.0.0.1/32 md5"], False)])
def test_a_password_that_is_kept_as_md5(rules: list[str], forbidden: bool) -> None:
    facts = facts_for("postgresql")
    facts["source"]["databases"]["postgresql"]["accounts"] = told(account("report", SELECT, method="md5"))
    facts["targets"]["db"]["planned"]["postgresql_hba"] = rules
    found = {one.key: one for one in findings.decide(facts)}
    assert ("database.account_plugin" in found) is forbidden
    if forbidden:
        assert "The passwords of report are kept as md5" in found["database.account_plugin"].reason


@pytest.mark.parametrize(
    ("site", "missing"), [({}, False), ({"accounts": "compare"}, True), ({"accounts_left": ["zed"]}, True)]
)
def test_owners_that_come_are_not_missing(site: dict[str, Any], missing: bool) -> None:
    facts = facts_for("postgresql")
    facts["site"].update(site)
    server = facts["source"]["databases"]["postgresql"]
    server["accounts"] = told(account("zed", SELECT, method="scram-sha-256"))
    server["databases"]["stock"]["accounts"] = ["zed"]
    assert ("database.roles_missing" in {one.key for one in findings.decide(facts)}) is missing


def test_settings_of_a_database_stay() -> None:
    facts = facts_for("postgresql")
    facts["source"]["databases"]["postgresql"]["databases"]["stock"]["settings"] = ["work_mem=5MB"]
    key, severity, text = one(findings.decide(facts))
    assert (key, severity) == ("database.settings", "warning")
    assert "work_mem=5MB" in text
