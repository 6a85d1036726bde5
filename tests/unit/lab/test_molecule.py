# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What fails a scenario with which molecule was content."""

from tests.molecule import problems_in


def section(step: str, changed: int) -> str:
    return f"INFO     [web-default > {step}] Executing\nweb          : ok=9    changed={changed}    failed=0\n"


def test_a_check_after_convergence_must_find_nothing() -> None:
    log = section("check", 5) + section("converge", 5) + section("idempotence", 0) + section("check", 2)
    assert problems_in(log) == ["check after converge would change 2 on web"]


def test_a_check_before_it_finds_all_there_is_to_do() -> None:
    assert problems_in(section("check", 5) + section("converge", 5)) == []


def test_warnings_fail_but_for_those_that_are_allowed() -> None:
    log = "[WARNING]: that is old\nWARNING  [web-default > prepare] Executed: Missing playbook (Remove)\n"
    assert problems_in(log) == ["[WARNING]: that is old"]
