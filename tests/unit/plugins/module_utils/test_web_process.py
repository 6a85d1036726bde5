# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import time

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import web_process
from ansible_collections.ocpizza.cutover.plugins.module_utils.web_tree import SERVERS

TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def machine(tmp_path):
    """A /proc with an nginx of one parent, one worker, one worker on its way out and strangers."""
    processes = [
        (10, "nginx", 1, "S", 0, "nginx: master process"),
        (11, "nginx", 10, "S", 500, "nginx: worker process"),
        (12, "nginx", 10, "S", 100, "nginx: worker process is shutting down"),
        (13, "nginx", 10, "Z", 100, ""),
        (14, "nginx", 99, "S", 100, "nginx: worker process"),
        (15, "sh) (x", 10, "S", 100, "sh"),
    ]
    for pid, name, parent, state, began, line in processes:
        folder = tmp_path / "proc" / str(pid)
        folder.mkdir(parents=True)
        (folder / "comm").write_text(name + "\n")
        (folder / "cmdline").write_text(line)
        fields = " ".join([state, str(parent), *["0"] * 17, str(began * TICKS), "0"])
        (folder / "stat").write_text(f"{pid} ({name}) {fields}")
    (tmp_path / "proc" / "uptime").write_text("1000.00 1.0\n")
    (tmp_path / "nginx.pid").write_text("10\n")
    server = SERVERS["nginx"]._replace(pid_file=str(tmp_path / "nginx.pid"), error_log=str(tmp_path / "error.log"))
    return web_process.Process(server, "nginx", lambda *_a, **_k: (0, "", ""), 1, proc=str(tmp_path / "proc"))


def test_only_serving_workers_count(machine):
    assert machine.running()
    assert machine.workers() == {11: 500.0}


def test_a_stale_pid_file_is_not_a_running_server(machine, tmp_path):
    (tmp_path / "nginx.pid").write_text("15\n")
    assert not machine.running()
    assert machine.workers() == {}
    (tmp_path / "nginx.pid").write_text("")
    assert not machine.running()


def test_files_newer_than_the_workers_are_found(machine, tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    for path, age in ((old, 600), (new, 400)):
        path.write_text("")
        os.utime(path, (time.time() - age,) * 2)
    paths = [str(old), str(new), str(tmp_path / "none")]
    assert machine.newer_than_workers(paths) == [str(new)]


def test_without_workers_nothing_is_newer(machine, tmp_path):
    (tmp_path / "nginx.pid").unlink()
    assert machine.newer_than_workers([str(tmp_path)]) == []


def test_a_server_that_cannot_be_started_again_is_said(machine, tmp_path):
    (tmp_path / "nginx.pid").unlink()
    machine.run = lambda *_a, **_k: (1, "", "Job for nginx.service failed.")
    assert machine.recover() == (
        "but nginx had ended and does not start: Job for nginx.service failed. Run: journalctl -u nginx"
    )
