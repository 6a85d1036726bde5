"""The watchdog, over real sockets: who is ended, and when it recovers."""

import os
import signal
import socket
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import watchdog
from ansible_collections.ocpizza.cutover.plugins.module_utils.watchdog import Leash

WITHOUT_A_WORD = "the switchover process ended without a word"


class Watch:
    """A watchdog in a thread, which ends nobody."""

    def __init__(self, path: Path, patience: float = 5.0) -> None:
        self.path = str(path)
        self.events: list[str] = []
        self.answer = "still watching"
        self.thread = threading.Thread(target=self._run, args=(patience,), daemon=True)
        self.thread.start()

    def _run(self, patience: float) -> None:
        self.answer = watchdog.watch(
            self.path,
            lambda reason, _until: self.events.append("recover: " + reason),
            patience,
            lambda pid: self.events.append(f"end {pid}"),
        )

    def result(self) -> str:
        self.thread.join(5)
        assert not self.thread.is_alive()
        return self.answer


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(tmp_path / "watchdog.sock")


def drop(leash: Leash) -> None:
    """As the kernel does when the owner dies."""
    leash._socket.close()


def test_an_owner_that_is_done_is_left_alone(watch: Watch) -> None:
    leash = Leash(watch.path)
    leash.hold_until(time.monotonic() + 60)
    leash.done()
    leash.end()
    assert watch.result() == ""
    assert watch.events == []
    assert not os.path.exists(watch.path)


def test_at_the_deadline_the_owner_is_ended_and_then_recovered(watch: Watch) -> None:
    leash = Leash(watch.path)
    leash.hold_until(time.monotonic() + 0.05)
    assert watch.result() == "the deadline passed"
    assert watch.events == [f"end {os.getpid()}", "recover: the deadline passed"]
    drop(leash)


def test_a_deadline_that_is_over_already_counts(watch: Watch) -> None:
    leash = Leash(watch.path)
    leash.hold_until(time.monotonic() - 1)
    assert watch.result() == "the deadline passed"
    drop(leash)


def test_an_owner_that_dies_within_the_hold_is_recovered_at_once(watch: Watch) -> None:
    leash = Leash(watch.path)
    leash.hold_until(time.monotonic() + 3600)
    drop(leash)
    assert watch.result() == WITHOUT_A_WORD
    assert watch.events == [f"end {os.getpid()}", "recover: " + WITHOUT_A_WORD]


def test_an_owner_that_is_lost_before_the_hold_needs_no_recovery(watch: Watch) -> None:
    drop(Leash(watch.path))
    assert watch.result() == WITHOUT_A_WORD
    assert watch.events == []


def test_a_hold_begins_only_once_it_is_known_whose_it_is(tmp_path: Path) -> None:
    path = str(tmp_path / "watchdog.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)
    begun: list[str] = []

    def hold() -> None:
        leash = Leash(path)
        leash.hold_until(time.monotonic() + 60)
        begun.append("hold")
        leash.done()
        leash.end()

    owner = threading.Thread(target=hold, daemon=True)
    owner.start()
    connection, _address = listener.accept()
    listener.close()

    def note(pid: int, until: float) -> None:
        owner.join(0.2)
        assert begun == [], "both killed now, nobody would end the hold"
        watchdog.watches(path, pid, until)

    assert watchdog.serve(connection, lambda _reason, _until: None, lambda _pid: None, note) == ""
    owner.join(5)
    assert begun == ["hold"]
    pid, until = watchdog.left_behind(path)
    assert pid == os.getpid()
    assert 50 < until - time.monotonic() < 60


def test_what_comes_after_the_release_is_watched_too(watch: Watch) -> None:
    leash = Leash(watch.path)
    leash.hold_until(time.monotonic() + 0.2)
    leash.released(60)
    time.sleep(0.3)
    assert watch.events == [], "nothing is held: that deadline is over"
    drop(leash)
    assert watch.result() == WITHOUT_A_WORD
    assert watch.events == [f"end {os.getpid()}", "recover: " + WITHOUT_A_WORD]


def test_an_owner_that_is_lost_when_it_was_done_needs_no_recovery_but_says_so(watch: Watch) -> None:
    leash = Leash(watch.path)
    leash.hold_until(time.monotonic() + 0.2)
    leash.done()
    time.sleep(0.3)
    drop(leash)
    assert watch.result() == WITHOUT_A_WORD + ", when it was done"
    assert watch.events == []


def test_words_may_come_in_pieces(watch: Watch) -> None:
    leash = Leash(watch.path)
    for piece in (b"ho", b"ld 9999", b"999.5\ndo"):
        leash._socket.sendall(piece)
    leash._socket.sendall(b"ne\nend\n")
    assert watch.result() == ""
    assert watch.events == []


def test_a_reset_connection_is_a_lost_owner() -> None:
    class Broken:
        """A connection that tells one hold and breaks."""

        def __init__(self) -> None:
            self.words = [b"7\nhold 9999999999.0\n"]

        def settimeout(self, _seconds: float | None) -> None:
            pass

        def sendall(self, _data: bytes) -> None:
            pass

        def recv(self, _size: int) -> bytes:
            if self.words:
                return self.words.pop()
            raise ConnectionResetError("reset by peer")

    events: list[str] = []
    reason = watchdog.serve(
        Broken(), lambda reason, _until: events.append(reason), lambda pid: events.append(f"end {pid}")
    )  # type: ignore[arg-type]
    assert reason == "the switchover process was lost: reset by peer"
    assert events == ["end 7", reason]


def test_where_nobody_comes_it_ends(tmp_path: Path) -> None:
    watch = Watch(tmp_path / "watchdog.sock", patience=0.01)
    assert watch.result() == "no owner came"
    assert watch.events == []
    assert not os.path.exists(watch.path)


def test_a_socket_that_a_crash_left_is_no_hindrance(tmp_path: Path) -> None:
    path = tmp_path / "watchdog.sock"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    watch = Watch(path)
    leash = Leash(watch.path)
    assert not path.exists()
    leash.end()
    assert watch.result() == ""


def test_only_its_user_may_speak_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []
    real = os.chmod

    def chmod(path: str, mode: int) -> None:
        real(path, mode)
        modes.append(stat.S_IMODE(os.stat(path).st_mode))

    monkeypatch.setattr(watchdog.os, "chmod", chmod)
    Watch(tmp_path / "watchdog.sock", patience=0.01).result()
    assert modes == [0o600]


def test_no_watchdog_is_a_failure_in_words(tmp_path: Path) -> None:
    path = str(tmp_path / "watchdog.sock")
    with pytest.raises(RuntimeError, match=rf"the watchdog did not answer at {path} within 0.01 s"):
        Leash(path, wait=0.01)


def test_a_watchdog_that_is_not_ready_is_a_failure_in_words(tmp_path: Path) -> None:
    path = str(tmp_path / "watchdog.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)

    def hang_up() -> None:
        connection, _address = listener.accept()
        connection.recv(100)
        connection.close()
        listener.close()

    thread = threading.Thread(target=hang_up, daemon=True)
    thread.start()
    with pytest.raises(RuntimeError, match="the watchdog is not ready: its connections could not be opened"):
        Leash(path)
    thread.join(5)


def test_a_watchdog_that_is_gone_does_not_spoil_the_end(tmp_path: Path) -> None:
    path = str(tmp_path / "watchdog.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)

    def die_early() -> None:
        connection, _address = listener.accept()
        connection.sendall(watchdog.READY)
        connection.recv(100)
        connection.close()
        listener.close()

    thread = threading.Thread(target=die_early, daemon=True)
    thread.start()
    leash = Leash(path)
    thread.join(5)
    # Before the hold that is a reason to refuse; after it, everything is released already.
    with pytest.raises(OSError, match="Broken pipe"):
        leash.hold_until(1.0)
    leash.released(60)
    leash.done()
    leash.end()


def test_a_watchdog_that_dies_as_it_hears_of_the_hold_is_a_failure_in_words(tmp_path: Path) -> None:
    path = str(tmp_path / "watchdog.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)

    def die() -> None:
        connection, _address = listener.accept()
        connection.recv(100)
        connection.sendall(watchdog.READY)
        connection.recv(100)
        connection.close()
        listener.close()

    thread = threading.Thread(target=die, daemon=True)
    thread.start()
    leash = Leash(path)
    with pytest.raises(RuntimeError, match="the watchdog was lost before the hold"):
        leash.hold_until(1.0)
    thread.join(5)


def test_a_process_is_ended_for_good() -> None:
    process = subprocess.Popen(["sleep", "60"])
    watchdog.end_process(process.pid)
    assert process.wait(5) == -signal.SIGKILL
    watchdog.end_process(process.pid)
