# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A look at a host on which little can be asked."""

from __future__ import annotations

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import server_look


def test_what_a_host_without_commands_could_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_arguments: object, **_more: object) -> tuple[int, str, str]:
        raise FileNotFoundError

    look = server_look.Look(run)
    look.system()
    assert "units: there is no systemctl on this server" in look.not_read
    assert "the firewall: neither iptables-save nor nft answers" in look.not_read
    monkeypatch.setitem(look.processes.by_pid, 7, {"pid": 7, "name": "mariadbd", "unit": "", "parent": 1})
    assert look.databases()[0]["names"] == []
    assert "databases of mariadb: there is no mysql on this server" in look.not_read


def test_packages_that_are_held_and_those_that_are_not_finished() -> None:
    listed = "ii \ta\t1\nhi \tb\t2\niF \tc\t3\nrc \td\t4\niU \te\t5\nun \tf\t\n"
    assert server_look._installed(listed) == {"a": "1", "b": "2"}
    assert server_look._broken(listed) == ["c: half configured", "e: only unpacked"]
