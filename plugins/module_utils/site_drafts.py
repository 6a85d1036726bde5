# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of each site of a server that was read, in the form in which a migration wants it."""

import re
from typing import Any, Dict, List, Optional, Sequence, Tuple

Found = Dict[str, Any]
HERE = ("localhost", "127.0.0.1", "::1")
DATABASE = re.compile(r"(^|_)(DATABASE|DB|MYSQL|MARIADB|POSTGRES(QL)?|PG)")
UNFILLED = "CHANGE-ME"
PRIVILEGES = "SELECT,INSERT,UPDATE,DELETE,CREATE,ALTER,DROP,INDEX,REFERENCES"
# The role gunicorn sets them by itself.
BY_ROLE = ("MEDIA_ROOT", "STATIC_ROOT")
# What people have put there comes with the site's data, not with its code.
MEDIA = re.compile(r"media|upload", re.IGNORECASE)
CODE = "code.tar.gz"


def harmless(value: Any) -> Any:
    """The same with nothing in it that Ansible would run: what a server says of itself goes into an inventory."""
    if isinstance(value, dict):
        return {harmless(key): harmless(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [harmless(inner) for inner in value]
    if isinstance(value, str):
        return UNFILLED if re.search(r"\{[{%#]", value) else " ".join(value.split())
    return value


def drafts(found: Found, brought: Optional[Dict[str, Found]] = None) -> Dict[str, List[Found]]:
    """C(sites) that can be moved, each with its variables and what is open, and C(others) with the reason.

    ``brought`` is what became of the C(archives) of each site, by name of the site and of the archive.
    """
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
        _add_archives(site, application, vhosts, brought or {})
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
    socket = application["listens"] if application["listens"].startswith("/") else ""
    site["upstream"] = "{0}:{1}".format(host, port) if host else "unix:" + socket if socket else UNFILLED
    if site["upstream"] == UNFILLED:
        site["open"].append("site_upstream: where the application listens cannot be told")
    if not domains:
        site["open"].append("no virtual host names a domain of it")
    servers = sorted({vhost["server"] for vhost in vhosts})
    site["web_server"] = servers[0] if len(servers) == 1 else ""
    if len(servers) > 1:
        site["open"].append("both Apache and nginx pass requests on to it; the switchover holds them at one")
    paths = [path for vhost in vhosts for path in (*vhost["aliases"], *vhost["excluded"])]
    site["prefixes"] = sorted({"/" + path.strip("/") + "/" for path in paths if re.match(r"/[\w./-]+\Z", path)})
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
    if site["application"]["wsgi"] == UNFILLED:
        site["open"].append("gunicorn_wsgi: it cannot be told from the server")
    return site


def _folder_of(prefix: str, vhosts: Sequence[Found]) -> str:
    """The folder from which the web server answers below a path; nothing where it is not known."""
    for vhost in vhosts:
        for path, folder in vhost["aliases"].items():
            if path.strip("/") == prefix.strip("/") and folder.startswith("/"):
                return str(folder)
    roots = {vhost["document_root"] for vhost in vhosts if prefix in vhost["excluded"] and vhost.get("document_root")}
    return roots.pop().rstrip("/") + prefix if len(roots) == 1 else ""


def _add_archives(site: Found, application: Found, vhosts: Sequence[Found], brought: Dict[str, Found]) -> None:
    """C(archives) that hold the code and the files, C(static) that were brought, C(media), and what stays open."""
    settings = application["settings"]
    uploads = {name: settings.get(name, "").rstrip("/") for name in BY_ROLE}
    site["archives"], site["static"], site["media"] = [], [], []
    folder = application.get("folder", "")
    if site["application"]["source"] == UNFILLED and folder not in ("", "/", UNFILLED):
        # Files with secrets are brought by whoever may read these.
        secret = sorted({text.split(":")[0] for text in site["elsewhere"] if text.startswith(folder + "/")})
        kept = [path for path in uploads.values() if path.startswith(folder + "/")]
        code = {"file": CODE, "folder": folder, "below": "", "pid": application["pid"], "without": secret + kept}
        site["archives"].append(code)
        came = brought.get("{0}/{1}".format(site["name"], CODE))
        if came is not None and not came["problem"]:
            site["application"]["source"] = "{{ inventory_dir }}/files/" + CODE
            site["open"] += ["{0}: add it to files/{1}, it holds secrets".format(path, CODE) for path in secret]
            if not came["requirements"]:
                site["open"].append("gunicorn_requirements: no file and no virtual environment says what it needs")
        elif came is not None:
            site["open"].append("gunicorn_source: {0}".format(came["problem"]))
    if site["application"]["source"] == UNFILLED:
        site["open"].append("gunicorn_source: it cannot be told from the server")
    for prefix in site["prefixes"]:
        folder, name = _folder_of(prefix, vhosts), prefix.strip("/").replace("/", "-")
        one = {
            "prefix": prefix,
            "archive": "",
            "media": bool(MEDIA.search(prefix)) or folder.rstrip("/") == uploads["MEDIA_ROOT"],
        }
        site["static"].append(one)
        if folder and UNFILLED not in folder and one["media"]:
            site["media"].append({"prefix": prefix, "source": folder.rstrip("/")})
            continue
        file = name + ".tar.gz"
        if folder and UNFILLED not in folder:
            site["archives"].append({"file": file, "folder": folder, "below": name, "pid": 0, "without": []})
            came = brought.get("{0}/{1}".format(site["name"], file))
            if came is not None and not came["problem"]:
                one.update(archive="{{ inventory_dir }}/files/" + file, below=name)
                continue
            if came is not None:
                site["open"].append("{0}: {1}".format(prefix, came["problem"]))
        site["open"].append(
            "{0}: its files do not come along; nginx_sites can unpack an archive of them".format(prefix)
        )


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
