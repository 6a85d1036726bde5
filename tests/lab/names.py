# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's name server (BIND) and two resolvers (Unbound), one of which keeps answers for longer than it may."""

from __future__ import annotations

import time

import dns.exception
import dns.resolver

from tests.lab.docker import LabError, docker, execute, state
from tests.lab.hosts import ADDRESS, LABEL, Lab

ZONE = "test"
TTL, TOO_LONG = 30, 15
AUTHORITY, HONEST, STUBBORN = 53, 54, 55
ANSWER_SECONDS = 20
KEY = "/etc/bind/cutover.key"
NAMED = """\
include "{key}";
options {{ directory "/var/cache/bind"; recursion no; listen-on {{ any; }}; listen-on-v6 {{ none; }}; }};
zone "{zone}" {{ type primary; file "/var/lib/bind/{zone}.zone"; allow-update {{ key "cutover"; }}; }};
"""
RECORDS = """\
$TTL {ttl}
@ IN SOA ns.{zone}. root.{zone}. 1 3600 600 86400 {ttl}
@ IN NS ns.{zone}.
ns IN A {own}
ocpizza IN A {old}
www.ocpizza IN A {old}
annex IN A {old}
"""
UNBOUND = """\
server:
  interface: 0.0.0.0@{port}
  access-control: 0.0.0.0/0 allow
  username: ""
  chroot: ""
  pidfile: ""
  use-syslog: no
  module-config: "iterator"
  local-zone: "{zone}." nodefault
  do-not-query-localhost: no
  cache-min-ttl: {least}
remote-control:
  control-enable: no
stub-zone:
  name: "{zone}"
  stub-addr: 127.0.0.1@53
"""


def container(lab: Lab) -> str:
    """Name of the container that has all three."""
    return f"{lab.name}-names"


def serve_names(lab: Lab, old: str) -> None:
    """Name server and resolvers, answering with the old server's address; what is up already is left alone."""
    if state(container(lab)) == "running":
        return
    _start(lab)
    own = address(lab)
    settings = {"zone": ZONE, "ttl": TTL, "key": KEY, "own": own, "old": old}
    lab.directory.mkdir(parents=True, exist_ok=True)
    key = execute(container(lab), "tsig-keygen", "cutover")
    (lab.directory / "names.key").write_text(key)
    _write(lab, KEY, key)
    _write(lab, "/etc/bind/named.conf", NAMED.format(**settings))
    _write(lab, f"/var/lib/bind/{ZONE}.zone", RECORDS.format(**settings))
    execute(container(lab), "chown", "-R", "bind:bind", "/var/lib/bind", KEY)
    execute(container(lab), "named", "-u", "bind")
    for port, least in ((HONEST, 0), (STUBBORN, TOO_LONG)):
        _write(lab, f"/etc/unbound/{port}.conf", UNBOUND.format(zone=ZONE, port=port, least=least))
        docker("exec", "--detach", container(lab), "unbound", "-d", "-c", f"/etc/unbound/{port}.conf")
    _await_answers(lab)


def address(lab: Lab) -> str:
    """Where the clients' resolvers are."""
    form = f'{{{{(index .NetworkSettings.Networks "{lab.name}").IPAddress}}}}'
    return docker("container", "inspect", "--format", form, container(lab)).strip()


def resolvers(lab: Lab) -> list[str]:
    """The two resolvers, as clients inside the lab's network reach them."""
    return [f"{address(lab)}:{port}" for port in (HONEST, STUBBORN)]


def _start(lab: Lab) -> None:
    published = [
        f"--publish={ADDRESS}:{lab.port + port}:{port}/{protocol}"
        for port in (AUTHORITY, HONEST, STUBBORN)
        for protocol in ("udp", "tcp")
    ]
    labels = [f"--label={LABEL}", f"--label=ocpizza.cutover.lab={lab.name}"]
    image = "cutover-lab:trixie"
    docker(
        "run",
        "--detach",
        f"--name={container(lab)}",
        f"--network={lab.name}",
        *labels,
        *published,
        image,
        "sleep",
        "inf",
    )
    packages = ("bind9", "bind9-utils", "unbound")
    done = execute(
        container(lab),
        "sh",
        "-c",
        "apt-get update -qq && apt-get install -y -qq --no-install-recommends "
        f"{' '.join(packages)} >/dev/null 2>&1 && echo done",
        check=False,
    )
    if "done" not in done:
        raise LabError(f"{', '.join(packages)} could not be installed in {container(lab)}; see apt-get there")


def _await_answers(lab: Lab) -> None:
    """Until each of the three answers on the port that is published."""
    deadline = time.monotonic() + ANSWER_SECONDS
    for port in (AUTHORITY, HONEST, STUBBORN):
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port, resolver.lifetime = [ADDRESS], lab.port + port, 1.0
        while True:
            try:
                resolver.resolve(f"ns.{ZONE}", "A")
                break
            except dns.exception.DNSException as problem:
                if time.monotonic() > deadline:
                    raise LabError(f"{container(lab)} does not answer on port {port}: {problem}") from problem
                time.sleep(0.2)


def _write(lab: Lab, path: str, content: str) -> None:
    execute(container(lab), "sh", "-c", f"cat >{path}", stdin=content)
