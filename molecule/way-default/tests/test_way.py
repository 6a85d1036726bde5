"""After the way there and back nothing is left but what was prepared."""

import pytest

UNIT = "cutover-my-shop-address"


@pytest.fixture(params=["old", "web1"])
def side(request, machines):
    return machines[request.param]


def test_nothing_moves_by_itself_at_a_start(side):
    assert not side.service(UNIT).is_enabled
    assert not side.service(UNIT).is_running


def test_the_address_is_on_the_source_alone(machines):
    addresses = {
        name: machines[name].check_output("ip -o -4 address show | grep -c '[.]231/' || true") for name in machines
    }
    assert addresses == {"old": "1", "web1": "0", "client": "0"}


def test_no_rule_is_left(machines):
    assert "cutover_my_shop_address" not in machines["web1"].check_output("nft list tables")
