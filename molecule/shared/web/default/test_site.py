import json
import os

SERVICE, DEFAULT_SITE = {
    "nginx-default": ("nginx", "/etc/nginx/sites-enabled/default"),
    "apache-default": ("apache2", "/etc/apache2/sites-enabled/000-default.conf"),
}[os.environ["MOLECULE_SCENARIO_NAME"]]


def get(host, url, *options):
    return host.check_output("curl -sS --max-time 10 %s %s" % (" ".join(options), url))


def test_the_site_reaches_its_application(host):
    for domain in ("ocpizza.test", "www.ocpizza.test"):
        answer = json.loads(get(host, "http://127.0.0.1/a/b?c=d", "-H 'Host: %s'" % domain))
        assert answer["server"] == "app1"
        assert answer["path"] == "/a/b?c=d"
        assert answer["headers"]["host"] == domain
        assert answer["headers"]["x-forwarded-proto"] == "http"
        assert answer["headers"]["x-forwarded-for"] == "127.0.0.1"


def test_a_client_cannot_forge_its_address(host):
    headers = json.loads(
        get(
            host,
            "http://127.0.0.1/",
            "-H 'Host: ocpizza.test' -H 'X-Forwarded-For: 9.9.9.9'",
            "-H 'X-Real-IP: 9.9.9.9' -H 'X-Forwarded-Proto: https'",
        )
    )["headers"]
    assert "9.9.9.9" not in str(headers)
    assert headers["x-forwarded-proto"] == "http"


def test_security_headers_and_the_application_has_the_last_word(host):
    head = get(host, "http://127.0.0.1/", "-i -H 'Host: ocpizza.test'").lower()
    assert "x-content-type-options: nosniff" in head
    assert "x-frame-options: sameorigin" in head
    assert "strict-transport-security" not in head
    head = get(host, "http://127.0.0.1/header", "-i -H 'Host: ocpizza.test'").lower()
    assert head.count("x-frame-options") == 1
    assert "x-frame-options: deny" in head


def test_a_body_over_the_limit_is_refused(host):
    for size, status in ((9, "200"), (11, "413")):
        host.check_output("head -c %dM /dev/zero >/tmp/body" % size)
        sent = "-o /dev/null -w '%{http_code}' -H 'Expect:' -H 'Host: ocpizza.test' --data-binary @/tmp/body"
        assert get(host, "http://127.0.0.1/", sent) == status


def test_the_service_runs_at_boot(host):
    service = host.service(SERVICE)
    assert service.is_running
    assert service.is_enabled


def test_the_package_s_site_is_gone(host):
    assert not host.file(DEFAULT_SITE).exists
