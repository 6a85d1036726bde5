# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two machines with MySQL, as Debian's unstable suite ships it, and one certificate authority for both."""

from __future__ import annotations

import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.lab.docker import docker, execute, state

PREFIX = os.environ.get("LAB", "cutover-lab") + "-mysql-"
IMAGES = Path(__file__).parents[1] / "lab" / "images.sh"
FLAGS = (
    "--cap-add SYS_ADMIN --cap-add NET_ADMIN --security-opt seccomp=unconfined --tmpfs /run --tmpfs /run/lock "
    "--tmpfs /tmp -v /sys/fs/cgroup:/sys/fs/cgroup:rw --cgroupns host --publish 127.0.0.1::3306"
)
FOLDER = "/etc/mysql/cutover"
# What the agent's and the replication's accounts have; they exist only in this test.
ADMIN = "cutover"
FOLLOWER = "cutover_replica"
PASSWORD = "only 'in' this test"
INSTALL = r"""
command -v mysqld >/dev/null || {
  mirror=$(grep -hoE 'https?://[^ ]+' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1)
  echo "deb $mirror sid main" >/etc/apt/sources.list.d/sid.list
  printf '%s\n' 'Package: *' 'Pin: release n=sid' 'Pin-Priority: 100' >/etc/apt/preferences.d/sid
  apt-mark hold systemd systemd-sysv libsystemd0 libsystemd-shared dbus >/dev/null
  for attempt in 1 2 3; do
    # The package starts a server to set itself up, which a busy machine may not give it the time for.
    apt-get update -qq && dpkg --configure -a &&
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -t sid mysql-server && exit 0
    sleep 5
  done >/tmp/install.log 2>&1
  tail -n 20 /tmp/install.log >&2
  exit 1
}
"""
# Nothing but the address and the certificate: the rest is as Debian ships it, so that the code has to set it.
SETTINGS = f"""[mysqld]
bind-address = 0.0.0.0
ssl_ca = {FOLDER}/ca.pem
ssl_cert = {FOLDER}/server.pem
ssl_key = {FOLDER}/server.key
"""
ACCOUNTS = """
SET sql_log_bin = 0;
CREATE USER IF NOT EXISTS '{admin}'@'%' IDENTIFIED WITH caching_sha2_password BY "{password}" REQUIRE SSL;
GRANT ALL ON *.* TO '{admin}'@'%' WITH GRANT OPTION;
CREATE USER IF NOT EXISTS '{follower}'@'%' IDENTIFIED WITH caching_sha2_password BY "{password}" REQUIRE SSL;
GRANT REPLICATION SLAVE ON *.* TO '{follower}'@'%';
"""


class Machine(NamedTuple):
    """One of the two: its container, its published port here, and its address for the other one."""

    container: str
    port: int
    address: str


def authority(folder: Path) -> None:
    """A certificate authority, and a certificate whose name is nobody's address."""
    run = [
        "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=cutover -keyout ca.key -out ca.pem "
        "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign",
        "req -newkey rsa:2048 -nodes -subj /CN=shop.example -keyout server.key -out server.csr",
        "x509 -req -days 30 -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem",
    ]
    for arguments in run:
        subprocess.run(["openssl", *arguments.split()], cwd=folder, check=True, capture_output=True)


def start(name: str, folder: Path) -> Machine:
    """A container with MySQL that runs and can be reached over TLS."""
    container = PREFIX + name
    if not state(container):
        docker(
            "run",
            "--detach",
            "--name",
            container,
            "--label",
            "ocpizza.cutover=lab",
            *FLAGS.split(),
            "cutover-lab:trixie",
        )
        execute(
            container,
            "sh",
            "-ec",
            "until systemctl is-system-running 2>/dev/null | grep -qE 'run|degr'; do sleep 0.2; done",
        )
        execute(container, "sh", "-ec", INSTALL)
        execute(container, "mkdir", "-p", FOLDER)
        for each in ("ca.pem", "server.pem", "server.key"):
            execute(container, "sh", "-c", f"cat >{FOLDER}/{each}", stdin=(folder / each).read_text(encoding="ascii"))
        settings = f"chown -R mysql {FOLDER} && cat >/etc/mysql/mysql.conf.d/zz-test.cnf && systemctl restart mysql"
        execute(container, "sh", "-ec", settings, stdin=SETTINGS)
        execute(container, "mysql", stdin=ACCOUNTS.format(admin=ADMIN, follower=FOLLOWER, password=PASSWORD))
    address = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", container).strip()
    return Machine(container, int(docker("port", container, "3306/tcp").split(":")[-1]), address)


def pair(folder: Path) -> tuple[Machine, Machine]:
    """Both machines; ``folder`` gets the authority's certificate as ca.pem."""
    subprocess.run(["sh", str(IMAGES), "trixie"], check=True)
    if state(PREFIX + "source"):
        (folder / "ca.pem").write_text(execute(PREFIX + "source", "cat", f"{FOLDER}/ca.pem"), encoding="ascii")
    else:
        authority(folder)
    with ThreadPoolExecutor() as pool:
        source, target = pool.map(lambda name: start(name, folder), ("source", "target"))
    return source, target


def remove() -> None:
    """Take both machines away."""
    for name in ("source", "target"):
        docker("rm", "--force", "--volumes", PREFIX + name)


if __name__ == "__main__":
    print(pair(Path(tempfile.mkdtemp())))
