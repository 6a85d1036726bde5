"""The valve: what the kernel counts, the order in which files change, who decided."""

import errno
import ipaddress
import multiprocessing
import os
import socket
import stat
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import valve
from ansible_collections.ocpizza.cutover.plugins.module_utils.valve import Decision, Endpoint, Valve

LOCAL = Endpoint("127.0.0.1", 8000, True)


@pytest.fixture
def one(tmp_path: Path) -> Valve:
    (tmp_path / "run").mkdir()
    (tmp_path / "state").mkdir()
    targets = {"source": "127.0.0.1:8000", "target": "127.0.0.1:18001"}
    return Valve("shop", str(tmp_path / "run"), str(tmp_path / "state"), "cutover-shop", targets)


def kernel(address: str, port: int) -> str:
    """An address as /proc/net/tcp shows it: 32-bit words in the host's order."""
    packed = ipaddress.ip_address(address).packed
    words = [f"{struct.unpack('=I', packed[start : start + 4])[0]:08X}" for start in range(0, len(packed), 4)]
    return f"{''.join(words)}:{port:04X}"


def row(local: tuple[str, int], remote: tuple[str, int], state: str = "01") -> str:
    return f"   0: {kernel(*local)} {kernel(*remote)} {state} 00000000:00000000 00:00000000 00000000 0 0 1\n"


@given(st.ip_addresses(), st.integers(0, 65535))
def test_an_address_comes_out_as_it_went_in(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> None:
    expected = getattr(address, "ipv4_mapped", None) or address
    assert valve.decode_address(kernel(str(address), port)) == (str(expected), port)


def test_known_addresses() -> None:
    assert valve.decode_address("0500000A:01BB") == ("10.0.0.5", 443)
    assert valve.decode_address("0000000000000000FFFF00000100007F:1F40") == ("127.0.0.1", 8000)
    assert valve.decode_address("00000000000000000000000001000000:0050") == ("::1", 80)


def test_only_established_sockets_of_the_port_count_here() -> None:
    lines = [
        row(("127.0.0.1", 8000), ("127.0.0.1", 40000)),
        row(("127.0.0.1", 40000), ("127.0.0.1", 8000)),
        row(("::ffff:127.0.0.1", 8000), ("::ffff:127.0.0.1", 40001)),
        row(("127.0.0.1", 8000), ("127.0.0.2", 0), "0A"),
        row(("127.0.0.1", 8000), ("127.0.0.1", 40002), "06"),
        row(("127.0.0.1", 8001), ("127.0.0.1", 40003)),
        "torn line\n",
    ]
    assert valve.count_established(lines, LOCAL) == 2


def test_elsewhere_the_address_counts_too() -> None:
    lines = [
        row(("10.0.0.1", 40000), ("10.0.0.5", 443)),
        row(("10.0.0.1", 443), ("10.0.0.5", 40000)),
        row(("10.0.0.1", 40001), ("10.0.0.6", 443)),
    ]
    assert valve.count_established(lines, Endpoint("10.0.0.5", 443, False)) == 1


@pytest.mark.parametrize("written", ["fd00::5", "FD00:0:0:0:0:0:0:5"])
def test_an_address_counts_however_it_is_written(written: str) -> None:
    lines = [row(("fd00::1", 40000), ("fd00::5", 443))]
    assert valve.count_established(lines, Endpoint(written, 443, False)) == 1


def test_a_name_instead_of_an_address_is_no_silence() -> None:
    with pytest.raises(ValueError, match=r"'app.example' does not appear to be an IPv4 or IPv6 address"):
        valve.count_established([], Endpoint("app.example", 443, False))


def test_this_machine_has_a_socket_table() -> None:
    assert valve.in_flight(Endpoint("127.0.0.1", 1, True)) == 0


class Clock:
    """Time that passes only in sleep."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        (LOCAL, "state established sport = :8000"),
        (Endpoint("10.0.0.5", 443, False), "state established dst 10.0.0.5 dport = :443"),
        (Endpoint("fd00::5", 443, False), "state established dst [fd00::5] dport = :443"),
        (Endpoint(path="/run/shop.sock"), ""),
        (Endpoint(folder="/run/cutover/shop/asked"), ""),
    ],
)
def test_by_what_the_kernel_finds_the_requests_to_end(endpoint: Endpoint, words: str) -> None:
    assert " ".join(valve.kill_filter(endpoint)) == words


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may close another's connection")
@pytest.mark.parametrize("local", [True, False])
def test_a_request_that_runs_is_ended_and_no_other(local: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as ours, socket.create_server(("127.0.0.1", 0)) as others:
        pairs = []
        for server in (ours, others):
            client = socket.create_connection(server.getsockname())
            pairs.append((client, server.accept()[0]))
        endpoint = Endpoint("127.0.0.1", ours.getsockname()[1], local)
        assert valve.in_flight(endpoint) == 1
        valve.end_running(endpoint)
        assert valve.in_flight(endpoint) == 0
        for end in pairs[0]:
            end.settimeout(5)
            with pytest.raises(ConnectionError):
                end.recv(1)
        pairs[1][0].sendall(b"x")
        assert pairs[1][1].recv(1) == b"x"
        # Who listens goes on.
        with socket.create_connection(ours.getsockname()):
            ours.accept()[0].close()
        for end in (*pairs[0], *pairs[1]):
            end.close()


def drain(counts: Iterator[int], until: float = 1.0) -> tuple[bool, Clock]:
    clock = Clock()
    quiet = valve.drain(LOCAL, until, 3, 0.1, lambda _endpoint: next(counts), clock, clock.sleep)
    return quiet, clock


def test_it_is_drained_after_several_quiet_looks_in_a_row() -> None:
    counts = iter([2, 1, 0, 0, 1, 0, 0, 0, 99])
    assert drain(counts)[0] is True
    assert next(counts) == 99


def test_it_is_not_drained_at_the_deadline() -> None:
    quiet, clock = drain(iter([1] * 99))
    assert quiet is False
    assert clock.now == pytest.approx(1.0, abs=0.11)


def test_flags_lie_where_they_survive_what_they_must(one: Valve) -> None:
    assert one.path("moved") == os.path.join(one.state, "moved")
    for flag in ("near", "valve", "hold"):
        assert one.path(flag) == os.path.join(one.runtime, flag)


def test_a_flag_goes_up_and_down_and_is_readable_whatever_the_mask(one: Valve) -> None:
    os.umask(0o077)
    for _again in range(2):
        valve.raise_flag(one, "near")
        assert valve.is_raised(one, "near")
    assert stat.S_IMODE(os.stat(one.path("near")).st_mode) & 0o444 == 0o444
    for _again in range(2):
        valve.lower_flag(one, "near")
        assert not valve.is_raised(one, "near")


@pytest.fixture
def recorded(one: Valve, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What happens to files, in order."""
    seen: list[tuple[str, str]] = []
    real = {name: getattr(os, name) for name in ("open", "unlink", "rename")}

    def opening(path: Any, *more: Any, **named: Any) -> Any:
        seen.append(("made", os.path.basename(path)))
        return real["open"](path, *more, **named)

    def unlinking(path: Any) -> None:
        real["unlink"](path)
        seen.append(("removed", os.path.basename(path)))

    def renaming(old: Any, new: Any) -> None:
        real["rename"](old, new)
        seen.append(("replaced", os.path.basename(new)))

    monkeypatch.setattr(valve.os, "open", opening)
    monkeypatch.setattr(valve.os, "unlink", unlinking)
    monkeypatch.setattr(valve.os, "rename", renaming)
    return seen


def test_the_hold_exists_before_the_first_request_can_reach_the_valve(
    one: Valve, recorded: list[tuple[str, str]]
) -> None:
    valve.engage(one)
    assert recorded == [("made", "hold"), ("made", "valve")]


def test_towards_the_target_no_request_sees_a_gap(one: Valve, recorded: list[tuple[str, str]]) -> None:
    valve.raise_flag(one, "near")
    valve.engage(one)
    recorded.clear()
    valve.release(one, "target")
    # The side is named before the hold ends, and new requests know their way before the valve is out of theirs.
    assert recorded == [
        ("replaced", "environment"),
        ("made", "moved"),
        ("removed", "valve"),
        ("removed", "hold"),
    ]
    assert Path(one.runtime, "environment").read_text() == "TARGET=127.0.0.1:18001\n"


def test_back_to_the_source_no_request_sees_a_gap(one: Valve, recorded: list[tuple[str, str]]) -> None:
    valve.raise_flag(one, "moved")
    valve.raise_flag(one, "near")
    valve.engage(one)
    recorded.clear()
    valve.release(one, "source")
    assert recorded == [
        ("replaced", "environment"),
        ("removed", "moved"),
        ("removed", "valve"),
        ("removed", "hold"),
    ]
    assert Path(one.runtime, "environment").read_text() == "TARGET=127.0.0.1:8000\n"


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_release_can_be_repeated(one: Valve, side: str) -> None:
    for _again in range(2):
        valve.release(one, side)
    assert sorted(os.listdir(one.runtime)) == ["environment", "environment.source", "environment.target"]
    assert os.listdir(one.state) == (["moved"] if side == "target" else [])


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemctl that writes down what it is asked and answers with what the file 'state' holds."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "state").write_text("inactive")
    script = folder / "systemctl"
    script.write_text(
        f'#!/bin/sh\necho "$@" >>{folder}/asked\ncat {folder}/state\ngrep -qx active {folder}/state || exit 3\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


@pytest.mark.parametrize(
    ("state", "idle"),
    [("inactive", True), ("failed", True), ("active", False), ("activating", False), ("unknown", False), ("", False)],
)
def test_only_a_valve_known_to_rest_is_idle(one: Valve, systemctl: Path, state: str, idle: bool) -> None:
    (systemctl / "state").write_text(state)
    assert valve.is_idle(one) is idle
    assert (systemctl / "asked").read_text() == "is-active cutover-shop.service\n"


def test_a_socket_that_failed_is_started_again(one: Valve, systemctl: Path) -> None:
    valve.listen(one)
    assert (systemctl / "asked").read_text() == "reset-failed cutover-shop.socket\nstart cutover-shop.socket\n"


@pytest.mark.parametrize(("blocks", "left", "full"), [(100, 255, True), (100, 256, False), (0, 0, False)])
def test_a_disk_is_full_before_nothing_is_left(
    one: Valve, monkeypatch: pytest.MonkeyPatch, blocks: int, left: int, full: bool
) -> None:
    monkeypatch.setattr("os.statvfs", lambda _path: SimpleNamespace(f_blocks=blocks, f_bavail=left, f_frsize=4096))
    assert valve.full(one) == ([one.runtime, one.state] if full else [])


def test_the_socket_listens_when_systemd_says_so(one: Valve, systemctl: Path) -> None:
    assert valve.is_listening(one) is False
    (systemctl / "state").write_text("active\n")
    assert valve.is_listening(one) is True
    assert (systemctl / "asked").read_text().endswith("is-active --quiet cutover-shop.socket\n")


def test_to_rest_the_valve_its_service_is_stopped(one: Valve, systemctl: Path) -> None:
    valve.rest(one)
    assert (systemctl / "asked").read_text() == "stop cutover-shop.service\n"


def test_the_first_decision_stays(one: Valve) -> None:
    decision = Decision(one)
    assert decision.read() == ""
    assert decision.claim("open") == "open"
    assert decision.claim("abort") == "open"
    assert os.listdir(one.state) == ["decision"]
    for _again in range(2):
        decision.clear()
        assert decision.read() == ""
    assert decision.claim("abort") == "abort"


def test_a_full_disk_stops_neither_decision_nor_release(one: Valve, monkeypatch: pytest.MonkeyPatch) -> None:
    valve.prepare(one)
    valve.engage(one)

    def full(*_arguments: Any, **_more: Any) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("builtins.open", full)
    assert Decision(one).claim("open", "target") == "open"
    for side in ("target", "source"):
        valve.release(one, side)
        assert os.readlink(one.path("environment")) == "environment." + side
    assert not valve.is_raised(one, "hold")


def test_a_decision_says_for_which_side(one: Valve) -> None:
    Decision(one).claim("open", "target")
    assert (Decision(one).read(), Decision(one).towards()) == ("open", "target")
    Decision(one).clear()
    assert (Decision(one).read(), Decision(one).towards()) == ("", "")


def test_a_decision_that_was_taken_back_stays_so(one: Valve) -> None:
    Decision(one).claim("open", "target")
    os.symlink("what a crash left", Decision(one).path + ".new")
    Decision(one).revoke("source")
    assert (Decision(one).read(), Decision(one).towards()) == ("abort", "source")
    assert Decision(one).claim("open", "target") == "abort"
    assert os.listdir(one.state) == ["decision"]


def test_two_processes_agree_who_decided(one: Valve) -> None:
    context = multiprocessing.get_context("fork")
    for _turn in range(10):
        Decision(one).clear()
        start, answers = context.Barrier(2), context.Queue()

        def claim(outcome: str, start: Any = start, answers: Any = answers) -> None:
            start.wait()
            answers.put(Decision(one).claim(outcome))

        rivals = [context.Process(target=claim, args=(outcome,)) for outcome in ("open", "abort")]
        for rival in rivals:
            rival.start()
        heard = {answers.get(timeout=5) for _rival in rivals}
        for rival in rivals:
            rival.join(5)
        assert heard == {Decision(one).read()}
        assert heard <= {"open", "abort"}


def test_valves_come_out_of_a_plan(one: Valve) -> None:
    assert valve.valves_from([dict(one._asdict())]) == [one]
    assert valve.valves_from([]) == []


@pytest.mark.parametrize(("ages", "waits"), [((), 6), ((100,), 0), ((100, 4), 2), ((-50,), 6)])
def test_keeping_none_waits_for_the_flag_that_was_raised_last(
    one: Valve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ages: tuple[float, ...], waits: float
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(valve.time, "sleep", slept.append)
    valves = [one._replace(runtime=str(tmp_path / str(number))) for number in range(max(len(ages), 1))]
    for each in valves:
        Path(each.runtime).mkdir()
    for each, age in zip(valves, ages, strict=False):
        valve.raise_flag(each, "near")
        os.utime(each.path("near"), (time.time() - age,) * 2)
    valve.keep_none(valves, 6)
    assert slept == [pytest.approx(waits, abs=0.5)]
    assert all(valve.is_raised(each, "near") for each in valves)


def test_connections_are_kept_again_once_what_waited_is_answered(one: Valve, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[tuple[float, bool]] = []
    monkeypatch.setattr(valve.time, "sleep", lambda seconds: slept.append((seconds, valve.is_raised(one, "near"))))
    valve.raise_flag(one, "near")
    valve.engage(one)
    valve.release(one, "target")
    valve.keep_again([one], 2.6)
    assert slept == [(pytest.approx(4.6), True)]
    assert not valve.is_raised(one, "near")
