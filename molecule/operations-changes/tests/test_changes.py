"""The site behind Apache after updates and changes under traffic."""

import json

import pytest


@pytest.mark.parametrize("part", ["guestbook", "guestbook-again"])
def test_updates_and_changes_refuse_nothing(host, part):
    found = json.loads(host.file(f"/root/{part}.json").content_string)
    assert set(found["answers"]) == {"200"}, found
    assert found["answers"]["200"] > 1000
    assert found["a_second"] > 95, found
    assert found["asked_to_end"], "the traffic ended by itself before the last change"


def test_a_release_that_turns_bad_when_it_serves_is_gone_within_30_seconds(host):
    found = json.loads(host.file("/root/guestbook-bad.json").content_string)
    assert set(found["answers"]) == {"200", "500"}, found
    assert 0 < found["bad_for_seconds"] < 30, found


def test_a_release_that_hangs_when_it_serves_is_gone_within_30_seconds(host):
    found = json.loads(host.file("/root/guestbook-hung.json").content_string)
    # Who waited in it is cut off.
    assert set(found["answers"]) <= {"200", "502", "503"}, found
    assert 0 < found["bad_for_seconds"] < 30, found
    assert host.service("apache2").is_running


def test_the_application_has_what_was_changed(host):
    answer = json.loads(host.check_output("curl -s -H 'Host: guestbook.test' http://127.0.0.1/"))
    assert (answer["GREETING"], answer["secret_length"]) == ('good "day", # 1 = 1', len("much longer"))


def test_the_new_user_runs_it_and_has_what_was_uploaded(host):
    pid = host.check_output("supervisorctl pid guestbook")
    assert host.check_output(f"stat -c %U /proc/{pid}") == "pizza"
    assert host.check_output("stat -c '%U %G %a' /opt/guestbook/media") == "pizza pizza 755"
    assert host.check_output("stat -c '%U %G %a' /opt/guestbook/media/pizza.txt") == "pizza pizza 640"
    assert host.check_output("stat -c '%U %a' /etc/guestbook/secrets.env") == "pizza 400"
    assert host.user("pizza").shell == "/usr/sbin/nologin"
