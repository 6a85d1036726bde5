"""Media between two folders of this machine, over TLS, by the service that runs on a target."""

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ansible_collections.ocpizza.cutover.plugins.module_utils import media, media_link, media_service, media_wire
from ansible_collections.ocpizza.cutover.plugins.module_utils.media import Media
from ansible_collections.ocpizza.cutover.plugins.module_utils.media_tree import MediaError

ENDS = (("certificate", "pem"), ("key", "key"))
HOUR = datetime.timedelta(hours=1)
Certified = Callable[..., dict[str, str]]


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    """An authority, and what a host of a name has of it."""
    folder = tmp_path_factory.mktemp("tls")
    now = datetime.datetime.now(datetime.UTC)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])

    def sign(name: x509.Name, key: Any, *extensions: x509.ExtensionType) -> x509.Certificate:
        made = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key())
        made = made.serial_number(x509.random_serial_number())
        made = made.not_valid_before(now - HOUR).not_valid_after(now + HOUR)
        for extension in extensions:
            made = made.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return made.sign(ca_key, hashes.SHA256())

    authority = sign(issuer, ca_key, x509.BasicConstraints(ca=True, path_length=0))
    (folder / "ca.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))

    def make(name: str) -> dict[str, str]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / f"{name}.key").write_bytes(key.private_bytes(*plain))
        (folder / f"{name}.pem").write_bytes(sign(subject, key, names).public_bytes(serialization.Encoding.PEM))
        return {
            "ca": str(folder / "ca.pem"),
            "certificate": str(folder / f"{name}.pem"),
            "key": str(folder / f"{name}.key"),
        }

    return make


class House:
    """A source and the servers of a target, each with a folder."""

    def __init__(self, root: Path, certified: Certified) -> None:
        self.root = root
        self.certified = certified
        self.source = root / "source"
        self.source.mkdir()
        self.hosts: list[dict[str, Any]] = []
        self.tls = certified("old")

    def server(self, name: str, folder: Path) -> Path:
        """One more server, with its storage."""
        folder.mkdir(exist_ok=True)
        ready: list[int] = []
        told = threading.Event()
        plan = {"host": name, "address": "127.0.0.1", "port": 0, "client": "old", "folders": {"0": str(folder)}}
        plan.update(self.certified(name))

        def listening(port: int) -> None:
            ready.append(port)
            told.set()

        threading.Thread(target=media_service.serve, args=(plan, listening), daemon=True).start()
        assert told.wait(10)
        self.hosts.append({"host": name, "address": "127.0.0.1", "port": ready[0]})
        return folder

    def plan(self) -> dict[str, Any]:
        folders = {"0": {"source": str(self.source), "target": "/srv/media"}}
        return {"folders": folders, "hosts": self.hosts, "tls": self.tls, "known": str(self.root / "known")}

    def open(self, origin: str = "source") -> Media:
        return Media(self.plan(), origin)

    def run(self, everything: bool = False) -> dict[str, Any]:
        plan = {"media": self.plan(), "origin": "source", "everything": everything}
        return media.run(plan, lambda _done, _total: None)


@pytest.fixture
def house(tmp_path: Path, certified: Certified) -> House:
    return House(tmp_path, certified)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def an_hour() -> float:
    return 3600.0


def test_everything_comes_over_and_is_compared(house: House, tmp_path: Path) -> None:
    there = house.server("app1", tmp_path / "app1")
    (house.source / "a").mkdir()
    for number in range(300):
        (house.source / "a" / f"{number}.png").write_bytes(b"%d" % number * 1000)
    first = house.run()
    assert content(there) == content(house.source)
    assert (first["files"], first["sent"], first["changed"]) == (300, 300, True)
    again = house.run()
    assert (again["sent"], again["compared"], again["changed"]) == (0, 0, False)
    assert house.run(everything=True)["compared"] == 300
    assert media.told(first).startswith("300 files; 300 carried over (0.8 MiB), 0 compared by checksum, 0 removed")


def test_a_storage_that_servers_share_gets_each_file_once(house: House, tmp_path: Path) -> None:
    shared = house.server("app1", tmp_path / "shared")
    house.server("app2", tmp_path / "shared")
    own = house.server("web1", tmp_path / "own")
    (house.source / "x.png").write_bytes(b"1")
    assert house.run()["sent"] == 2
    assert content(shared) == content(own) == {"x.png": b"1"}


def test_the_hold_has_the_last_instants_left(house: House, tmp_path: Path) -> None:
    there = house.server("app1", tmp_path / "app1")
    (house.source / "before.png").write_bytes(b"1")
    moving = house.open()
    assert moving.watch() == 1
    moving.catch_up_before()
    moving.start()
    (house.source / "a").mkdir()
    (house.source / "a" / "late.png").write_bytes(b"2")
    (house.source / "before.png").unlink()
    moving.catch_up(an_hour)
    assert content(there) == content(house.source) == {"a/late.png": b"2"}
    moving.close()


def test_back_again_with_what_each_server_took(house: House, tmp_path: Path) -> None:
    shared = house.server("app1", tmp_path / "shared")
    house.server("app2", tmp_path / "shared")
    own = house.server("web1", tmp_path / "own")
    (house.source / "gone.png").write_bytes(b"0")
    (house.source / "kept.png").write_bytes(b"1")
    house.run()
    (shared / "new.png").write_bytes(b"2")
    for folder in (shared, own):
        (folder / "gone.png").unlink()
    moving = house.open("target")
    moving.watch()
    figures = moving.catch_up_before()
    assert content(house.source) == {"kept.png": b"1", "new.png": b"2"}
    assert figures["removed"] == 1
    (shared / "late.png").write_bytes(b"3")
    (own / "other.png").write_bytes(b"4")
    moving.start()
    moving.catch_up(an_hour)
    moving.close()
    assert content(house.source) == {"kept.png": b"1", "new.png": b"2", "late.png": b"3", "other.png": b"4"}


def test_what_one_of_two_servers_alone_knows_of_comes_back(house: House, tmp_path: Path) -> None:
    shared = house.server("app1", tmp_path / "shared")
    house.server("app2", tmp_path / "shared")
    (house.source / "gone.png").write_bytes(b"0")
    house.run()
    moving = house.open("target")
    moving.watch()
    moving.catch_up_before()
    # As on a network storage: the kernel of the other server tells nothing.
    moving.shelves[0].writers[0].changes = set  # type: ignore[assignment,method-assign]
    (shared / "gone.png").unlink()
    (shared / "new.png").write_bytes(b"1")
    moving.start()
    moving.catch_up(an_hour)
    moving.close()
    assert content(house.source) == {"new.png": b"1"}
    assert [path.name for path in (house.root / "known").iterdir()] == ["0.app1.jsonl"]


def test_a_file_that_the_target_never_had_does_not_stop_the_way_back(house: House, tmp_path: Path) -> None:
    house.server("app1", tmp_path / "app1")
    house.run()
    (house.source / "by-hand.png").write_bytes(b"1")
    moving = house.open("target")
    assert moving.catch_up_before()["foreign"] == ["by-hand.png (app1 to source)"]
    moving.close()
    assert content(house.source) == {"by-hand.png": b"1"}


def test_what_nobody_brought_is_left_and_named(house: House, tmp_path: Path) -> None:
    there = house.server("app1", tmp_path / "app1")
    (there / "foreign.png").write_bytes(b"1")
    with pytest.raises(
        MediaError, match=r"on the target and not on the source.*foreign.png \(source to app1\); take them"
    ):
        house.run()
    assert content(there) == {"foreign.png": b"1"}


def test_only_the_source_may_speak_to_it(house: House, tmp_path: Path) -> None:
    house.server("app1", tmp_path / "app1")
    house.tls = house.certified("web1")
    with pytest.raises(MediaError, match="old alone may speak to this server"):
        house.open()


def test_nobody_is_let_in_without_a_certificate(house: House, tmp_path: Path) -> None:
    house.server("app1", tmp_path / "app1")
    bare = ssl.create_default_context(cafile=house.tls["ca"])
    connection = socket.create_connection(("127.0.0.1", house.hosts[0]["port"]), 10)
    with pytest.raises((OSError, EOFError)):
        media_wire.Wire(bare.wrap_socket(connection, server_hostname="app1")).receive()


def test_the_target_is_who_it_should_be(house: House, tmp_path: Path) -> None:
    house.server("app1", tmp_path / "app1")
    house.hosts[0]["host"] = "app9"
    with pytest.raises(MediaError, match=r"app9's media at 127.0.0.1.*cannot be reached.*firewall_rules"):
        house.open()


def test_no_folder_but_those_of_the_plan(house: House, tmp_path: Path) -> None:
    house.server("app1", tmp_path / "app1")
    line = media_link.Line(house.hosts[0], house.tls, 10.0)
    with pytest.raises(MediaError, match="hung up"):
        line.ask("/etc", "tree")
    line = media_link.Line(house.hosts[0], house.tls, 10.0)
    with pytest.raises(MediaError, match=r"app1: '[.][.]/x' is no path within the folder"):
        line.ask("0", "digests", paths=["../x"])


def test_it_becomes_the_owner_and_keeps_no_other_group(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, object]] = []
    for name in ("setgroups", "setgid", "setuid"):
        monkeypatch.setattr(media_service.os, name, lambda value, name=name: done.append((name, value)))
    media_service.become(980, 981)
    # The user last: afterwards it may not change the groups.
    assert done == [("setgroups", [981]), ("setgid", 981), ("setuid", 980)]


def test_a_lost_connection_is_named(house: House, tmp_path: Path) -> None:
    house.server("app1", tmp_path / "app1")
    moving = house.open()
    moving.watch()
    moving.start()
    moving.lines[0].secure.shutdown(socket.SHUT_RDWR)
    (house.source / "x").write_bytes(b"1")
    with pytest.raises(MediaError, match="the connection to app1's media was lost"):
        moving.catch_up(an_hour)


def test_what_does_not_hold_still_is_named_at_the_deadline(house: House, tmp_path: Path) -> None:
    house.server("app1", tmp_path / "app1")
    moving = house.open()
    moving.watch()
    moving.shelves[0].here.folder.take = unsteady  # type: ignore[method-assign]
    (house.source / "x.log").write_bytes(b"1")
    moving.start()
    seconds = iter([1.0, 1.0, 1.0])

    def remaining() -> float:
        left = next(seconds, None)
        if left is None:
            raise RuntimeError("the deadline of 5 s passed")
        return left

    with pytest.raises(MediaError, match=r"media could not be carried over in time: x.log changed while it was read"):
        moving.catch_up(remaining)
    moving.close()


def unsteady(path: str) -> Any:
    raise MediaError(f"{path} changed while it was read")
