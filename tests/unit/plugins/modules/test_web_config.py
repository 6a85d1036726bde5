# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import socket
import subprocess

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import web_tree
from ansible_collections.ocpizza.cutover.plugins.modules import web_config

# A server that takes every tree without the word "broken", and in place none with the word "surprise".
TEST = """
for word in broken $([ "$1" = {root} ] && echo surprise); do
    found=$(grep -rn "$word" "$1" | head -1 | cut -d: -f1,2)
    [ -z "$found" ] || { echo "nginx: [emerg] $word in $found" >&2; exit 1; }
done
"""


class Module:
    def __init__(self, tmp, check_mode=False, **params):
        self.params = {
            "server": "nginx", "files": [], "links": [], "absent": [], "watch": [], "reload": True, "root": None,
            "service": None, "timeout": 1, **params,
        }  # fmt: skip
        self.check_mode = check_mode
        self._diff = True
        self.tmpdir = str(tmp)
        self.warned = []
        self.commands = []

    def run_command(self, command, **_options):
        self.commands.append(command)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def warn(self, text):
        self.warned.append(text)


@pytest.fixture
def root(tmp_path, monkeypatch):
    root = tmp_path / "etc"
    (root / "sites-available").mkdir(parents=True)
    (root / "sites-enabled").mkdir()
    (root / "nginx.conf").write_text(f"include {root}/sites-enabled/*;\n")
    (root / "sites-available" / "old").write_text("old\n")
    (root / "sites-available" / "old").chmod(0o640)
    (root / "sites-enabled" / "old").symlink_to("../sites-available/old")
    server = web_tree.SERVERS["nginx"]._replace(
        root=str(root), pid_file=str(tmp_path / "pid"), error_log=str(tmp_path / "log"), binary="/bin/sh",
        test=("/bin/sh", "-c", TEST.replace("{root}", str(root)), "sh", "{tree}"),
    )  # fmt: skip
    monkeypatch.setitem(web_tree.SERVERS, "nginx", server)
    return root


def run(tmp_path, check_mode=False, **params):
    module = Module(tmp_path, check_mode, **params)
    return web_config.WebConfig(module).run()


def state(root):
    found = {}
    for path in root.rglob("*"):
        content = path.readlink() if path.is_symlink() else path.is_file() and path.read_text()
        found[str(path.relative_to(root))] = (content, path.lstat().st_mode)
    return found


NEW = {"files": [{"path": "sites-available/new", "content": "new\n"}],
       "links": [{"path": "sites-enabled/new", "target": "../sites-available/new"}]}  # fmt: skip


def test_check_real_check_real(root, tmp_path):
    before = state(root)
    checked = run(tmp_path, check_mode=True, **NEW)
    assert checked["changed"]
    assert checked["tested"]
    assert state(root) == before
    assert [entry["after"] for entry in checked["diff"]] == ["new\n", "link to ../sites-available/new\n"]

    done = run(tmp_path, **NEW)
    assert done["reasons"] == ["sites-available/new: is missing", "sites-enabled/new: is missing"]
    assert not done["reloaded"]  # it does not run
    assert (root / "sites-enabled" / "new").read_text() == "new\n"
    assert (root / "sites-available" / "new").stat().st_mode & 0o777 == 0o644

    assert not run(tmp_path, check_mode=True, **NEW)["changed"]
    assert not run(tmp_path, **NEW)["changed"]


def test_removal(root, tmp_path):
    done = run(tmp_path, absent=["sites-available/old", "sites-enabled/old", "none"])
    assert done["paths"] == ["sites-enabled/old", "sites-available/old"]
    assert not (root / "sites-available" / "old").exists()


def test_an_edit_goes_through_a_link_and_keeps_the_mode(root, tmp_path):
    done = run(tmp_path, files=[{"path": "sites-enabled/old", "content": "edited\n"}])
    assert done["reasons"] == ["sites-enabled/old: content differs"]
    assert (root / "sites-enabled" / "old").is_symlink()
    assert (root / "sites-available" / "old").read_text() == "edited\n"
    assert (root / "sites-available" / "old").stat().st_mode & 0o777 == 0o640


def test_an_edit_through_a_link_that_leads_out_of_the_tree_is_staged_apart(root, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("outside\n")
    (root / "sites-enabled" / "far").symlink_to(outside)
    run(tmp_path, check_mode=True, files=[{"path": "sites-enabled/far", "content": "edited\n"}])
    assert outside.read_text() == "outside\n"
    run(tmp_path, files=[{"path": "sites-enabled/far", "content": "edited\n"}])
    assert outside.read_text() == "edited\n"


def refused(tmp_path, **params):
    with pytest.raises(web_config.RefusedError) as caught:
        run(tmp_path, **params)
    return str(caught.value)


def test_what_the_staged_test_refuses_changes_nothing(root, tmp_path):
    before = state(root)
    text = refused(tmp_path, files=[{"path": "conf.d/x", "content": "\nbroken\n"}])
    assert f"nginx refuses the new configuration ({root}/conf.d/x, line 2). Its own words: nginx: [emerg]" in text
    assert "Nothing was changed" in text
    assert state(root) == before


def test_what_the_test_in_place_refuses_is_put_back(root, tmp_path):
    before = state(root)
    text = refused(
        tmp_path,
        files=[{"path": "conf.d/deep/x", "content": "surprise\n"}, {"path": "nginx.conf", "content": "other\n"}],
        links=[{"path": "sites-enabled/old", "target": "../nginx.conf"}],
        absent=["sites-available/old"],
    )
    assert "in place, though its staged copy passed" in text
    assert "The old files are back" in text
    assert state(root) == before


def test_a_tree_that_is_broken_beforehand_is_left(root, tmp_path):
    (root / "nginx.conf").write_text("broken\n")
    before = state(root)
    text = refused(tmp_path, **NEW)
    assert f"The nginx configuration in {root} fails its own test as it is now ({root}/nginx.conf, line 1)" in text
    assert "mend that file by hand" in text
    assert state(root) == before


def test_a_port_of_another_program_is_refused(root, tmp_path):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        text = refused(tmp_path, files=[{"path": "sites-available/new", "content": f"listen {port};\n"}])
    assert f"nginx cannot listen on port {port}: another program holds it" in text


def test_without_the_package_it_is_said_but_in_a_check(root, tmp_path, monkeypatch):
    monkeypatch.setitem(web_tree.SERVERS, "nginx", web_tree.SERVERS["nginx"]._replace(binary="/none"))
    assert run(tmp_path, check_mode=True, **NEW)["changed"]
    assert refused(tmp_path, **NEW) == "nginx is not installed: there is no /none. Install the package nginx first."


def test_a_reload_that_fails_puts_the_old_files_back(root, tmp_path, monkeypatch):
    before = state(root)
    monkeypatch.setattr(web_config.web_process.Process, "running", lambda _self: True)
    monkeypatch.setattr(web_config.web_process.Process, "reload", lambda _self: "bind() failed")
    monkeypatch.setattr(web_config.web_process.Process, "recover", lambda _self: "nginx serves with them.")
    text = refused(tmp_path, **NEW)
    assert "nginx did not take the new configuration. Its own words: bind() failed. The old files are back: " in text
    assert state(root) == before
    assert run(tmp_path, reload=False, **NEW)["changed"]
