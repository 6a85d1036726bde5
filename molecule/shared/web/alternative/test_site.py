import json
import os
import re

import pytest

NGINX = os.environ["MOLECULE_SCENARIO_NAME"].startswith("nginx")
SECURE = "--cacert /etc/ssl/cutover/ca.pem --resolve '*:443:127.0.0.1'"
OCPIZZA = "-H 'Host: ocpizza.test'"


def get(host, url, *options):
    return host.check_output("curl -sS --max-time 10 %s '%s'" % (" ".join(options), url))


def head(host, url, *options):
    return get(host, url, "-o /dev/null -D -", *options).lower()


def counted(host):
    return [json.loads(get(host, "http://127.0.0.1:%d/requests" % port)) for port in (9001, 9002)]


def total(host):
    return sum(count["requests"] for count in counted(host))


@pytest.mark.parametrize("domain", ["ocpizza.test", "www.ocpizza.test", "pizza.test"])
def test_https_with_every_domain(host, domain):
    answer = json.loads(get(host, "https://%s/x?y=1" % domain, SECURE))
    assert answer["headers"]["host"] == domain
    assert answer["headers"]["x-forwarded-proto"] == "https"
    assert answer["headers"]["x-forwarded-for"] == "127.0.0.1"


def test_http_goes_to_https(host):
    answer = head(host, "http://127.0.0.1/x%20y?z=1", OCPIZZA)
    assert " 301 " in answer
    assert "location: https://ocpizza.test/x%20y?z=1" in answer


def test_http2(host):
    assert get(host, "https://ocpizza.test/", SECURE, "--http2 -o /dev/null -w '%{http_version}'") == "2"


@pytest.mark.parametrize("protocol", ["tls1", "tls1_1"])
def test_old_protocols_are_refused_by_the_server(host, protocol):
    said = host.run(
        "openssl s_client -%s -cipher ALL:@SECLEVEL=0 -servername ocpizza.test -connect 127.0.0.1:443 </dev/null",
        protocol,
    )
    assert "alert protocol version" in said.stderr


@pytest.mark.parametrize("protocol", ["tls1_2", "tls1_3"])
def test_todays_protocols_work_and_show_the_right_certificate(host, protocol):
    said = host.check_output(
        "openssl s_client -%s -CAfile /etc/ssl/cutover/ca.pem -verify_return_error -servername ocpizza.test "
        "-verify_hostname ocpizza.test -connect 127.0.0.1:443 </dev/null 2>&1",
        protocol,
    )
    assert "Verify return code: 0 (ok)" in said


def test_a_weak_cipher_is_refused_by_the_server(host):
    said = host.run(
        "openssl s_client -tls1_2 -cipher ECDHE-ECDSA-AES128-SHA:AES128-SHA:@SECLEVEL=0 -servername ocpizza.test "
        "-connect 127.0.0.1:443 </dev/null"
    )
    assert "handshake failure" in said.stderr


def test_headers(host):
    answer = head(host, "https://ocpizza.test/", SECURE)
    assert "content-security-policy: default-src 'self'" in answer
    assert "referrer-policy: strict-origin-when-cross-origin" in answer
    assert "strict-transport-security: max-age=3600" in answer
    assert "x-frame-options" not in answer
    assert "strict-transport-security" not in head(host, "http://127.0.0.1/", OCPIZZA)
    assert "x-content-type-options: nosniff" in head(host, "https://ocpizza.test/static/none", SECURE)


def test_a_dead_application_server_is_not_felt(host):
    urls = " ".join("'https://ocpizza.test/%d'" % number for number in range(40))
    codes = host.check_output("curl -sS --max-time 20 -w ' %%{http_code} ' %s %s" % (SECURE, urls))
    assert re.findall(r" (\d{3}) ", codes) == ["200"] * 40
    assert {"app1", "app2"} == set(re.findall(r'"server": "(\w+)"', codes))


def test_an_order_is_never_sent_twice(host):
    before = total(host)
    code = get(host, "https://ocpizza.test/die", SECURE, "-X POST -d order=1 -o /dev/null -w '%{http_code}'")
    assert code in ("500", "502")  # Apache says 500 when a kept connection ends without an answer
    assert total(host) == before + 1


def test_connections_to_the_application_are_kept(host):
    before = counted(host)
    urls = " ".join("'https://ocpizza.test/%d'" % number for number in range(20))
    host.check_output("curl -sS --max-time 20 -o /dev/null %s %s" % (SECURE, urls))
    opened = sum(new["connections"] - old["connections"] for new, old in zip(counted(host), before))
    assert total(host) == sum(count["requests"] for count in before) + 20
    assert opened <= 10


def test_a_trusted_proxy_tells_the_client_and_is_not_redirected(host):
    proxied = "--interface 127.0.0.2 -H 'X-Forwarded-For: 9.9.9.9' -H 'X-Forwarded-Proto: %s'"
    for proto in ("http", "https"):
        headers = json.loads(get(host, "http://127.0.0.1/", OCPIZZA, proxied % proto))["headers"]
        assert headers["x-forwarded-for"] == "9.9.9.9"
        assert headers["x-real-ip"] == "9.9.9.9"
        assert headers["x-forwarded-proto"] == proto


def test_nobody_else_is_believed(host):
    forged = "--interface 127.0.0.4 -H 'X-Forwarded-For: 9.9.9.9' -H 'X-Forwarded-Proto: http'"
    headers = json.loads(get(host, "https://ocpizza.test/", SECURE, forged))["headers"]
    assert headers["x-forwarded-for"] == "127.0.0.4"
    assert headers["x-forwarded-proto"] == "https"


def test_static_files_and_media(host):
    answer = get(host, "https://ocpizza.test/static/site.css", SECURE, "-i")
    assert "body {}" in answer
    assert "max-age=60" in answer
    assert get(host, "https://ocpizza.test/media/pizza.txt", SECURE) == "picture"
    root = host.file("/var/www/ocpizza/static")
    assert root.is_symlink
    assert re.fullmatch(r"/var/www/ocpizza/static\.versions/[0-9a-f]{12}/static", root.linked_to)
    for path in ("/static../README", "/static/../README", "/static/%2e%2e/README", "/static/none"):
        answer = get(host, "https://ocpizza.test" + path, SECURE, "--path-as-is")
        assert "outside" not in answer


def test_an_unknown_domain_gets_the_default_site(host):
    assert "location: https://nowhere.test/" in head(host, "http://127.0.0.1/", "-H 'Host: nowhere.test'")


@pytest.mark.parametrize("path", ["/", "/healthz"])
def test_a_closed_site_answers_503_to_the_public(host, path):
    answer = get(host, "http://127.0.0.1" + path, "-i -H 'Host: closed.test'")
    assert re.match(r"HTTP/1.1 503 ", answer)
    assert "in a few minutes" in answer
    # What a client says of itself opens nothing.
    assert " 503 " in head(host, "http://127.0.0.1" + path, "-H 'Host: closed.test' -H 'X-Forwarded-For: 127.0.0.3'")


def test_a_closed_site_is_open_for_those_named_and_whom_they_bring(host):
    for headers in ("", "-H 'X-Forwarded-For: 9.9.9.9'"):
        answer = get(host, "http://127.0.0.1/healthz", "--interface 127.0.0.3 -H 'Host: closed.test'", headers)
        assert json.loads(answer)["server"] == "app1"


def test_an_application_server_with_tls(host):
    assert json.loads(get(host, "http://127.0.0.1:8080/", "-H 'Host: secure.test'"))["server"] == "secure"


def test_an_application_server_with_another_s_certificate_is_refused(host):
    assert re.search(r" 50[02] ", head(host, "http://127.0.0.1:8080/", "-H 'Host: impostor.test'"))


def test_each_site_has_its_own_log_with_the_client(host):
    get(host, "http://127.0.0.1/logged", OCPIZZA, "--interface 127.0.0.2 -H 'X-Forwarded-For: 9.8.7.6'")
    log = host.file("/var/log/%s/ocpizza.access.log" % ("nginx" if NGINX else "apache2")).content_string
    assert re.search(r"^9\.8\.7\.6 .*GET /logged", log, re.MULTILINE)
