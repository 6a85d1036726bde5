# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What database servers say of themselves."""

from __future__ import annotations

from ansible_collections.ocpizza.cutover.plugins.module_utils import database_look


def test_what_database_servers_answered() -> None:
    text = (
        "version\t10.5.29\ndatabase\tshop\tutf8mb4\tutf8mb4_general_ci\t3\t4096\naccount\tshop@%\n"
        "database\twiki\tUTF8\tC\t\t8192\ntables\twiki\t7\n"
    )
    assert database_look.parse(text) == {
        "version": "10.5.29",
        "accounts": ["shop@%"],
        "names": ["shop", "wiki"],
        "databases": [
            {"name": "shop", "charset": "utf8mb4", "collation": "utf8mb4_general_ci", "bytes": 4096, "tables": 3},
            {"name": "wiki", "charset": "UTF8", "collation": "C", "bytes": 8192, "tables": 7},
        ],
    }


def test_a_database_server_that_wants_a_password() -> None:
    not_read: list[str] = []
    refused = "ERROR 1045 (28000): Access denied for user 'root'@'localhost' (using password: NO)"
    servers = database_look.Servers(lambda *_given, **_more: (1, "", refused), not_read)
    assert servers.ask("mysql")["databases"] == []
    assert servers.ask("postgresql")["databases"] == []
    assert servers.ask("redis") == database_look.empty()
    assert not_read == [
        f"databases of mysql: {refused}",
        f"databases of postgresql: {refused}",
        "databases of redis: it is not an engine that is read",
    ]
