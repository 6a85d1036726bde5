# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at a service's instances, ports, processes and errors."""

import re
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils import log_files, log_times, proc, services
from ansible_collections.ocpizza.cutover.plugins.module_utils.access_count import iso

Run = Callable[..., Tuple[int, str, str]]
CLIENTS = {"systemd": "systemctl", "supervisor": "supervisorctl"}


class Look:
    """``restarted`` has for each instance that was restarted on purpose when that was."""

    def __init__(self, run: Run, wanted: Dict[str, Any], since: Optional[float], restarted: Dict[str, float]) -> None:
        self.run = run
        self.wanted = wanted
        self.since = since
        self.restarted = restarted
        self.problems: List[str] = []
        self.not_checked: List[str] = []
        self.errors: Dict[str, Dict[str, Any]] = {}
        self.instances = self._units() + self._programs()
        for one in self.instances:
            until = None if one["name"] in restarted else since
            self.problems += services.instance_problems(one, until, iso(one["started"]))
        processes = proc.Processes()
        sockets = processes.listening()
        ports = wanted["ports"]
        self.problems += services.port_problems(ports, sockets)
        self.listening = [one for one in sockets if any(not services.port_problems([text], [one]) for text in ports)]
        commands = [" ".join(one["command"]) for one in processes.by_pid.values()]
        self.problems += services.process_problems(wanted["processes"], commands)
        if since is not None:
            self._journal(since)
            self._logs(since)
        for name, found in self.errors.items():
            if found["number"] > wanted["most_errors"]:
                text = "{0} has {1} errors, the last: {2}"
                self.problems.append(text.format(name, found["number"], found["last"]))

    def _run(self, *command: str) -> Tuple[int, str, str]:
        return self.run(list(command), environ_update={"LC_ALL": "C.UTF-8"}, handle_exceptions=False)

    def _ask(self, what: str, *command: str) -> str:
        """What a command says; that it failed is told."""
        try:
            code, output, error = self._run(*command)
        except OSError:
            code, output, error = 127, "", "there is no {0} on this host".format(command[0])
        # supervisorctl's status says in this way that not all run.
        if code != 0 and not (code == 3 and output):
            self.not_checked.append("{0}: {1}".format(what, (error or output).strip() or "status {0}".format(code)))
            return ""
        return output

    def _units(self) -> List[Dict[str, Any]]:
        names = []
        for pattern in self.wanted["units"]:
            if "*" not in pattern:
                names.append(pattern)
                continue
            flags = ["--no-legend", "--full", pattern]
            listed = self._ask(pattern, "systemctl", "list-units", "--all", "--plain", *flags)
            expected = services.expected_units(listed, self._ask(pattern, "systemctl", "list-unit-files", *flags))
            names += expected
            if not expected:
                self.problems.append("no unit fits {0}".format(pattern))
        if not names:
            return []
        properties = "--property=" + ",".join(services.PROPERTIES)
        shown = services.parse_show(self._ask("units", "systemctl", "show", properties, *sorted(set(names))))
        booted = time.time() - time.monotonic()
        return [services.unit_instance(block, booted) for block in shown]

    def _programs(self) -> List[Dict[str, Any]]:
        if not self.wanted["programs"]:
            return []
        output = self._ask("programs", "supervisorctl", "status")
        every = services.parse_supervisor(output, time.time())
        if output and not every:
            self.not_checked.append("programs: {0}".format(output.strip()))
        found: List[Dict[str, Any]] = []
        for pattern in self.wanted["programs"]:
            fitting = services.chosen(every, pattern)
            found += [one for one in fitting if one not in found]
            if every and not fitting:
                self.problems.append("no program of supervisor fits {0}".format(pattern))
        return found

    def _journal(self, since: float) -> None:
        for name in [one["name"] for one in self.instances if one["manager"] == "systemd"]:
            begun = "--since=@{0:d}".format(int(max(since, self.restarted.get(name, 0))))
            flags = ["--quiet", "--no-pager", "--output=cat", "--priority=err", begun, "--unit=" + name]
            what = "the journal of " + name
            lines = self._ask(what, "journalctl", *flags).splitlines()
            self.errors[what] = {"number": len(lines), "last": lines[-1][:300] if lines else ""}

    def _logs(self, since: float) -> None:
        paths, none = log_files.expand(self.wanted["logs"])
        self.not_checked += ["no log fits {0}".format(pattern) for pattern in none]
        for path in paths:
            self.errors[path] = {"number": 0, "last": ""}
            try:
                self._log(path, since, self.errors[path])
            except (OSError, EOFError) as error:
                self.not_checked.append("{0}: {1}".format(path, getattr(error, "strerror", None) or error))

    def _log(self, path: str, since: float, found: Dict[str, Any]) -> None:
        error_line, now = re.compile(self.wanted["errors"], re.IGNORECASE), time.time()
        when, lines, timed = None, 0, 0
        for line in log_files.read_since(path, since, lambda text: log_times.line_time(text, now)):
            # Lines without a time, of a traceback, belong to the one before.
            own = log_times.line_time(line, now)
            when = when if own is None else own
            lines, timed = lines + bool(line), timed + (own is not None)
            if when is not None and when >= since and error_line.search(line):
                found.update(number=found["number"] + 1, last=line[:300])
        if lines and not timed:
            self.not_checked.append("{0}: its lines have no time that is known".format(path))

    def stopped(self) -> List[Dict[str, Any]]:
        """The instances that do not run."""
        return [one for one in self.instances if not one["running"]]

    def told(self) -> Dict[str, Any]:
        """What a result says of it."""
        return {
            "instances": [dict(one, started=iso(one["started"])) for one in self.instances],
            "listening": self.listening,
            "errors": self.errors,
            "problems": self.problems,
            "not_checked": self.not_checked,
        }
