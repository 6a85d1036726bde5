# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from ansible_collections.ocpizza.cutover.plugins.filter.host_offences import FilterModule


def test_filter_is_known_by_its_name():
    offences = FilterModule().filters()["host_offences"]
    assert offences(["ocpizza.test", "*"]) == ["'*' has a wildcard, write .example.org for a domain and all below it"]
