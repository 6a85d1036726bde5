"""What a migration leaves behind, there and back and there again."""

from __future__ import annotations

import json

from testinfra.host import Host


def state(machines: dict[str, Host]) -> dict[str, str]:
    with machines["old"].sudo():
        return dict(json.loads(machines["old"].file("/var/lib/cutover/ocpizza/state.json").content_string))


def test_the_site_lives_on_the_target(machines: dict[str, Host]) -> None:
    assert state(machines)["side"] == "target"


def test_the_old_address_is_answered_by_the_target(machines: dict[str, Host]) -> None:
    answer = machines["old"].run("curl -s -H 'Host: ocpizza.test' http://127.0.0.1/healthz")
    assert answer.rc == 0
    assert json.loads(answer.stdout)["status"] == "ok"
    # The old application may be stopped now: nothing depends on it.
    with machines["old"].sudo():
        machines["old"].run_expect([0], "supervisorctl stop ocpizza")
    answer = machines["old"].run("curl -s -H 'Host: ocpizza.test' http://127.0.0.1/healthz")
    assert json.loads(answer.stdout)["status"] == "ok"


def test_the_valve_listens_and_holds_nothing(machines: dict[str, Host]) -> None:
    old = machines["old"]
    assert old.service("cutover-ocpizza.socket").is_running
    assert not old.service("cutover-ocpizza.service").is_running
    for flag in ("hold", "valve", "near"):
        assert not old.file(f"/run/cutover/ocpizza/{flag}").exists
    assert old.file("/var/lib/cutover/ocpizza/moved").exists


def test_secrets_are_for_root_alone(machines: dict[str, Host]) -> None:
    with machines["old"].sudo():
        for name in ("credentials.json", "switchover.json"):
            held = machines["old"].file(f"/var/lib/cutover/ocpizza/{name}")
            assert (held.user, held.mode) == ("root", 0o600)


def test_the_neighbour_is_as_it_was(machines: dict[str, Host]) -> None:
    old = machines["old"]
    assert old.run("curl -s -o /dev/null -w '%{http_code}' -H 'Host: annex.test' http://127.0.0.1/").stdout == "200"
    assert not old.file("/run/cutover/annex").exists
    assert not old.file("/etc/systemd/system/cutover-annex.socket").exists
