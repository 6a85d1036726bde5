# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils.proof_result import TableProof, describe, summarise


def proofs(*statuses):
    return [TableProof("d", "t", status, 5, [], [], "why") for status in statuses]


@pytest.mark.parametrize(
    ("statuses", "schema", "verdict"),
    [
        (["equal"], [], "PASSED"),
        (["equal", "unsettled"], [], "PARTIAL"),
        (["equal", "unknown"], [], "PARTIAL"),
        (["unsettled", "different"], [], "FAILED"),
        (["equal"], ["index x is missing on the target"], "FAILED"),
        ([], [], "PARTIAL"),
    ],
)
def test_verdict(statuses, schema, verdict):
    result = summarise("d", proofs(*statuses), schema)

    assert result["verdict"] == verdict
    assert result["equal"] is (verdict == "PASSED")
    assert (result["coverage"] == 1.0) is ("unsettled" not in statuses and "unknown" not in statuses and bool(statuses))
    assert "equal" in describe(result) or "different" in describe(result)
