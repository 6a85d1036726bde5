# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes, and the sockets that they listen on, as /proc tells them."""

import os
import pwd
import re
import socket
import struct
from typing import Any, Dict, Iterator, List, Optional

LISTENING = "0A"
BOUND = "07"


def read(path: str) -> str:
    """A file's text, or nothing."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def decode_address(text: str) -> str:
    """The address in /proc/net/tcp or tcp6: words of 32 bits as the machine has them."""
    raw = b"".join(struct.pack("=I", int(text[at : at + 8], 16)) for at in range(0, len(text), 8))
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)


def parse_sockets(text: str, protocol: str) -> Iterator[Dict[str, Any]]:
    """The listening sockets of /proc/net/tcp, tcp6, udp or udp6."""
    wanted = LISTENING if protocol.startswith("tcp") else BOUND
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 10 or fields[3] != wanted:
            continue
        address, _colon, port = fields[1].partition(":")
        yield {
            "protocol": protocol[:3],
            "address": decode_address(address),
            "port": int(port, 16),
            "inode": fields[9],
        }


def parse_unix(text: str) -> Iterator[Dict[str, Any]]:
    """The listening sockets with a path of /proc/net/unix."""
    for line in text.splitlines()[1:]:
        fields = line.split(None, 7)
        # 00010000 is __SO_ACCEPTCON, 0001 a stream.
        if len(fields) == 8 and fields[3] == "00010000" and fields[4] == "0001":
            yield {"protocol": "unix", "address": fields[7], "port": 0, "inode": fields[6]}


class Processes:
    """What runs, read once."""

    def __init__(self, root: str = "/proc") -> None:
        self.root = root
        self.by_pid = {int(name): self._process(int(name)) for name in os.listdir(root) if name.isdigit()}
        self.owners = self._owners()

    def _process(self, pid: int) -> Dict[str, Any]:
        folder = os.path.join(self.root, str(pid))
        status = dict(re.findall(r"^(\w+):\t(.*)$", read(os.path.join(folder, "status")), re.MULTILINE))
        words = read(os.path.join(folder, "cmdline")).split("\0")
        # A program that renames itself, such as nginx, leaves one text with spaces.
        command = [word for word in words if word]
        units = re.findall(r"/([^/\n]+\.service)", read(os.path.join(folder, "cgroup")))
        return {
            "pid": pid,
            "parent": int(status.get("PPid", "0") or 0),
            "name": status.get("Name", ""),
            "user": user_name(int(status.get("Uid", "0").split()[0] or 0)),
            "command": command,
            "unit": units[-1] if units else "",
        }

    def _owners(self) -> Dict[str, int]:
        """The process that has each socket open, of several the eldest; what we may not look into has none."""
        found: Dict[str, int] = {}
        for pid in sorted(self.by_pid):
            folder = os.path.join(self.root, str(pid), "fd")
            try:
                links = os.listdir(folder)
            except OSError:
                continue
            for link in links:
                try:
                    target = os.readlink(os.path.join(folder, link))
                except OSError:
                    continue
                if target.startswith("socket:["):
                    found.setdefault(target[8:-1], pid)
        return found

    def folder(self, pid: int) -> str:
        """The folder in which a process works."""
        try:
            return os.readlink(os.path.join(self.root, str(pid), "cwd"))
        except OSError:
            return ""

    def environment(self, pid: int) -> Optional[Dict[str, str]]:
        """A process's environment; nothing where it may not be read."""
        try:
            with open(os.path.join(self.root, str(pid), "environ"), encoding="utf-8", errors="replace") as stream:
                return dict(entry.split("=", 1) for entry in stream.read().split("\0") if "=" in entry)
        except OSError:
            return None

    def listening(self) -> List[Dict[str, Any]]:
        """Every socket that somebody listens on, with its owner."""
        found = []
        for protocol in ("tcp", "tcp6", "udp", "udp6"):
            found += list(parse_sockets(read(os.path.join(self.root, "net", protocol)), protocol))
        found += list(parse_unix(read(os.path.join(self.root, "net", "unix"))))
        for one in found:
            owner = self.by_pid.get(self.owners.get(one.pop("inode"), 0), {})
            one.update({key: owner.get(key, "") for key in ("pid", "name", "user", "unit")})
        return sorted(found, key=lambda one: (one["protocol"], one["port"], one["address"]))


def user_name(number: int) -> str:
    """The name of a user's number."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
