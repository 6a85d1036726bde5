"""Small stand-ins for servers, which remember what was asked of them."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.ocpizza.cutover.plugins.module_utils import valve
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import Change, Link, Progress, TableName
from ansible_collections.ocpizza.cutover.plugins.module_utils.widen import Changed, Room

Answer = list[dict[str, Any]] | Exception | Callable[[str], list[dict[str, Any]]]
HEALTHY = Link(True, True, True, 0, "")


class FakeDatabase:
    """One side's databases of one engine. ``failing`` maps a method to the error that it raises."""

    def __init__(self, name: str, server: int, calls: list[str], engine: str = "") -> None:
        self.side = name
        self.engine = engine or "mariadb"
        self.label = f"{name} {engine}".strip()
        self.name = "cutover_shop"
        self.calls = calls
        self.number = server
        self.peer: FakeDatabase | None = None
        self.failing: dict[str, Exception] = {}
        self.patient = 0.0
        self.closed = False
        self.soft = False
        self.soft_free = True
        self.locked = False
        self.arrives = True
        self.refuses = True
        self.reached = True
        self.link_state = HEALTHY
        self.missing: list[dict[str, str]] = []
        self.transactions: list[list[dict[str, Any]]] = []
        self.markers: dict[int, str] = {}
        self.sequence = 0
        self.log: list[Change] = []
        # What was widened here, how far it has come, and what a request for more is answered.
        self.changed: Changed = {}
        self.rooms: list[Room] = []
        self.wider: list[str] = []

    def _called(self, method: str) -> None:
        self.calls.append(f"{self.label}.{method}")
        if method in self.failing:
            raise self.failing[method]

    def patience(self, seconds: float) -> None:
        self.patient = seconds

    def close(self) -> None:
        self._called("close")
        self.closed = True

    def open(self) -> None:
        self._called("open")
        self.closed = False

    def is_closed(self) -> bool:
        self._called("is_closed")
        return self.closed

    def fence_soft(self, wait: int = 1) -> bool:
        self._called("fence_soft")
        self.soft = self.soft_free
        return self.soft_free

    def unfence_soft(self) -> None:
        self._called("unfence_soft")
        self.soft = False

    def fenced_by(self) -> int | None:
        self._called("fenced_by")
        return 77 if self.soft or not self.soft_free else None

    def attempt_write(self) -> str:
        self._called("attempt_write")
        return "1644 `shop`.`orders`: refused" if self.refuses and (self.soft or self.closed) else ""

    def writers(self) -> list[dict[str, Any]]:
        self._called("writers")
        return self.transactions.pop(0) if self.transactions else []

    def missing_triggers(self) -> list[dict[str, str]]:
        self._called("missing_triggers")
        return self.missing

    def link(self) -> Link:
        self._called("link")
        return self.link_state

    def server(self) -> int:
        return self.number

    def mark(self, token: str) -> str:
        self._called("mark")
        self.sequence += 1
        self.markers[self.number] = token
        if self.peer and self.peer.arrives:
            self.peer.markers[self.number] = token
        return f"0-{self.number}-{self.sequence}"

    def marked(self, server: int) -> str:
        return self.markers.get(server, "")

    def wait_for(self, position: str, seconds: float) -> bool:
        self._called(f"wait_for {position}")
        return self.reached

    def forget_changes(self) -> None:
        self._called("forget_changes")

    def changes_from(self) -> str:
        self._called("changes_from")
        return f"0-{self.number}-{self.sequence}"

    def changes(self, credentials: dict[str, Any], since: str, tables: Sequence[TableName]) -> Iterator[Change]:
        self._called(f"changes {credentials['user']} {since} {list(tables)}")
        return iter(self.log)

    def marker_tables(self) -> list[TableName]:
        return [(self.name, "marker")]

    def take_counters(self, origin: Any) -> int:
        self._called(f"take_counters of {origin.label}")
        return 1

    def prepare(self, other: Any) -> list[str]:
        self._called(f"prepare for {other.label}")
        return []

    def widenable(self, tables: Sequence[str]) -> list[str]:
        if tables:
            self._called(f"widenable {list(tables)}")
        return self.wider

    def widen(self, tables: Sequence[str], progress: Progress) -> list[str]:
        if tables:
            self._called(f"widen {list(tables)}")
        progress(1, 1, "tables")
        return self.wider

    def widened(self, database: str) -> Changed:
        return self.changed

    def take_widths(self, wide: Any) -> list[str]:
        self._called(f"take_widths of {wide.label}")
        return [f"conversions on the {self.side}"]

    def room(self) -> list[Room]:
        return self.rooms

    def let_keys_grow(self) -> int:
        self._called("let_keys_grow")
        self.rooms = [room._replace(limited=False) for room in self.rooms]
        return len(self.rooms)

    def unfollow(self) -> None:
        self._called("unfollow")

    def before_restart(self) -> None:
        self._called("before_restart")

    def let_events_run(self, run: bool) -> int:
        self._called("events_on" if run else "events_off")
        return 4 if run else 5

    def lock_accounts(self, locked: bool) -> int:
        self._called("lock_accounts" if locked else "unlock_accounts")
        self.locked = locked
        return 2

    def end_sessions(self) -> int:
        self._called("end_sessions")
        return 3


def pair(calls: list[str], engine: str = "") -> tuple[FakeDatabase, FakeDatabase]:
    """Source and target that follow each other; the target is closed. A named engine is part of what is called."""
    source, target = FakeDatabase("source", 1, calls, engine), FakeDatabase("target", 2, calls, engine)
    source.peer, target.peer = target, source
    target.closed = True
    return source, target


class FakeTracker:
    """Hands over one batch of changes a call."""

    def __init__(
        self, calls: list[str], *batches: dict[tuple[str, str], list[tuple[Any, ...]]], label: str = "tracker"
    ) -> None:
        self.calls = calls
        self.label = label
        self.batches = list(batches)
        self.given_back: list[Any] = []
        self.failure = ""
        self.unkeyed: set[tuple[str, str]] = set()
        self.seen = True

    def wait_for(self, token: str, seconds: float) -> bool:
        self.calls.append(f"{self.label}.wait_for")
        return self.seen and not self.failure

    def put_back(self, name: tuple[str, str], keys: list[Any]) -> None:
        self.given_back.append((name, keys))

    def drain(self) -> dict[tuple[str, str], list[tuple[Any, ...]]]:
        self.calls.append(f"{self.label}.drain")
        return self.batches.pop(0) if self.batches else {}


class FakeLeash:
    """The owner's end of a watchdog that never barks."""

    def __init__(self, calls: list[str]) -> None:
        self.calls = calls
        self.instant: float | None = None

    def hold_until(self, instant: float) -> None:
        self.calls.append("leash.hold")
        self.instant = instant

    def released(self, seconds: float) -> None:
        self.calls.append("leash.released")

    def done(self) -> None:
        self.calls.append("leash.done")

    def end(self) -> None:
        self.calls.append("leash.end")


def make_valve(folder: Path, site: str = "shop") -> valve.Valve:
    """A valve whose files lie below the folder."""
    runtime, state = folder / site / "run", folder / site / "state"
    runtime.mkdir(parents=True)
    state.mkdir()
    targets = {"source": "127.0.0.1:8000", "target": "127.0.0.1:18001"}
    return valve.Valve(site, str(runtime), str(state), "cutover-" + site, targets)


def flags(one: valve.Valve) -> set[str]:
    """The flags that are raised."""
    return {flag for flag in ("near", "valve", "hold", "moved") if valve.is_raised(one, flag)}


def chosen(one: valve.Valve) -> str:
    """What the environment file says; '' while there is none."""
    path = Path(one.runtime, "environment")
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


class ModuleFailedError(Exception):
    """A module ended in fail_json."""


class ModuleEndedError(Exception):
    """A module ended in exit_json."""

    def __init__(self, result: dict[str, Any]) -> None:
        super().__init__("the module ended")
        self.result = result


def run_module(module: Any, monkeypatch: pytest.MonkeyPatch, check: bool = False, **arguments: Any) -> dict[str, Any]:
    """Run a module's main in this process; its result, or ModuleFailedError with its message."""

    def exit_json(_self: AnsibleModule, **result: Any) -> NoReturn:
        raise ModuleEndedError(result)

    def fail_json(_self: AnsibleModule, msg: str, **_more: Any) -> NoReturn:
        raise ModuleFailedError(msg)

    monkeypatch.setattr(AnsibleModule, "exit_json", exit_json)
    monkeypatch.setattr(AnsibleModule, "fail_json", fail_json)
    with patch_module_args({**arguments, "_ansible_check_mode": check}):
        try:
            module.main()
        except ModuleEndedError as ended:
            return ended.result
    raise AssertionError("the module ended without a result")


class FakeConnection:
    """A connection of PyMySQL's: answers statements by the first pattern that matches; remembers every one."""

    def __init__(self, answers: dict[str, Answer] | None = None) -> None:
        self.answers = answers or {}
        self.asked: list[str] = []
        self.arguments: list[Any] = []
        self.found: list[dict[str, Any]] = []

    def cursor(self) -> "FakeConnection":
        return self

    def __enter__(self) -> "FakeConnection":
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def execute(self, statement: str, arguments: Any) -> None:
        self.asked.append(statement)
        self.arguments.append(arguments)
        self.found = []
        for pattern, answer in self.answers.items():
            if re.search(pattern, statement):
                if isinstance(answer, Exception):
                    raise answer
                self.found = answer(statement) if callable(answer) else answer
                return

    def fetchall(self) -> tuple[dict[str, Any], ...]:
        return tuple(self.found)

    def escape(self, text: str) -> str:
        return "'" + text.replace("'", "\\'") + "'"
