# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process of its own on the source, which ends a hold that its owner does not end.

The owner connects to the watchdog's socket before it holds anything, says ``hold INSTANT`` (monotonic
seconds, the same clock in every process of a host), holds once that was heard, and says ``done`` when all is written
down. Where the instant passes, or the owner's end of the socket closes without that word, the watchdog ends the owner
and recovers. With ``end`` nothing at all is left to do.

systemd starts a watchdog that is killed once more. It cannot reach its owner again, so it ends it, and recovers too:
whose hold that is says a link beside the socket, which is there from the hold to its end.
"""

import contextlib
import os
import signal
import socket
import time
from typing import Callable, Optional, Tuple

READY = b"ready\n"


class Leash:
    """The owner's end."""

    def __init__(self, path: str, wait: float = 10.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        until = time.monotonic() + wait
        while True:
            try:
                self._socket.connect(path)
                break
            except OSError as error:
                if time.monotonic() >= until:
                    raise RuntimeError(
                        "the watchdog did not answer at {0} within {1:g} s".format(path, wait)
                    ) from error
                time.sleep(0.05)
        self._socket.settimeout(wait)
        self._say(str(os.getpid()), "the watchdog is not ready: its connections could not be opened")

    def _say(self, word: str, otherwise: str) -> None:
        self._socket.sendall("{0}\n".format(word).encode("ascii"))
        if self._socket.recv(len(READY)) != READY:
            raise RuntimeError(otherwise)

    def hold_until(self, instant: float) -> None:
        """Say when the hold must have ended. What a watchdog has not heard, none that comes after it would know."""
        self._say("hold {0!r}".format(instant), "the watchdog was lost before the hold")

    def released(self, seconds: float) -> None:
        """Say that nothing is held any more, and how long what is left may take."""
        with contextlib.suppress(OSError, RuntimeError):
            self.hold_until(time.monotonic() + seconds)

    def done(self) -> None:
        """Say that all is written down. A watchdog that is gone needs no telling."""
        with contextlib.suppress(OSError):
            self._socket.sendall(b"done\n")

    def end(self) -> None:
        """Say that nothing is left."""
        with contextlib.suppress(OSError):
            self._socket.sendall(b"end\n")
        self._socket.close()


def end_process(pid: int) -> None:
    """End the owner at once: it must not act once the watchdog does."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def left_behind(path: str) -> Tuple[int, float]:
    """The process whose hold another watchdog has left unwatched, and its deadline; 0 where there is none."""
    try:
        pid, until = os.readlink(path + ".owner").split()
        return int(pid), float(until)
    except (OSError, ValueError):
        return 0, 0.0


def watches(path: str, pid: int, until: float) -> None:
    """Note whose hold is watched. A link takes no room."""
    forget(path)
    os.symlink("{0} {1!r}".format(pid, until), path + ".owner")


def forget(path: str) -> None:
    """Note that no hold is watched."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path + ".owner")


def watch(
    path: str,
    recover: Callable[[str, float], object],
    patience: float = 15.0,
    end: Callable[[int], None] = end_process,
) -> str:
    """Serve one owner; call ``recover(reason, deadline)`` where it must be. Returns why, or '' where nothing is left.

    ``patience`` is how long, in seconds, to wait for an owner to come at all.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    if os.path.exists(path):
        os.unlink(path)
    listener.bind(path)
    os.chmod(path, 0o600)
    listener.listen(1)
    listener.settimeout(patience)
    try:
        connection, _address = listener.accept()
    except socket.timeout:
        return "no owner came"
    finally:
        listener.close()
        os.unlink(path)
    reason = serve(connection, recover, end, lambda pid, until: watches(path, pid, until))
    forget(path)
    return reason


def serve(
    connection: socket.socket,
    recover: Callable[[str, float], object],
    end: Callable[[int], None],
    note: Callable[[int, float], None] = lambda _pid, _until: None,
) -> str:
    """Follow one owner's words until it is done or must be ended; ``note(pid, deadline)`` before it holds."""
    pid = 0
    deadline: Optional[float] = None
    done = False
    buffer = b""
    while True:
        received, reason = _hear(connection, deadline)
        if reason:
            break
        buffer += received
        while b"\n" in buffer:
            line, buffer = buffer.split(b"\n", 1)
            word = line.decode("ascii")
            if word == "end":
                return ""
            if word == "done":
                done, deadline = True, None
                continue
            if word.startswith("hold "):
                deadline = float(word[5:])
                note(pid, deadline)
            else:
                pid = int(word)
            connection.sendall(READY)
    # Before a hold there is nothing to recover: an owner may give up at its gate. Nor is there when it is done.
    if deadline is None:
        return reason + ", when it was done" if done else reason
    if pid:
        end(pid)
    recover(reason, deadline)
    return reason


def _hear(connection: socket.socket, deadline: Optional[float]) -> Tuple[bytes, str]:
    """What the owner says next, or why it says no more."""
    connection.settimeout(None if deadline is None else max(0.0001, deadline - time.monotonic()))
    try:
        received = connection.recv(4096)
    except (socket.timeout, BlockingIOError):
        return b"", "the deadline passed"
    except OSError as error:
        return b"", "the switchover process was lost: {0}".format(error)
    return received, "" if received else "the switchover process ended without a word"
