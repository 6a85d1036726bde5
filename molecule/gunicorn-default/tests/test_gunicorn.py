import configparser
import json
import time

import pytest


def program(host):
    parsed = configparser.RawConfigParser()
    parsed.read_string(host.file("/etc/supervisor/conf.d/guestbook-gunicorn.conf").content_string)
    return dict(parsed["program:guestbook"])


def answer(host):
    return json.loads(host.check_output("python3 -c %s", FETCH))


FETCH = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8000/').read().decode())"


def test_supervisor_has_every_key_of_the_manual(host):
    keys = program(host)
    assert keys["command"].endswith("guestbook:application")
    assert keys["user"] == "guestbook"
    assert keys["directory"] == "/opt/guestbook/current/app"
    assert keys["autostart"] == keys["autorestart"] == keys["stderr_events_enabled"] == "true"
    assert keys["redirect_stderr"] == "false"
    assert 'MEDIA_ROOT="/opt/guestbook/media"' in keys["environment"]
    assert keys["stdout_logfile"] == "/var/log/guestbook/gunicorn.log"
    assert keys["stderr_logfile"] == "/var/log/guestbook/gunicorn-error.log"


def test_application_runs_as_its_user_without_a_shell(host):
    assert host.check_output("supervisorctl status guestbook").split()[1] == "RUNNING"
    processes = host.process.filter(user="guestbook", comm="gunicorn")
    assert len(processes) == 4
    assert host.user("guestbook").shell == "/usr/sbin/nologin"


def test_right_release_answers(host):
    updated = host.check_output("hostname") == "app"
    assert answer(host)["release"] == ("1.1" if updated else "1.0")


def test_old_releases_are_kept_and_too_old_ones_are_not(machines):
    listed = machines["app"].check_output("ls /opt/guestbook/releases").split()
    assert "1.1" in listed
    assert len(listed) <= 4
    assert machines["app"].file("/opt/guestbook/current").linked_to == "/opt/guestbook/releases/1.1"


def test_settings_cannot_be_written_by_the_application(host):
    for path in ("/etc/guestbook/public.env", "/etc/guestbook/gunicorn.conf.py", "/opt/guestbook/bin/launch"):
        assert host.file(path).user == "root"
        assert host.file(path).mode & 0o022 == 0
    assert host.check_output("find -L /opt/guestbook/current/app -user guestbook") == ""
    assert host.check_output("find /opt/guestbook /etc/guestbook -perm -002 ! -type l") == ""


def test_secret_file_is_the_users_alone(host):
    secrets = host.file("/etc/guestbook/secrets.env")
    assert (secrets.user, secrets.mode) == ("guestbook", 0o400)


def until(condition):
    for _ in range(60):
        if condition():
            return True
        time.sleep(0.25)
    return False


def test_crash_brings_it_back(host):
    before = host.check_output("supervisorctl pid guestbook")
    host.check_output("pkill -KILL -u guestbook")
    assert until(lambda: host.run("supervisorctl pid guestbook").stdout.strip() not in ("", "0", before))
    assert until(lambda: host.run("python3 -c %s", FETCH).rc == 0)


def test_logs_are_rotated_without_losing_the_writer(host):
    assert until(lambda: host.run("python3 -c %s", FETCH).rc == 0)
    host.check_output("logrotate -f /etc/logrotate.d/guestbook-gunicorn")
    assert host.file("/var/log/guestbook/gunicorn.log.1").exists
    # supervisord opens the new file a moment after the signal.
    assert until(lambda: answer(host) and host.file("/var/log/guestbook/gunicorn.log").contains("GET / "))


@pytest.mark.parametrize("path", ["/var/log/guestbook"])
def test_logs_are_not_for_everyone(host, path):
    assert host.file(path).mode == 0o750


def test_first_release_that_failed_left_nothing_that_starts(machines):
    host = machines["app"]
    assert not host.file("/etc/supervisor/conf.d/kiosk-gunicorn.conf").exists
    assert not host.file("/opt/kiosk/current").exists
    assert "kiosk" not in host.run("supervisorctl status").stdout
