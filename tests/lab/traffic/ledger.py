# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was written and acknowledged, kept where a crash cannot take it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO


@dataclass(frozen=True)
class Write:
    """A write: what it was, and what the site answered (nothing: nobody knows whether it happened)."""

    site: str
    kind: str
    key: str
    time: float
    acknowledged: bool
    answer: dict[str, object] = field(default_factory=dict)


class Ledger:
    """Append-only JSON lines, in memory as well."""

    def __init__(self, path: Path) -> None:
        """Start a new ledger; one that is there belongs to another run and is replaced."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: TextIO = path.open("w", buffering=1)
        self.writes: list[Write] = []

    def append(self, write: Write) -> None:
        """Keep one write."""
        self.writes.append(write)
        self._file.write(json.dumps(write.__dict__, sort_keys=True) + "\n")

    def acknowledged(self, site: str, kind: str) -> list[Write]:
        """What a site has promised."""
        return [write for write in self.writes if write.acknowledged and (write.site, write.kind) == (site, kind)]

    def unknown(self, site: str) -> list[Write]:
        """What a site was sent and never answered for."""
        return [write for write in self.writes if not write.acknowledged and write.site == site]

    def close(self) -> None:
        """Nothing more will come."""
        self._file.close()
