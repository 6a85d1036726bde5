# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.ocpizza.cutover.plugins.filter import web_site_problems, web_sites


def test_the_filters_are_known_and_judge():
    judge = web_site_problems.FilterModule().filters()["web_site_problems"]
    complete = web_sites.FilterModule().filters()["web_sites"]
    site = {"name": "shop", "domains": ["shop.test"], "upstreams": [{"address": "10.0.0.1", "port": 80}]}
    assert judge([site]) == []
    assert judge([{"name": "shop"}]) == ["site number 1 has no 'domains'; add it"]
    assert complete([site])[0]["ports"] == [80]
