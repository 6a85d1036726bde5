# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs where no TCP socket tells it."""

from __future__ import annotations

import socket
from pathlib import Path

from ansible_collections.ocpizza.cutover.plugins.module_utils import running, valve

HEADING = "Num       RefCount Protocol Flags    Type St Inode Path\n"


def test_connections_to_a_unix_socket_are_counted_those_that_wait_included() -> None:
    lines = [
        HEADING,
        "0000000000000000: 00000002 00000000 00010000 0001 01 100 /run/shop.sock\n",
        "0000000000000000: 00000003 00000000 00000000 0001 03 101 /run/shop.sock\n",
        "0000000000000000: 00000002 00000000 00000000 0001 02   0 /run/shop.sock\n",
        "0000000000000000: 00000003 00000000 00000000 0001 03 102 /run/shop.sock.old\n",
        "0000000000000000: 00000003 00000000 00000000 0001 03 103\n",
    ]
    assert running.count_connected(lines, "/run/shop.sock") == 2


def test_a_path_through_a_link_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "var").symlink_to("run")
    line = "0: 00000003 00000000 00000000 0001 03 101 %s/var/shop.sock\n"
    assert running.count_connected([line % tmp_path], f"{tmp_path}/run/shop.sock") == 1
    assert running.count_connected([line % tmp_path], f"{tmp_path}/shop.sock") == 0


def test_a_real_unix_socket(tmp_path: Path) -> None:
    endpoint = valve.Endpoint(path=str(tmp_path / "shop.sock"))
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(endpoint.path)
        assert not running.is_seen(endpoint.path)
        listener.listen(1)
        assert running.is_seen(endpoint.path)
        assert valve.in_flight(endpoint) == 0
        client.connect(endpoint.path)
        assert valve.in_flight(endpoint) == 1
        accepted, _address = listener.accept()
        assert valve.in_flight(endpoint) == 1
        accepted.close()
        client.close()
        assert valve.in_flight(endpoint) == 0


def test_what_apache_noted_counts_while_its_process_lives(tmp_path: Path) -> None:
    proc, folder = tmp_path / "proc", tmp_path / "running"
    folder.mkdir()
    for pid, name in (("10", "apache2\n"), ("11", "python3\n")):
        (proc / pid).mkdir(parents=True)
        (proc / pid / "comm").write_text(name)
    for name in ("10-5-0x1", "10-6-0x1", "11-5-0x1", "12-5-0x1"):
        (folder / name).touch()
    assert running.count_noted(str(folder), str(proc)) == 2
    assert sorted(path.name for path in folder.iterdir()) == ["10-5-0x1", "10-6-0x1"]


def test_apache_notes_what_is_asked_or_a_drain_sees_nothing(tmp_path: Path) -> None:
    def noted() -> None:
        (tmp_path / "1-1-0x1").touch()
        (tmp_path / "1-1-0x1").unlink()

    assert running.notes(str(tmp_path), noted)
    assert not running.notes(str(tmp_path), lambda: None)
    assert not running.notes(str(tmp_path / "missing"), noted)


def test_a_place_in_words() -> None:
    assert valve.Endpoint("127.0.0.1", 8000, True).words() == "on port 8000"
    assert valve.Endpoint(path="/run/shop.sock").words() == "on /run/shop.sock"
    assert valve.Endpoint(folder="/run/cutover/shop/running").words() == "inside Apache"
