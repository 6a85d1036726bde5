# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells which virtual hosts Apache on this host has, and what each does."""

DOCUMENTATION = r"""
---
module: vhost_info
short_description: Tell the virtual hosts of Apache
description:
  - Reads the configuration with everything it includes, as Apache does. Conditions (C(IfModule), C(IfDefine))
    count as met.
version_added: "0.1.0"
author: The ocpizza.cutover team
attributes:
  check_mode:
    support: full
    description: Reads only.
  diff_mode:
    support: none
    description: Nothing is changed.
options:
  domains:
    description: The site's domains.
    type: list
    elements: str
    required: true
  config:
    description: The main configuration file. Debian's by default, then Red Hat's.
    type: path
"""

EXAMPLES = r"""
- name: Find the site's virtual hosts
  ocpizza.cutover.vhost_info:
    domains: [ocpizza.example, www.ocpizza.example]
"""

RETURN = r"""
config:
  description: The main configuration file; empty where there is no Apache.
  type: str
  returned: success
vhosts:
  description: >-
    The site's virtual hosts, each with file, line, listen, names, upstreams, proxies, excluded paths, document_root,
    aliases, rewrite_engine, wsgi and tls.
  type: list
  returned: success
others:
  description: The other virtual hosts, alike.
  type: list
  returned: success
domains:
  description: For each domain, file and line of the virtual hosts that are named for it, by what they listen on.
  type: dict
  returned: success
modules:
  description: Names of the loaded modules, without C(_module).
  type: list
  returned: success
available:
  description: Names of the modules that are on the disk and can be loaded.
  type: list
  returned: success
mpm:
  description: Name of the multi-processing module.
  type: str
  returned: success
limits:
  description: Directives that limit how many requests are served or wait.
  type: dict
  returned: success
keep_alive_s:
  description: How many seconds the server, or one of its virtual hosts, keeps an idle connection.
  type: float
  returned: success
missing:
  description: Included files that could not be read.
  type: list
  returned: success
"""

import glob  # noqa: E402
import os  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils import apache_config  # noqa: E402

CONFIGS = ("/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf")
MODULE_FOLDERS = ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules")


def read(path):
    """A file's text, whatever bytes are in its comments."""
    with open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read()


def available():
    """The modules on the disk."""
    names = [os.path.basename(path) for folder in MODULE_FOLDERS for path in glob.glob(folder + "/mod_*.so")]
    return sorted(name[len("mod_") : -len(".so")] for name in names)


def main():
    module = AnsibleModule(
        argument_spec={"domains": {"type": "list", "elements": "str", "required": True}, "config": {"type": "path"}},
        supports_check_mode=True,
    )
    domains = module.params["domains"]
    config = module.params["config"] or next((path for path in CONFIGS if os.path.exists(path)), "")
    if not config:
        module.exit_json(
            changed=False,
            config="",
            vhosts=[],
            others=[],
            domains={domain: [] for domain in domains},
            modules=[],
            available=[],
            mpm="",
            limits={},
            keep_alive_s=0.0,
            missing=[],
        )
    folder = os.path.dirname(config)
    root = folder if os.path.basename(folder) != "conf" else os.path.dirname(folder)
    envvars = os.path.join(folder, "envvars")
    variables = apache_config.env_variables(read(envvars)) if os.path.exists(envvars) else {}
    reader = apache_config.Reader(root, read, apache_config.expand_pattern, variables)
    directives = list(reader.directives(config))
    if config in [text.split(":")[0] for text in reader.missing]:
        module.fail_json(
            msg="Apache's configuration cannot be read, {0}. Run the task as root.".format(reader.missing[0])
        )
    every = apache_config.vhosts(directives)
    ours = [vhost for vhost in every if any(apache_config.serves(vhost, domain) for domain in domains)]
    loaded = sorted(
        {
            directive.arguments[0].replace("_module", "")
            for directive in directives
            if directive.name == "loadmodule" and directive.arguments
        }
    )
    module.exit_json(
        changed=False,
        config=config,
        vhosts=ours,
        others=[vhost for vhost in every if vhost not in ours],
        domains={
            domain: [
                {"file": vhost["file"], "line": vhost["line"], "listen": vhost["listen"]}
                for vhost in ours
                if apache_config.serves(vhost, domain)
            ]
            for domain in domains
        },
        modules=loaded,
        available=available(),
        mpm=next((name for name in loaded if name.startswith("mpm_")), ""),
        limits=apache_config.limits(directives),
        keep_alive_s=apache_config.keep_alive_seconds(directives),
        missing=reader.missing,
    )


if __name__ == "__main__":
    main()
