"""The site after restart.yml under traffic, stop.yml and start.yml."""

import json
import os
import pathlib

import pytest


@pytest.mark.parametrize("site", ["guestbook", "alone"])
def test_restart_and_updates_refuse_nothing(machines, site):
    found = json.loads(machines["one"].file("/root/%s.json" % site).content_string)
    assert set(found["answers"]) == {"200"}, found
    assert found["answers"]["200"] > 1000
    assert found["a_second"] > 95, found
    assert found["asked_to_end"], "the traffic ended by itself before the last change"


@pytest.mark.parametrize("name", ["one", "two"])
def test_both_servers_have_what_was_changed(machines, name):
    server = machines[name]
    assert 'GREETING="good day"' in server.file("/etc/guestbook/public.env").content_string
    pid = server.check_output("supervisorctl pid guestbook")
    assert server.check_output(f"stat -c %U /proc/{pid}") == "pizza"


def test_no_server_is_left_out(machines):
    assert machines["one"].check_output("find /run/cutover -type f") == ""


def test_the_site_answers_again(machines):
    ask = "u.urlopen(u.Request('http://127.0.0.1/', headers={'Host': 'guestbook.test'})).status"
    assert machines["one"].check_output("python3 -c %s", "import urllib.request as u; print(%s)" % ask) == "200"
    assert "RUNNING" in machines["two"].check_output("supervisorctl status guestbook")


def test_the_status_for_machines_says_the_same():
    path = pathlib.Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "status.json")
    status = json.loads(path.read_text(encoding="utf-8"))
    assert status["ok"]
    found = {(row["host"], row["what"], row["name"]): row["state"] for row in status["rows"]}
    assert found["one", "release", ""] == found["two", "release", ""] == "1.1"
    for name in ("pay", "account"):
        assert found["two", "external", name].startswith("answers 200, TLS until ")
    assert "Bearer" not in path.read_text(encoding="utf-8")
    for name in ("nginx.service", "mariadb.service", "supervisor.service", "guestbook"):
        assert ("one", "service", name) in found
