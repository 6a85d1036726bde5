# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts one operation of the agent in a unit of its own on the host, and watches it from here.

The loss of the controller or of its connection does not touch the operation; the next run watches on.
"""

import json
import shlex
import time

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from ansible_collections.ocpizza.cutover.plugins.module_utils import journal

# One look waits on the host until there is news, for at most this many tenths of a second.
PATIENCE = 40
LOOK = (
    "n=0; while [ ! -e {result} ] && [ $(cat {journal} 2>/dev/null | wc -l) -le {seen} ] && [ $n -lt {patience} ] "
    "&& systemctl -q is-active {unit}; do sleep 0.1; n=$((n+1)); done; "
    "systemctl is-active {unit}; tail -n +{next} {journal} 2>/dev/null || true"
)


class ActionModule(ActionBase):
    """See plugins/modules/detached.py for the documentation."""

    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        _result, args = self.validate_argument_spec(
            argument_spec={
                "agent": {"type": "path", "required": True},
                "operation": {"type": "str", "required": True, "choices": ["switchover", "restart", "seed", "media"]},
                "plan": {"type": "path", "required": True},
                "unit": {"type": "str", "required": True},
                "journal": {"type": "path", "required": True},
                "result": {"type": "path", "required": True},
                "journal_here": {"type": "path", "required": True},
                "phase": {"type": "str", "required": True, "choices": list(journal.PHASES)},
                "timeout": {"type": "int", "default": 3600},
            }
        )
        if self._task.check_mode:
            return {"changed": True, "msg": "the {0} would be started".format(args["operation"])}
        self._host = (task_vars or {}).get("inventory_hostname", "")
        if self._shell("systemctl -q is-active " + shlex.quote(args["unit"]))["rc"] != 0:
            self._seen = self._start(args)
        else:
            # An operation that an earlier run began: its journal is told from the start of this watch.
            self._seen = int(self._shell("wc -l <" + shlex.quote(args["journal"]))["stdout"].split()[0])
        outcome = self._watch(args)
        failed = outcome.get("outcome") in ("refused", "aborted")
        answer = {"changed": bool(outcome.get("changed", not failed)), "outcome": outcome}
        if failed:
            answer.update(
                failed=True, msg="{0} {1}: {2}".format(args["operation"], outcome["outcome"], outcome.get("reason", ""))
            )
        return answer

    def _shell(self, command):
        return self._low_level_execute_command(command, sudoable=True)

    def _start(self, args):
        python = (
            "for p in /usr/bin/python3 /usr/libexec/platform-python /usr/local/bin/python3; do [ -x $p ] && break; done"
        )
        started = self._shell(
            "rm -f {result}; touch {journal}; wc -l <{journal}; {python}; "
            "systemd-run --quiet --collect --unit={unit} $p {agent} {operation} {plan}".format(
                python=python, **{name: shlex.quote(str(value)) for name, value in args.items()}
            )
        )
        if started["rc"] != 0:
            raise AnsibleActionFail(
                "The {0} could not be started as {1}: {2}".format(
                    args["operation"], args["unit"], started["stderr"].strip() or started["stdout"].strip()
                )
            )
        return int(started["stdout"].split()[0])

    def _watch(self, args):
        until = time.monotonic() + args["timeout"]
        lost = 0
        while True:
            names = {name: shlex.quote(str(args[name])) for name in ("result", "journal", "unit")}
            try:
                look = self._shell(LOOK.format(seen=self._seen, next=self._seen + 1, patience=PATIENCE, **names))
                lost = 0
            except AnsibleConnectionFailure as error:
                lost += 1
                if lost > 20:
                    raise AnsibleActionFail(
                        "The host is not reachable; the {0} goes on there by itself as {1}. "
                        "Run the same command again to watch it: {2}".format(args["operation"], args["unit"], error)
                    ) from error
                time.sleep(1)
                continue
            state, _end, news = look["stdout"].partition("\n")
            self._tell_all(args, news)
            if state.strip() not in ("active", "activating"):
                return self._result(args)
            if time.monotonic() > until:
                raise AnsibleActionFail(
                    "The {0} has not ended within {1} s; it goes on as {2}, see 'journalctl -u {2}'".format(
                        args["operation"], args["timeout"], args["unit"]
                    )
                )

    def _tell_all(self, args, news):
        # The host counts lines, whatever is in them; one that has no end yet comes again.
        self._seen += news.count("\n")
        for event in journal.parse(news.rpartition("\n")[0]):
            self._tell(args, event)

    def _tell(self, args, event):
        journal.append(
            args["journal_here"],
            args["phase"],
            event["status"],
            text=event.get("text", ""),
            step=event.get("step", ""),
            host=self._host,
            done=event.get("done"),
            total=event.get("total"),
            time=event.get("time"),
        )
        if event["status"] in ("progress", "passed", "failed"):
            self._display.display(
                "  {0} {1}: {2}".format(event.get("step", ""), event["status"], event.get("text", ""))
            )

    def _result(self, args):
        # The watchdog may still be about to write; the process itself has ended.
        for _attempt in range(20):
            found = self._shell("cat " + shlex.quote(args["result"]))
            if found["rc"] == 0:
                rest = "tail -n +{0} {1} 2>/dev/null || true".format(self._seen + 1, shlex.quote(args["journal"]))
                self._tell_all(args, self._shell(rest)["stdout"])
                return json.loads(found["stdout"])
            time.sleep(0.5)
        raise AnsibleActionFail(
            "The {0} ended without a result; see 'journalctl -u {1}' on the host".format(
                args["operation"], args["unit"]
            )
        )
