# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When somebody last asked for a site."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.ocpizza.cutover.plugins.module_utils import last_use


def line(day: int, agent: str = "Firefox") -> str:
    return f'192.0.2.7 - - [{day:02}/Nov/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "{agent}"\n'


def used(vhosts: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    last_use.add(vhosts, datetime(2026, 11, 23, tzinfo=UTC).timestamp())
    return [(one["last_used"], one["quiet_since"], one["use_unknown"]) for one in vhosts]


def test_when_a_site_was_last_used(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("")
    (tmp_path / "a.log.1").write_text(line(9) + line(12, "Googlebot/2.1") + line(28))
    with gzip.open(tmp_path / "a.log.2.gz", "wt") as stream:
        stream.write(line(3))
    os.utime(tmp_path / "a.log.2.gz", (1, 1))
    vhost = {"names": ["a.example"], "logs": [str(log)]}
    assert used([vhost]) == [("2026-11-09T00:00:00Z", "", "")]
    (tmp_path / "a.log.1").write_text(line(12, "Googlebot/2.1"))
    assert used([vhost]) == [("2026-11-03T00:00:00Z", "", "")]
    (tmp_path / "a.log.2.gz").unlink()
    assert used([vhost]) == [("", "2026-11-12T00:00:00Z", "")]


def test_the_last_person_is_found_behind_many_bots(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(line(9) + line(12, "Googlebot/2.1") * 20000)
    assert used([{"names": ["a.example"], "logs": [str(log)]}]) == [("2026-11-09T00:00:00Z", "", "")]


def test_why_nobody_knows_when_a_site_was_last_used(tmp_path: Path) -> None:
    odd, empty, gone = (str(tmp_path / name) for name in ("odd.log", "empty.log", "gone.log"))
    Path(odd).write_text("x\n")
    Path(empty).write_text("")
    vhosts = [
        {"names": [name], "logs": logs}
        for name, logs in zip("abcdef", [[odd], [empty], [gone], [], ["s"], ["s"]], strict=True)
    ]
    assert [one[2] for one in used(vhosts)] == [
        f"{odd}: its format is not known",
        "its log is empty",
        f"{gone}: No such file or directory",
        "it writes no log",
        "it shares its log with others",
        "it shares its log with others",
    ]
