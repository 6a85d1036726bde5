"""The filters that write parts of plans."""

import pytest

from ansible_collections.ocpizza.cutover.plugins.filter import plans
from ansible_collections.ocpizza.cutover.plugins.module_utils import valve

FILTERS = plans.FilterModule().filters()


@pytest.mark.parametrize(
    ("upstream", "endpoint"),
    [
        ("127.0.0.1:8000", valve.Endpoint("127.0.0.1", 8000, True)),
        ("[::1]:80", valve.Endpoint("[::1]", 80, True)),
        ("fastcgi://localhost:9000", valve.Endpoint("127.0.0.1", 9000, True)),
        ("unix:/run/app.sock", valve.Endpoint(path="/run/app.sock")),
        ("apache", valve.Endpoint(folder="/run/cutover/shop/running")),
    ],
)
def test_where_requests_of_an_application_on_this_host_are_counted(upstream: str, endpoint: valve.Endpoint) -> None:
    assert valve.Endpoint(**FILTERS["local_endpoint"](upstream, "/run/cutover/shop")) == endpoint


def test_where_a_valve_leads_and_how_its_source_is_asked() -> None:
    assert FILTERS["release_target"]("unix:/run/app.sock", "18000") == "/run/app.sock"
    assert FILTERS["release_target"]("uwsgi://127.0.0.1:3031", 18000) == "127.0.0.1:19000"
    assert FILTERS["source_health"]("apache", "/up", "shop.test", "https://127.0.0.1/", "/var/x") == {
        "url": "https://127.0.0.1/up",
        "host": "shop.test",
        "own": "/var/x/asked",
    }


def test_neighbours_have_valves_and_endpoints_of_their_own() -> None:
    neighbours = [
        {"name": "annex", "upstream": "127.0.0.1:8001"},
        {"name": "blog", "upstream": "fastcgi://unix:/run/php.sock"},
    ]
    annex, blog = valve.valves_from(FILTERS["neighbour_valves"](neighbours))
    assert annex == valve.Valve(
        "annex", "/run/cutover/annex", "/var/lib/cutover/annex", "cutover-annex", {"source": "127.0.0.1:8001"}
    )
    # Its valve listens on 18011.
    assert blog.targets == {"source": "127.0.0.1:19011"}
    assert [valve.Endpoint(**one) for one in FILTERS["neighbour_endpoints"](neighbours)] == [
        valve.Endpoint("127.0.0.1", 8001, True),
        valve.Endpoint(path="/run/php.sock"),
    ]


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
