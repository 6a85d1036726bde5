# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The target's end of the media link, a unit of its own that runs as whom the media belong to.

``media.pyz PLAN``: the plan names the folders, the only ones that it reads or writes, and the certificate's name of the
one host that may speak to it.
"""

import json
import os
import socket
import ssl
import sys
import threading
from typing import Any, Callable, Dict, Iterator, List, Optional

from ansible_collections.ocpizza.cutover.plugins.module_utils.media_tree import FILE, Entry, Folder, MediaError, as_list
from ansible_collections.ocpizza.cutover.plugins.module_utils.media_watch import Watch
from ansible_collections.ocpizza.cutover.plugins.module_utils.media_wire import (
    Message,
    Wire,
    names_of,
    server_context,
    undelayed,
)

# Of entries in a message, so that no frame gets too long.
PAGE = 5000


class Talk:
    """One connection: each request is answered before the next is read."""

    def __init__(self, wire: Wire, folders: Dict[str, str]) -> None:
        self.wire = wire
        self.roots = folders
        self.watches: Dict[str, Watch] = {}
        self.acts: Dict[str, Callable[[Folder, Message], Optional[Message]]] = {
            "free": lambda folder, _asked: {"free": folder.free()},
            "tree": self.tree,
            "look": lambda folder, asked: {"found": [as_list(path, folder.look(path)) for path in asked["paths"]]},
            "digests": lambda folder, asked: {"found": [folder.digest(path) for path in asked["paths"]]},
            "get": self.get,
            "put": self.put,
            "remove": lambda folder, asked: {"left": [path for path in asked["paths"] if not folder.remove(path)]},
            "watch": self.watch,
            "changes": lambda _folder, asked: {"paths": sorted(self.watches[asked["folder"]].changes())},
            "settle": self.settle,
            "mark": self.mark,
            "marked": lambda folder, asked: {"marked": folder.marked(asked["token"])},
            "unmark": self.unmark,
        }

    def serve(self) -> None:
        """Answer until the other end hangs up."""
        try:
            while True:
                asked = self.wire.receive()
                try:
                    folder = Folder(self.roots[asked["folder"]])
                    answer = self.acts[asked["do"]](folder, asked)
                except (MediaError, OSError) as error:
                    answer = {"error": said(error)}
                if answer is not None:
                    self.wire.send(answer)
        except EOFError:
            pass
        finally:
            for watch in self.watches.values():
                watch.close()
            self.wire.close()

    def tree(self, folder: Folder, _asked: Message) -> Message:
        """All that is there, in pages."""
        page: List[Any] = []
        for path, entry in folder.walk():
            page.append(as_list(path, entry))
            if len(page) == PAGE:
                self.wire.send({"found": page, "more": True})
                page = []
        return {"found": page, "more": False}

    def get(self, folder: Folder, asked: Message) -> Optional[Message]:
        """An entry, and the content of a file."""
        taken = folder.take(asked["path"])
        self.wire.send({"entry": list(taken[0]) if taken else None})
        if taken and taken[0].kind == FILE:
            self.wire.send_file(taken[1])
        return None

    def put(self, folder: Folder, asked: Message) -> Message:
        """Keep what comes; it is read to its end also where it cannot be kept, for the next request comes behind it."""
        entry = Entry(*asked["entry"])
        pieces: Iterator[bytes] = self.wire.receive_file() if entry.kind == FILE else iter(())
        try:
            digest, there = folder.write(asked["path"], entry, pieces, bool(asked["durable"]))
        finally:
            for _rest in pieces:
                pass
        return {"sha256": digest, "entry": list(there)}

    def watch(self, folder: Folder, asked: Message) -> Message:
        """Note from now on what changes."""
        earlier = self.watches.pop(asked["folder"], None)
        if earlier:
            earlier.close()
        self.watches[asked["folder"]] = Watch(folder)
        return {"folders": self.watches[asked["folder"]].folders}

    def mark(self, folder: Folder, asked: Message) -> Message:
        """Write a file by which others tell whether they have the same storage."""
        folder.mark(asked["token"])
        return {}

    def unmark(self, folder: Folder, asked: Message) -> Message:
        """Take it away again."""
        folder.unmark(asked["token"])
        return {}

    def settle(self, _folder: Folder, _asked: Message) -> Message:
        """Have the disk keep all that came."""
        os.sync()
        return {}


def said(error: BaseException) -> str:
    """An error in words that name what it is about."""
    if isinstance(error, OSError) and error.filename:
        return "{0}: {1}".format(error.filename, error.strerror)
    return str(error) or type(error).__name__


def admitted(connection: ssl.SSLSocket, client: str) -> bool:
    """Whether who connects is the one host that may."""
    return client in names_of(connection.getpeercert())


def become(user: int, group: int) -> None:
    """Be from now on whom the media belong to, by number: a server that has the storage need not know the user."""
    os.setgroups([group])
    os.setgid(group)
    os.setuid(user)


def serve(plan: Dict[str, Any], ready: Callable[[int], None] = lambda _port: None) -> None:
    """Listen for ever; ``ready`` is told the port."""
    context = server_context(plan["ca"], plan["certificate"], plan["key"])
    family = socket.AF_INET6 if ":" in plan["address"] else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((plan["address"], int(plan["port"])))
        listener.listen(16)
        if plan.get("owner"):
            become(*[int(one) for one in plan["owner"]])
        ready(listener.getsockname()[1])
        while True:
            connection, _address = listener.accept()
            threading.Thread(target=answer, args=(connection, context, plan), daemon=True).start()


def answer(connection: socket.socket, context: ssl.SSLContext, plan: Dict[str, Any]) -> None:
    """Let one in, or not."""
    try:
        connection.settimeout(10.0)
        with context.wrap_socket(undelayed(connection), server_side=True) as secure:
            wire = Wire(secure)
            if not admitted(secure, plan["client"]):
                wire.send({"error": "{0} alone may speak to this server".format(plan["client"])})
                wire.flush()
                return
            secure.settimeout(None)
            wire.send({"host": plan["host"]})
            Talk(wire, plan["folders"]).serve()
    except (OSError, ValueError, KeyError, MediaError, EOFError) as error:
        print("a connection has ended: {0}".format(said(error)), file=sys.stderr, flush=True)


def main(arguments: List[str]) -> int:
    """Serve what the plan says."""
    with open(arguments[0], encoding="utf-8") as stream:
        serve(json.load(stream))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
