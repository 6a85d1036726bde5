"""Copies by ssh and in an S3-compatible store, each with rules of its own; MySQL brought back from there."""

import json

import pytest

STORE = "/var/backups/cutover/site-scheduled"
BACKUP = "python3 /usr/local/lib/cutover/backup.pyz --config /etc/cutover/backup/site.json"
RCLONE = "rclone --config /etc/cutover/backup/site.rclone"
PLACES = {"ship": "ship:backups/ocpizza", "vault": "vault:ocpizza/database"}


def status(host):
    return json.loads(host.file(f"{STORE}/status.json").content_string)


def ask(host, statement):
    return host.check_output(f'mysql -BN -e "{statement}"')


def checksums(host, database="ocpizza"):
    told = ask(host, f"CHECKSUM TABLE {database}.customer, {database}.orders").splitlines()
    return [line.split()[1] for line in told]


def names(host, place):
    return sorted(host.check_output(f"{RCLONE} lsf {PLACES[place]}").replace("/", "").split())


@pytest.fixture(scope="module")
def newest(machines):
    host = machines["db"]
    host.check_output("systemctl start cutover-backup-site.service")
    host.check_output("systemctl start cutover-backup-drill-site.service")
    return status(host)["run"]["backup"]


def test_it_was_proven_and_is_at_both_places(host, newest):
    found = status(host)
    assert [found[verb]["verdict"] for verb in ("run", "drill", "copy")] == ["PASSED"] * 3
    assert found["drill"]["rows"] == 22000
    assert names(host, "ship") == names(host, "vault") == [newest]


@pytest.mark.parametrize("place", list(PLACES))
def test_a_database_comes_back_from_there_row_by_row(host, newest, place):
    host.check_output(f"mv {STORE}/{newest} /srv/kept")
    try:
        host.check_output(f"{BACKUP} restore --from {place} --backup newest --database ocpizza --into {place}")
        assert checksums(host, place) == checksums(host)
    finally:
        host.check_output(f"rm -rf {STORE}/{newest}; mv /srv/kept {STORE}/{newest}")


def test_a_table_and_then_all_come_back(host, newest):
    before = checksums(host)
    ask(host, "UPDATE ocpizza.customer SET name='lost'; DELETE FROM ocpizza.orders WHERE id = 7")
    host.check_output(f"{BACKUP} restore --backup {newest} --database ocpizza --table customer")
    assert checksums(host)[0] == before[0]
    assert ask(host, "SELECT COUNT(*) FROM ocpizza.orders") == "19999"
    host.check_output(f"{BACKUP} restore --backup {newest}")
    assert checksums(host) == before


def test_a_copy_that_was_spoilt_there_is_refused(host, newest):
    host.check_output(f"mv {STORE}/{newest} /srv/kept")
    folder = f"/home/keeper/backups/ocpizza/{newest}"
    host.check_output(f"cp -rp {folder} /srv/there")
    host.check_output(f"printf X | dd of=$(ls {folder}/*.age) bs=1 seek=5000 conv=notrunc status=none")
    try:
        refused = host.run(f"{BACKUP} restore --from ship --backup {newest} --database ocpizza --into none")
        assert refused.rc == 1
        assert "is corrupt: its checksum is wrong" in refused.stderr
        assert "none" not in ask(host, "SHOW DATABASES").split()
        assert not host.file(f"{STORE}/{newest}").exists
    finally:
        host.check_output(f"rm -rf {STORE}/{newest} {folder}; mv /srv/kept {STORE}/{newest}; mv /srv/there {folder}")


def test_each_place_keeps_what_its_own_rules_say(host, newest):
    old = host.check_output("date -u -d '5 days ago' +%Y%m%dT020000Z")
    host.check_output(f"cp -rp {STORE}/{newest} {STORE}/{old}")
    host.check_output(f"{BACKUP} run && {BACKUP} drill && {BACKUP} copy")
    assert host.file(f"{STORE}/{old}/manifest.json").exists
    assert old in names(host, "vault")
    assert old not in names(host, "ship")


def test_a_place_that_is_away_keeps_the_other_from_nothing(host, newest):
    host.check_output(f"{BACKUP} run")
    made = status(host)["run"]["backup"]
    host.check_output("systemctl stop store")
    try:
        refused = host.run(f"{BACKUP} copy")
        assert refused.rc == 1
        assert "vault: rclone " in refused.stderr
        assert status(host)["copy"]["verdict"] == "FAILED"
        assert made in names(host, "ship")
    finally:
        host.check_output("systemctl start store")


def test_nobody_reads_how_the_places_are_reached(host):
    assert host.file("/etc/cutover/backup/site.rclone").mode == 0o600
    argv = host.check_output("systemctl cat cutover-backup-site.service")
    assert "margherita" not in argv
