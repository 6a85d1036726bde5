# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One spelling for what versions spell differently; tests/integration/test_postgresql.py asks real servers."""

from __future__ import annotations

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import proof_schema_postgresql as schema


@pytest.mark.parametrize(
    ("kind", "older", "newer"),
    [
        ("view", " SELECT pairs.a,\n    pairs.c\n   FROM pairs;", " SELECT a,\n    c\n   FROM pairs;"),
        ("view", ' SELECT "odd ""one".a FROM "odd ""one";', ' SELECT a FROM "odd ""one";'),
        ("view", " SELECT 1 FROM (a JOIN b ON ((a.i = b.i)));", " SELECT 1 FROM a JOIN b ON (i = i);"),
        ("collation", "i t de-u-kn-true", "i t de-u-kn"),
    ],
)
def test_versions_are_told_alike(kind: str, older: str, newer: str) -> None:
    assert schema.normalised(kind, older) == schema.normalised(kind, newer)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("view", "SELECT a FROM pairs", "SELECT b FROM pairs"),
        ("collation", "de-u-kn", "de-u-ks"),
        ("index", "CREATE INDEX i ON s.t (a)", "CREATE INDEX i ON t (a)"),
        ("column", "NULL ", None),
    ],
)
def test_differences_stay(kind: str, one: str, other: str | None) -> None:
    assert schema.normalised(kind, one) != schema.normalised(kind, other)
