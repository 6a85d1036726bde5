"""The valve in front of a real Apache: what is held, what goes on, what follows the site; WebSockets as well."""

import json

import pytest

from tests import held as shared
from tests.held import STATE, curl

flags = pytest.fixture(shared.flags)
SOCKET = "python3 /usr/local/lib/websocket.py shop.test"


@pytest.mark.parametrize("path", ["/a%20b/%C3%A9?x=1", "/upload"])
def test_without_a_flag_the_application_answers_as_before(host, path):
    status, answer = curl(host, path, "www.shop.test")
    assert (status, answer["server"], answer["path"]) == (200, "shop", path)
    assert answer["headers"]["host"] == "www.shop.test"
    assert host.check_output(SOCKET).split("\n") == ["101", "shop one", "shop two"]


@pytest.mark.parametrize(("moved", "server"), [(False, "shop"), (True, "target")])
def test_held_requests_wait_and_are_answered_by_the_side_that_has_the_site(host, flags, moved, server):
    commands = [
        "curl -sS -H 'Host: shop.test' 'http://127.0.0.1/a%20b?x=1'",
        "head -c 90000 /dev/zero | curl -sS -H 'Host: shop.test' --data-binary @- http://127.0.0.1/upload",
        SOCKET,
    ]
    release_to = ("127.0.0.1:18001", "moved") if moved else ("127.0.0.1:9001",)
    early, (plain, upload, websocket) = shared.held(host, flags, commands, *release_to)
    assert early == ""
    assert [json.loads(text)["path"] for text in (plain, upload)] == ["/a%20b?x=1", "/upload"]
    assert [json.loads(text)["server"] for text in (plain, upload)] == [server] * 2
    assert json.loads(upload)["bytes"] == 90000
    assert json.loads(plain)["headers"]["host"] == "shop.test"
    assert websocket.split("\n") == ["101", f"{server} one", f"{server} two"]


def test_what_apache_answers_by_itself_and_the_neighbour_are_not_held(host, flags):
    flags("hold", "valve")
    assert curl(host, "/media/pizza.txt") == (200, "picture\n")
    assert curl(host, "/", "annex.test")[1]["server"] == "annex"


def test_once_moved_everything_goes_to_the_target_and_the_neighbour_stays(host, flags):
    flags("moved")
    for path in ("/a%20b/%C3%A9?x=1", "/media/pizza.txt", "/"):
        status, answer = curl(host, path)
        assert (status, answer["server"], answer["path"]) == (200, "target", path)
        assert answer["headers"]["host"] == "shop.test"
        assert answer["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert host.check_output(SOCKET).split("\n") == ["101", "target one", "target two"]
    assert curl(host, "/", "annex.test")[1]["server"] == "annex"


def test_a_target_that_was_away_for_a_moment_keeps_nobody_away_afterwards(host, flags):
    flags("moved")
    host.check_output("systemctl stop upstream-target")
    try:
        assert curl(host, "/")[0] == 503
    finally:
        host.check_output("systemctl start upstream-target; sleep 0.5")
    assert [curl(host, "/")[0] for _turn in range(5)] == [200] * 5


def test_no_connection_to_the_target_or_the_valve_is_kept(host, flags):
    flags("moved")
    for _turn in range(5):
        assert curl(host, "/")[0] == 200
    assert host.check_output("ss -Htn state established '( dport = :9443 or dport = :18000 )' | wc -l") == "0"


def test_a_websocket_that_runs_is_seen_by_the_drain_and_ended_where_that_is_asked_for(host, flags):
    code = (
        "import sys, time; sys.path.insert(0, '%s/agent.pyz'); "
        "from ansible_collections.ocpizza.cutover.plugins.module_utils import valve; "
        "there = valve.Endpoint('127.0.0.1', 9001, True); "
        "print(valve.drain(there, time.monotonic() + 0.5)); valve.end_running(there); "
        "print(valve.drain(there, time.monotonic() + 2))"
    ) % STATE
    host.check_output(f"nohup sh -c '{SOCKET} 4 >/tmp/websocket 2>&1' >/dev/null 2>&1 & sleep 1")
    assert host.check_output("python3 -c %s", code).split() == ["False", "True"]
    host.check_output("sleep 4")
    assert host.check_output("cat /tmp/websocket").split("\n")[:3] == ["101", "shop one", "ended"]


def test_a_target_with_another_certificate_is_not_trusted(host, flags):
    flags("moved")
    config = "/etc/apache2/cutover/my-shop.conf"
    host.check_output(
        "sed -i.kept 's/^SSLProxyCACertificateFile.*/SSLProxyCACertificateFile %s/' %s"
        % ("\\/etc\\/ssl\\/certs\\/ssl-cert-snakeoil.pem", config)
    )
    try:
        host.check_output(
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=other"
            " -out /etc/ssl/certs/ssl-cert-snakeoil.pem 2>/dev/null; apache2ctl graceful; sleep 1"
        )
        assert curl(host, "/")[0] in (500, 502)
    finally:
        host.check_output(f"mv {config}.kept {config}; apache2ctl graceful; sleep 1")
