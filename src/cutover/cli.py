# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command ``cutover``."""

import json
import re
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, TextIO, cast

import typer
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from cutover import __version__, collection
from cutover.engine import Engine
from cutover.job import (
    Extra,
    Job,
    WrongInputError,
    default_run_dir,
    make_run_dir,
    parse_extra,
    resolve_inventory,
    resolve_playbook,
    sole_user,
)
from cutover.progress import Progress, Tail
from cutover.screen import Screen, Steady, open_screen, report_tables

USAGE, INTERRUPTED = 2, 130
STATUS = {collection.report.PASSED: 0, collection.report.FAILED: 1, collection.report.PARTIAL: 3}
POLL_S = 0.2

app = typer.Typer(
    help="Moves a live site to new servers with the collection ocpizza.cutover, and shows what it does.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console(file=cast("TextIO", Steady(sys.stdout)), highlight=False)
err = Console(file=cast("TextIO", Steady(sys.stderr)), highlight=False, soft_wrap=True)


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"cutover {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    playbook: Annotated[str, typer.Argument(help="A path, or a name such as ocpizza.cutover.migrate.")],
    inventory: Annotated[list[str], typer.Option("--inventory", "-i", help="Inventory; may be given several times.")],
    extra_vars: Annotated[
        list[str] | None, typer.Option("--extra-vars", "-e", help="name=value, JSON, or @file; several times.")
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(help="Where the journal and the report go. Default: what the inventory says of site_run_dir."),
    ] = None,
    limit: Annotated[str | None, typer.Option("--limit", "-l", help="Only these hosts.")] = None,
    tags: Annotated[str | None, typer.Option("--tags", "-t", help="Only tasks with these tags.")] = None,
    check: Annotated[bool, typer.Option("--check", "-C", help="Change nothing, tell what would change.")] = False,
    diff: Annotated[bool, typer.Option("--diff", "-D", help="Show differences in the log.")] = False,
    vault_password_file: Annotated[Path | None, typer.Option(help="File with the vault's password.")] = None,
    verbose: Annotated[int, typer.Option("--verbose", "-v", count=True, help="More in the log.")] = 0,
    plain: Annotated[bool, typer.Option("--plain", help="Plain lines even in a terminal.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep ansible-runner's private directory.")] = False,
) -> None:
    """Run a playbook of the collection.

    Exit status: 0 passed, 1 failed, 2 wrong usage, 3 partial (something could not be checked), 130 interrupted.
    """
    try:
        extras = [parse_extra(text) for text in extra_vars or []]
        name, config = resolve_playbook(playbook)
        inventories = [resolve_inventory(text) for text in inventory]
        asked = run_dir or next(
            (Path(extra.values["site_run_dir"]) for extra in reversed(extras) if "site_run_dir" in extra.values), None
        )
        if vault_password_file and not vault_password_file.is_file():
            raise WrongInputError(f"vault password file not found: {vault_password_file}. Check the path.")
        folder = make_run_dir(asked or default_run_dir(inventories, config))
        extras.append(Extra(values={"site_run_dir": str(folder)}))
        password_file = vault_password_file.resolve() if vault_password_file else None
        job = Job(name, inventories, folder, extras, config, limit, tags, check, diff, verbose, password_file)
        with sole_user(folder):
            status = _drive(job, plain, keep)
    except WrongInputError as error:
        err.print(f"cutover: {error}", markup=False)
        raise typer.Exit(USAGE) from None
    raise typer.Exit(status)


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(help="The run directory.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the report itself.")] = False,
    svg: Annotated[Path | None, typer.Option(help="Also draw the summary as a picture into this file.")] = None,
) -> None:
    """Build report.json anew from the evidence in a run directory, and print its summary.

    Exit status: by the verdict, 0 passed, 1 failed, 3 partial; 2 where there is no journal.
    """
    if not (directory / collection.run_dir.JOURNAL).is_file():
        err.print(f"cutover: there is no {collection.run_dir.JOURNAL} in {directory}. Give the run directory of a run.")
        raise typer.Exit(USAGE)
    made = collection.run_dir.make_report(str(directory))
    try:
        collection.run_dir.write_report(str(directory), made)
    except OSError as error:
        err.print(f"cutover: report.json in {directory} was not written: {error.strerror}.", markup=False)
    if as_json:
        out.print_json(json.dumps(made))
    else:
        out.print(report_tables(made))
    if svg:
        draw(made, svg)
    raise typer.Exit(STATUS[made["verdict"]])


def draw(made: dict[str, Any], path: Path) -> None:
    """The summary as a terminal picture."""
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        canvas = Console(record=True, width=100, file=nowhere, force_terminal=True, highlight=False)
        canvas.print(report_tables(made))
        # Without the fonts that rich would have the viewer fetch from elsewhere.
        frame = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
        canvas.save_svg(str(path), title="cutover report", unique_id="cutover", code_format=frame)


class Interrupts:
    """Counts Ctrl-C and lets the terminal go away without taking the run along."""

    def __init__(self, engine: Engine, screen: Screen) -> None:
        self.count = 0
        self._engine, self._screen = engine, screen

    def __enter__(self) -> "Interrupts":
        self._before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        signal.signal(signal.SIGINT, self._asked)
        signal.signal(signal.SIGTERM, self._asked)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        return self

    def __exit__(self, *_exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _asked(self, _number: int, _frame: object) -> None:
        self.count += 1
        self._engine.stop()
        self._screen.say(
            "stopping: the run was asked to end; press Ctrl-C again to end it at once"
            if self.count == 1
            else "ending it at once"
        )


def _drive(job: Job, plain: bool, keep: bool) -> int:
    expected = collection.report.FORWARD if job.name == "migrate" else ()
    progress = Progress(expected)
    tail = Tail(job.run_dir / collection.run_dir.JOURNAL)
    engine = Engine(job, keep)
    with open_screen(out, progress, plain) as screen, Interrupts(engine, screen) as interrupts:
        screen.say(f"{job.playbook} → {job.run_dir}{' (check mode)' if job.check else ''}")
        engine.start()
        ended = False
        while not ended:
            ended = engine.wait(POLL_S)
            for event in tail.poll():
                phase = progress.add(event)
                if phase:
                    screen.event(event, phase)
            screen.tick(engine.play, engine.task)
    engine.finish()
    if interrupts.count:
        _tell_interrupted(progress, engine)
        return INTERRUPTED
    return _conclude(job, engine, progress)


def _tell_interrupted(progress: Progress, engine: Engine) -> None:
    phase = progress.current
    if phase is None:
        state = "No phase was under way."
    elif phase.name in ("cutover", "rollback"):
        state = (
            f"Phase {phase.name} was under way. A switchover that has begun runs on the source by itself: within its "
            "deadline it either completes or releases every request to the side that served before."
        )
    else:
        state = f"Phase {phase.name} was under way and is incomplete; the site is served as before."
    err.print(f"Interrupted. {state}", markup=False)
    err.print("To go on, give the same command again: finished phases are not repeated.")
    err.print(f"Log: {engine.log}", markup=False)


def _conclude(job: Job, engine: Engine, progress: Progress) -> int:
    if engine.rc != 0:
        _tell_failure(engine)
    elif engine.stats:
        changed = engine.stats["changed"]
        hosts = ", ".join(f"{host} {count}" for host, count in sorted(changed.items()) if count)
        out.print(f"changed: {sum(changed.values())}{f' ({hosts})' if hosts else ''}", markup=False)
    if not (progress.moved and not job.check):
        return 0 if engine.rc == 0 else 1
    folder = str(job.run_dir)
    made = collection.run_dir.make_report(folder)
    collection.run_dir.write_report(folder, made)
    out.print(report_tables(made))
    out.print(f"report: {job.run_dir / collection.run_dir.REPORT}", markup=False, soft_wrap=True)
    return 1 if engine.rc != 0 else STATUS[made["verdict"]]


def _tell_failure(engine: Engine) -> None:
    failure = engine.failure
    if failure and failure.task:
        err.print(f"Failed on {failure.host}: {failure.task}", markup=False, style="red")
    else:
        err.print(f"ansible-playbook ended with status {engine.rc}", markup=False, style="red")
    if failure:
        err.print(f"  {failure.message}", markup=False)
    err.print(f"Log: {engine.log}", markup=False)
