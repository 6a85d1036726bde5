"""The valve in front of a real nginx: what is held, what goes on, what follows the site to the target."""

import json

import pytest

from tests import held as shared
from tests.held import curl

flags = pytest.fixture(shared.flags)


def held(host, flags, commands, release_to="127.0.0.1:9001"):
    return shared.held(host, flags, commands, release_to)


@pytest.mark.parametrize("path", ["/a%2Fb/%C3%A9?x=1", "/upload", "/odd", "/odd?a=1"])
def test_without_a_flag_the_application_answers_as_before(host, path):
    status, answer = curl(host, path, "www.shop.test")
    assert (status, answer["server"], answer["path"]) == (200, "shop", path)
    assert answer["headers"]["host"] == "www.shop.test"
    assert answer["headers"]["x-forwarded-for"] == "127.0.0.1"


def test_held_requests_wait_and_are_answered_by_the_application(host, flags):
    commands = [
        "curl -sS -H 'Host: shop.test' 'http://127.0.0.1/a%2Fb?x=1'",
        "curl -sS -H 'Host: shop.test' http://127.0.0.1/odd?a=1",
        "head -c 9000 /dev/zero | curl -sS -H 'Host: shop.test' --data-binary @- http://127.0.0.1/upload",
    ]
    early, (plain, odd, upload) = held(host, flags, commands)
    assert early == ""
    assert [json.loads(text)["path"] for text in (plain, odd, upload)] == ["/a%2Fb?x=1", "/odd?a=1", "/upload"]
    assert json.loads(upload)["bytes"] == 9000
    assert json.loads(plain)["headers"]["host"] == "shop.test"


def test_what_nginx_refuses_or_has_itself_and_the_neighbour_are_not_held(host, flags):
    flags("hold", "valve")
    assert curl(host, "/media/pizza.txt") == (200, "picture\n")
    assert curl(host, "/", "annex.test")[1]["server"] == "annex"
    assert curl(host, "/staff")[0] == 403
    assert curl(host, "/inner/")[0] == 404
    assert curl(host, "/", options="--data %s" % ("x" * 2000))[0] == 413


def test_held_requests_follow_the_site_through_the_relay(host, flags):
    early, (answer,) = held(host, flags, ["curl -sS -H 'Host: shop.test' http://127.0.0.1/b"], "127.0.0.1:18001")
    assert early == ""
    answer = json.loads(answer)
    assert (answer["server"], answer["path"], answer["headers"]["host"]) == ("target", "/b", "shop.test")


def test_once_moved_everything_goes_to_the_target_and_the_neighbour_stays(host, flags):
    flags("moved")
    for path in ("/a%2Fb/%C3%A9?x=1", "/media/pizza.txt", "/odd?a=1", "/"):
        status, answer = curl(host, path)
        assert (status, answer["server"], answer["path"]) == (200, "target", path)
        assert answer["headers"]["host"] == "shop.test"
        assert answer["headers"]["x-forwarded-for"] == "127.0.0.1"
        assert answer["headers"]["x-forwarded-proto"] == "http"
    assert curl(host, "/", options="--data %s" % ("x" * 2000))[1]["bytes"] == 2000
    assert curl(host, "/", "annex.test")[1]["server"] == "annex"
    assert curl(host, "/cutover_my_shop_target")[1]["server"] == "target"


def test_a_hold_comes_before_what_has_moved(host, flags):
    flags("moved", "hold", "valve")
    assert curl(host, "/media/pizza.txt") == (200, "picture\n")


def test_the_targets_name_is_not_to_be_asked_for(host):
    status, answer = curl(host, "/cutover_my_shop_target")
    assert (status, "target" in str(answer)) == (404, False)


def test_a_target_with_another_certificate_is_not_trusted(host, flags):
    flags("moved")
    host.check_output("sed -i.kept s/proxy_ssl_name.*/proxy_ssl_name\\ other.test\\;/ /etc/nginx/cutover/my-shop.conf")
    try:
        host.check_output("nginx -s reload && sleep 1")
        assert curl(host, "/")[0] == 502
    finally:
        host.check_output(
            "mv /etc/nginx/cutover/my-shop.conf.kept /etc/nginx/cutover/my-shop.conf; nginx -s reload; sleep 1"
        )
