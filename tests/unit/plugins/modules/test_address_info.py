# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""This machine's own addresses, and files as a network's configuration; who answers is tried on real machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.ocpizza.cutover.plugins.modules import address_announce, address_info
from tests.unit.plugins.fakes import ModuleFailedError, run_module

# Of a class that no interface has.
NOWHERE = "240.0.0.80"


def test_an_address_that_belongs_to_no_network_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for check in (True, False):
        found = run_module(address_info, monkeypatch, check, address=NOWHERE)
        assert (found["changed"], found["held"], found["interface"], found["answering"]) == (False, False, "", {})


def test_lines_that_have_the_address_and_no_longer_one(tmp_path: Path) -> None:
    kept = tmp_path / "interfaces"
    kept.write_text("iface eth0 inet static\n  address 10.0.0.8/24\n  up ip a add 10.0.0.80/24 dev eth0\n# 110.0.0.8\n")
    assert address_info.written("10.0.0.8", (f"{tmp_path}/*",)) == [f"{kept}:2"]


def test_what_is_not_here_is_not_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    for check in (True, False):
        with pytest.raises(ModuleFailedError, match=f"{NOWHERE} is on no interface of this host, so it is not announc"):
            run_module(address_announce, monkeypatch, check, address=NOWHERE)
