# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a site has beside its databases: uploads and jobs, there and back; and what others have on the same server.

The tests build on each other, in this order. KEEP=1 leaves the lab up.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.integration.site import Site
from tests.lab import machines, provisioned
from tests.lab.hosts import CHECKOUT, Lab

SOURCE, TARGET = "/opt/ocpizza/media", "/srv/media"
TIMER = "ocpizza-tick.timer"
RUNS = "/var/tmp/ticks"
JOBS = json.dumps([{"timer": TIMER}])
# The timer is due every other second, so that no moment would be quiet.
QUICK = ("-e", '{"jobs_quiet": 0, "jobs_wait": 4, "pins_hosts": ["app1", "old"]}')
LOCKED = "/var/tmp/tick-takes-long"
# Whatever of the old server could be somebody else's: its configuration, programs, sites, jobs and certificates.
FOLDERS = ("/etc", "/opt", "/srv", "/usr/local", "/var/www", "/var/spool/cron", "/var/backups", "/root", "/home")
TREE = """
import hashlib, json, os, stat, sys
found = {}
for root in sys.argv[2:]:
    for folder, folders, names in os.walk(root):
        for name in folders + names:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            content = ""
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                content = hashlib.sha256(open(path, "rb").read()).hexdigest()
                if sys.argv[1] != "contents":
                    content = "%s %s" % (status.st_mtime_ns, content)
            elif name == "__pycache__":
                continue
            owner = [] if sys.argv[1] == "media" else [status.st_uid, status.st_gid]
            found[os.path.relpath(path, root) if sys.argv[1] == "media" else path] = [status.st_mode, *owner, content]
print(json.dumps(found))
"""
ODD = r"""
import os
os.makedirs("a/b")
os.mkdir("white space")
for name, content in ((b"a/b/1.png", b"1"), (b"white space/line\nbreak.txt", b"2"), (b"caf\xe9", b"")):
    with open(name, "wb") as stream:
        stream.write(content)
os.symlink("../a/b", "white space/link")
os.chmod("a/b/1.png", 0o640)
os.utime("a/b/1.png", (981158400, 981158400))
"""
THERE = r"""
import os
open("a/new.png", "w").write("3")
os.unlink("a/b/1.png")
os.rename("a", "moved")
os.mkdir("empty")
"""
# What the collection makes carries its name, or the site's.
OURS = re.compile(r"cutover|ocpizza")
# The valve needs these modules of Apache, systemd a folder for what it starts, and a certificate a group that may read
# its key.
SHARED = re.compile(
    r"/etc/apache2/mods-enabled/[a-z_]+\.(load|conf)|/etc/systemd/system/[a-z-]+\.target\.wants|/etc/g?(group|shadow)-?"
)
# While the database restarted the neighbour's requests were held too: one line more, and taken out again.
BORROWED = "/etc/apache2/sites-available/annex.conf"
ANNEX = (
    "SELECT * FROM information_schema.columns WHERE table_schema = 'annex' ORDER BY 3, 5; "
    "SHOW GRANTS FOR 'annex'@'localhost'; CHECKSUM TABLE annex.entry;"
)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    lab = Lab(os.environ.get("LAB", "cutover-lab") + "-rest", int(os.environ.get("LAB_PORT", "22000")) + 3000)
    out = CHECKOUT / "build" / "integration-rest"
    subprocess.run(["rm", "-rf", str(out)], check=True)
    out.mkdir(parents=True)
    here = Site(lab, out)
    here.environment["LAB_JOBS"] = JOBS
    provisioned.bring_up(lab, lambda: here.run(str(CHECKOUT / "tests" / "lab" / "provision.yml"), cwd=CHECKOUT))
    yield here
    if not os.environ.get("KEEP"):
        machines.down(lab)


@pytest.fixture(scope="module")
def before(site: Site) -> dict[str, object]:
    """The old server as it was: each file's checksum, and the neighbour's tables and rights."""
    for host in ("old", "app1"):
        install_timer(site, host)
    return {**sums(site), **{f"content of {path}": one for path, one in sums(site, "contents").items()}}


def install_timer(site: Site, host: str) -> None:
    """A job that notes when it runs, and takes long where it is told to."""
    note = f"date +%%s.%%N >>{RUNS}; while [ -e {LOCKED} ]; do sleep 0.1; done"
    units = {
        TIMER: "[Timer]\nOnCalendar=*:*:0/2\nAccuracySec=100ms\n[Install]\nWantedBy=timers.target\n",
        TIMER.replace("timer", "service"): f"[Service]\nType=oneshot\nExecStart=/bin/sh -c '{note}'\n",
    }
    for name, text in units.items():
        command = f"sudo tee /etc/systemd/system/{name} >/dev/null"
        subprocess.run(machines.ssh_command(site.lab, host, command), input=text, text=True, check=True)
    site.shell(host, f"sudo systemctl daemon-reload; sudo systemctl enable --now -q {TIMER}")
    assert site.shell(host, f"systemctl is-active {TIMER}") == "active\n"


def script(site: Site, host: str, code: str, *arguments: str, user: str = "root", folder: str = "/") -> str:
    """What a Python program prints on a machine."""
    command = f"cd {folder} && sudo -u {user} python3 - {' '.join(arguments)}"
    whole = machines.ssh_command(site.lab, host, command)
    return subprocess.run(whole, input=code, capture_output=True, text=True, check=True).stdout


def sums(site: Site, what: str = "everything") -> dict[str, object]:
    found: dict[str, object] = json.loads(script(site, "old", TREE, what, *FOLDERS))
    assert len(found) > 500
    found["annex"] = site.sql("old", ANNEX).stdout
    assert "entry" in str(found["annex"])
    return found


def changed(before: dict[str, object], after: dict[str, object]) -> list[str]:
    paths = {path for path in before if not path.startswith("content of ")} | after.keys()
    return sorted(path for path in paths if before.get(path) != after.get(path))


def runs(site: Site, host: str) -> list[float]:
    return [float(line) for line in site.shell(host, f"cat {RUNS} 2>/dev/null").split()]


def files(site: Site, host: str, folder: str) -> dict[str, object]:
    """All media: kinds, modes, times and checksums."""
    found: dict[str, object] = json.loads(script(site, host, TREE, "media", folder))
    return found


def test_the_neighbour_keeps_everything(site: Site, before: dict[str, object]) -> None:
    script(site, "old", ODD, user="ocpizza", folder=SOURCE)
    site.run("migrate.yml", *QUICK)
    found = changed(before, sums(site))
    left = {path for path in found if not OURS.search(path) and not SHARED.fullmatch(path)}
    # Asked for: the old server is to find the site at its new address.
    assert left <= {BORROWED, "/etc/hosts"}, sorted(left)
    assert before[f"content of {BORROWED}"] == sums(site, "contents")[BORROWED]
    assert {"a/b/1.png", "white space/link", "white space/line\nbreak.txt"} < files(site, "old", SOURCE).keys()
    assert files(site, "app1", TARGET) == files(site, "web1", TARGET) == files(site, "old", SOURCE)


def test_a_job_ran_on_one_side_at_a_time_and_on_each(site: Site) -> None:
    there, here = runs(site, "app1"), runs(site, "old")
    # Before replicate.yml the target's was on, as its owner had left it; from then on it was off until the open.
    opened = max(here)
    since = [when for when in there if when > opened]
    assert since
    quiet = [when for when in there if opened - 20 < when < opened]
    assert quiet == []
    assert site.shell("old", f"sudo systemctl start {TIMER}; systemctl is-active {TIMER}") == "inactive\n"
    assert site.shell("app1", f"systemctl is-active {TIMER}") == "active\n"


def test_servers_find_the_site_by_its_name(site: Site) -> None:
    for host in ("app1", "old"):
        assert site.shell(host, "getent hosts www.ocpizza.test").split()[0] == site.shell("web1", "hostname -i").strip()
    assert site.shell("app2", "getent hosts www.ocpizza.test") == ""


def test_a_job_that_runs_refuses_the_way_back_and_nothing_is_held(site: Site) -> None:
    begun = "until [ $(systemctl is-active ocpizza-tick.service) = activating ]; do sleep 0.1; done"
    site.shell("app1", f"touch {LOCKED}; {begun}")
    try:
        status, output = site.playbook("rollback.yml", *QUICK)
    finally:
        site.shell("app1", f"rm {LOCKED}")
    assert status != 0
    said = " ".join(output.split())
    assert f"jobs cannot be turned off within 4 s: {TIMER} runs (ocpizza-tick.service)." in said, said[-3000:]
    assert not (site.out / "rollback.json").exists()
    assert site.shell("app1", f"systemctl is-active {TIMER}") == "active\n"


def test_back_again_with_what_was_uploaded_and_deleted_there(site: Site) -> None:
    script(site, "app2", THERE, user="ocpizza", folder=TARGET)
    site.run("rollback.yml", *QUICK)
    assert files(site, "old", SOURCE) == files(site, "app1", TARGET)
    assert "moved/new.png" in files(site, "old", SOURCE)
    assert site.shell("old", f"stat -c %U {SOURCE}/moved/new.png") == "ocpizza\n"
    assert site.shell("old", f"systemctl is-active {TIMER}") == "active\n"
    assert site.shell("app1", f"systemctl is-active {TIMER}") == "inactive\n"
    assert max(runs(site, "app1")) < max(runs(site, "old"))
    assert site.shell("app1", "getent hosts www.ocpizza.test") == ""


def test_the_targets_end_may_do_little(site: Site) -> None:
    unit = "cutover-ocpizza-media.service"
    main = f"/proc/$(systemctl show -p MainPID --value {unit})/status"
    status = dict(
        line.split(None, 1)
        for line in site.shell("app1", f"grep -E '^(Uid|Gid|Groups|CapPrm|CapEff)' {main}").splitlines()
    )
    assert status["Uid:"].split() == status["Gid:"].split() == ["980"] * 4
    assert (status["Groups:"].split(), int(status["CapPrm:"], 16), int(status["CapEff:"], 16)) == (["980"], 0, 0)
    # Nobody is answered without a certificate of the site's authority, and of them the source alone.
    ask = "openssl s_client -connect $(hostname -i):18002 -CAfile /etc/ssl/cutover/ca.pem -quiet {} </dev/null 2>&1"
    assert "alert" in site.shell("app1", "sudo " + ask.format(""))
    own = "-cert /etc/ssl/cutover/app1.pem -key /etc/ssl/cutover/app1.key"
    assert "old alone may speak to this server" in site.shell("app1", "sudo " + ask.format(own))


def test_withdrawn_the_old_server_is_as_it_was(site: Site, before: dict[str, object]) -> None:
    site.run("withdraw.yml")
    left = "ls /etc/systemd/system/*media* /var/lib/cutover/ocpizza/media* 2>/dev/null"
    assert site.shell("app1", left) == site.shell("old", left) == ""
    # Files that were put back are newer than they were.
    contents = {path[len("content of ") :]: one for path, one in before.items() if path.startswith("content of ")}
    found = [path for path in changed(contents, sums(site, "contents")) if not SHARED.fullmatch(path)]
    # Backups, media and the certificate stay.
    stays = re.compile(r"/var/backups/cutover/.*|/opt/ocpizza/media/.*|/etc/ssl/cutover/.*")
    assert [path for path in found if not stays.fullmatch(path)] == []
    assert site.shell("old", f"systemctl is-active {TIMER}") == "active\n"
