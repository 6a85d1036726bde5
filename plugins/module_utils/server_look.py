# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at a whole server, which changes nothing on it and notes what it could not read."""

import datetime
import glob
import os
import re
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils import (
    apache_config,
    applications,
    certificates,
    database_look,
    last_use,
    mail,
    nginx_config,
    proc,
    schedules,
    server_facts,
)
from ansible_collections.ocpizza.cutover.plugins.module_utils.access_count import iso

Run = Callable[..., Tuple[int, str, str]]
APACHES = ("/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf")
NGINX = "/etc/nginx/nginx.conf"
LIST_UNITS = ["systemctl", "list-unit-files", "--no-legend", "--no-pager", "--full"]
TIMER = "--property=Id,LoadState,Unit,NextElapseUSecRealtime,NextElapseUSecMonotonic,TimersCalendar,TimersMonotonic"
CRONTABS = ("/var/spool/cron/crontabs/*", "/var/spool/cron/*")
ENGINES = {
    "mariadbd": "mariadb",
    "mysqld": "mysql",
    "postgres": "postgresql",
    "redis-server": "redis",
    "mongod": "mongodb",
}


class Look:
    """``run`` asks a command; everything that is found goes into dictionaries that JSON can hold."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.not_read: List[str] = []
        self.processes = proc.Processes()

    def ask(self, what: str, *command: str) -> str:
        """What a command says; that it is not there or failed is noted."""
        try:
            code, output, error = self.run(list(command), environ_update={"LC_ALL": "C.UTF-8"}, handle_exceptions=False)
        except OSError:
            self.not_read.append("{0}: there is no {1} on this server".format(what, command[0]))
            return ""
        if code != 0:
            self.not_read.append("{0}: {1}".format(what, (error or output).strip()[:300] or "status %d" % code))
        return output

    def optional(self, *command: str) -> Optional[str]:
        """What a command says that a server need not have."""
        try:
            code, output, _error = self.run(
                list(command), environ_update={"LC_ALL": "C.UTF-8"}, handle_exceptions=False
            )
        except OSError:
            return None
        return output if code == 0 else None

    def read(self, path: str) -> str:
        """A file's text; that it cannot be read is noted."""
        try:
            with open(path, encoding="utf-8", errors="replace") as stream:
                return stream.read()
        except OSError as error:
            self.not_read.append("{0}: {1}".format(path, error.strerror))
            return ""

    def optional_file(self, path: str) -> str:
        """The text of a file that a server need not have."""
        return self.read(path) if os.path.exists(path) else ""

    def system(self) -> Dict[str, Any]:
        """Release, units, users, mounts, firewall."""
        found: Dict[str, Any] = {"release": server_facts.release(self.read("/etc/os-release"))}
        found["units"] = server_facts.enabled_units(self.ask("units", *LIST_UNITS))
        failed = self.optional("systemctl", "--failed", "--no-legend", "--plain", "--full") or ""
        found["units"]["failed"] = [line.split()[0] for line in failed.splitlines() if line.split()]
        found["users"] = server_facts.users(self.read("/etc/passwd"), self.read("/etc/group"))
        found["mounts"] = server_facts.mounts(self.read("/proc/mounts"))
        commands = (("iptables", "iptables-save"), ("ip6tables", "ip6tables-save"), ("nftables", "nft list ruleset"))
        told = [(name, self.optional(*command.split())) for name, command in commands]
        found["firewall"] = server_facts.firewall_rules(told)
        if all(text is None for _name, text in told):
            self.not_read.append("the firewall: neither iptables-save nor nft answers")
        found["listening"] = self.processes.listening()
        nobodys = sum(not one["pid"] for one in found["listening"])
        if nobodys:
            text = "who listens on {0} sockets: their processes may not be looked into, or the kernel has them"
            self.not_read.append(text.format(nobodys))
        found["mail"] = mail.look(self.optional_file, found["listening"])
        found["addresses"] = re.findall(r"inet6? ([^/\s]+)", self.ask("addresses", "ip", "-o", "address"))
        return found

    def packages(self) -> Dict[str, Any]:
        """What is installed, what of it is not the distribution's, and what of /etc is not as it came."""
        listed = self.optional("dpkg-query", "-W", "-f", "${db:Status-Abbrev}\t${Package}\t${Version}\n")
        if listed is None:
            listed = self.ask("packages", "rpm", "-qa", "--qf", "ii \t%{NAME}\t%{VERSION}-%{RELEASE}\n")
            self.not_read.append(
                "which packages are foreign and which files of /etc differ: this is known with dpkg only"
            )
            nothing: Dict[str, Any] = {"foreign": {}, "changed": [], "gone": [], "own": [], "stamps": {}, "broken": []}
            return dict(nothing, installed=_installed(listed))
        installed = _installed(listed)
        sources, every = server_facts.parse_policy(self.ask("origins", "apt-cache", "policy", *sorted(installed)))
        foreign = {}
        if every:
            foreign = server_facts.foreign(
                sources, server_facts.parse_origins(self.ask("origins", "apt-cache", "policy"))
            )
        else:
            self.not_read.append("which packages are foreign: apt has no lists of its repositories here")
        known = server_facts.parse_conffiles(self.ask("/etc", "dpkg-query", "-W", "-f", "${Conffiles}\n"))
        # What ucf has put there is known to it alone.
        known.update(server_facts.parse_ucf(self.optional_file("/var/lib/ucf/hashfile")))
        changed, gone, unread = server_facts.changed_files(known, server_facts.md5)
        self.not_read += unread
        packaged = server_facts.packaged_files("/var/lib/dpkg/info", "/etc/") | set(known)
        own = server_facts.own_files("/etc", packaged)
        found = {"installed": installed, "foreign": foreign, "changed": changed, "gone": gone, "own": own}
        return dict(found, stamps=server_facts.stamps(own + changed), broken=_broken(listed))

    def vhosts(self) -> List[Dict[str, Any]]:
        """The virtual hosts of Apache and nginx."""
        found: List[Dict[str, Any]] = []
        config = next((path for path in APACHES if os.path.exists(path)), "")
        if config:
            folder = os.path.dirname(config)
            root = folder if os.path.basename(folder) != "conf" else os.path.dirname(folder)
            envvars = os.path.join(folder, "envvars")
            variables = apache_config.env_variables(self.optional_file(envvars))
            apache = apache_config.Reader(root, _text, apache_config.expand_pattern, variables)
            directives = list(apache.directives(config))
            found += apache_config.vhosts(directives)
            self.not_read += apache.missing
            general = [one.arguments[0] for one in directives if one.name == "customlog" and not one.sections]
            php = any(one.name == "loadmodule" and "php" in one.arguments[0] for one in directives if one.arguments)
            for vhost in found:
                logs = [log for log in vhost["logs"] or general if not log.startswith("|")]
                vhost.update(logs=[apache.absolute(log) for log in logs], php=php)
        if os.path.exists(NGINX):
            nginx = nginx_config.Reader(os.path.dirname(NGINX), _text, lambda pattern: sorted(glob.glob(pattern)))
            found += nginx_config.vhosts(list(nginx.directives(NGINX)))
            self.not_read += nginx.missing
        self._certify(found)
        last_use.add(found, time.time())
        for vhost in found:
            if vhost["use_unknown"]:
                names = (*vhost["names"], "a site without a name")
                place = "{0} ({1}:{2})".format(names[0], vhost["file"], vhost["line"])
                self.not_read.append("when {0} was last used: {1}".format(place, vhost["use_unknown"]))
        return found

    def _certify(self, vhosts: List[Dict[str, Any]]) -> None:
        chains: Dict[str, Dict[str, Any]] = {}
        for path in sorted({vhost["certificate"] for vhost in vhosts if vhost["certificate"]}):
            try:
                own = certificates.read_chain(self.run, "openssl", self.read(path))[0]
            except (ValueError, OSError) as error:
                self.not_read.append("{0}: {1}".format(path, error))
                continue
            chains[path] = {"names": own["names"], "expires": iso(own["expires"])[:10]}
        for vhost in vhosts:
            vhost["certificate"] = dict(chains.get(vhost["certificate"], {}), path=vhost["certificate"])

    def jobs(self) -> List[Dict[str, Any]]:
        """Cron's jobs and systemd's timers."""
        now, found = datetime.datetime.now(), []
        tables = [("/etc/crontab", "")] if os.path.exists("/etc/crontab") else []
        tables += [(path, "") for path in glob.glob("/etc/cron.d/*") if re.match(r"[\w-]+\Z", os.path.basename(path))]
        tables += [
            (path, os.path.basename(path)) for one in CRONTABS for path in glob.glob(one) if os.path.isfile(path)
        ]
        for path, user in sorted(tables):
            jobs, broken = schedules.parse_crontab(self.read(path), path, user, now)
            found += jobs
            self.not_read += broken
        for period in ("hourly", "daily", "weekly", "monthly"):
            for path in sorted(glob.glob("/etc/cron.{0}/*".format(period))):
                due = next((job["next"] for job in found if "/etc/cron." + period in job["command"]), "")
                job = {"kind": "cron", "source": path, "schedule": period, "user": "root", "command": path, "next": due}
                found.append(dict(job, dump=bool(schedules.DUMPS.search(self.read(path)))))
        timers = self.optional("systemctl", "show", "*.timer", TIMER)
        if timers is None:
            self.not_read.append("timers: systemctl does not answer")
        parsed = schedules.parse_timers(timers or "", now, time.monotonic())
        units = sorted({timer["unit"] for timer in parsed if timer["unit"]})
        if units:
            services = self.ask("what timers start", "systemctl", "show", "--property=Id,User,ExecStart", *units)
            schedules.add_services(parsed, services)
        return found + parsed

    def databases(self) -> List[Dict[str, Any]]:
        """Database servers that run, by engine."""
        found: Dict[str, Dict[str, Any]] = {}
        servers = database_look.Servers(self.run, self.not_read)
        for one in sorted(self.processes.by_pid.values(), key=lambda each: each["pid"]):
            engine = ENGINES.get(one["name"])
            if not engine or self.processes.by_pid.get(one["parent"], {}).get("name") == one["name"]:
                continue
            if engine == "mysql" and "MariaDB" in (self.optional("mysqld", "--version") or ""):
                engine = "mariadb"
            if engine in found:
                self.not_read.append("a second server of {0}, process {1}".format(engine, one["pid"]))
                continue
            found[engine] = dict(servers.ask(engine), engine=engine, pid=one["pid"], unit=one["unit"])
        return list(found.values())

    def pools(self) -> List[Dict[str, Any]]:
        """PHP-FPM's pools."""
        paths = sorted(glob.glob("/etc/php/*/fpm/pool.d/*.conf") + glob.glob("/etc/php-fpm.d/*.conf"))
        return [pool for path in paths for pool in applications.parse_pools(self.read(path), path)]


def _installed(listed: str) -> Dict[str, str]:
    rows = [line.split("\t") for line in listed.splitlines()]
    # The second letter is how it is, the first how it is wanted: one that is held back is there as well.
    return {row[1]: row[2] for row in rows if len(row) == 3 and row[0][1:2] == "i"}


def _broken(listed: str) -> List[str]:
    """Packages that dpkg has begun with and not finished."""
    states = {
        "U": "only unpacked",
        "F": "half configured",
        "H": "half installed",
        "W": "awaits others",
        "t": "awaits others",
    }
    rows = [line.split("\t") for line in listed.splitlines()]
    return ["{0}: {1}".format(row[1], states[row[0][1]]) for row in rows if len(row) == 3 and row[0][1:2] in states]


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read()
