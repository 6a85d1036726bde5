"""Addresses in networks."""

from __future__ import annotations

import pytest

from ansible_collections.ocpizza.cutover.plugins.test.within import TestModule as Plugin
from ansible_collections.ocpizza.cutover.plugins.test.within import within


@pytest.mark.parametrize(
    ("address", "network", "inside"),
    [
        ("10.0.0.7", "10.0.0.0/24", True),
        ("10.0.1.7", "10.0.0.0/24", False),
        ("10.0.0.7", "10.0.0.7", True),
        ("10.0.0.7", "10.0.0.1/24", True),
        ("fd00::1", "fd00::/8", True),
        ("10.0.0.7", "fd00::/8", False),
        ("name", "10.0.0.0/24", False),
        ("10.0.0.7", "all", False),
    ],
)
def test_within(address: str, network: str, inside: bool) -> None:
    assert within(address, network) is inside
    assert Plugin().tests()["within"](address, network) is inside
