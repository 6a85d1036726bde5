"""Runs molecule scenarios: python -m tests.molecule [-j N] [--keep] [NAME...] (none named: all).

Each scenario's output goes to build/molecule/NAME.log and one line about it to the terminal. A scenario
also fails on any Ansible warning and when the check after convergence still finds something to change.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / "build" / "molecule"
WARNING = re.compile(r"^\s*(\[(?:DEPRECATION )?WARNING\].*|WARNING\s.*)$")
# Ansible's errors, and what pytest sums up of the tests that failed.
ERROR = re.compile(r"^\s*(\[ERROR\].*|(?:FAILED|ERROR) \S+.*)$", re.MULTILINE)
ALLOWED = {
    r"> (prepare|side_effect)\] Executed: Missing playbook": "a scenario has these two only where it needs them",
    r"> destroy\] Skipping": "asked for: the journals are read first, then this program destroys",
    r"PostgreSQL server is unavailable: .*authentication failed": "postgresql_ping about a refused login",
    r"Molecule executed": "the sum of the lines above",
}
MIGRATION = "migrate-"
EVERYTHING = "-alternative"
SECTION = re.compile(r"^INFO\s+\[\S+ > (?P<step>[a-z_]+)\] Executing")
CHANGED = re.compile(r"^(?P<host>\S+)\s+: ok=\d+\s+changed=(?P<changed>\d+)")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Outcome(NamedTuple):
    name: str
    seconds: float
    problems: list[str]


def scenarios() -> list[str]:
    return sorted(path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml"))


def problems_in(log: str) -> list[str]:
    """What the log shows to be wrong although molecule was content."""
    found = []
    step, changed, converged = "", {}, False
    for line in ANSI.sub("", log).splitlines():
        if heading := SECTION.match(line):
            step = heading["step"]
            converged = converged or step == "converge"
        if (warning := WARNING.match(line)) and not any(re.search(text, line) for text in ALLOWED):
            found.append(warning[1].strip())
        if converged and step == "check" and (recap := CHANGED.match(line)):
            changed[recap["host"]] = int(recap["changed"])
    found += [f"check after converge would change {count} on {host}" for host, count in changed.items() if count]
    return found


def environment(name: str) -> dict[str, str]:
    own = {
        # Only this one: to read all of them takes seconds.
        "MOLECULE_GLOB": f"molecule/{name}/molecule.yml",
        "MOLECULE_PROJECT_DIRECTORY": str(ROOT),
        "MOLECULE_EPHEMERAL_DIRECTORY": str(LOGS / name),
        "ANSIBLE_NOCOLOR": "1",
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
        # Debian's docker client goes before an older one that the engine no longer understands.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", os.environ["PATH"]]),
    }
    if name.startswith(MIGRATION):
        own |= lab_of(name)
    # The caller's Ansible settings would make the result depend on who runs it.
    return {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")} | own


def lab_of(name: str) -> dict[str, str]:
    """A lab of its own for a scenario that migrates: LAB, its ports, the engine that the scenario is named after."""
    number = [one for one in scenarios() if one.startswith(MIGRATION)].index(name)
    first = int(os.environ.get("LAB_PORT") or "22000") + 3000
    return {
        "LAB": f"cutover-molecule-{name}",
        "LAB_PORT": str(first + 100 * number),
        "ENGINE": name.removeprefix(MIGRATION).replace("-", ","),
        "CUTOVER_RUN_DIR": str(LOGS / name / "run"),
        "PYTHONPATH": str(ROOT),
    }


def containers(name: str) -> list[str]:
    listed = subprocess.run(
        ["docker", "ps", "-aq", "--filter", f"label=ocpizza.cutover.scenario={name}"],
        env=environment(name), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return listed.stdout.split()


def remove(name: str) -> None:
    if name.startswith(MIGRATION):
        command = [sys.executable, "-m", "tests.lab", "down"]
        subprocess.run(command, cwd=ROOT, env=environment(name), capture_output=True, check=True)
        return
    if left := containers(name):
        subprocess.run(["docker", "rm", "-fv", *left], env=environment(name), capture_output=True, check=True)


def collection_link() -> None:
    link = ROOT / "build" / "collections" / "ansible_collections" / "ocpizza" / "cutover"
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to("../../../..")


def journals(name: str) -> str:
    parts = []
    for container in containers(name):
        journal = subprocess.run(
            ["docker", "exec", container, "journalctl", "--no-pager", "-n", "150"],
            env=environment(name), capture_output=True, text=True, check=False,
        )  # fmt: skip
        parts.append(f"\njournal of {container}\n{journal.stdout}")
    return "".join(parts)


def run(name: str, keep: bool) -> Outcome:
    started = time.monotonic()
    log = LOGS / f"{name}.log"
    shutil.rmtree(LOGS / name, ignore_errors=True)
    remove(name)
    command = [str(Path(sys.executable).parent / "molecule"), "--base-config", "molecule/shared/base.yml"]
    if name.startswith(MIGRATION):
        command += ["--base-config", "molecule/shared/migration/base.yml"]
    if name.endswith(EVERYTHING):
        command += ["--base-config", "molecule/shared/alternative/base.yml"]
    # A folder of its own for ssh's sockets: those of an earlier run lead to machines that are gone.
    with log.open("w", encoding="utf-8") as out, tempfile.TemporaryDirectory() as sockets:
        code = subprocess.run(
            [*command, "test", "--scenario-name", name, "--destroy", "never"],
            cwd=ROOT, env=environment(name) | {"ANSIBLE_SSH_CONTROL_PATH_DIR": sockets},
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, check=False,
        ).returncode  # fmt: skip
        text = log.read_text(encoding="utf-8", errors="replace")
        problems = problems_in(text)
        if code:
            problems[:0] = [f"molecule ended with {code}", *ERROR.findall(ANSI.sub("", text))[-6:]]
            out.write(journals(name))
    if not keep:
        remove(name)
    return Outcome(name, time.monotonic() - started, problems)


def report(outcome: Outcome) -> None:
    verdict = "failed" if outcome.problems else "passed"
    print(f"{outcome.name:<28} {verdict} {outcome.seconds:5.0f} s", flush=True)
    for problem in outcome.problems[:8]:
        print(f"    {problem}", flush=True)
    if outcome.problems:
        print(f"    see build/molecule/{outcome.name}.log", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.molecule", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="scenarios, or a role's name for all of its own")
    parser.add_argument("-j", "--jobs", type=int, default=1, help="scenarios at a time (1)")
    parser.add_argument("--but", action="append", default=[], metavar="NAME", help="a scenario to leave out")
    parser.add_argument("--keep", action="store_true", help="leave the machines for a look")
    arguments = parser.parse_args()
    known = [name for name in scenarios() if name not in arguments.but]
    chosen = [name for name in known if not arguments.names or {name, name.rsplit("-", 1)[0]} & set(arguments.names)]
    unknown = [name for name in arguments.names if name not in known and f"{name}-default" not in known]
    if unknown or not chosen:
        print(f"no such scenario: {' '.join(unknown)}; there are: {' '.join(known)}", file=sys.stderr)
        return 2
    if not (Path(sys.executable).parent / "molecule").exists():
        print("molecule is not installed beside this Python; run .venv/bin/python -m tests.molecule", file=sys.stderr)
        return 2
    LOGS.mkdir(parents=True, exist_ok=True)
    collection_link()
    failed = 0
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for future in [pool.submit(run, name, arguments.keep) for name in chosen]:
            outcome = future.result()
            report(outcome)
            failed += bool(outcome.problems)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
