"""The least that must be set, on MariaDB: made, proven, brought back, and never half there."""

import json
import re
import shlex
import time

import pytest

STORE = "/var/backups/cutover/site-scheduled"
BACKUP = "python3 /usr/local/lib/cutover/backup.pyz --config /etc/cutover/backup/site.json"


def status(host):
    return json.loads(host.file(f"{STORE}/status.json").content_string)


def ask(host, statement):
    return host.check_output(f'mariadb -BN -e "{statement}"')


def checksums(host, database="ocpizza"):
    return [
        line.split()[1] for line in ask(host, f"CHECKSUM TABLE {database}.customer, {database}.orders").splitlines()
    ]


@pytest.fixture(scope="module")
def newest(machines):
    return machines["db"].check_output(f"{BACKUP} run") and status(machines["db"])["run"]["backup"]


def test_timers_run(host):
    for name in ("cutover-backup-site.timer", "cutover-backup-drill-site.timer"):
        assert host.service(name).is_enabled
        assert host.service(name).is_running


def test_what_was_stopped_for_the_restore_runs_again(host):
    assert host.service("pretend-site").is_running


def test_secrets_are_for_root_alone(host):
    assert host.file("/etc/cutover/backup").mode == 0o700
    assert host.file("/etc/cutover/backup/site.key").mode == 0o600
    assert host.file(STORE).mode == 0o700


def test_the_unit_backs_up_and_the_drill_proves_it(host, newest):
    host.check_output("systemctl start cutover-backup-drill-site.service")
    drill = status(host)["drill"]
    assert (drill["verdict"], drill["backup"], drill["rows"], drill["tables"]) == ("PASSED", newest, 22000, 2)
    assert status(host)["backups"]["newest_proven"] == newest
    assert "_restore_drill" not in ask(host, "SHOW DATABASES")
    assert f"{newest}  stays for now: it is the newest" in host.check_output(f"{BACKUP} plan")


@pytest.mark.parametrize("unit", ["cutover-backup-site", "cutover-backup-drill-site"])
def test_the_units_are_kept_in_their_place(host, unit):
    told = host.check_output(f"systemctl show -p ProtectSystem -p ProtectHome -p NoNewPrivileges -p PrivateTmp {unit}")
    assert set(told.split()) == {"ProtectSystem=full", "ProtectHome=read-only", "NoNewPrivileges=yes", "PrivateTmp=yes"}


def test_nothing_readable_is_stored(host, newest):
    (file,) = host.check_output(f"ls {STORE}/{newest} | grep zst").split()
    assert host.check_output(f"head -c 21 {STORE}/{newest}/{file}") == "age-encryption.org/v1"


def test_a_database_comes_back_beside_the_site_row_by_row(host, newest):
    host.check_output(f"{BACKUP} restore --database ocpizza --into copy")
    assert checksums(host, "copy") == checksums(host)
    refused = host.run(f"{BACKUP} restore --database ocpizza --into copy")
    assert refused.rc == 1
    assert "there is a database copy already" in refused.stderr
    ask(host, "DROP DATABASE copy")


def test_a_table_comes_back_alone(host, newest):
    before = checksums(host)
    ask(host, "UPDATE ocpizza.customer SET name='lost'; DELETE FROM ocpizza.orders WHERE id = 7")
    host.check_output(f"{BACKUP} restore --backup {newest} --database ocpizza --table customer")
    assert checksums(host)[0] == before[0]
    assert ask(host, "SELECT COUNT(*) FROM ocpizza.orders") == "19999"
    host.check_output(f"{BACKUP} restore --backup {newest}")
    assert checksums(host) == before
    assert status(host)["restore"]["verdict"] == "PASSED"


BREAKS_OFF = """#!/bin/sh
case "$*" in
  *--database=ocpizza)
    if mkdir /root/bin/once 2>&-; then head -c 90000 | /usr/bin/mariadb "$@"; exit 1; fi ;;
esac
exec /usr/bin/mariadb "$@"
"""


def test_a_load_that_breaks_off_ends_with_what_was_there(host, newest):
    ask(host, "UPDATE ocpizza.customer SET name='newer' WHERE id = 9")
    before = checksums(host)
    host.check_output(
        f"mkdir -p /root/bin; printf %s {shlex.quote(BREAKS_OFF)} >/root/bin/mariadb; chmod +x /root/bin/mariadb"
    )
    failed = host.run(f"PATH=/root/bin:$PATH {BACKUP} restore --backup {newest}")
    assert failed.rc == 1
    assert "ocpizza is again what it was before, from the backup" in failed.stderr
    assert "INSERT" not in failed.stderr
    assert host.file("/root/bin/once").exists
    assert checksums(host) == before


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ("truncate -s -1 $F", "bytes instead of"),
        ("printf X | dd of=$F bs=1 seek=5000 conv=notrunc status=none", "is corrupt: its checksum is wrong"),
        ("rm $F", "is missing"),
        ("sed -i 's/\"site\": \"site\"/\"site\": \"other\"/' $D/manifest.json", "is a backup of the site 'other'"),
        ("echo '{}' >$D/manifest.json", "is not a backup of this program"),
        ("rm $D/manifest.json", "there is no backup"),
        ("age-keygen -o /etc/cutover/backup/site.key.new 2>&1; cp -p /etc/cutover/backup/site.key /root/key; "
         "mv /etc/cutover/backup/site.key.new /etc/cutover/backup/site.key", "no identity matched"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_and_the_site_is_as_before(host, newest, spoil, says):
    before, bad = checksums(host), "20990101T000000Z"
    host.check_output(f"cp -rp {STORE}/{newest} {STORE}/{bad}")
    try:
        host.check_output(f"D={STORE}/{bad}; F=$(ls $D/*.zst.age); {spoil}")
        refused = host.run(f"{BACKUP} restore --backup {bad}")
        assert refused.rc == 1
        assert says in refused.stderr
        drill = host.run(f"{BACKUP} drill --backup {bad}")
        assert drill.rc == 1
        assert status(host)["drill"]["verdict"] == "FAILED"
    finally:
        host.run(f"rm -r {STORE}/{bad}; test ! -e /root/key || mv /root/key /etc/cutover/backup/site.key")
    assert checksums(host) == before


def test_two_runs_at_once_are_one(host, newest):
    host.check_output(f"flock {STORE}/.lock sleep 4 >/dev/null 2>&1 & sleep 0.5")
    refused = host.run(f"{BACKUP} run")
    assert refused.rc == 1
    assert "another run is at work" in refused.stderr
    assert host.run(f"{BACKUP} --wait 30 run").rc == 0


def test_a_full_disk_leaves_nothing(host, newest):
    host.check_output("mkdir -p /run/small && mount -t tmpfs -o size=400k tmpfs /run/small")
    host.check_output(
        "sed 's#/var/backups/cutover/site-scheduled#/run/small#' /etc/cutover/backup/site.json >/run/small.json"
    )
    try:
        refused = host.run(BACKUP.replace("/etc/cutover/backup/site.json", "/run/small.json") + " run")
        assert refused.rc == 1
        assert "no space left on device" in refused.stderr.lower()
        assert host.check_output("ls -A /run/small | grep -v -e lock -e status || true") == ""
    finally:
        host.check_output("umount /run/small")


def test_killed_at_any_moment_it_leaves_nothing_that_restore_takes(host, newest):
    there = set(host.check_output(f"ls -A {STORE}").split())
    started = time.monotonic()
    host.check_output(f"{BACKUP} run")
    whole = time.monotonic() - started
    killed = 0
    for step in range(3, 12):
        host.run(f"timeout --signal=KILL {whole * step / 10:.2f} {BACKUP} run")
        new = set(host.check_output(f"ls -A {STORE}").split()) - there
        killed += any("part" in name for name in new)
        for name in new:
            if re.fullmatch(r"\d{8}T\d{6}Z", name):
                assert host.run(f"{BACKUP} drill --backup {name}").rc == 0, name
                there.add(name)
            else:  # a folder begun, or status.json.new
                assert "is no name of a backup" in host.run(f"{BACKUP} restore --backup {name}").stderr, name
    assert killed > 1
