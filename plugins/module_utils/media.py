# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site's media in its switchover: caught up and proven beside the databases, with them or not at all.

Everything is read once before requests are held. From then on the kernel says what changes, and that is carried over as
it happens, so that the hold has the last instants left, whatever the number of files.
"""

import os
import threading
import time
import uuid
from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.media_link import Here, Line, Store, There
from ansible_collections.ocpizza.cutover.plugins.module_utils.media_sync import Flow, Known, Pass, Tell
from ansible_collections.ocpizza.cutover.plugins.module_utils.media_tree import MediaError, Tree

# Fewer than this may be left for the watch to carry over.
FEW = 50
ROUNDS = 10
PUMP_S = 0.05
PATIENCE_S = 900.0


class Shelf(NamedTuple):
    """One folder of the site: here on the source, and on servers of the target, each storage of theirs once."""

    name: str
    here: Here
    there: List[There]
    # Every server that writes, also where several share a storage: each knows of its own changes alone.
    writers: List[There]
    # The server by which a writer's storage goes.
    storages: Dict[str, str]

    def origins(self, forward: bool) -> Sequence[Store]:
        """Where the folder is right."""
        return [self.here] if forward else self.there

    def watched(self, forward: bool) -> Sequence[Store]:
        """Who knows of changes."""
        return [self.here] if forward else self.writers


class Media:
    """The media of a site between both sides; ``origin`` is the side on which it lives."""

    def __init__(self, plan: Dict[str, Any], origin: str) -> None:
        self.plan = plan
        self.forward = origin == "source"
        self.lines = [Line(host, plan["tls"], 10.0) for host in plan["hosts"]]
        self._within(PATIENCE_S)
        os.makedirs(plan["known"], mode=0o700, exist_ok=True)
        self.shelves: List[Shelf] = []
        self._known: Dict[str, Known] = {}
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._pump = threading.Thread(target=self._carry, daemon=True)
        self._trouble = ""
        self._again: Dict[str, str] = {}
        self.carried_at_last = 0
        try:
            for name in sorted(plan["folders"]):
                self.shelves.append(self._shelf(name))
        except BaseException:
            self.close()
            raise

    def _within(self, seconds: float) -> None:
        for line in self.lines:
            line.within(seconds)

    def _shelf(self, name: str) -> Shelf:
        here = Here(self.plan["folders"][name]["source"])
        writers = [There(line, name) for line in self.lines]
        there: List[There] = []
        storages: Dict[str, str] = {}
        # Also a proof that this side may write there.
        here.mark(uuid.uuid4().hex)
        left = list(writers)
        while left:
            token = uuid.uuid4().hex
            first = left[0]
            first.mark(token)
            try:
                there.append(first)
                for one in left:
                    if one is first or one.marked(token):
                        storages[one.name] = first.name
                left = [one for one in left if one.name not in storages]
            finally:
                first.unmark(token)
        return Shelf(name, here, there, writers, storages)

    def flow(self, shelf: Shelf, origin: Store, destination: Store) -> Flow:
        """One way between two folders; what is known of them is read once."""
        there = destination if self.forward else origin
        path = os.path.join(self.plan["known"], "{0}.{1}.jsonl".format(shelf.name, shelf.storages[there.name]))
        if path not in self._known:
            self._known[path] = Known(path)
        return Flow(origin, destination, self._known[path], self.forward)

    def watch(self) -> int:
        """Note changes from now on; how many folders are watched."""
        return sum(store.watch() for shelf in self.shelves for store in shelf.watched(self.forward))

    def go(self, everything: bool = False, tell: Tell = lambda _done, _total: None) -> List[Tuple[str, Pass]]:
        """One pass over every folder, from the side where the site lives to the other."""
        passes = []
        for shelf in self.shelves:
            origins = [(store, store.tree()) for store in shelf.origins(self.forward)]
            for destination in shelf.there if self.forward else [shelf.here]:
                for origin, ours in origins:
                    others: List[Tree] = [tree for store, tree in origins if store is not origin]
                    flow = self.flow(shelf, origin, destination)
                    done = flow.go(ours, destination.tree(), others, everything, tell)
                    passes.append(("{0} to {1}".format(origin.name, destination.name), done))
        return passes

    def catch_up_before(self, everything: bool = False, tell: Tell = lambda _done, _total: None) -> Dict[str, Any]:
        """Pass by pass, until so little changes that it can be followed: what that came to, in figures."""
        counted = {"files": 0, "sent": 0, "bytes": 0, "compared": 0, "removed": 0}
        foreign: List[str] = []
        for number in range(ROUNDS):
            passes = self.go(everything and number == 0, tell)
            for name in ("sent", "compared", "removed"):
                counted[name] += sum(getattr(one, name) for _way, one in passes)
            counted["bytes"] += sum(one.size for _way, one in passes)
            counted["files"] = max(one.files for _way, one in passes)
            foreign = sorted({"{0} ({1})".format(path, way) for way, one in passes for path in one.foreign})
            failures = {path: reason for _way, one in passes for path, reason in one.failures.items()}
            if not failures and sum(one.sent for _way, one in passes) < FEW:
                return dict(counted, foreign=foreign)
        if failures:
            raise MediaError("media could not be carried over: {0}".format(some_of(sorted(failures.values()))))
        raise MediaError("media change faster than they can be carried over")

    # While requests are served, and then held.

    def follow(self) -> int:
        """Carry over what has changed to this instant: how many files, folders and links that was."""
        with self._lock:
            count = 0
            again, self._again = self._again, {}
            for shelf in self.shelves:
                for origin in shelf.watched(self.forward):
                    changed = origin.changes() | {path for path in again if path.startswith(_mark(shelf, origin))}
                    changed = {path.rpartition("\0")[2] for path in changed}
                    for destination in shelf.there if self.forward else [shelf.here]:
                        if changed:
                            carried, failures = self.flow(shelf, origin, destination).follow(changed)
                            count += carried
                            for path, reason in failures.items():
                                self._again[_mark(shelf, origin) + path] = reason
            return count

    def start(self) -> None:
        """Carry changes over as they happen, until the hold has ended those who make them."""
        self._pump.start()

    def _carry(self) -> None:
        while not self._ending.wait(PUMP_S):
            try:
                self.follow()
            except Exception as error:
                self._trouble = str(error) or type(error).__name__
                return

    def catch_up(self, remaining: Callable[[], float]) -> None:
        """Inside the hold: carry over the last changes, each proven by its checksum, until there are none."""
        self._ending.set()
        self._within(remaining())
        self._pump.join(remaining())
        if self._pump.is_alive():
            raise MediaError("media were still being carried over at the deadline")
        if self._trouble:
            raise MediaError(self._trouble)
        while True:
            try:
                self._within(remaining())
            except Exception as error:
                if not self._again:
                    raise
                reasons = some_of(sorted(self._again.values()))
                raise MediaError("media could not be carried over in time: {0}".format(reasons)) from error
            carried = self.follow()
            self.carried_at_last += carried
            if not carried and not self._again:
                return

    def close(self) -> None:
        """Watch no more, and hang up."""
        self._ending.set()
        for shelf in self.shelves:
            shelf.here.close()
        for line in self.lines:
            line.wire.close()


def _mark(shelf: Shelf, origin: Store) -> str:
    return "{0}\0{1}\0".format(shelf.name, origin.name)


def some_of(texts: Sequence[str], most: int = 5) -> str:
    """The first of them, and how many more."""
    return "; ".join(texts[:most]) + ("; and {0} more".format(len(texts) - most) if len(texts) > most else "")


def foreign_text(paths: Sequence[str]) -> str:
    """What to do about files of the target that the source does not have."""
    return "on the target and not on the source, and not brought by this migration: {0}; take them away there".format(
        some_of(paths)
    )


def told(figures: Dict[str, Any]) -> str:
    """What a pass came to, in a sentence."""
    text = "{files} files; {sent} carried over ({size:.1f} MiB), {compared} compared by checksum, {removed} removed"
    return text.format(size=figures["bytes"] / 1024.0**2, **figures)


def run(plan: Dict[str, Any], tell: Tell) -> Dict[str, Any]:
    """Carry a site's media over before its switchover, or compare them all (``plan["everything"]``)."""
    begun = time.monotonic()
    everything = bool(plan["everything"])
    media = Media(plan["media"], plan["origin"])
    try:
        # Whether the kernel watches so many folders is better known now than at the gate.
        media.watch()
        figures = media.catch_up_before(everything, tell)
    finally:
        media.close()
    figures["seconds"] = round(time.monotonic() - begun, 1)
    if figures["foreign"] and media.forward:
        raise MediaError(foreign_text(figures["foreign"]))
    return dict(figures, changed=bool(figures["sent"] or figures["removed"]))
