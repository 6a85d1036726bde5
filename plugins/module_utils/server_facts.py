# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the files and commands of a server say of it: release, packages, changed files, users, mounts, firewall."""

import hashlib
import os
import re
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Set, Tuple

# The last day on which security fixes come, with the long-term support that costs nothing.
ENDS = {
    "debian 8": "2020-06-30",
    "debian 9": "2022-06-30",
    "debian 10": "2024-06-30",
    "debian 11": "2026-08-31",
    "debian 12": "2028-06-30",
    "debian 13": "2030-06-30",
    "ubuntu 14.04": "2019-04-25",
    "ubuntu 16.04": "2021-04-30",
    "ubuntu 18.04": "2023-05-31",
    "ubuntu 20.04": "2025-05-31",
    "ubuntu 22.04": "2027-06-01",
    "ubuntu 24.04": "2029-05-31",
    "centos 6": "2020-11-30",
    "centos 7": "2024-06-30",
    "centos 8": "2021-12-31",
    "rhel 7": "2024-06-30",
    "rhel 8": "2029-05-31",
    "rhel 9": "2032-05-31",
    "rocky 8": "2029-05-31",
    "rocky 9": "2032-05-31",
    "almalinux 8": "2029-03-01",
    "almalinux 9": "2032-05-31",
}
VIRTUAL = re.compile(
    r"(proc|sysfs|devpts|devtmpfs|tmpfs|cgroup2?|mqueue|debugfs|tracefs|securityfs|pstore|bpf|configfs|fusectl|"
    r"hugetlbfs|autofs|binfmt_misc|ramfs|rpc_pipefs|nsfs|overlay)\Z"
)
DISTRIBUTIONS = ("Debian", "Ubuntu", "Debian-Security", "Debian Backports")
NO_LOGIN = ("/usr/sbin/nologin", "/sbin/nologin", "/bin/false", "/usr/bin/false", "/bin/sync")
# Made by the system itself, on every server.
MADE = re.compile(
    r"/etc/(ssl/certs/|alternatives/|rc\w\.d/|systemd/system/.*\.(wants|requires)/|ld\.so\.cache|mtab|resolv\.conf|"
    r"machine-id|hostname|hosts|passwd-?|group-?|g?shadow-?|subuid-?|subgid-?|\.pwd\.lock|localtime|adjtime|"
    r"ca-certificates\.conf|ssh/ssh_host_|apt/trusted\.gpg\.d/|python3?/|udev/hwdb\.bin)"
)


def release(text: str) -> Dict[str, str]:
    """The distribution of /etc/os-release, and when its support ends; '' where that is not known here."""
    values = dict(re.findall(r'^(\w+)="?(.*?)"?$', text, re.MULTILINE))
    name, version = values.get("ID", "unknown"), values.get("VERSION_ID", "")
    end = end_of_life(name, version)
    return {"name": name, "version": version, "title": values.get("PRETTY_NAME", name), "end_of_life": end}


def end_of_life(name: str, version: str) -> str:
    """The last day of security fixes of a distribution's release; '' where that is not known here."""
    return ENDS.get(name + " " + version) or ENDS.get(name + " " + version.split(".", maxsplit=1)[0], "")


def parse_policy(text: str) -> Tuple[Dict[str, List[str]], Set[str]]:
    """Of C(apt-cache policy PACKAGES): the addresses from which each installed version could come."""
    found: Dict[str, List[str]] = {}
    name, installed = "", False
    every: Set[str] = set()
    for line in text.splitlines():
        if line and not line.startswith(" "):
            name, installed = line.rstrip(":"), False
            found[name] = []
        elif re.match(r" (\*\*\*|   ) \S", line):
            installed = line.startswith(" ***")
        else:
            match = re.match(r"\s+-?\d+ (\S.*)", line)
            if match and "/dpkg/status" not in match.group(1):
                every.add(match.group(1))
                if installed:
                    found[name].append(match.group(1))
    return found, every


def parse_origins(text: str) -> Dict[str, str]:
    """Of C(apt-cache policy): who makes the packages of each repository, by its address."""
    found, address = {}, ""
    for line in text.splitlines():
        match = re.match(r"\s+-?\d+ (\S.*)", line)
        if match:
            address = match.group(1)
        match = re.match(r"\s+release .*?\bo=([^,]+)", line)
        if match and address:
            found[address] = match.group(1)
    return found


def foreign(sources: Dict[str, List[str]], origins: Dict[str, str]) -> Dict[str, str]:
    """Packages that are not the distribution's, and whose they are."""
    found = {}
    for name, addresses in sources.items():
        makers = {origins.get(address, address) for address in addresses}
        if not makers:
            found[name] = "no repository that is set up has it"
        elif not makers & set(DISTRIBUTIONS):
            found[name] = ", ".join(sorted(makers))
    return found


def parse_conffiles(text: str) -> Dict[str, str]:
    """Path and checksum of each configuration file of C(dpkg-query -W -f='${Conffiles}\n'), obsolete ones not."""
    return dict(re.findall(r"^ (/.+?) ([0-9a-f]{32})$", text, re.MULTILINE))


def parse_ucf(text: str) -> Dict[str, str]:
    """Path and checksum of each configuration file that ucf keeps, as its package brought it."""
    return {path: digest for digest, path in re.findall(r"^([0-9a-f]{32})\s+(/etc/\S+)$", text, re.MULTILINE)}


def md5(path: str) -> str:
    """The checksum of a file as dpkg keeps it."""
    digest = hashlib.md5()  # noqa: S324 - dpkg's own
    with open(path, "rb") as stream:
        for piece in iter(lambda: stream.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()


def changed_files(known: Dict[str, str], checksum: Callable[[str], str]) -> Tuple[List[str], List[str], List[str]]:
    """Configuration files that differ from their package's, that are gone, and that could not be read."""
    changed, gone, unread = [], [], []
    for path, digest in sorted(known.items()):
        try:
            if checksum(path) != digest:
                changed.append(path)
        except (FileNotFoundError, NotADirectoryError):
            gone.append(path)
        except OSError as error:
            unread.append("{0}: {1}".format(path, error.strerror))
    return changed, gone, unread


def own_files(root: str, packaged: Set[str]) -> List[str]:
    """Files below a folder that no package has brought and the system has not made."""
    found = []
    for base, _folders, names in os.walk(root):
        for name in names:
            path = os.path.join(base, name)
            if path not in packaged and not MADE.match(path) and not os.path.islink(path):
                found.append(path)
    return sorted(found)


def stamps(paths: Sequence[str]) -> Dict[str, str]:
    """Size and time of change of each file: no checksum, by which what is secret in a short file could be guessed."""
    found = {}
    for path in paths:
        try:
            state = os.stat(path)
        except OSError:
            continue
        found[path] = "{0} {1}".format(state.st_size, int(state.st_mtime))
    return found


def packaged_files(folder: str, below: str) -> Set[str]:
    """What dpkg's lists have below a path."""
    found: Set[str] = set()
    for name in os.listdir(folder):
        if name.endswith((".list", ".conffiles")):
            with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as stream:
                found.update(line.strip() for line in stream if line.startswith(below))
    return found


def users(passwd: str, groups: str) -> List[Dict[str, Any]]:
    """Accounts that people or applications use: those that may log in, or whose number is not the system's."""
    memberships: Dict[str, List[str]] = {}
    for line in groups.splitlines():
        fields = line.split(":")
        if len(fields) == 4:
            for member in filter(None, fields[3].split(",")):
                memberships.setdefault(member, []).append(fields[0])
    found = []
    for line in passwd.splitlines():
        fields = line.split(":")
        if len(fields) != 7 or not fields[2].isdecimal():
            continue
        login = fields[6] not in NO_LOGIN
        if login or 1000 <= int(fields[2]) < 65534:
            account = {"name": fields[0], "number": int(fields[2]), "home": fields[5], "login": login}
            found.append(dict(account, groups=sorted(memberships.get(fields[0], []))))
    return found


def mounts(text: str) -> List[Dict[str, str]]:
    """What of /proc/mounts holds data."""
    rows = [line.split() for line in text.splitlines()]
    return [
        {"device": row[0], "path": row[1].replace("\\040", " "), "type": row[2]}
        for row in rows
        if len(row) > 2 and not VIRTUAL.match(row[2]) and not row[1].startswith(("/proc/", "/sys/"))
    ]


def firewall_rules(commands: Iterable[Tuple[str, Optional[str]]]) -> Dict[str, List[str]]:
    """By tool the rules that restrict something, of what its command says; tools that said nothing are not there."""
    found = {}
    for tool, text in commands:
        if text is None:
            continue
        lines = [line.strip() for line in text.splitlines()]
        if tool.startswith("ip"):
            found[tool] = [line for line in lines if line.startswith("-A") or re.match(r":\w+ (DROP|REJECT)", line)]
        else:
            found[tool] = [line for line in lines if line]
    return found


def enabled_units(text: str) -> Dict[str, List[str]]:
    """Of C(systemctl list-unit-files): names by state, only those that say something of the server."""
    found: Dict[str, List[str]] = {"enabled": [], "masked": []}
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[1] in found:
            found[words[1]].append(words[0])
    return found
