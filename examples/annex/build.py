# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the guestbook's artefacts, in the same shape as the pizzerias': annex.zip and BDD.zip."""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import archives  # noqa: E402


def build(out: Path) -> Path:
    for archive, names in {
        "annex.zip": ("annex.py", "requirements.txt"),
        "BDD.zip": ("schema.sql", "base_data.sql", "postgresql/schema.sql", "postgresql/base_data.sql"),
    }.items():
        archives.write(out / "annex" / archive, {name: (HERE / name).read_bytes() for name in names})
    return out / "annex"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Build the guestbook's artefacts.")
    parser.add_argument("--out", type=Path, required=True, help="gets a folder named annex")
    print(build(parser.parse_args().out))
