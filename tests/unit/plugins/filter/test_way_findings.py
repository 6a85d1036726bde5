# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter over what stands in the way of an address."""

from ansible_collections.ocpizza.cutover.plugins.filter.way_findings import FilterModule
from tests.unit.plugins.module_utils.test_findings_way import FAILOVER

FINDINGS = FilterModule().filters()["way_findings"]


def test_findings_have_a_text_and_are_waived_by_name() -> None:
    shared = dict(FAILOVER, others=["annex.test"])
    (found,) = FINDINGS(shared)
    assert found["text"].startswith("Other sites of the source may be asked for at this address [way.address_shared]: ")
    assert found["waived"] is False
    (waived,) = FINDINGS(shared, waive=["way.address_shared"])
    assert waived["waived"] is True
