# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines up, down and looked at."""

from __future__ import annotations

import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.lab.docker import LabError, answers, docker, execute, names, state
from tests.lab.hosts import ADDRESS, CHECKOUT, HOSTS, LABEL, OLD, Host, Lab
from tests.lab.ways import give_addresses

CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
MEDIA = "/srv/media"
BOOT_SECONDS = 90


def prepare(lab: Lab) -> None:
    """The Docker engine, and the images that the machines are made from."""
    _script("engine.sh")
    _script("images.sh", *sorted({lab.image(host).partition(":")[2] for host in HOSTS}))


def up(lab: Lab, old_image: str = "") -> None:
    """Bring every machine up; what is up already is left alone. The old server may have an image of its own."""
    prepare(lab)
    _make_key(lab)
    _make_once("network", lab.name, lab)
    _make_once("volume", f"{lab.name}-media", lab)
    images = {host: lab.image(host) for host in HOSTS}
    if old_image:
        images[next(host for host in HOSTS if host.name == OLD)] = old_image
    with ThreadPoolExecutor(len(HOSTS)) as pool:
        keys = list(pool.map(lambda host: _machine(lab, host, images[host]), HOSTS))
    (lab.ssh / "known_hosts").write_text("".join(keys))
    give_addresses(lab)


def down(lab: Lab) -> None:
    """Remove this lab's containers, network and volume, and what it wrote."""
    if not answers():
        return
    mine = f"label=ocpizza.cutover.lab={lab.name}"
    containers = names("container", f"label={LABEL}", mine)
    if containers:
        docker("rm", "--force", "--volumes", *containers)
    for network in names("network", f"label={LABEL}", mine):
        docker("network", "rm", network)
    for volume in names("volume", f"label={LABEL}", mine):
        docker("volume", "rm", volume)
    shutil.rmtree(lab.directory, ignore_errors=True)


def clean() -> None:
    """Remove every container, network, volume and image that carries our label, of every lab."""
    if not answers():
        return
    label = f"label={LABEL}"
    removals = {
        "container": ("rm", "--force", "--volumes"),
        "network": ("network", "rm"),
        "volume": ("volume", "rm"),
        "image": ("rmi", "--force"),
    }
    left = [f"{kind} {name}" for kind, command in removals.items() for name in _remove_all(kind, command, label)]
    shutil.rmtree(CHECKOUT / "build" / "lab", ignore_errors=True)
    if left:
        raise LabError(f"could not remove {', '.join(left)}; 'docker rm', 'docker rmi' and so on say why")


def _remove_all(kind: str, command: tuple[str, ...], label: str) -> list[str]:
    """Remove what carries the label, an image only after those that were made from it; returns what is left."""
    before: list[str] = []
    left = names(kind, label)
    while left and len(left) != len(before):
        for name in left:
            docker(*command, name, check=False)
        before, left = left, names(kind, label)
    return left


def status(lab: Lab) -> list[tuple[str, str, str]]:
    """Name, state and ssh address of each machine."""
    return [(host.name, _system_state(lab, host), f"{ADDRESS}:{lab.ssh_port(host)}") for host in HOSTS]


def ssh_command(lab: Lab, host: str, *command: str) -> list[str]:
    """The ssh command line that reaches a machine as Ansible does."""
    machine = next((each for each in HOSTS if each.name == host), None)
    if machine is None:
        raise LabError(f"no machine '{host}'; there are {', '.join(each.name for each in HOSTS)}")
    options = {
        "IdentityFile": lab.ssh / "id_ed25519",
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": lab.ssh / "known_hosts",
        "StrictHostKeyChecking": "yes",
        "LogLevel": "ERROR",
    }
    flags = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    return ["ssh", *flags, "-p", str(lab.ssh_port(machine)), f"admin@{ADDRESS}", *command]


def connect(lab: Lab, host: str, *command: str) -> int:
    """Run ssh with this terminal."""
    return subprocess.run(ssh_command(lab, host, *command), check=False).returncode


def _script(name: str, *arguments: str) -> None:
    done = subprocess.run(["sh", str(CHECKOUT / "tests" / "lab" / name), *arguments], check=False)
    if done.returncode:
        raise LabError(f"tests/lab/{name} failed; its last line says what to do")


def _make_key(lab: Lab) -> None:
    lab.ssh.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = lab.ssh / "id_ed25519"
    if not key.exists():
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", lab.name, "-f", str(key)]
        if shutil.which(command[0]) is None:
            raise LabError("no ssh-keygen; run 'apt-get install openssh-client' as root")
        subprocess.run(command, check=True)


def _make_once(kind: str, name: str, lab: Lab) -> None:
    if name not in names(kind, f"name={name}"):
        docker(kind, "create", "--label", LABEL, "--label", f"ocpizza.cutover.lab={lab.name}", name)


def _machine(lab: Lab, host: Host, image: str) -> str:
    """One machine, running, with our key in it; returns its line for known_hosts."""
    container = lab.container(host)
    now = state(container)
    if not now:
        docker("run", "--detach", *_flags(lab, host), image)
    elif now != "running":
        docker("start", container)
    _await_boot(lab, host)
    keys = "/home/admin/.ssh/authorized_keys"
    public = (lab.ssh / "id_ed25519.pub").read_text()
    if execute(container, "cat", keys, check=False) != public:
        execute(container, "install", "-m", "0600", "-o", "admin", "-g", "admin", "/dev/stdin", keys, stdin=public)
    host_key = execute(container, "cat", "/etc/ssh/ssh_host_ed25519_key.pub").split()
    return f"[{ADDRESS}]:{lab.ssh_port(host)} {host_key[0]} {host_key[1]}\n"


def _flags(lab: Lab, host: Host) -> list[str]:
    flags = [
        f"--name={lab.container(host)}",
        f"--hostname={host.name}",
        f"--network={lab.name}",
        f"--network-alias={host.name}",
        f"--label={LABEL}",
        f"--label=ocpizza.cutover.lab={lab.name}",
        "--cap-add=SYS_ADMIN",
        # As root of a real server has it: to see who listens.
        "--cap-add=SYS_PTRACE",
        "--cap-add=NET_ADMIN",
        "--security-opt=seccomp=unconfined",
        "--security-opt=apparmor=unconfined",
        "--tmpfs=/run",
        "--tmpfs=/run/lock",
        "--tmpfs=/tmp:exec",
        f"--publish={ADDRESS}:{lab.ssh_port(host)}:22",
        # The host's own cgroup names do for version 1 and 2: systemd finds its place in /proc/1/cgroup.
        "--cgroupns=host",
        "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
    ]
    flags += [f"--publish={ADDRESS}:{lab.port + offset}:{port}" for offset, port in host.published]
    if host.shared_media:
        # Stands in for the network storage that several application servers share.
        flags.append(f"--volume={lab.name}-media:{MEDIA}")
    if CA_BUNDLE.exists():
        flags.append(f"--volume={CA_BUNDLE}:{CA_BUNDLE}:ro")
    return flags


def _system_state(lab: Lab, host: Host) -> str:
    if state(lab.container(host)) != "running":
        return state(lab.container(host)) or "absent"
    return execute(lab.container(host), "systemctl", "is-system-running", check=False).strip()


def _await_boot(lab: Lab, host: Host) -> None:
    """Wait until systemd says running: a degraded machine would make later failures hard to read."""
    deadline = time.monotonic() + BOOT_SECONDS
    now = ""
    while time.monotonic() < deadline:
        now = _system_state(lab, host)
        if now == "running":
            return
        if now in {"degraded", "exited"}:
            break
        time.sleep(0.2)
    container = lab.container(host)
    failed = execute(container, "systemctl", "--failed", "--no-legend", "--plain", check=False).strip()
    raise LabError(
        f"{container}: system is '{now or 'silent'}' after boot ({failed or 'nothing listed as failed'});"
        f" see 'docker logs {container}', then 'make clean' and again"
    )
