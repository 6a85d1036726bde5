# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Percentiles, and values by their path."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import certificates, http_checks

samples = st.lists(st.floats(0, 60_000).map(lambda value: round(value, 1)), min_size=1, max_size=300)


@given(samples)
def test_percentiles_are_samples_in_order(taken: list[float]) -> None:
    found = http_checks.percentiles(taken)
    values = [found[name] for name in ("min", "p50", "p90", "p95", "p99", "max")]
    assert values == sorted(values)
    assert set(values) <= set(taken)
    assert sum(one <= found["p90"] for one in taken) >= 0.9 * len(taken)


def test_percentiles_of_a_hundred() -> None:
    expected = {"min": 1, "p50": 50, "p90": 90, "p95": 95, "p99": 99, "max": 100}
    assert http_checks.percentiles(list(range(1, 101))) == expected
    assert http_checks.percentiles([]) == {}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"\A[a-z]{1,5}\Z"), inner, max_size=3),
)


def paths(value: Any, before: str = "") -> list[tuple[str, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [(f"{before}{key}", inner) for key, inner in items]
    return found + [deeper for path, inner in found for deeper in paths(inner, path + ".")]


@given(json_values)
def test_every_value_is_found_by_its_path(value: Any) -> None:
    assert [http_checks.look_up(value, path) for path, _inner in paths(value)] == [
        inner for _path, inner in paths(value)
    ]


@given(json_values, st.text())
def test_a_path_that_leads_nowhere_raises_nothing_else(value: Any, path: str) -> None:
    known = [found for found, _inner in paths(value)]
    try:
        http_checks.look_up(value, path)
    except KeyError:
        assert path not in known


def test_what_openssl_says_that_is_no_certificate() -> None:
    with pytest.raises(ValueError, match="openssl does not say when the certificate expires"):
        certificates.parse_text("Certificate:\n  Data:\n")
    with pytest.raises(ValueError, match="there is no certificate in it"):
        certificates.read_chain(lambda *_arguments, **_more: (0, "", ""), "openssl", "-----BEGIN PRIVATE KEY-----")


def test_which_names_a_certificate_is_for() -> None:
    chain = [{"names": ["shop.example", "*.shop.example"]}]
    assert certificates.covers(chain, "www.SHOP.example")
    assert certificates.covers(chain, "shop.example")
    assert not certificates.covers(chain, "a.b.shop.example")
    assert not certificates.covers([], "shop.example")
