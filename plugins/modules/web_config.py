#!/usr/bin/python
# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: web_config
short_description: Change a web server's configuration without ever running a broken one
version_added: 0.1.0
author: The ocpizza.cutover team (@ocpizza)
description:
  - Copies the whole configuration tree aside, changes the copy and lets the server itself test it. Only then are the
    files switched in place, tested again and taken by a graceful reload, which is watched until workers with the new
    configuration run.
  - When anything fails on the way the old files are put back, and the failure names the file, the server's own
    words and the remedy.
  - Nothing is touched when the configuration fails its own test beforehand.
options:
  server:
    description: The kind of web server.
    type: str
    required: true
    choices: [apache, nginx]
  files:
    description: Files of the tree with their full content.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Path relative to the tree, or absolute inside it. A link is followed, so that its target changes.
        type: path
        required: true
      content:
        description: The whole content.
        type: str
        required: true
      mode:
        description: Mode in octal, quoted. Without it a new file gets C(0644) and an old one keeps its own.
        type: str
  links:
    description: Symbolic links of the tree, as in C(sites-enabled).
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Path of the link.
        type: str
        required: true
      target:
        description: What it points at, relative to the link or absolute.
        type: str
        required: true
  absent:
    description: Files and links that shall not be there.
    type: list
    elements: str
    default: []
  watch:
    description:
      - Files outside the tree that the server reads when it loads, such as certificates.
      - The server is reloaded when one of them, or one of the named files of the tree, is newer than its workers.
    type: list
    elements: path
    default: []
  reload:
    description: Whether a running server is reloaded. With V(false) the files wait for the next reload.
    type: bool
    default: true
  root:
    description: The tree, where it is not the one that Debian uses.
    type: path
  service:
    description: The systemd unit, where it is not the one that Debian uses.
    type: str
  timeout:
    description: Seconds to wait for workers with the new configuration.
    type: int
    default: 15
attributes:
  check_mode:
    support: full
    description: Stages and tests, changes nothing. nginx creates missing log files when it tests, even then.
  diff_mode:
    support: full
  idempotent:
    support: full
    description: A server that missed a reload, or whose certificate was renewed, is reloaded by the next run.
  platform:
    support: full
    platforms: debian
    description: Debian 11 and later.
"""

EXAMPLES = r"""
- name: Put a site into nginx
  ocpizza.cutover.web_config:
    server: nginx
    files:
      - path: sites-available/ocpizza
        content: "{{ lookup('ansible.builtin.template', 'site.j2') }}"
        mode: "0644"
    links:
      - path: sites-enabled/ocpizza
        target: ../sites-available/ocpizza
    watch: [/etc/ssl/cutover/web.pem]

- name: See whether Apache would take an edited vhost
  ocpizza.cutover.web_config:
    server: apache
    files:
      - path: sites-available/shop.conf
        content: "{{ edited }}"
  check_mode: true
"""

RETURN = r"""
reasons:
  description: Why something was changed, one text a path.
  returned: always
  type: list
  elements: str
  sample: ["sites-available/ocpizza: content differs"]
paths:
  description: Paths that were changed, relative to the tree.
  returned: always
  type: list
  elements: str
tested:
  description: Whether the server itself tested the result.
  returned: always
  type: bool
reloaded:
  description: Whether workers with the new configuration were seen.
  returned: always
  type: bool
words:
  description: What the server said at its last test, without its formula of success.
  returned: always
  type: str
"""

import atexit  # noqa: E402
import errno  # noqa: E402
import os  # noqa: E402
import shutil  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import ssl  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils import web_files, web_process, web_tree  # noqa: E402
from ansible_collections.ocpizza.cutover.plugins.module_utils.web_tree import ABSENT, FILE, LINK, Entry  # noqa: E402


class RefusedError(Exception):
    """The server refused; the text says everything."""


class WebConfig:
    def __init__(self, module):
        self.module = module
        self.params = module.params
        self.server = web_tree.SERVERS[self.params["server"]]
        # A tree that is itself a link is taken where it really is, so that every path is compared alike.
        self.root = os.path.realpath(self.params["root"] or self.server.root)
        self.names = {"server": self.params["server"], "root": self.root}
        self.process = web_process.Process(
            self.server, self.params["service"] or self.server.service, module.run_command, self.params["timeout"]
        )
        # Not module.tmpdir: making it for the first time warns about a folder that nobody asked about.
        self.work = tempfile.mkdtemp(prefix="cutover-web-config-")
        atexit.register(shutil.rmtree, self.work, ignore_errors=True)
        self.tree = os.path.join(self.work, "tree")
        self.switch = web_files.Switch(self.root, os.path.join(self.work, "backup"))
        self.words = ""

    def found(self, path, wanted):
        full = web_files.real(self.root, path) if wanted.kind == FILE else os.path.join(self.root, path)
        if os.path.islink(full):
            return Entry(LINK, target=os.readlink(full))
        if not os.path.lexists(full):
            return Entry(ABSENT)
        if not os.path.isfile(full):
            return Entry(web_tree.OTHER)
        return Entry(FILE, content=web_files.read(full), mode=os.stat(full).st_mode & 0o7777)

    def decide(self):
        wanted = web_tree.wanted_entries(self.root, self.params["files"], self.params["links"], self.params["absent"])
        changes = web_tree.decide(wanted, {path: self.found(path, entry) for path, entry in wanted.items()})
        missed = []
        if self.params["reload"] and not changes:
            watched = [os.path.join(self.root, path) for path in wanted] + self.params["watch"]
            missed = [
                "%s: is newer than the running workers" % path for path in self.process.newer_than_workers(watched)
            ]
        return changes, missed

    def test(self, tree, step):
        command = [part.replace("{tree}", tree) for part in self.server.test]
        code, out, err = self.module.run_command(command, environ_update={"APACHE_CONFDIR": tree, "LC_ALL": "C"})
        self.words = web_tree.own_words(out + err, self.root, self.tree)
        if code != 0:
            raise RefusedError(web_tree.failure(step, self.words, **self.names))

    def check_ports(self, changes):
        """The test does not try to listen; a port held by another program would show at the reload only."""
        new = web_tree.ports(self.server, [change.after.content for change in changes])
        for port in sorted(new - web_tree.ports(self.server, web_files.contents_below(self.root))):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("", port))
                except OSError as error:
                    if error.errno == errno.EADDRINUSE:
                        raise RefusedError(web_tree.failure("port", "", port=port, **self.names)) from None

    def check_pairs(self, changes):
        if not self.server.check_pairs:
            return
        # Without changes the reload is for a renewed certificate: only its pairs matter, the tree may hold others
        # in files that are not enabled.
        contents = [change.after.content for change in changes] or web_files.contents_below(self.root)
        for content in contents:
            for certificate, key in web_tree.key_pairs(self.server, content):
                if "$" in certificate + key or not (changes or {certificate, key} & set(self.params["watch"])):
                    continue
                try:
                    # An empty passphrase instead of a question on the terminal.
                    ssl.SSLContext(ssl.PROTOCOL_TLS).load_cert_chain(certificate, key, password=lambda: "")
                except (OSError, ValueError) as error:
                    raise RefusedError(
                        web_tree.failure("pair", str(error), certificate=certificate, key=key, **self.names)
                    ) from None

    def reload(self):
        words = self.process.reload()
        if words is None:
            return
        self.switch.put_back()
        words = web_tree.own_words(words, self.root, self.tree)
        raise RefusedError(web_tree.failure("reload", words, after=self.process.recover(), **self.names))

    def run(self):
        changes, missed = self.decide()
        result = {
            "changed": bool(changes or missed),
            "reasons": [change.reason for change in changes] + missed,
            "paths": [change.path for change in changes],
            "tested": False,
            "reloaded": False,
            "words": "",
            "diff": [difference(self.root, change) for change in changes] if self.module._diff else [],
        }
        if not result["changed"]:
            return result
        if not os.path.exists(self.server.binary):
            if self.module.check_mode:
                return result
            raise RefusedError(
                "%s is not installed: there is no %s. Install the package %s first."
                % (self.params["server"], self.server.binary, self.server.package)
            )
        self.test(self.root, "existing")
        known = self.words
        if changes:
            web_files.stage(self.root, self.tree, changes)
            self.test(self.tree, "staged")
            self.check_ports(changes)
        self.check_pairs(changes)
        result["tested"] = True
        result["words"] = self.words
        for line in web_tree.warnings(self.words):
            if line not in known:
                self.module.warn("%s: %s" % (self.params["server"], line))
        if self.module.check_mode:
            return result
        try:
            self.switch.apply(changes)
            if changes:
                self.test(self.root, "switched")
            if self.params["reload"] and self.process.running():
                self.reload()
                result["reloaded"] = True
        except BaseException:
            self.switch.put_back()
            raise
        return result


def difference(root, change):
    def side(entry):
        if entry.kind == LINK:
            return "link to %s\n" % entry.target
        return entry.content.decode("utf-8", "replace")

    path = os.path.join(root, change.path)
    return {
        "before_header": path,
        "after_header": path,
        "before": side(change.before),
        "after": side(change.after),
    }


def main():
    file_spec = {
        "path": {"type": "path", "required": True},
        "content": {"type": "str", "required": True},
        "mode": {"type": "str"},
    }
    link_spec = {"path": {"type": "str", "required": True}, "target": {"type": "str", "required": True}}
    module = AnsibleModule(
        argument_spec={
            "server": {"type": "str", "required": True, "choices": sorted(web_tree.SERVERS)},
            "files": {"type": "list", "elements": "dict", "default": [], "options": file_spec},
            "links": {"type": "list", "elements": "dict", "default": [], "options": link_spec},
            "absent": {"type": "list", "elements": "str", "default": []},
            "watch": {"type": "list", "elements": "path", "default": []},
            "reload": {"type": "bool", "default": True},
            "root": {"type": "path"},
            "service": {"type": "str"},
            "timeout": {"type": "int", "default": 15},
        },
        supports_check_mode=True,
    )
    # A lost ssh session must not leave half a tree: the exit goes through put_back.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    os.umask(0o022)
    config = WebConfig(module)
    try:
        result = config.run()
    except (RefusedError, web_tree.TreeError) as error:
        module.fail_json(msg=str(error), words=config.words)
    finally:
        shutil.rmtree(config.work, ignore_errors=True)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
