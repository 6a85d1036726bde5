# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applications whose database is not known."""

from __future__ import annotations

from ansible_collections.ocpizza.cutover.plugins.module_utils import server_links
from ansible_collections.ocpizza.cutover.plugins.modules import server_info


def test_applications_whose_database_is_not_known_are_named() -> None:
    lost = [{"kind": "gunicorn", "name": "shop", "databases": []}, {"kind": "elsewhere", "name": "x", "databases": []}]
    servers = [{"engine": "mariadb", "names": ["shop"]}]
    assert server_links.unread_databases(lost, servers) == "which databases these use: shop"
    assert server_links.unread_databases(lost, []) is None
    assert server_info.server_links is server_links
