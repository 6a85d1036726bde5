"""The site behind Apache after restart.yml under traffic, maintenance.yml, stop.yml and start.yml."""

import json


def test_restart_refuses_nothing(host):
    found = json.loads(host.file("/root/guestbook.json").content_string)
    assert set(found["answers"]) == {"200"}, found
    assert found["answers"]["200"] > 500
    assert found["a_second"] > 95, found


def test_the_site_answers_again(host):
    assert "RUNNING" in host.check_output("supervisorctl status guestbook")
    assert (
        host.check_output("curl -s -o /dev/null -w '%{http_code}' -H 'Host: guestbook.test' http://127.0.0.1/") == "200"
    )
    assert "online" in host.check_output("pg_lsclusters --no-header")


def test_nothing_is_left_closed(host):
    assert host.check_output("find /var/lib/cutover/maintenance -type f") == ""
