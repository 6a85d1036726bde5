# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes one folder of media equal to another, and knows why it is.

Size and time of a file can be set by hand; when its inode changed cannot. So what is known of a file is when the inode
changed on both sides as their checksums were equal: while neither has moved on since, nobody has to read it again.
"""

import json
import os
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.media_link import AHEAD, Lost, Store
from ansible_collections.ocpizza.cutover.plugins.module_utils.media_tree import FILE, FOLDER, Entry, MediaError, Tree

Tell = Callable[[int, int], None]
# Files, and bytes, whose checksums are asked for at a time.
BATCH, BATCH_SIZE = 200, 1 << 28


class Known:
    """What is known to be equal: path to when the inode changed on the source and on the target.

    Kept in a file that only grows while the switchover has no time; the last line about a path counts.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.pairs: Dict[str, Tuple[int, int]] = {}
        self._new: List[str] = []
        try:
            with open(path, encoding="ascii") as stream:
                for line in stream:
                    self._read(line)
        except FileNotFoundError:
            pass

    def _read(self, line: str) -> None:
        try:
            name, here, there = json.loads(line)
        except ValueError:
            # A crash has cut it off.
            return
        if here is None:
            self.pairs.pop(name, None)
        else:
            self.pairs[name] = (here, there)

    def note(self, path: str, pair: Optional[Tuple[int, int]]) -> None:
        """Both sides are equal at a path; with no pair, in that there is nothing."""
        if pair is None:
            self.pairs.pop(path, None)
        else:
            self.pairs[path] = pair
        self._new.append(json.dumps([path, *(pair or (None, None))]) + "\n")

    def append(self) -> None:
        """Keep what is new."""
        new, self._new = self._new, []
        with open(self.path, "a", encoding="ascii") as stream:
            stream.write("".join(new))

    def rewrite(self) -> None:
        """Keep all of it, each path once."""
        with open(self.path + ".new", "w", encoding="ascii") as stream:
            stream.writelines(json.dumps([path, *pair]) + "\n" for path, pair in self.pairs.items())
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(self.path + ".new", self.path)
        self._new = []


class Work(NamedTuple):
    """What makes two folders equal. ``foreign`` is on the destination, and nobody knows how it came there."""

    send: List[str]
    compare: List[str]
    remove: List[str]
    foreign: List[str]


def decide(
    ours: Tree, theirs: Tree, known: Dict[str, Tuple[int, int]], forward: bool, others: Sequence[Tree] = ()
) -> Work:
    """What is to be done on the destination (``theirs``); ``others`` are what other origins send there.

    The origin is right, for the site lives there; of several that have a path, the one that wrote it last.
    """
    work = Work([], [], [], [])
    for path, mine in ours.items():
        their = theirs.get(path)
        if any(other.get(path, mine).modified > mine.modified for other in others):
            continue
        if their is None or not mine.alike(their):
            work.send.append(path)
        elif mine.kind == FILE:
            pair = (mine.changed, their.changed) if forward else (their.changed, mine.changed)
            if known.get(path) != pair:
                work.compare.append(path)
    for path in theirs:
        if path not in ours and not any(path in other for other in others):
            (work.remove if path in known else work.foreign).append(path)
    # A folder after what is in it.
    work.remove.sort(reverse=True)
    return work


def batches(paths: Sequence[str], tree: Tree) -> Iterator[List[str]]:
    """The files in portions, none of which takes long to read."""
    some: List[str] = []
    size = 0
    for path in paths:
        if some and (len(some) == BATCH or size + tree[path].size > BATCH_SIZE):
            yield some
            some, size = [], 0
        some.append(path)
        size += tree[path].size
    if some:
        yield some


class Pass(NamedTuple):
    """What one pass over a folder came to."""

    files: int
    sent: int
    size: int
    compared: int
    removed: int
    foreign: List[str]
    failures: Dict[str, str]


class Flow:
    """One folder on its way from where the site is to where it goes. ``forward`` is from source to target."""

    def __init__(self, origin: Store, destination: Store, known: Known, forward: bool) -> None:
        self.origin = origin
        self.destination = destination
        self.known = known
        self.forward = forward

    def go(
        self,
        ours: Tree,
        theirs: Tree,
        others: Sequence[Tree] = (),
        everything: bool = False,
        tell: Tell = lambda _done, _total: None,
    ) -> Pass:
        """Make the destination equal; ``everything`` reads every file anew, whatever is known."""
        work = decide(ours, theirs, {} if everything else self.known.pairs, self.forward, others)
        if everything:
            known = set(self.known.pairs)
            work = work._replace(
                remove=sorted((path for path in work.foreign if path in known), reverse=True),
                foreign=[path for path in work.foreign if path not in known],
            )
        for path, mine in ours.items():
            if mine.kind != FILE and path not in self.known.pairs and path in theirs and mine.alike(theirs[path]):
                self.note(path, mine, theirs[path])
        self.make_room(sum(ours[path].size for path in work.send))
        # First, for it may be in the way of what is sent.
        removed = self.remove(work.remove)
        differing = self.compare(work.compare, ours, theirs, tell)
        sending = sorted(work.send + differing)
        sent, failures = self.send(sending, False, tell)
        self.destination.settle()
        self.known.rewrite()
        return Pass(
            files=sum(entry.kind != FOLDER for entry in ours.values()),
            sent=len([path for path in sent if ours[path].kind != FOLDER]),
            size=sum(ours[path].size for path in sent),
            compared=len(work.compare),
            removed=removed,
            foreign=sorted(work.foreign),
            failures=failures,
        )

    def make_room(self, size: int) -> None:
        """Stop before a disk is full."""
        free = self.destination.free()
        if size > free * 0.95:
            raise MediaError(
                "the media that {0} lacks have {1:.2f} GiB, and {2:.2f} GiB are free there".format(
                    self.destination.name, size / 1024.0**3, free / 1024.0**3
                )
            )

    def compare(self, paths: Sequence[str], ours: Tree, theirs: Tree, tell: Tell = lambda _d, _t: None) -> List[str]:
        """Read files on both sides: those that differ; the others are known from now on."""
        differing = []
        done = 0
        for some in batches(paths, ours):
            for path, mine, their in zip(some, self.origin.digests(some), self.destination.digests(some)):
                if mine != their or not mine:
                    differing.append(path)
                else:
                    self.note(path, ours[path], theirs[path])
            done += len(some)
            tell(done, len(paths))
        return differing

    def note(self, path: str, mine: Entry, their: Entry) -> None:
        """Both sides are equal at a path."""
        pair = (mine.changed, their.changed)
        self.known.note(path, pair if self.forward else (pair[1], pair[0]))

    def send(
        self, paths: Sequence[str], durable: bool, tell: Tell = lambda _d, _t: None
    ) -> Tuple[List[str], Dict[str, str]]:
        """Send what is at these paths: those that arrived, by the checksum of what was read again there, and why not.

        What vanished meanwhile is neither; whoever watches the folder knows of it.
        """
        sent: List[str] = []
        failures: Dict[str, str] = {}
        under_way: List[Tuple[str, Entry, str]] = []

        def hear() -> None:
            path, entry, digest = under_way.pop(0)
            kept = self.destination.kept()
            if isinstance(kept, str):
                failures[path] = kept
            elif kept[0] != digest:
                failures[path] = "{0} arrived with another checksum".format(path)
            else:
                self.note(path, entry, kept[1])
                sent.append(path)

        for number, path in enumerate(paths):
            try:
                taken = self.origin.take(path)
            except Lost:
                raise
            except MediaError as error:
                failures[path] = str(error)
                continue
            if taken is None:
                continue
            under_way.append((path, taken[0], self.destination.put(path, taken, durable)))
            # Half of them at a time: one by one, each end would wait for the other every time.
            while len(under_way) >= AHEAD:
                for _turn in range(AHEAD // 2):
                    hear()
            tell(number + 1, len(paths))
        while under_way:
            hear()
        return sent, failures

    def remove(self, paths: Sequence[str]) -> int:
        """Take away what the origin has no more: how many that were."""
        if not paths:
            return 0
        left = set(self.destination.remove(paths))
        for path in paths:
            if path not in left:
                self.known.note(path, None)
        return len(paths) - len(left)

    def follow(self, changed: Set[str]) -> Tuple[int, Dict[str, str]]:
        """Carry over what changed at these paths: how many, and what could not be."""
        sent, failures = self.send(sorted(changed), True)
        # A file that was made under another name is gone and never was there.
        gone = sorted((path for path in changed - set(sent) - set(failures) if path in self.known.pairs), reverse=True)
        left = tuple(path + "/" for path in self.destination.remove(gone)) if gone else ()
        # A folder that was moved away tells nothing of what is in it.
        within = sorted((path for path in self.known.pairs if path.startswith(left)), reverse=True) if left else []
        self.remove(within + gone)
        self.known.append()
        return len(sent) + len(gone), failures
