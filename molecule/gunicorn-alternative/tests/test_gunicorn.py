import configparser
import json

import pytest

AWKWARD = "100 % \"quoted\" 'twice' ; # $HOME \\ é"
KEY = 'very "secret" key $é\nwith two lines'

OVER_SOCKET = """
import http.client, socket
connection = http.client.HTTPConnection("localhost")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect("/run/shop/gunicorn.sock")
connection.request("GET", "/healthz", headers={"Host": "a.shop.example"})
print(connection.getresponse().read().decode())
"""
OVER_TLS = """
import ssl, urllib.request
context = ssl.create_default_context(cafile="/etc/ssl/cutover/server.pem")
print(urllib.request.urlopen("https://127.0.0.1:8443/", context=context).read().decode())
"""


@pytest.fixture
def old(machines):
    return machines["old"]


@pytest.fixture
def tls(machines):
    return machines["tls"]


def program(host):
    parsed = configparser.RawConfigParser()
    parsed.read_string(host.file("/etc/supervisor/conf.d/shop-gunicorn.conf").content_string)
    return dict(parsed["program:shop"])


def test_django_answers_over_the_unix_socket_with_its_settings(old):
    seen = json.loads(old.check_output("runuser -u www-data -- python3 -c %s", OVER_SOCKET))
    assert seen["release"] == "1.0"
    assert seen["host"] == "a.shop.example"
    assert seen["tables"] > 0, "migrations have not run"
    assert seen["secret_length"] == len(KEY)
    assert seen["awkward"] == AWKWARD


def test_others_cannot_connect_to_the_socket(old):
    assert old.run("runuser -u nobody -- python3 -c %s", OVER_SOCKET).rc != 0
    assert old.file("/run/shop").mode == 0o750
    assert old.file("/etc/tmpfiles.d/shop-gunicorn.conf").contains("d /run/shop 0750 pizza www-data")


def test_static_files_are_collected(old):
    assert "green" in old.file("/srv/static/shop.css").content_string


def test_git_release_answers_over_tls(tls):
    seen = json.loads(tls.check_output("python3 -c %s", OVER_TLS))
    assert seen["release"] == "1.0"
    assert seen["ALLOWED_HOSTS"] == "shop.test,.shop.example,127.0.0.1,::1"
    assert seen["MEDIA_ROOT"] == "/srv/media"
    assert seen["secret_length"] == len(KEY)
    assert "ssl-cert" in tls.user("pizza").groups


def test_secrets_are_nowhere_but_in_the_users_file(host):
    shown = host.check_output("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert "very" not in shown
    assert (
        host.run("grep -rIl 'very .*secret' /etc /srv/shop --exclude=secrets.env /var/log/pizza /usr/local/sbin").stdout
        == ""
    )
    assert host.file("/etc/shop/secrets.env").mode == 0o400
    assert host.file("/srv/shop/good").mode == 0o700
    assert host.run("runuser -u nobody -- cat /etc/shop/secrets.env").rc != 0


def test_user_is_the_one_that_was_asked_for(host):
    assert (host.user("pizza").uid, host.user("pizza").gid) == (4711, 4711)
    assert "mail" in host.user("pizza").groups
    assert host.process.filter(user="pizza", comm="gunicorn")


def test_supervisor_options_are_taken(host):
    keys = program(host)
    assert keys["autorestart"] == "unexpected"
    assert keys["redirect_stderr"] == "true"
    assert keys["priority"] == "5"
    assert keys["stdout_logfile"] == "/var/log/pizza/all.log"
    assert keys["stopwaitsecs"] == "19"
    assert keys["user"] == "pizza"
    assert 'SENTRY_DSN="https://abc@sentry.test/1"' in keys["environment"]
    assert host.file("/var/log/pizza/all.log").contains("Booting worker")


def test_gunicorn_is_configured(host):
    text = host.file("/etc/shop/gunicorn.conf.py").content_string
    for line in ('worker_class = "gthread"', "threads = 4", "timeout = 20", "keepalive = 75", "sendfile = False"):
        assert line in text
    venv = "/srv/shop/current/venv/bin"
    assert "22.0.0" in host.check_output(f"{venv}/gunicorn --version")
    host.check_output(f"{venv}/python -c 'import pymysql'")


def test_reload_brought_the_workers(tls):
    assert len(tls.process.filter(user="pizza", comm="gunicorn")) == 5


def test_management_by_hand_has_the_environment(old):
    code = "from django.conf import settings; print(len(settings.SECRET_KEY))"
    assert str(len(KEY)) in old.check_output("shop-manage shell -c %s", code)
