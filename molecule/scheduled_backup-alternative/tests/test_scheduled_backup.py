"""Everything set, on PostgreSQL and Debian 11: files and two other places too."""

import json

import pytest

STORE = "/srv/backups"
BACKUP = "python3 /usr/local/lib/cutover/backup.pyz --config /etc/cutover/backup/pizza.json"


def status(host):
    return json.loads(host.file(f"{STORE}/status.json").content_string)


def ask(host, statement, database="stock"):
    return host.check_output(f'cd / && runuser -u postgres -- psql -qAt -d {database} -c "{statement}"')


def content(host, database="stock"):
    return host.check_output(
        f"cd / && runuser -u postgres -- pg_dump --inserts {database} | grep -v restrict | sha256sum"
    )


@pytest.fixture(scope="module")
def newest(machines):
    machines["db"].check_output("systemctl start cutover-backup-pizza.service")
    machines["db"].check_output("systemctl start cutover-backup-drill-pizza.service")
    return status(machines["db"])["run"]["backup"]


def test_all_of_it_passed(host, newest):
    found = status(host)
    assert [found[verb]["verdict"] for verb in ("run", "drill", "copy")] == ["PASSED"] * 3
    assert found["drill"]["rows"] == 62000
    assert found["drill"]["tables"] == 3
    assert found["backups"]["newest_proven"] == newest


def test_a_database_comes_back_beside_the_site(host, newest):
    host.check_output(f"{BACKUP} restore --database stock --into copy")
    assert ask(host, "SELECT count(*), max(note) FROM item", "copy") == ask(
        host, "SELECT count(*), max(note) FROM item"
    )
    ask(host, "DROP DATABASE copy", "postgres")


def test_a_table_comes_back_alone_and_then_all(host, newest):
    before = content(host)
    ask(host, "UPDATE shelf SET name = 'lost'; DELETE FROM item WHERE id = 7")
    host.check_output(f"{BACKUP} restore --backup {newest} --database stock --table public.shelf")
    assert ask(host, "SELECT count(*) FROM shelf WHERE name = 'lost'") == "0"
    assert ask(host, "SELECT count(*) FROM item") == "59999"
    host.check_output(f"{BACKUP} restore --backup {newest}")
    assert content(host) == before
    assert ask(host, "SELECT tableowner FROM pg_tables WHERE tablename = 'item'") == "pizza"


def test_an_unchanged_set_of_files_takes_no_room_again(host, newest):
    host.check_output(f"{BACKUP} run")
    assert host.check_output(f"stat -c %h {STORE}/{newest}/files-media.tar.zst.age") != "1"


def test_files_come_back_as_they_were(host, newest):
    host.check_output(f"{BACKUP} restore --files media --directory /srv/there")
    host.check_output("diff -r --no-dereference /srv/media /srv/there/srv/media")
    refused = host.run(f"{BACKUP} restore --files media --directory /srv/there")
    assert "/srv/there is not empty" in refused.stderr


@pytest.mark.parametrize("place", ["mount", "vault"])
def test_a_backup_comes_back_from_the_other_places(host, newest, place):
    host.check_output(f"mv {STORE}/{newest} /srv/kept")
    try:
        host.check_output(f"{BACKUP} restore --from {place} --backup {newest} --database stock --into {place}")
        assert ask(host, "SELECT count(*) FROM item", place) == "60000"
    finally:
        host.check_output(f"rm -rf {STORE}/{newest}; mv /srv/kept {STORE}/{newest}")


def test_a_copy_without_its_manifest_is_none(host, newest):
    host.check_output(f"rm /run/elsewhere/{newest}/manifest.json; mv {STORE}/{newest} /srv/kept")
    refused = host.run(f"{BACKUP} restore --from mount --backup {newest} --database stock --into none")
    host.check_output(f"mv /srv/kept {STORE}/{newest}")
    assert f"there is no backup '{newest}'" in refused.stderr
    host.check_output(f"{BACKUP} copy")
    assert host.file(f"/run/elsewhere/{newest}/manifest.json").exists


def test_no_room_elsewhere_is_said_and_what_is_here_stays(host, newest):
    host.check_output("mount -t tmpfs -o size=100k tmpfs /run/elsewhere")
    try:
        refused = host.run(f"{BACKUP} copy")
        assert refused.rc == 1
        assert "mount: rclone copy" in refused.stderr
        assert status(host)["copy"]["verdict"] == "FAILED"
        assert host.run("ls /run/elsewhere/*/manifest.json").rc != 0
        assert host.file(f"{STORE}/{newest}/manifest.json").exists
    finally:
        host.check_output("umount /run/elsewhere")
    host.check_output(f"{BACKUP} copy")


def test_old_backups_go_here_and_elsewhere_once_the_newest_is_proven(host, newest):
    for name in ("20200101T000000Z", "20200101T060000Z"):
        host.check_output(f"cp -rp {STORE}/{newest} {STORE}/{name}")
    host.check_output(f"rm -f $(ls -d {STORE}/2*Z | tail -1)/proof.json")
    assert "unproven" in host.check_output(f"{BACKUP} plan")
    host.check_output(f"{BACKUP} copy")
    assert host.file("/run/elsewhere/20200101T000000Z/manifest.json").exists
    host.check_output(f"{BACKUP} drill")
    assert sorted(status(host)["drill"]["removed"]) == ["20200101T000000Z", "20200101T060000Z"]
    host.check_output(f"{BACKUP} copy")
    assert not host.file("/run/elsewhere/20200101T000000Z").exists
    assert not host.file("/run/vault/pizza/20200101T000000Z").exists


def test_a_folder_on_the_same_disk_is_no_other_place(host, newest):
    host.check_output("sed 's#/run/elsewhere#/srv#' /etc/cutover/backup/pizza.json >/run/same.json")
    refused = host.run(BACKUP.replace("/etc/cutover/backup/pizza.json", "/run/same.json") + " copy")
    assert "is on the same disk as" in refused.stderr
