# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which application is behind each virtual host, where its secrets are, and which databases and jobs are its own."""

import os
import re
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils import gunicorn_options, redaction

SECRET = re.compile(
    r"(?i)pass(word|wd|phrase)?s?$|pass_|_pass|pwd|secret|token|api_?key|private_?key|credential|cookie|webhook|dsn$|"
    r"(database|db|redis|cache|broker|amqp|rabbitmq|mongo\w*|mail|email|smtp|sentry)_ur[il]$|(^|_)(key|pw|salt|pin|auth)$"
)
SETTINGS = re.compile(
    r"(\.env(\.\w+)?|settings\w*\.py|config\w*\.(php|py|ini|yml|yaml|json)|wp-config\.php|local\w*\.(php|py)|"
    r"parameters\.yml|database\.(yml|php)|application\.(yml|properties)|secrets?\.\w+)\Z"
)
# NAME = value, 'NAME': value, define('NAME', value), NAME=value; and the value where it is written there.
ENTRY = re.compile(
    r"^\s*(?:export\s+|define\(\s*)?[\"'$]*(?P<name>[A-Za-z_][\w.\[\]\"']*?)[\"'\]]*\s*(?:=>|=|:|,)\s*(?P<value>\S.*)$"
)
# A setting that says where its value is to be had.
ELSEWHERE = re.compile(
    r"(os\.)?(environ(\.get)?|getenv)[\[(]\s*[\"']\w+[\"']\s*[\])]+[,;]?\s*(#.*)?$|\$\{?\w+\}?[\"']?$|process\.env\.\w+[,;]?$"
)
DATABASE_NAME = re.compile(r"(?i)(^|_)(db|database|name|dbname|db_name|mysql_database|postgres_db)$")
URL = re.compile(r"\b(?:mysql|mariadb|postgres(?:ql)?|mysql2|pgsql)(?:\+\w+)?://[^/\s]*/(?P<name>[\w.-]+)")
SKIP = {
    "node_modules",
    ".git",
    "__pycache__",
    "vendor",
    "site-packages",
    "static",
    "media",
    "cache",
    "uploads",
    "venv",
    ".venv",
}
DEPTH, FILES, BYTES = 4, 3000, 200000

KINDS = (
    ("php-fpm", re.compile(r"php-?fpm")),
    ("uwsgi", re.compile(r"\buwsgi")),
    ("gunicorn", re.compile(r"\bgunicorn")),
    ("mod_wsgi", re.compile(r"mod_wsgi|\(wsgi:")),
    ("node", re.compile(r"(^|/)node(js)?\b")),
    ("java", re.compile(r"(^|/)java\b")),
    ("ruby", re.compile(r"\b(puma|unicorn|passenger)\b")),
)


def endpoint(address: str) -> Tuple[str, str]:
    """C(tcp) with host and port, or C(unix) with the path, of an upstream; empty where it is neither."""
    match = re.search(r"unix:(?://)?(/[^\s:|;]+)", address)
    if match:
        return "unix", match.group(1)
    match = re.match(r"(?:(\w+)://)?(\[[^\]]+\]|[^\s/:\[]+)(?::(\d+))?(?=[/\s]|\Z)", address)
    if not match or "$" in address:
        return "", ""
    host, port = match.group(2).strip("[]"), match.group(3)
    port = port or {"http": "80", "https": "443", "ajp": "8009"}.get(match.group(1) or "http", "")
    return "tcp", host + " " + port


def is_local(host: str, addresses: Sequence[str]) -> bool:
    """Whether an upstream's host is this server."""
    return host == "localhost" or host.startswith("127.") or host == "::1" or host in addresses


def kind_of(command: Sequence[str]) -> str:
    """What an application runs on."""
    text = " ".join(command)
    return next((kind for kind, pattern in KINDS if pattern.search(text)), "other")


def eldest(pid: int, by_pid: Dict[int, Dict[str, Any]]) -> int:
    """The first process of the same unit or name from which a process comes."""
    while True:
        own, parent = by_pid[pid], by_pid.get(by_pid[pid]["parent"])
        if parent is None or parent["pid"] <= 1 or kind_of(parent["command"]) != kind_of(own["command"]):
            return pid
        pid = parent["pid"]


def environment_secrets(environment: Optional[Dict[str, str]], where: str) -> List[str]:
    """Where secrets are in an environment, by name and never by value."""
    given = environment or {}
    return ["{0}: {1}".format(where, name) for name in sorted(given) if is_secret(name, given[name])]


def is_secret(name: str, value: str) -> bool:
    """Whether something that is set is secret, by its name or as an address with a password in it."""
    return bool(SECRET.search(name)) or redaction.text(value) != value


def entries(text: str) -> Iterator[Tuple[int, str, str]]:
    """Number, name and value of each line that sets something."""
    for number, line in enumerate(text.splitlines(), 1):
        match = ENTRY.match(line)
        if match:
            yield number, re.sub(r"[\"'\]]", "", match.group("name").replace("[", "_")), match.group("value")


def scan(text: str, path: str) -> Tuple[List[str], List[str]]:
    """Places of a settings file that hold secrets, and the names of databases that it mentions."""
    secrets, databases = [], []
    for number, name, value in entries(text):
        plain = re.match(r"[\"']?([\w.-]+)[\"']?\s*[,;)]*\s*(#.*|//.*)?$", value)
        if ELSEWHERE.match(value):
            continue
        if is_secret(name, value):
            secrets.append("{0}:{1}: {2}".format(path, number, name))
        elif DATABASE_NAME.search(name) and plain:
            databases.append(plain.group(1))
    return secrets, databases + [match.group("name") for match in URL.finditer(text)]


def settings_files(folder: str) -> Iterator[str]:
    """Files below a folder that look like settings; never too many."""
    seen = 0
    for base, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in SKIP and base[len(folder) :].count("/") < DEPTH)
        for name in sorted(names):
            seen += 1
            if seen > FILES:
                return
            if SETTINGS.match(name):
                yield os.path.join(base, name)


def read_settings(folder: str) -> Tuple[List[str], List[str], List[str]]:
    """Secrets' places, databases' names, and files that could not be read, of the settings below a folder."""
    secrets: List[str] = []
    databases: List[str] = []
    unread: List[str] = []
    for path in settings_files(folder):
        try:
            with open(path, encoding="utf-8", errors="replace") as stream:
                found = scan(stream.read(BYTES), path)
        except OSError as error:
            unread.append("{0}: {1}".format(path, error.strerror))
            continue
        secrets += found[0]
        databases += found[1]
    return secrets, sorted(set(databases)), unread


def from_environment(environment: Optional[Dict[str, str]]) -> List[str]:
    """The names of databases in an environment."""
    given = environment or {}
    names = [value for name, value in given.items() if DATABASE_NAME.search(name) and re.match(r"[\w.-]+\Z", value)]
    return names + [match.group("name") for value in given.values() for match in URL.finditer(value)]


def of_process(process: Dict[str, Any], folder: str, environment: Optional[Dict[str, str]]) -> Dict[str, Any]:
    """An application by its first process."""
    where = "environment of process {0} ({1})".format(process["pid"], process["unit"] or process["name"])
    return {
        "kind": kind_of(process["command"]),
        "name": process["name"],
        "pid": process["pid"],
        "user": process["user"],
        "unit": process["unit"],
        "command": redaction.command(process["command"]),
        "folder": folder,
        "environment": gunicorn_options.own(sorted(environment or {})),
        "settings": gunicorn_options.settings(environment),
        "options": gunicorn_options.options(process["command"], folder),
        "repository": repository(folder),
        "secrets": environment_secrets(environment, where),
        "mentions": from_environment(environment),
    }


def repository(folder: str) -> Dict[str, str]:
    """Address and commit of the working copy that an application runs from; empty where it is none."""
    git = os.path.join(folder, ".git")
    texts = {}
    for name in ("config", "HEAD"):
        try:
            with open(os.path.join(git, name), encoding="utf-8", errors="replace") as stream:
                texts[name] = stream.read(BYTES)
        except OSError:
            return {}
    address = re.search(r"^\s*url\s*=\s*(\S+)", texts["config"], re.MULTILINE)
    head = texts["HEAD"].strip()
    branch = head.rpartition("refs/heads/")[2]
    return {"address": redaction.text(address.group(1)) if address else "", "version": branch}


def parse_pools(text: str, path: str) -> List[Dict[str, Any]]:
    """The pools of PHP-FPM's configuration, each with C(secrets), the places of those that it sets."""
    pools: List[Dict[str, Any]] = []
    for number, line in enumerate(text.splitlines(), 1):
        section = re.match(r"\s*\[([^\]]+)\]", line)
        setting = re.match(r"\s*(listen|user|chdir|chroot)\s*=\s*([^;]+)", line)
        variable = re.match(r"\s*env\[(\w+)\]\s*=\s*(.*)", line)
        if section:
            pools.append({"name": section.group(1), "secrets": [], "mentions": []})
        elif setting and pools:
            pools[-1][setting.group(1)] = setting.group(2).strip().replace("$pool", pools[-1]["name"])
        elif variable and pools:
            value = variable.group(2).strip("\"' ")
            take_variable(pools[-1], variable.group(1), value, "{0}:{1}".format(path, number))
    return [pool for pool in pools if pool["name"] != "global"]


def take_variable(owner: Dict[str, Any], name: str, value: str, place: str) -> None:
    """Note of what a web server or PHP sets where a secret is and which database is named; never a secret itself."""
    if is_secret(name, value):
        owner["secrets"].append("{0}: {1}".format(place, name))
    owner["mentions"] += from_environment({name: value})


def jobs_of(application: Dict[str, Any], databases: Sequence[str], jobs: Sequence[Dict[str, Any]]) -> List[str]:
    """The jobs that belong to an application: by its folder, its databases, or a user that is its own."""
    own = application["user"] not in ("", "root", "www-data", "apache", "nginx")
    folder = application["folder"] if application["folder"] not in ("", "/", "/root", "/var/www") else ""
    words = [re.escape(word) for word in [folder, *databases] if word]
    mentions = re.compile(r"(?<![\w-])({0})(?![\w-])".format("|".join(words))) if words else None
    return [
        job["source"]
        for job in jobs
        if (own and job["user"] == application["user"]) or (mentions and mentions.search(job["command"]))
    ]
