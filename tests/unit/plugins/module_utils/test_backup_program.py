"""The verbs of the program, without a database: a site of files, another place on the same disk, no key."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import backup_copies, backup_drill, backup_site
from ansible_collections.ocpizza.cutover.plugins.module_utils.backup_program import main, parse
from ansible_collections.ocpizza.cutover.plugins.module_utils.backup_store import Store, StoreError, when

SETTINGS = {
    "site": "pizza",
    "engines": {},
    "ports": {},
    "sockets": {},
    "files": {},
    "recipients": ["age1x"],
    "identity": None,
    "keep": [7, 3, 12],
    "elsewhere": [],
    "rclone_config": None,
    "share": 100,
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    path = tmp_path / "pizza.json"
    path.write_text(json.dumps(dict(SETTINGS, directory=str(tmp_path / "store"))))
    return path


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--files", "media"], "--files and --directory go together"),
        (["--files", "media", "--directory", "/x", "--into", "y"], "--files goes without"),
        (["--table", "a", "--into", "b"], "--table replaces the rows"),
    ],
)
def test_what_does_not_go_together_is_refused(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--config", "x", "restore", *words])
    assert says in capsys.readouterr().err


def test_without_a_backup_each_verb_says_so(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(config), "plan"]) == 0
    assert main(["--config", str(config), "drill"]) == 1
    assert main(["--config", str(config), "restore", "--from", "moon"]) == 1
    said = capsys.readouterr()
    assert "there is no complete backup" in said.err
    assert "there is no place 'moon'; there is none" in said.err
    status = json.loads((config.parent / "store" / "status.json").read_text())
    assert (status["drill"]["verdict"], status["restore"]["verdict"]) == ("FAILED", "FAILED")


def test_another_place_on_the_same_disk_is_none(config: Path) -> None:
    site = backup_site.load(str(config))
    place = {"name": "mount", "remote": str(config.parent)}
    with pytest.raises(StoreError, match="is on the same disk as"):
        backup_copies.Elsewhere(site, place)
    with pytest.raises(StoreError, match="there is no folder /nowhere; mount it"):
        backup_copies.Elsewhere(site, dict(place, remote="/nowhere"))


@pytest.mark.parametrize(
    ("site", "content", "says"),
    [("pizza", b"rows", ""), ("pizza", b"rowz", "is corrupt"), ("annex", b"rows", "is a backup of the site 'annex'")],
)
def test_a_copy_that_was_spoilt_elsewhere_does_not_come_into_the_store(
    config: Path, monkeypatch: pytest.MonkeyPatch, site: str, content: bytes, says: str
) -> None:
    name = "20280229T030000Z"
    here = backup_site.load(str(config))
    store = Store(here.directory)
    elsewhere = backup_copies.Elsewhere(here, {"name": "vault", "remote": "vault:pizza"})
    part = {
        "kind": "files",
        "name": "media",
        "file": "media",
        "bytes": 4,
        "sha256": hashlib.sha256(b"rows").hexdigest(),
    }

    def rclone(verb: str, *arguments: str) -> str:
        if verb == "copy":
            (Path(arguments[1]) / "media").write_bytes(content)
            manifest = {"form": 1, "site": site, "parts": [part]}
            (Path(arguments[1]) / "manifest.json").write_text(json.dumps(manifest))
        return f"{name}/manifest.json" if verb == "lsf" else ""

    monkeypatch.setattr(elsewhere, "rclone", rclone)
    if says:
        with pytest.raises(StoreError, match=says):
            elsewhere.get(name, store)
    else:
        assert elsewhere.get("newest", store).name == name
    assert os.listdir(here.directory) == ([] if says else [name])


def test_without_a_key_nothing_can_be_read(config: Path) -> None:
    with pytest.raises(StoreError, match="this host has no key"):
        backup_site.load(str(config)).unseal()


def test_too_little_room_is_refused_before_anything_is_written(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(str(config.parent / "store"))
    huge = {"form": 1, "site": "pizza", "parts": [{"file": "a", "bytes": 1 << 60}]}
    (Path(store.begin("20200101T000000Z")) / "manifest.json").write_text(json.dumps(huge))
    store.finish("20200101T000000Z")
    assert main(["--config", str(config), "run"]) == 1
    assert "make room, or keep fewer" in capsys.readouterr().err
    assert [backup.name for backup in store.all()] == ["20200101T000000Z"]


def test_a_changed_file_or_recipient_is_packed_anew(tmp_path: Path) -> None:
    (tmp_path / "photo").write_text("a")
    before = backup_site.fingerprint([str(tmp_path)], ["age1x"])
    assert backup_site.fingerprint([str(tmp_path)], ["age1x"]) == before
    assert backup_site.fingerprint([str(tmp_path)], ["age1y"]) != before
    (tmp_path / "photo").write_text("b" * 2)
    assert backup_site.fingerprint([str(tmp_path)], ["age1x"]) != before


def test_nothing_is_pruned_while_the_newest_is_unproven(config: Path) -> None:
    store = Store(str(config.parent / "store"))
    for name in ("20200101T000000Z", "20200601T000000Z"):
        manifest = {"form": 1, "site": "pizza", "parts": []}
        (Path(store.begin(name)) / "manifest.json").write_text(json.dumps(manifest))
        store.finish(name)
    site = backup_site.load(str(config))
    now = when("20280601T000000Z")
    assert backup_drill.prune(site, store, now) == []
    store.prove(store.choose("20200101T000000Z"), {"rows": 1})
    assert backup_drill.prune(site, store, now) == []
    store.prove(store.choose("newest"), {"rows": 1})
    assert backup_drill.prune(site, store, now) == ["20200101T000000Z"]


def test_a_restore_does_not_rest_for_somebody_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "store").mkdir()
    config = tmp_path / "pizza.json"
    config.write_text(json.dumps(dict(SETTINGS, directory=str(tmp_path / "store"), share=5)))
    shares: list[int] = []
    monkeypatch.setattr(Store, "choose", lambda _store, _name: None)
    for verb in ("drill", "restore"):

        def note(site: backup_site.Site, *_more: object) -> dict[str, object]:
            shares.append(site.share)
            return {}

        monkeypatch.setattr(f"{backup_drill.__package__}.backup_{verb}.{verb}", note)
    assert main(["--config", str(config), "drill"]) == 0
    assert main(["--config", str(config), "restore"]) == 0
    assert shares == [5, 100]
