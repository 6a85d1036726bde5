"""The site behind Apache after updates and changes under traffic."""

import json


def test_updates_and_changes_refuse_nothing(host):
    found = json.loads(host.file("/root/guestbook.json").content_string)
    assert set(found["answers"]) == {"200"}, found
    assert found["answers"]["200"] > 1000
    assert found["asked_to_end"], "the traffic ended by itself before the last change"


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
