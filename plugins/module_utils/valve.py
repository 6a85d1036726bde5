# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The valve: holds a site's requests in the kernel's listen backlog, and lets them go towards one side.

Everything here is a file: flags that the web server looks for, the environment file that names where held
requests go, the decision that says which side won. So a release depends on nothing that can hang.

``runtime`` lives in /run and is gone after a reboot, which leaves the site as it was; ``state`` survives.
"""

import contextlib
import ipaddress
import os
import subprocess
import time
from typing import Callable, Dict, Iterable, List, NamedTuple, Optional, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils import door, running, socket_diag

ESTABLISHED = "01"
# What systemd needs to start the proxy, and a journal for its lines, is far less.
ROOM = 1 << 20
# Seconds that a web server needs after a release, beside the time that the requests waited; and at most.
BURST_S, LONGEST_BURST_S = 2.0, 10.0


class Endpoint(NamedTuple):
    """Where requests of one side are served, as the kernel's socket table shows it.

    ``local`` counts sockets that a server on this host accepted on the port; otherwise those that this
    host opened towards address and port. ``path`` is that of a Unix socket. Into ``folder`` Apache puts a file for
    each request that runs inside it.
    """

    address: str = ""
    port: int = 0
    local: bool = True
    path: str = ""
    folder: str = ""

    def words(self) -> str:
        """Where that is."""
        if self.folder:
            return "inside Apache"
        return "on {0}".format(self.path or "port {0}".format(self.port))


class Valve(NamedTuple):
    """One site's valve. ``targets`` maps a side to the address:port that the valve's proxy connects to."""

    site: str
    runtime: str
    state: str
    unit: str
    targets: Dict[str, str]

    def path(self, flag: str) -> str:
        """Where a flag lies: ``moved`` outlives a reboot, ``near``, ``valve`` and ``hold`` do not."""
        return os.path.join(self.state if flag == "moved" else self.runtime, flag)


def raise_flag(valve: Valve, flag: str) -> None:
    """Make the flag's file; world-readable, for the web server looks for it under its own user."""
    descriptor = os.open(valve.path(flag), os.O_CREAT | os.O_WRONLY, 0o644)
    os.fchmod(descriptor, 0o644)
    os.close(descriptor)


def lower_flag(valve: Valve, flag: str) -> None:
    """Remove the flag's file, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(valve.path(flag))


def is_raised(valve: Valve, flag: str) -> bool:
    """Whether the flag's file is there."""
    return os.path.exists(valve.path(flag))


def is_held(valve: Valve) -> bool:
    """Whether requests are held, or led to where they would be."""
    return is_raised(valve, "hold") or is_raised(valve, "valve")


def prepare(valve: Valve) -> None:
    """Write now what a release needs: on a disk that is full by then it could not."""
    for side, where in valve.targets.items():
        with open(os.path.join(valve.runtime, "environment." + side), "w", encoding="utf-8") as stream:
            stream.write("TARGET={0}\n".format(where))
            # The valve's proxy has a user of its own.
            os.fchmod(stream.fileno(), 0o644)


def choose(valve: Valve, side: str) -> None:
    """Name the side that held requests go to; systemd reads the file when the proxy starts."""
    path = os.path.join(valve.runtime, "environment")
    if not os.path.exists("{0}.{1}".format(path, side)):
        prepare(valve)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path + ".new")
    # A link takes no room.
    os.symlink("environment." + side, path + ".new")
    os.rename(path + ".new", path)


def engage(valve: Valve) -> None:
    """From now on every new request of the site waits. The hold must exist before the first request comes."""
    raise_flag(valve, "hold")
    raise_flag(valve, "valve")


def release(valve: Valve, side: str) -> None:
    """Let new requests, then the held ones, go to a side. Safe to repeat."""
    choose(valve, side)
    if side == "target":
        raise_flag(valve, "moved")
    else:
        lower_flag(valve, "moved")
    lower_flag(valve, "valve")
    lower_flag(valve, "hold")


def keep_none(valves: List[Valve], near_s: float) -> None:
    """Keep no connection from now on, and wait until the idle ones have ended in their own time.

    A flag that is up waits no second time: its age counts, and a clock that was set back makes it young.
    """
    for valve in valves:
        raise_flag(valve, "near")
    now = time.time()
    youngest = min((max(now - os.stat(valve.path("near")).st_mtime, 0.0) for valve in valves), default=near_s)
    time.sleep(max(near_s - youngest, 0.0))


def keep_again(valves: Iterable[Valve], held_s: float) -> None:
    """Let connections be kept again, once the requests that waited are answered."""
    await_answers(held_s)
    for valve in valves:
        lower_flag(valve, "near")


def await_answers(held_s: float) -> None:
    """Wait until the requests that waited are answered, which takes about as long as they waited.

    Until then all of Apache's threads are busy, and it closes idle connections to have more, perhaps just as a client
    sends on one: there must be none.
    """
    time.sleep(min(BURST_S + held_s, LONGEST_BURST_S))


def is_idle(valve: Valve) -> bool:
    """Whether the valve's proxy does not run; one that runs would hold nothing."""
    return rests(valve.unit + ".service")


def rests(unit: str) -> bool:
    """Whether a unit does not run, nor is about to."""
    state = subprocess.run(
        ["systemctl", "is-active", unit],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        universal_newlines=True,
        check=False,
    ).stdout.strip()
    return state in ("inactive", "failed")


def is_listening(valve: Valve) -> bool:
    """Whether the valve's socket takes connections."""
    return subprocess.run(["systemctl", "is-active", "--quiet", valve.unit + ".socket"], check=False).returncode == 0


def listen(valve: Valve) -> None:
    """Have the valve's socket take connections again, whatever stopped it."""
    for act in ("reset-failed", "start"):
        subprocess.run(["systemctl", act, valve.unit + ".socket"], stderr=subprocess.DEVNULL, check=False)


def full(valve: Valve) -> List[str]:
    """Folders that have no room left: without it systemd could not start the proxy, and held requests would fail."""
    folders = []
    for folder in (valve.runtime, valve.state):
        disk = os.statvfs(folder)
        # A file system without a limit has no blocks.
        if disk.f_blocks and disk.f_bavail * disk.f_frsize < ROOM:
            folders.append(folder)
    return folders


def problems(valve: Valve) -> List[str]:
    """Why the valve could hold nothing. A socket that was stopped is started first."""
    found = ["no room is left in {0}".format(folder) for folder in full(valve)]
    if not is_listening(valve):
        listen(valve)
    if not is_listening(valve):
        found.append("the valve's socket {0}.socket does not listen".format(valve.unit))
    return found + door.problems(valve.state, valve.site)


def rest(valve: Valve) -> None:
    """Stop the valve's proxy, so that it can hold again."""
    subprocess.run(["systemctl", "stop", valve.unit + ".service"], check=False)


def decode_address(encoded: str) -> Tuple[str, int]:
    """('10.0.0.5', 443) out of the kernel's '0500000A:01BB'; an IPv4 address mapped into IPv6 comes out as IPv4."""
    address, port = encoded.split(":")
    words = [address[start : start + 8] for start in range(0, len(address), 8)]
    octets = [octet for word in words for octet in reversed(bytes.fromhex(word))]
    decoded = ipaddress.ip_address(bytes(octets))
    return str(getattr(decoded, "ipv4_mapped", None) or decoded), int(port, 16)


def count_established(lines: Iterable[str], endpoint: Endpoint) -> int:
    """How many established sockets of /proc/net/tcp{,6} belong to the endpoint."""
    count = 0
    wanted = "" if endpoint.local else str(ipaddress.ip_address(endpoint.address))
    for line in lines:
        fields = line.split()
        if len(fields) < 4 or fields[3] != ESTABLISHED:
            continue
        address, port = decode_address(fields[1] if endpoint.local else fields[2])
        if port == endpoint.port and (endpoint.local or address == wanted):
            count += 1
    return count


def in_flight(endpoint: Endpoint) -> int:
    """Requests that run at this instant, counted in the kernel's socket table, or as Apache has noted them."""
    if endpoint.folder:
        return running.count_noted(endpoint.folder)
    if endpoint.path:
        with open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as stream:
            return running.count_connected(stream, endpoint.path)
    try:
        return count_asked(endpoint)
    except OSError:
        # A kernel without its module tcp_diag; this is slower.
        return count_listed(endpoint)


def count_asked(endpoint: Endpoint) -> int:
    """How many established sockets the kernel names for the endpoint."""
    if endpoint.local:
        return len(socket_diag.established(port_here=endpoint.port))
    # An IPv6 address can be written in many ways; one that never compares equal would look like silence.
    wanted = str(ipaddress.ip_address(endpoint.address))
    return sum(1 for _here, there, _port in socket_diag.established(port_there=endpoint.port) if there == wanted)


def count_listed(endpoint: Endpoint) -> int:
    """The same, from the tables of all sockets."""
    count = 0
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as stream:
                next(stream, None)
                count += count_established(stream, endpoint)
        except FileNotFoundError:
            continue
    return count


def drain(
    endpoint: Endpoint,
    until: float,
    quiet_polls: int = 6,
    interval: float = 0.005,
    count: Optional[Callable[[Endpoint], int]] = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Wait until nothing was in flight for several looks in a row.

    One look is not enough: the web server may have read the flag's absence a moment ago and not yet have
    opened its connection. False when ``until`` (monotonic seconds) passed first.
    """
    look = count or in_flight
    quiet = 0
    while quiet < quiet_polls:
        if clock() >= until:
            return False
        quiet = quiet + 1 if look(endpoint) == 0 else 0
        sleep(interval)
    return True


def kill_filter(endpoint: Endpoint) -> List[str]:
    """The words by which ss finds the connections of the endpoint; none where it cannot: a path, or inside Apache."""
    if endpoint.path or endpoint.folder:
        return []
    port = ":{0}".format(endpoint.port)
    if endpoint.local:
        return ["state", "established", "sport", "=", port]
    address = "[{0}]".format(endpoint.address) if ":" in endpoint.address else endpoint.address
    return ["state", "established", "dst", address, "dport", "=", port]


def end_running(endpoint: Endpoint) -> None:
    """Have the kernel close the connections of the requests that run, towards both ends; since Linux 4.9."""
    subprocess.run(["ss", "--kill", *kill_filter(endpoint)], check=False, stdout=subprocess.DEVNULL)


class Decision:
    """Which side won, decided once: whoever makes the link first has decided, process crash or not.

    It is the target of a symbolic link, which is made whole or not at all, and on a full disk too.
    """

    def __init__(self, valve: Valve) -> None:
        self.path = os.path.join(valve.state, "decision")

    def clear(self) -> None:
        """Forget the decision of an earlier switchover."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)

    def claim(self, outcome: str, side: str = "") -> str:
        """Decide 'open', towards a side, or 'abort' if nobody has; return what was decided."""
        with contextlib.suppress(FileExistsError):
            os.symlink("{0} {1}".format(outcome, side), self.path)
            self._keep()
        return self.read()

    def revoke(self, side: str) -> None:
        """Decide 'abort' after all, and note the side whose databases must be open again."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path + ".new")
        os.symlink("abort {0}".format(side), self.path + ".new")
        os.rename(self.path + ".new", self.path)
        self._keep()

    def _keep(self) -> None:
        """Have a power cut leave the decision."""
        folder = os.open(os.path.dirname(self.path), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _words(self) -> List[str]:
        try:
            return os.readlink(self.path).split(" ")
        except OSError:
            return ["", ""]

    def read(self) -> str:
        """'open', 'abort', or '' while nobody has decided."""
        return self._words()[0]

    def towards(self) -> str:
        """The side that was decided to be opened, or to be opened again."""
        return self._words()[-1]


def valves_from(plan: List[Dict[str, object]]) -> List[Valve]:
    """The valves that a plan file describes."""
    return [
        Valve(
            site=str(entry["site"]),
            runtime=str(entry["runtime"]),
            state=str(entry["state"]),
            unit=str(entry["unit"]),
            targets={str(side): str(where) for side, where in dict(entry["targets"]).items()},  # type: ignore[call-overload]
        )
        for entry in plan
    ]
