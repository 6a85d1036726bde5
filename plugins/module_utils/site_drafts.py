# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of each site of a server that was read, in the form in which a migration wants it."""

import re
from typing import Any, Dict, List, Sequence, Tuple

Found = Dict[str, Any]
HERE = ("localhost", "127.0.0.1", "::1")
DATABASE = re.compile(r"(^|_)(DATABASE|DB|MYSQL|MARIADB|POSTGRES(QL)?|PG)")
UNFILLED = "CHANGE-ME"
PRIVILEGES = "SELECT,INSERT,UPDATE,DELETE,CREATE,ALTER,DROP,INDEX,REFERENCES"
# The role gunicorn sets them by itself.
BY_ROLE = ("MEDIA_ROOT", "STATIC_ROOT")


def harmless(value: Any) -> Any:
    """The same with nothing in it that Ansible would run: what a server says of itself goes into an inventory."""
    if isinstance(value, dict):
        return {harmless(key): harmless(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [harmless(inner) for inner in value]
    if isinstance(value, str):
        return UNFILLED if re.search(r"\{[{%#]", value) else " ".join(value.split())
    return value


def drafts(found: Found) -> Dict[str, List[Found]]:
    """C(sites) that can be moved, each with its variables and what is open, and C(others) with the reason."""
    found = harmless(found)
    sites: List[Found] = []
    others: List[Found] = []
    for number, application in enumerate(found["applications"]):
        pairs = zip(found["sites"], found["vhosts"])
        vhosts = [vhost for site, vhost in pairs if number in site["applications"]]
        domains, wildcards = _domains(vhosts)
        if application["kind"] != "gunicorn":
            reason = "migrate.yml moves applications on gunicorn; this is {0}".format(application["kind"])
            others.append({"name": application["name"], "domains": domains + wildcards, "reason": reason})
            continue
        site = _site(application, vhosts, domains, [site["name"] for site in sites])
        site["number"] = number
        site["open"] += ["{0}: name each domain of it that is used in site_domains".format(one) for one in wildcards]
        _add_databases(site, application, found["databases"])
        sites.append(site)
    for site in sites:
        site["neighbours"] = _neighbours(site, sites)
    return {"sites": sites, "others": others}


def _domains(vhosts: Sequence[Found]) -> Tuple[List[str], List[str]]:
    names = list(dict.fromkeys(name for vhost in vhosts for name in vhost["names"]))
    plain = [name for name in names if re.match(r"[\w-]+(\.[\w-]+)+\Z", name)]
    return plain, [name for name in names if name not in plain]


def _name(application: Found, domains: Sequence[str], taken: Sequence[str]) -> str:
    unit = re.sub(r"(@.*)?\.service\Z", "", application["unit"])
    system = ("", "supervisor", "supervisord", "gunicorn", "root", "www-data", "nginx", "apache", "nobody")
    given = (unit, application["user"], domains[0].split(".")[0] if domains else "site")
    name = re.sub(r"[^a-z0-9-]+", "-", next(one for one in given if one not in system).lower()).strip("-0123456789")
    name = name[:25] or "site"
    return (
        name
        if name not in taken
        else next(
            "{0}-{1}".format(name, count) for count in range(2, 10000) if "{0}-{1}".format(name, count) not in taken
        )
    )


def _site(application: Found, vhosts: Sequence[Found], domains: List[str], taken: Sequence[str]) -> Found:
    site: Found = {"name": _name(application, domains, taken), "domains": domains or [UNFILLED], "open": []}
    host, _space, port = application["listens"].rpartition(" ")
    site["upstream"] = "{0}:{1}".format(host, port) if host else UNFILLED
    if not host:
        site["open"].append(
            "the application listens on {0}; the switchover wants an address and a port".format(application["listens"])
        )
    if not domains:
        site["open"].append("no virtual host names a domain of it")
    servers = sorted({vhost["server"] for vhost in vhosts})
    site["web_server"] = servers[0] if len(servers) == 1 else ""
    if len(servers) > 1:
        site["open"].append("both Apache and nginx pass requests on to it; the switchover holds them at one")
    paths = [path for vhost in vhosts for path in (*vhost["aliases"], *vhost["excluded"])]
    site["prefixes"] = sorted({"/" + path.strip("/") + "/" for path in paths if re.match(r"/[\w./-]+\Z", path)})
    text = "{0}: its files do not come along; nginx_sites can unpack an archive of them"
    site["open"] += [text.format(prefix) for prefix in site["prefixes"]]
    repository, options = application["repository"], application["options"]
    site["application"] = {
        "source": repository.get("address") or UNFILLED,
        "release": repository.get("version") or "1.0",
        "wsgi": options.get("application") or UNFILLED,
        "workers": options.get("workers") or 3,
        "threads": options.get("threads") or 1,
        "worker_class": options.get("worker_class") or ("gthread" if options.get("threads") else "sync"),
    }
    secrets = {text.rpartition(": ")[2]: text for text in application["secrets"] if text.startswith("environment of ")}
    secrets = {name: text for name, text in secrets.items() if re.match(r"[A-Za-z_]\w*\Z", name)}
    site["secrets"] = [{"name": name, "where": text} for name, text in sorted(secrets.items())]
    site["secret_variables"] = {name: _variable(name) for name in sorted(secrets)}
    site["elsewhere"] = [text for text in application["secrets"] if text not in secrets.values()]
    names = [name for name in application["environment"] if name not in secrets and name not in BY_ROLE]
    site["environment"] = {name: application["settings"].get(name, UNFILLED) for name in names}
    for name, value in site["environment"].items():
        if name.endswith("HOST") and value in HERE and DATABASE.search(name):
            site["environment"][name] = "{{ hostvars[groups['database'] | first]['site_address'] }}"
        elif name == "ALLOWED_HOSTS":
            site["environment"][name] = "{{ site_domains + [site_address] }}"
        elif value == UNFILLED:
            site["open"].append("{0}: its value was not read, for it may be a secret".format(name))
        elif value in HERE:
            site["open"].append("{0} is {1}: what is there does not come along".format(name, value))
    for what in ("source", "wsgi"):
        if site["application"][what] == UNFILLED:
            site["open"].append("gunicorn_{0}: it cannot be told from the server".format(what))
    return site


def _variable(name: str) -> str:
    return "{{ secret_%s }}" % name.lower()


def _add_databases(site: Found, application: Found, servers: Sequence[Found]) -> None:
    engines: Dict[str, List[str]] = {}
    for one in application["databases"]:
        engines.setdefault(one["engine"], []).append(one["name"])
    site["engines"] = engines
    if not engines:
        site["open"].append("site_databases: no settings of it name a database of this server")
    every = {(server["engine"], one["name"]): one for server in servers for one in server["databases"]}
    site["mysql"] = [
        {"name": name, "charset": every[engine, name]["charset"], "collation": every[engine, name]["collation"]}
        for engine, names in engines.items()
        for name in names
        if engine != "postgresql"
    ]
    site["privileges"] = {one["name"] + ".*": PRIVILEGES for one in site["mysql"]}
    environment = sorted(site["environment"].items())
    users = [value for name, value in environment if name.endswith("USER") and DATABASE.search(name)]
    known = {account.rpartition("@")[0] or account for server in servers for account in server["accounts"]}
    site["account"] = next((user for user in users if user in known), UNFILLED)
    site["postgresql"] = [{"name": name, "owner": site["account"]} for name in engines.get("postgresql", [])]
    words = [name for name in site["secret_variables"] if DATABASE.search(name) and "PASS" in name.upper()]
    site["password"] = _variable(words[0]) if words else UNFILLED
    if engines and UNFILLED in (site["account"], site["password"]):
        site["open"].append("which account it uses its databases by, and with which password")
    if engines:
        site["open"].append(
            "require_tls: make it true once the application knows the authority /etc/ssl/cutover/ca.pem"
        )


def _neighbours(site: Found, sites: Sequence[Found]) -> List[Found]:
    return [
        {"name": other["name"], "domains": other["domains"], "upstream": other["upstream"]}
        for other in sites
        if other is not site and set(other["engines"]) & set(site["engines"]) and other["upstream"] != UNFILLED
    ]
