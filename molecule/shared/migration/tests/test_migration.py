"""What a migration leaves behind, there and back and there again."""

from __future__ import annotations

import json

from testinfra.host import Host

from tests.lab.engines import client, engines


def state(machines: dict[str, Host]) -> dict[str, str]:
    with machines["old"].sudo():
        return dict(json.loads(machines["old"].file("/var/lib/cutover/ocpizza/state.json").content_string))


def test_the_site_lives_on_the_target(machines: dict[str, Host]) -> None:
    assert state(machines)["side"] == "target"


def ask(host: Host, name: str, path: str) -> tuple[int, str]:
    """What the old address answers to a site's name; nothing but Python is sure to be there."""
    script = (
        "import http.client; c = http.client.HTTPConnection('127.0.0.1', timeout=10); "
        f"c.request('GET', '{path}', headers={{'Host': '{name}'}}); r = c.getresponse(); "
        "print(r.status); print(r.read().decode())"
    )
    answer = host.run("python3 -c %s", script)
    assert answer.rc == 0, answer.stderr
    status, body = answer.stdout.split("\n", 1)
    return int(status), body


def test_the_old_address_is_answered_by_the_target(machines: dict[str, Host]) -> None:
    status, body = ask(machines["old"], "ocpizza.test", "/healthz")
    assert (status, json.loads(body)["status"]) == (200, "ok")
    # The old application may be stopped now: nothing depends on it.
    with machines["old"].sudo():
        machines["old"].run_expect([0], "supervisorctl stop ocpizza")
    status, body = ask(machines["old"], "ocpizza.test", "/healthz")
    assert (status, json.loads(body)["status"]) == (200, "ok")


def test_keys_are_wider_on_the_target_alone(machines: dict[str, Host]) -> None:
    question = (
        "SELECT data_type FROM information_schema.columns WHERE table_schema IN ('ocpizza', 'public') "
        "AND table_name = 'auth_group' AND column_name = 'id'"
    )
    command = client(engines()[0], "ocpizza")
    types = {name: machines[name].check_output(f"echo %s | ({command})", question) for name in ("old", "db")}
    assert types["old"] in {"int", "integer"}
    assert types["db"] == "bigint"


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
    assert ask(old, "annex.test", "/")[0] == 200
    assert not old.file("/run/cutover/annex").exists
    assert not old.file("/etc/systemd/system/cutover-annex.socket").exists
