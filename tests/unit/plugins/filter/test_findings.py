# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter over the findings."""

import copy
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.ocpizza.cutover.plugins.filter.findings import FilterModule
from tests.unit.plugins.module_utils.test_findings import HEALTHY

FINDINGS = FilterModule().filters()["findings"]


@pytest.fixture
def skewed() -> dict[str, Any]:
    facts: dict[str, Any] = copy.deepcopy(HEALTHY)
    facts["targets"]["db"]["skew_s"] = 600
    return facts


def test_nothing_is_found_on_a_healthy_site() -> None:
    assert FINDINGS(HEALTHY) == []


def test_a_finding_is_a_plain_dictionary_with_its_text(skewed: dict[str, Any]) -> None:
    (found,) = FINDINGS(skewed)
    assert type(found) is dict
    assert set(found) == {"key", "severity", "title", "reason", "remedy", "waived", "text"}
    assert (found["key"], found["waived"]) == ("clock.skew", False)
    assert found["text"] == f"{found['title']} [clock.skew]: {found['reason']} Remedy: {found['remedy']}"


def test_what_is_waived_says_so(skewed: dict[str, Any]) -> None:
    (found,) = FINDINGS(skewed, waive=["clock.skew"])
    assert found["waived"] is True
    assert "[clock.skew] (waived): " in found["text"]


@pytest.mark.parametrize(
    ("change", "lacking"), [({"source": {}}, "'host'|'machine'|'database'"), ({"site": None}, "'NoneType'")]
)
def test_facts_that_were_not_gathered_are_an_error_of_words(change: dict[str, Any], lacking: str) -> None:
    with pytest.raises(AnsibleFilterError, match=f"^the facts lack .*({lacking}).*; run discover.yml in the same run"):
        FINDINGS({**HEALTHY, **change})
