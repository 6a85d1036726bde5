# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of media as the switchover sees it, here on the source or on a server of the target: the same either way."""

import contextlib
import hashlib
import socket
from typing import Any, Dict, Iterator, List, Optional, Sequence, Set, Tuple, Union

from ansible_collections.ocpizza.cutover.plugins.module_utils.media_tree import FILE, Entry, Folder, MediaError, Tree
from ansible_collections.ocpizza.cutover.plugins.module_utils.media_watch import Watch
from ansible_collections.ocpizza.cutover.plugins.module_utils.media_wire import Message, Wire, client_context, undelayed

Taken = Tuple[Entry, Iterator[bytes]]
# What a write came to: its checksum and what is there now, or why not.
Kept = Union[Tuple[str, Entry], str]
# Requests under way at once: their answers must find room where nobody reads them yet.
AHEAD = 64


class Here:
    """A folder on this host."""

    def __init__(self, path: str) -> None:
        self.name = "source"
        self.folder = Folder(path)
        self._watch: Optional[Watch] = None
        self._kept: List[Kept] = []

    def free(self) -> int:
        """Bytes that may still be written."""
        return self.folder.free()

    def tree(self) -> Tree:
        """Everything in the folder."""
        return self.folder.tree()

    def digests(self, paths: Sequence[str]) -> List[str]:
        """The checksums of files."""
        return [self.folder.digest(path) for path in paths]

    def take(self, path: str) -> Optional[Taken]:
        """An entry and its content."""
        return self.folder.take(path)

    def put(self, path: str, taken: Taken, durable: bool) -> str:
        """Write, and return the checksum of what was given; ``kept`` says what came of it, in the same order."""
        given = Given(taken[1])
        try:
            self._kept.append(self.folder.write(path, taken[0], given, durable))
        except (MediaError, OSError) as error:
            # What else comes over a line comes behind the rest of the file.
            with contextlib.suppress(MediaError):
                for _piece in taken[1]:
                    pass
            self._kept.append(str(error))
        return given.digest if taken[0].kind == FILE else ""

    def kept(self) -> Kept:
        """What came of the first write that was not asked about yet."""
        return self._kept.pop(0)

    def remove(self, paths: Sequence[str]) -> List[str]:
        """Take away; what is left of that because something is in it."""
        return [path for path in paths if not self.folder.remove(path)]

    def watch(self) -> int:
        """Note changes from now on; how many folders are watched."""
        self.close()
        self._watch = Watch(self.folder)
        return self._watch.folders

    def changes(self) -> Set[str]:
        """What has changed since."""
        if self._watch is None:
            raise MediaError("nobody watches {0}".format(self.folder.root))
        return self._watch.changes()

    def mark(self, token: str) -> None:
        """Write a file that is none of the media's, and take it away again."""
        self.folder.mark(token)
        self.folder.unmark(token)

    def settle(self) -> None:
        """The source's disk has its own files already."""

    def close(self) -> None:
        """Watch no more."""
        if self._watch:
            self._watch.close()
            self._watch = None


class Given:
    """Pieces of a file on their way, and their checksum at their end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._found = hashlib.sha256()
        self.digest = ""

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._found.update(piece)
            yield piece
        self.digest = self._found.hexdigest()


class Line:
    """The connection to one server of the target; its folders share it."""

    def __init__(self, host: Dict[str, Any], tls: Dict[str, str], timeout: float) -> None:
        self.host = str(host["host"])
        where = "{0}'s media at {1}:{2}".format(self.host, host["address"], host["port"])
        try:
            context = client_context(tls["ca"], tls["certificate"], tls["key"])
            connection = undelayed(socket.create_connection((host["address"], int(host["port"])), timeout))
            self.secure = context.wrap_socket(connection, server_hostname=self.host)
            self.wire = Wire(self.secure)
            self.wire.receive()
        except (OSError, EOFError, MediaError) as error:
            raise MediaError(
                "{0} cannot be reached: {1}; run replicate.yml, and let the source through to this port "
                "(firewall_rules)".format(where, error)
            ) from error

    def within(self, seconds: float) -> None:
        """Answers come within so many seconds, or fail."""
        self.secure.settimeout(max(0.001, seconds))

    def ask(self, folder: str, what: str, **more: Any) -> Message:
        """One request and its answer."""
        self.say(folder, what, **more)
        return self.hear()

    def say(self, folder: str, what: str, **more: Any) -> None:
        """A request whose answer is heard later."""
        try:
            self.wire.send(dict(more, do=what, folder=folder))
        except OSError as error:
            raise self.lost(error) from error

    def hear(self) -> Message:
        """The next answer."""
        try:
            return self.wire.receive()
        except (OSError, EOFError) as error:
            raise self.lost(error) from error
        except MediaError as error:
            raise MediaError("{0}: {1}".format(self.host, error)) from error

    def lost(self, error: BaseException) -> "Lost":
        """The error of a connection that is of no use any more."""
        return Lost("the connection to {0}'s media was lost: {1}".format(self.host, error))


class Lost(MediaError):  # noqa: N818  a word of the link, not of Python
    """The other end does not answer."""


class There:
    """A folder on a server of the target."""

    def __init__(self, line: Line, folder: str) -> None:
        self.line = line
        self.name = line.host
        self._folder = folder

    def free(self) -> int:
        """Bytes that may still be written."""
        return int(self.line.ask(self._folder, "free")["free"])

    def tree(self) -> Tree:
        """Everything in the folder."""
        found: Tree = {}
        page = self.line.ask(self._folder, "tree")
        while True:
            found.update((path, Entry(*entry)) for path, entry in page["found"])
            if not page["more"]:
                return found
            page = self.line.hear()

    def digests(self, paths: Sequence[str]) -> List[str]:
        """The checksums of files."""
        return list(self.line.ask(self._folder, "digests", paths=list(paths))["found"])

    def take(self, path: str) -> Optional[Taken]:
        """An entry and its content."""
        entry = self.line.ask(self._folder, "get", path=path)["entry"]
        if entry is None:
            return None
        found = Entry(*entry)
        return found, self.line.wire.receive_file() if found.kind == FILE else iter(())

    def put(self, path: str, taken: Taken, durable: bool) -> str:
        """Send, and return the checksum of what was sent; ``kept`` says what came of it, in the same order."""
        entry, pieces = taken
        self.line.say(self._folder, "put", path=path, entry=list(entry), durable=durable)
        try:
            return self.line.wire.send_file(pieces) if entry.kind == FILE else ""
        except OSError as error:
            raise self.line.lost(error) from error

    def kept(self) -> Kept:
        """What came of the first write that was not asked about yet."""
        try:
            answer = self.line.hear()
        except Lost:
            raise
        except MediaError as error:
            return str(error)
        return str(answer["sha256"]), Entry(*answer["entry"])

    def remove(self, paths: Sequence[str]) -> List[str]:
        """Take away; what is left of that because something is in it."""
        return list(self.line.ask(self._folder, "remove", paths=list(paths))["left"])

    def watch(self) -> int:
        """Note changes from now on; how many folders are watched."""
        return int(self.line.ask(self._folder, "watch")["folders"])

    def changes(self) -> Set[str]:
        """What has changed since."""
        return set(self.line.ask(self._folder, "changes")["paths"])

    def mark(self, token: str) -> None:
        """Write a file that is none of the media's."""
        self.line.ask(self._folder, "mark", token=token)

    def marked(self, token: str) -> bool:
        """Whether that file is here."""
        return bool(self.line.ask(self._folder, "marked", token=token)["marked"])

    def unmark(self, token: str) -> None:
        """Take that file away."""
        self.line.ask(self._folder, "unmark", token=token)

    def settle(self) -> None:
        """Have the disk keep all that came."""
        self.line.ask(self._folder, "settle")

    def close(self) -> None:
        """The line is closed by whom it belongs to."""


Store = Union[Here, There]
