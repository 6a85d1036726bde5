# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two machines with MariaDB, 10.5 of Debian 11 and 11.8 of Debian 13, and one certificate authority for both."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.integration.mysql_servers import ADMIN, FOLDER, FOLLOWER, PASSWORD, Machine, authority
from tests.lab.docker import docker, execute, state

PREFIX = os.environ.get("LAB", "cutover-lab") + "-mariadb-"
IMAGES = Path(__file__).parents[1] / "lab" / "images.sh"
SUITES = {"source": "bullseye", "target": "trixie"}
FLAGS = (
    "--cap-add SYS_ADMIN --cap-add NET_ADMIN --security-opt seccomp=unconfined --tmpfs /run --tmpfs /run/lock "
    "--tmpfs /tmp -v /sys/fs/cgroup:/sys/fs/cgroup:rw --cgroupns host --publish 127.0.0.1::3306"
)
INSTALL = (
    "command -v mariadbd >/dev/null || { apt-get update -qq && "
    "DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mariadb-server; } >/dev/null 2>&1"
)
# What the roles replication and mysql write on both sides; 11.8's own collations are unknown to 10.5.
SETTINGS = f"""[mysqld]
bind-address = 0.0.0.0
ssl_ca = {FOLDER}/ca.pem
ssl_cert = {FOLDER}/server.pem
ssl_key = {FOLDER}/server.key
log_bin = cutover-bin
log_slave_updates = 1
binlog_format = ROW
binlog_row_image = FULL
binlog_row_metadata = FULL
innodb_flush_log_at_trx_commit = 2
collation_server = utf8mb4_general_ci
server_id = {{number}}
gtid_domain_id = {{number}}
"""
NEWER = "character_set_collations = ''\n"
ACCOUNTS = """
SET sql_log_bin = 0;
CREATE USER IF NOT EXISTS '{admin}'@'%' IDENTIFIED BY "{password}" REQUIRE SSL;
GRANT ALL ON *.* TO '{admin}'@'%' WITH GRANT OPTION;
CREATE USER IF NOT EXISTS '{follower}'@'%' IDENTIFIED BY "{password}" REQUIRE SSL;
GRANT REPLICATION SLAVE ON *.* TO '{follower}'@'%';
"""


# MariaDB compares the name in the certificate with the address that it follows.
CERTIFY = (
    "openssl req -newkey rsa:2048 -nodes -subj /CN=database -keyout {side}.key -out {side}.csr",
    "openssl x509 -req -days 30 -in {side}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {side}.pem "
    "-extfile {side}.ext",
)


def certify(side: str, address: str, folder: Path) -> None:
    """A certificate for a machine's address."""
    (folder / f"{side}.ext").write_text(f"subjectAltName = IP:{address}\n", encoding="ascii")
    for command in CERTIFY:
        subprocess.run(command.format(side=side).split(), cwd=folder, check=True, capture_output=True)


def start(side: str, folder: Path) -> Machine:
    """A container with the side's MariaDB, which can be reached over TLS."""
    container = PREFIX + side
    if not state(container):
        docker("run", "--detach", "--name", container, *FLAGS.split(), f"cutover-lab:{SUITES[side]}")
        execute(container, "sh", "-ec", INSTALL)
        execute(container, "mkdir", "-p", FOLDER)
        certify(side, docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", container).strip(), folder)
        for name, each in (("ca.pem", "ca.pem"), ("server.pem", f"{side}.pem"), ("server.key", f"{side}.key")):
            execute(container, "sh", "-c", f"cat >{FOLDER}/{name}", stdin=(folder / each).read_text(encoding="ascii"))
        text = SETTINGS.format(number=1 + list(SUITES).index(side)) + (NEWER if side == "target" else "")
        settings = f"chown -R mysql {FOLDER}; cat >/etc/mysql/mariadb.conf.d/zz-test.cnf; systemctl restart mariadb"
        execute(container, "sh", "-ec", settings, stdin=text)
        execute(container, "mariadb", stdin=ACCOUNTS.format(admin=ADMIN, follower=FOLLOWER, password=PASSWORD))
    address = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", container).strip()
    return Machine(container, int(docker("port", container, "3306/tcp").split(":")[-1]), address)


def pair(folder: Path) -> tuple[Machine, Machine]:
    """Both machines; ``folder`` gets the authority's certificate as ca.pem."""
    subprocess.run(["sh", str(IMAGES), *SUITES.values()], check=True)
    if state(PREFIX + "source"):
        (folder / "ca.pem").write_text(execute(PREFIX + "source", "cat", f"{FOLDER}/ca.pem"), encoding="ascii")
    else:
        authority(folder)
    with ThreadPoolExecutor() as pool:
        source, target = pool.map(lambda side: start(side, folder), SUITES)
    return source, target


def remove() -> None:
    """Take both machines away."""
    for side in SUITES:
        docker("rm", "--force", "--volumes", PREFIX + side)
