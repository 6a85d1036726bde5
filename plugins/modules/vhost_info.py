# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells which virtual hosts the web server on this host has, and what each does."""

DOCUMENTATION = r"""
---
module: vhost_info
short_description: Tell the virtual hosts of Apache or nginx, or what Squid passes on
description:
  - Reads the configuration with everything it includes, as the server does. Apache's conditions (C(IfModule),
    C(IfDefine)) count as met.
  - Of Squid, each application that it passes on to (C(cache_peer … originserver)) is told as a virtual host.
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
  server:
    description:
      - The kind of web server. By default the one with virtual hosts for the domains; where several have some, the
        first of Apache, nginx and Squid.
    type: str
    choices: [apache, nginx, squid]
  config:
    description:
      - The main configuration file. Debian's by default, then Red Hat's.
      - One that is named C(nginx.conf) is nginx's, and C(squid.conf) Squid's.
    type: path
  valve:
    description: Name of a site whose valve in nginx's configuration is read as if it were not there.
    type: str
    default: ""
  upstream:
    description: The application as C(site_upstream) says it, to know which places of nginx's configuration pass to it.
    type: str
    default: ""
  headers:
    description: Whether C(passes) has the headers that are sent. Their values may be secrets.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Find the site's virtual hosts
  ocpizza.cutover.vhost_info:
    domains: [ocpizza.example, www.ocpizza.example]
"""

RETURN = r"""
server:
  description: The kind of web server, C(apache), C(nginx) or C(squid).
  type: str
  returned: success
config:
  description: The main configuration file; empty where there is no web server.
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
  description: Names of Apache's loaded modules, without C(_module).
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
passes:
  description: >-
    The places of nginx's configuration that pass the site's requests on, each with file, line, directive, the
    headers that are sent (where asked for), and problem and remedy where its requests cannot be held. C(changed) names
    the location that is edited where the directive itself is not.
  type: list
  returned: success
valve_files:
  description: Files of nginx's configuration that have the valve in them.
  type: list
  returned: success
user:
  description: >-
    The account that the web server's workers run as. Where the configuration names none it is C(www-data), of Squid
    C(proxy).
  type: str
  returned: success
pools:
  description: Whether Squid keeps connections to the applications (C(server_persistent_connections)).
  type: bool
  returned: success
not_led:
  description: >-
    Why the kernel would not lead the connections elsewhere that Squid opens. Empty where it would, and for the other
    web servers, which look for flags themselves.
  type: str
  returned: success
"""

import glob  # noqa: E402
import os  # noqa: E402
import pwd  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils import (  # noqa: E402
    apache_config,
    nginx_config,
    nginx_passes,
    nginx_valve,
    squid_config,
)

CONFIGS = ("/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf")
NGINX_CONFIGS = ("/etc/nginx/nginx.conf",)
SQUID_CONFIGS = ("/etc/squid/squid.conf",)
MODULE_FOLDERS = ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules")
NOTHING = {
    "server": "",
    "config": "",
    "vhosts": [],
    "others": [],
    "modules": [],
    "available": [],
    "mpm": "",
    "limits": {},
    "keep_alive_s": 0.0,
    "missing": [],
    "passes": [],
    "valve_files": [],
    "user": "",
    "pools": False,
    "not_led": "",
}
NAMES = {"apache": "Apache", "nginx": "nginx", "squid": "Squid"}
# Whether a virtual host is named for a domain.
SERVES = {
    "apache": apache_config.serves,
    "nginx": lambda vhost, domain: nginx_valve.rank(vhost["names"], domain) != nginx_valve.NOT,
    "squid": squid_config.serves,
}
# Tried, and taken back by nft itself.
RULES = """table ip cutover-trial {{
  chain door {{
    type nat hook output priority -100; policy accept;
    meta skuid {0} tcp dport 9 redirect to :9
  }}
}}
"""


def read(path):
    """A file's text, whatever bytes are in its comments."""
    with open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read()


def account(directives):
    """Whom the workers run as."""
    return next((one.arguments[0] for one in directives if one.name == "user" and one.arguments), "www-data")


def available():
    """The modules on the disk."""
    names = [os.path.basename(path) for folder in MODULE_FOLDERS for path in glob.glob(folder + "/mod_*.so")]
    return sorted(name[len("mod_") : -len(".so")] for name in names)


def named_for(vhosts, domains):
    """The virtual hosts that are named for one of the domains."""
    return [vhost for vhost in vhosts if any(SERVES[vhost["server"]](vhost, domain) for domain in domains)]


def told(server, config, every, ours, **more):
    """A web server, the site's virtual hosts and the others, and what else is known of its kind."""
    others = [vhost for vhost in every if vhost not in ours]
    return dict(NOTHING, server=server, config=config, vhosts=ours, others=others, **more)


def read_apache(config, params):
    """What Apache's configuration says."""
    folder = os.path.dirname(config)
    root = folder if os.path.basename(folder) != "conf" else os.path.dirname(folder)
    envvars = os.path.join(folder, "envvars")
    variables = apache_config.env_variables(read(envvars)) if os.path.exists(envvars) else {}
    reader = apache_config.Reader(root, read, apache_config.expand_pattern, variables)
    directives = list(reader.directives(config))
    every = apache_config.vhosts(directives)
    ours = named_for(every, params["domains"])
    loaded = sorted(
        {
            directive.arguments[0].replace("_module", "")
            for directive in directives
            if directive.name == "loadmodule" and directive.arguments
        }
    )
    return told(
        "apache",
        config,
        every,
        ours,
        modules=loaded,
        available=available(),
        mpm=next((name for name in loaded if name.startswith("mpm_")), ""),
        limits=apache_config.limits(directives),
        keep_alive_s=apache_config.keep_alive_seconds(directives),
        missing=reader.missing,
        user=account(directives),
    )


def read_nginx(config, params):
    """What nginx's configuration says, the site's valve aside."""
    with_valve = []

    def without_valve(path):
        text = read(path)
        plain = nginx_valve.remove(text, params["valve"]) if params["valve"] else text
        if plain != text:
            with_valve.append(path)
        return plain

    reader = nginx_config.Reader(os.path.dirname(config), without_valve, lambda pattern: sorted(glob.glob(pattern)))
    directives = list(reader.directives(config))
    every = nginx_config.vhosts(directives)
    ours = nginx_valve.site_servers(every, params["domains"])
    return told(
        "nginx",
        config,
        every,
        ours,
        limits={
            one.name: one.arguments[0]
            for one in directives
            if one.name in ("worker_processes", "worker_connections") and one.arguments
        },
        missing=reader.missing,
        passes=[
            dict(place, headers=place["headers"] if params["headers"] else [])
            for place in nginx_passes.passes(directives, ours, params["domains"], params["upstream"])
        ],
        valve_files=sorted(set(with_valve)),
        user=account(directives),
    )


def read_squid(config, params):
    """What Squid's configuration says."""
    reader = squid_config.Reader(read, lambda pattern: sorted(glob.glob(pattern)))
    directives = list(reader.directives(config))
    every = squid_config.vhosts(directives, reader)
    ours = named_for(every, params["domains"])
    return told(
        "squid",
        config,
        every,
        ours,
        missing=reader.missing,
        user=squid_config.account(directives),
        pools=squid_config.pools(directives),
    )


def not_led(run, user):
    """Why the kernel would not lead an account's connections elsewhere; the rules are tried and not loaded."""
    try:
        number = str(pwd.getpwnam(user).pw_uid)
    except KeyError:
        return "there is no account {0}, which Squid runs as".format(user)
    try:
        code, out, err = run(["nft", "--check", "--file", "-"], data=RULES.format(number), handle_exceptions=False)
    except OSError:
        return "nft is not installed"
    return "" if code == 0 else (err or out).strip().split("\n")[0]


def look(params):
    """The web server that serves the domains, else the first one that is there."""
    results = []
    for server, configs, reader in (
        ("apache", CONFIGS, read_apache),
        ("nginx", NGINX_CONFIGS, read_nginx),
        ("squid", SQUID_CONFIGS, read_squid),
    ):
        config = next((path for path in configs if os.path.exists(path)), "")
        if params["config"]:
            named = {"nginx.conf": "nginx", "squid.conf": "squid"}.get(os.path.basename(params["config"]), "apache")
            config = params["config"] if server == (params["server"] or named) else ""
        if config and params["server"] in (None, server):
            results.append(reader(config, params))
    return next((result for result in results if result["vhosts"]), results[0] if results else NOTHING)


def main():
    module = AnsibleModule(
        argument_spec={
            "domains": {"type": "list", "elements": "str", "required": True},
            "server": {"type": "str", "choices": ["apache", "nginx", "squid"]},
            "config": {"type": "path"},
            "valve": {"type": "str", "default": ""},
            "upstream": {"type": "str", "default": ""},
            "headers": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        result = look(module.params)
    except ValueError as error:
        module.fail_json(msg="{0}.".format(error))
    if result["config"] in [text.split(":")[0] for text in result["missing"]]:
        module.fail_json(
            msg="{0}'s configuration cannot be read, {1}. Run the task as root.".format(
                NAMES[result["server"]], result["missing"][0]
            )
        )
    if result["server"] == "squid":
        result["not_led"] = not_led(module.run_command, result["user"])
    module.exit_json(
        changed=False,
        domains={
            domain: [
                {"file": vhost["file"], "line": vhost["line"], "listen": vhost["listen"]}
                for vhost in result["vhosts"]
                if SERVES[vhost["server"]](vhost, domain)
            ]
            for domain in module.params["domains"]
        },
        **result,
    )


if __name__ == "__main__":
    main()
