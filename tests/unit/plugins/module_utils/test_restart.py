"""The restart of the source's database behind the valves."""

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import journal, restart, valve
from ansible_collections.ocpizza.cutover.plugins.module_utils.restart import Restart
from ansible_collections.ocpizza.cutover.plugins.module_utils.switchover_sides import Refused
from tests.unit.plugins.fakes import FakeLeash, chosen, flags, make_valve

ENDPOINTS = [valve.Endpoint("127.0.0.1", 8000, True), valve.Endpoint("127.0.0.1", 8001, True)]


class Server:
    """A database server and its unit. ``comes_up`` says for each restart whether it does."""

    def __init__(self, calls: list[str], comes_up: list[bool]) -> None:
        self.calls = calls
        self.comes_up = comes_up
        self.answers = True
        self.silent_for = 0

    def restart(self, service: str) -> None:
        self.calls.append("restart " + service)
        self.answers = self.comes_up.pop(0)
        if not self.answers:
            raise Refused(f"systemctl restart {service}: Job failed")

    def connect(self) -> "Server":
        if not self.answers or self.silent_for:
            self.silent_for -= 1
            raise OSError("Connection refused")
        self.calls.append("connect")
        return self

    def close(self) -> None:
        pass


class House:
    """Two sites on one server."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.server = Server(self.calls, [True])
        self.valves = [make_valve(folder), make_valve(folder, "annex")]
        # A neighbour's valve knows one side.
        self.valves[1] = self.valves[1]._replace(targets={"source": "127.0.0.1:8001"})
        self.settings = folder / "cutover.cnf"
        self.settings.write_text("[mariadbd]\nlog_bin=cutover-bin\n")
        self.journal = str(folder / "journal.jsonl")
        self.listening, self.full, self.idle, self.running = True, False, True, 0
        self.unprepared: Exception | None = None
        self.held_at_restart: list[set[str]] = []
        self.plan: dict[str, Any] = {
            "journal": self.journal,
            "phase": "replicate",
            "host": "old",
            "service": "mariadb",
            "undo_files": [str(self.settings), str(folder / "never-made.cnf")],
            "near_s": 0,
            "near_stays": False,
            "deadline_s": 5,
        }
        monkeypatch.setattr(restart.time, "sleep", lambda _seconds: None)
        monkeypatch.setattr(valve, "is_listening", lambda _one: self.listening)
        monkeypatch.setattr(valve, "listen", lambda one: self.calls.append("listen " + one.unit))
        monkeypatch.setattr(valve, "full", lambda one: [one.state] if self.full else [])
        monkeypatch.setattr(valve, "is_idle", lambda _one: self.idle)
        monkeypatch.setattr(valve, "rest", lambda one: self.calls.append("rest " + one.unit))
        monkeypatch.setattr(valve, "in_flight", lambda _endpoint: self.running)
        monkeypatch.setattr(restart, "restart_service", self.restart_service)

    def restart_service(self, service: str) -> None:
        self.held_at_restart += [flags(one) for one in self.valves]
        self.server.restart(service)

    def run(self) -> dict[str, Any]:
        leash = FakeLeash(self.calls)
        return Restart(
            self.plan,
            self.valves,
            ENDPOINTS,
            self.prepare,
            self.server.connect,
            lambda: leash,  # type: ignore[arg-type,return-value]
        ).run()

    def prepare(self) -> None:
        # What makes the restart short costs nobody a wait.
        assert [flags(one) & {"near", "hold", "valve"} for one in self.valves] == [set(), set()]
        self.calls.append("prepare")
        if self.unprepared:
            raise self.unprepared

    def released(self) -> bool:
        assert [flags(one) for one in self.valves] == [set(), set()]
        assert [chosen(one) for one in self.valves] == ["TARGET=127.0.0.1:8000", "TARGET=127.0.0.1:8001"]
        return self.calls[-2:] == ["leash.done", "leash.end"]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(tmp_path, monkeypatch)


def test_every_site_is_held_while_the_server_restarts(house: House) -> None:
    outcome = house.run()
    assert (outcome["outcome"], outcome["reason"]) == ("restarted", "")
    assert 0 <= outcome["hold_ms"] < 5000
    assert house.calls == [
        "prepare",
        "leash.hold",
        "restart mariadb",
        "connect",
        "leash.done",
        "leash.end",
    ]
    assert house.held_at_restart == [{"near", "hold", "valve"}] * 2
    assert house.released()
    assert house.settings.exists()
    (event,) = journal.read_events(house.journal)
    assert (event["step"], event["status"]) == ("restart", "passed")


def test_where_a_reload_comes_next_no_connection_is_kept_until_then(house: House) -> None:
    house.plan["near_stays"] = True
    assert house.run()["outcome"] == "restarted"
    assert [flags(one) for one in house.valves] == [{"near"}, {"near"}]


def test_it_waits_until_the_server_answers(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    real = house.restart_service

    def slowly(service: str) -> None:
        real(service)
        house.server.silent_for = 3

    monkeypatch.setattr(restart, "restart_service", slowly)
    assert house.run()["outcome"] == "restarted"


def test_a_server_that_does_not_come_up_starts_as_it_was(house: House) -> None:
    house.server.comes_up = [False, True]
    outcome = house.run()
    assert outcome["outcome"] == "refused"
    assert outcome["reason"] == "systemctl restart mariadb: Job failed; the new settings were taken away again"
    assert not house.settings.exists()
    assert house.calls[-5:-1] == ["restart mariadb", "restart mariadb", "connect", "leash.done"]
    assert house.released()


def test_a_server_that_never_comes_up_leaves_nothing_held(house: House) -> None:
    house.server.comes_up = [False, False]
    outcome = house.run()
    assert (outcome["outcome"], outcome["reason"]) == ("refused", "systemctl restart mariadb: Job failed")
    assert not house.settings.exists()
    assert house.released()


def test_a_server_that_comes_up_and_does_not_answer(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    real, clock = house.restart_service, restart.time.monotonic

    def mute(service: str) -> None:
        real(service)
        house.server.answers = False
        monkeypatch.setattr(restart.time, "monotonic", lambda: clock() + 3600)

    monkeypatch.setattr(restart, "restart_service", mute)
    house.server.comes_up = [True, True]
    outcome = house.run()
    assert outcome["reason"] == "the database did not answer after its restart: Connection refused"
    assert not house.settings.exists()
    assert house.released()


def test_requests_that_do_not_end_are_not_cut_off(house: House) -> None:
    house.running, house.plan["deadline_s"] = 1, 0
    outcome = house.run()
    assert (outcome["outcome"], outcome["reason"]) == ("refused", "requests still ran on port 8000 at the deadline")
    assert "restart mariadb" not in house.calls
    assert house.settings.exists()
    assert house.released()


def test_without_a_valve_nothing_is_begun(house: House) -> None:
    house.listening = False
    with pytest.raises(Refused, match=r"the valve's socket cutover-shop.socket does not listen"):
        house.run()
    assert {call.partition(" ")[0] for call in house.calls} == {"listen"}


def test_a_socket_that_was_stopped_is_started(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.listening = False
    monkeypatch.setattr(valve, "listen", lambda _one: setattr(house, "listening", True))
    assert house.run()["outcome"] == "restarted"


def test_on_a_full_disk_nothing_is_begun(house: House) -> None:
    house.full = True
    with pytest.raises(Refused, match=r"^no room is left in \S*shop/state; no room is left in "):
        house.run()
    assert house.calls == []


def test_a_server_that_cannot_be_prepared_is_not_restarted(house: House) -> None:
    house.unprepared = OSError("Connection refused")
    with pytest.raises(OSError, match="Connection refused"):
        house.run()
    assert house.calls == ["prepare"]
    assert [flags(one) for one in house.valves] == [set(), set()]
    assert house.settings.exists()


def test_a_valve_that_runs_is_put_to_rest_first(house: House) -> None:
    house.idle = False
    assert house.run()["outcome"] == "restarted"
    assert house.calls[:3] == ["rest cutover-shop", "rest cutover-annex", "prepare"]


def test_a_watchdog_that_is_lost_before_the_hold_leaves_no_flag(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(_leash: FakeLeash, _instant: float) -> None:
        raise BrokenPipeError("Broken pipe")

    monkeypatch.setattr(FakeLeash, "hold_until", lost)
    outcome = house.run()
    assert (outcome["outcome"], outcome["reason"]) == ("refused", "Broken pipe")
    assert "restart mariadb" not in house.calls
    assert house.released()


def test_a_site_that_has_moved_is_not_led_back(house: House) -> None:
    valve.raise_flag(house.valves[1], "moved")
    assert house.run()["outcome"] == "restarted"
    assert house.held_at_restart == [{"near", "hold", "valve"}, {"moved"}]
    assert flags(house.valves[1]) == {"moved"}
    assert chosen(house.valves[1]) == ""


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemctl that fails while the file 'ill' exists, and is active while 'active' does."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "systemctl"
    script.write_text(
        f'#!/bin/sh\necho "$@" >>{folder}/asked\n'
        f'case "$1" in is-active) [ -e {folder}/active ];; '
        f"*) [ ! -e {folder}/ill ] || {{ echo 'Job for mariadb.service failed.'; exit 1; }};; esac\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def test_a_unit_is_restarted(systemctl: Path) -> None:
    restart.restart_service("mariadb")
    assert (systemctl / "asked").read_text() == "restart mariadb\n"


def test_a_unit_that_fails_says_so_in_its_own_words(systemctl: Path) -> None:
    (systemctl / "ill").touch()
    with pytest.raises(Refused, match=r"^systemctl restart mariadb: Job for mariadb.service failed.$"):
        restart.restart_service("mariadb")


def test_a_database_that_an_ended_restart_left_down_comes_back_as_it_was(tmp_path: Path, systemctl: Path) -> None:
    settings = tmp_path / "cutover.cnf"
    settings.touch()
    plan = {"service": "mariadb", "undo_files": [str(settings), str(tmp_path / "none")]}
    assert restart.bring_back(plan) == "the database was started without the new settings"
    assert not settings.exists()
    assert (systemctl / "asked").read_text() == "is-active --quiet mariadb\nrestart mariadb\n"


def test_a_database_that_runs_is_left_as_it_is(tmp_path: Path, systemctl: Path) -> None:
    (systemctl / "active").touch()
    settings = tmp_path / "cutover.cnf"
    settings.touch()
    assert restart.bring_back({"service": "mariadb", "undo_files": [str(settings)]}) == "the database runs"
    assert settings.exists()
    assert (systemctl / "asked").read_text() == "is-active --quiet mariadb\n"


def test_a_restart_that_hangs_is_not_waited_for(systemctl: Path) -> None:
    (systemctl / "systemctl").write_text("#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(Refused, match=r"^systemctl restart mariadb took longer than 0.05 s$"):
        restart.restart_service("mariadb", 0.05)
