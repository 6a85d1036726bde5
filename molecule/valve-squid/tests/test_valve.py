"""Squid in front of the application: held by the kernel's rule and the door, and never touched itself."""

import json

import pytest

from tests import held as shared
from tests.held import RUNTIME, STATE, assert_whole

AGENT = (
    "import sys; sys.path.insert(0, '%s/agent.pyz'); "
    "from ansible_collections.ocpizza.cutover.plugins.module_utils import door, valve; " % STATE
)


def curl(host, path="/app/0", name="shop.test", options=""):
    return shared.curl(host, path, name, options)


def python(host, code):
    return host.check_output("python3 -c %s", AGENT + code)


@pytest.fixture(autouse=True)
def reset(host):
    yield
    host.check_output(
        f"rm -f {STATE}/moved {STATE}/gone {RUNTIME}/valve {RUNTIME}/hold; systemctl stop cutover-my-shop.service; "
        f"rm -f {RUNTIME}/environment"
    )


def test_without_a_flag_the_application_answers_as_before(host):
    status, answer = curl(host, "/app/a%20b/%C3%A9/0?x=1", options="--data abc")
    assert (status, answer["server"], answer["path"], answer["query"]) == (200, "old", "/app/a b/é/0", "x=1")
    assert (answer["host"], answer["bytes"], answer["method"]) == ("shop.test", 3, "POST")
    assert curl(host, "/", "annex.test")[1]["server"] == "annex"


@pytest.mark.parametrize("side", ["source", "target"])
def test_nothing_fails_in_a_hold_under_traffic_and_nothing_runs_inside_it(host, side):
    plan = {
        "site": "my-shop",
        "domain": "shop.test",
        "tls": False,
        "upstream": "127.0.0.1:8000",
        "valve_port": 18000,
        "side": side,
        "near": 1,
    }
    told = json.loads(host.check_output("python3 /usr/local/lib/clients.py %s", json.dumps(plan)))
    assert_whole(told, side)


def test_a_neighbour_is_not_held(host):
    host.check_output(f"touch {RUNTIME}/hold {RUNTIME}/valve")
    assert curl(host, "/", "annex.test")[1]["server"] == "annex"
    assert host.run("curl -sS --max-time 1 -H 'Host: shop.test' http://127.0.0.1/app/0").rc == 28


def test_once_moved_everything_goes_to_the_target_and_comes_back(host):
    host.check_output(f"touch {STATE}/moved")
    status, answer = curl(host, "/app/a%20b/0?x=1", options="--data abc")
    assert (status, answer["server"], answer["path"]) == (200, "target", "/app/a%20b/0?x=1")
    assert answer["headers"]["host"] == "shop.test"
    assert answer["headers"]["x-forwarded-for"] == "127.0.0.1"
    host.check_output(f"rm {STATE}/moved")
    assert curl(host)[1]["server"] == "old"


def test_once_retired_the_site_is_gone(host):
    host.check_output(f"touch {STATE}/moved {STATE}/gone")
    assert curl(host, options="--data abc") == (410, "This site is not here.\r\n")
    assert curl(host, "/", "annex.test")[1]["server"] == "annex"


def test_who_loads_all_rules_anew_takes_the_doors_away_and_the_gate_puts_them_back(host):
    ask = "the_valve = valve.Valve(%r, %r, %r, %r, {}); print(valve.problems(the_valve))" % (
        "my-shop",
        RUNTIME,
        STATE,
        "cutover-my-shop",
    )
    host.check_output("nft flush ruleset")
    assert curl(host)[1]["server"] == "old"
    assert python(host, ask) == "[]"
    assert "redirect to :20000" in host.check_output("nft list table ip cutover-my-shop")
    host.check_output("nft flush ruleset; mv /usr/sbin/nft /usr/sbin/nft.kept")
    try:
        assert "the kernel does not lead requests to the valve" in python(host, ask)
    finally:
        host.check_output("mv /usr/sbin/nft.kept /usr/sbin/nft")
    assert python(host, ask) == "[]"


def test_a_door_that_is_replaced_or_killed_refuses_nobody(host):
    curl_once = "curl -sS -o /dev/null -w '%{http_code}\\n' -H 'Host: shop.test' http://127.0.0.1/app/50"
    replace = "for n in 1 2 3; do systemctl restart cutover-my-shop-door; sleep 1; done"
    host.check_output(f"(for n in $(seq 100); do {curl_once}; done) >/tmp/asked 2>&1 & sleep 1; {replace}; wait")
    assert host.check_output("sort /tmp/asked | uniq -c | tr -s ' '").strip() == "100 200"
    host.check_output("systemctl kill --signal=KILL cutover-my-shop-door; sleep 1")
    assert curl(host)[1]["server"] == "old"


def test_nobody_but_root_could_change_what_is_in_place(host):
    for path in ("door.json", "door.nft", "agent.pyz"):
        one = host.file(f"{STATE}/{path}")
        assert (one.user, one.mode & 0o022) == ("root", 0)
    (pid,) = {one.pid for one in host.process.filter(comm="python3") if "agent.pyz door" in one.args}
    assert host.check_output("stat -c %%U /proc/%s", str(pid)) != "root"
