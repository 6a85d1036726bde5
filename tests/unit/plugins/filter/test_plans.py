"""The filters that write parts of plans."""

import re

import pytest

from ansible_collections.ocpizza.cutover.plugins.filter import plans
from ansible_collections.ocpizza.cutover.plugins.module_utils import valve

FILTERS = plans.FilterModule().filters()


@pytest.mark.parametrize(
    ("upstream", "address", "port"), [("127.0.0.1:8000", "127.0.0.1", 8000), ("[::1]:80", "[::1]", 80)]
)
def test_an_application_on_this_host(upstream: str, address: str, port: int) -> None:
    endpoint = FILTERS["local_endpoint"](upstream)
    assert valve.Endpoint(**endpoint) == valve.Endpoint(address, port, True)


@pytest.mark.parametrize("upstream", ["127.0.0.1", ":8000", "unix:/run/app.sock", "127.0.0.1:", ""])
def test_what_is_no_address_and_port_is_refused(upstream: str) -> None:
    words = f"'{upstream}' is not an address and a port, such as 127.0.0.1:8000"
    with pytest.raises(ValueError, match=re.escape(words)):
        FILTERS["local_endpoint"](upstream)


def test_the_valve_of_a_neighbour_knows_one_side() -> None:
    (made,) = valve.valves_from([FILTERS["neighbour_valve"]({"name": "annex", "upstream": "127.0.0.1:8001"})])
    assert made == valve.Valve(
        "annex", "/run/cutover/annex", "/var/lib/cutover/annex", "cutover-annex", {"source": "127.0.0.1:8001"}
    )


def test_settings_that_are_not_as_wanted() -> None:
    found = {"@@log_bin": 1, "@@binlog_format": "MIXED"}
    wanted = {"log_bin": "1", "binlog_format": "ROW", "server_id": 7}
    assert FILTERS["lacking"](wanted, found) == ["binlog_format", "server_id"]
    assert FILTERS["lacking"]({}, found) == []


def test_values_that_will_not_do() -> None:
    wanted = {"bind_address": ["127.0.0.1", "localhost"]}
    assert FILTERS["lacking"](wanted, {"@@bind_address": "127.0.0.1"}) == ["bind_address"]
    assert FILTERS["lacking"](wanted, {"@@bind_address": "0.0.0.0"}) == []  # noqa: S104


@pytest.mark.parametrize(
    ("text", "literal"),
    [("plain", "E'plain'"), ("it's", "E'it\\'s'"), ("back\\slash", "E'back\\\\slash'"), ("", "E''"), ("é🍕", "E'é🍕'")],
)
def test_pg_literal(text: str, literal: str) -> None:
    assert plans.pg_literal(text) == literal


def test_pg_literal_refuses_a_zero_byte() -> None:
    with pytest.raises(ValueError, match="zero byte"):
        plans.pg_literal("a\0b")
