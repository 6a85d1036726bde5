# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the switchover, the modules and the agent ask of a database server, whatever its engine.

An engine is a set of files beside the others, named after it:

* ``<engine>.py``: ``SERVER``, its class of :class:`Database`; ``connect(credentials, timeout, database)``, a
  connection for reading rows as tuples;
* ``proof_<engine>.py``: the SQL of the proof (MySQL shares MariaDB's);
* ``seed_<engine>.py``: ``seed(source, target, plan, progress)``, the first copy; ``seeded(target)``. MariaDB and
  MySQL share ``copy_*.py``;
* ``rights_<engine>.py``: ``Rights(server)``, accounts and what they may do (MySQL's is MariaDB's too).

``engines.py`` lists them; nothing else knows an engine by name.
"""

import abc
import re
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.widen import Changed, Room

TableName = Tuple[str, str]
# Progress of a copy: done, total, and what is counted.
Progress = Callable[[int, int, str], None]

# A server quotes the statement that it did not like: a connection's settings, CHANGE MASTER, CREATE USER.
SECRET = re.compile(
    r"(password\s*(?:=|\bTO\b)\s*|identified\s+(?:(?:with|via)\s+\S+\s+)?(?:by\s+password|by|as|using)\s+)"
    r"(?:''(?:[^'\\]|\\.|'{4})+''(?!')|'+(?:[^'\\]|\\.|'')*(?:'+|$)|\"(?:[^\"\\]|\\.)*(?:\"|$)|[^\s'\"]+)",
    re.IGNORECASE,
)


def words(error: BaseException, *secrets: str) -> str:
    """What a server or its driver said, in one sentence and without a password.

    PyMySQL gives a number and a text, pg8000 a dictionary.
    """
    said = error.args[0] if error.args else None
    if isinstance(said, dict):
        text = ": ".join(str(said[part]).rstrip(".") for part in ("M", "D") if said.get(part))
        text = text or "error {0}".format(said.get("C", "without a name"))
    elif len(error.args) == 2 and isinstance(said, int) and isinstance(error.args[1], str):
        text = "{1} ({0})".format(said, error.args[1]) if not isinstance(error, OSError) else str(error)
    else:
        text = str(error)
    text = SECRET.sub(r"\1***", " ".join(text.split()))
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return text or type(error).__name__


class Change(NamedTuple):
    """Rows of one table that changed. ``rows`` are images: {column: value}, the key's columns at least.

    Where a key itself changed both images are there, the old one and the new one.
    """

    table: TableName
    rows: Sequence[Dict[str, Any]]


class Link(NamedTuple):
    """The state of one replication link, as its replica tells it."""

    exists: bool
    receiving: bool
    applying: bool
    lag_seconds: Optional[int]
    error: str

    def trouble(self) -> str:
        """Why the link is not healthy; '' when it is. What is not known counts as trouble."""
        if not self.exists:
            return "there is no replication link"
        if self.error:
            return self.error
        if not self.receiving:
            return "the replica is not connected to its source"
        if not self.applying:
            return "the replica does not apply what it receives"
        if self.lag_seconds is None:
            return "the replica does not know its lag"
        return ""


class Database(abc.ABC):
    """One server, seen by the site: its databases there, the fence, the marker and the link to the other side.

    ``side`` is 'source' or 'target', which of the two servers this is; it never changes, also where the
    site has moved. ``name`` is what everything that the collection makes on the server is called.
    """

    engine = ""
    side: str
    name: str
    databases: List[str]

    @classmethod
    @abc.abstractmethod
    def open_server(
        cls, credentials: Dict[str, Any], site: str, databases: Sequence[str], side: str, timeout: float = 5.0
    ) -> "Database":
        """Connect; every answer of the server comes within ``timeout`` seconds, or fails."""

    @abc.abstractmethod
    def patience(self, seconds: float) -> None:
        """From now on every answer of the server comes within so many seconds, or fails."""

    # The site's own schema, and the fence.

    @abc.abstractmethod
    def has_schema(self) -> bool:
        """Whether ``make_schema()`` was here."""

    @abc.abstractmethod
    def make_schema(self) -> None:
        """What the fence and the marker need. It belongs to this server alone; only the marker's rows replicate."""

    @abc.abstractmethod
    def drop_schema(self) -> None:
        """Take away what ``make_schema()`` and the copy made, markers included; fence and link went before."""

    @abc.abstractmethod
    def tables(self) -> List[Dict[str, str]]:
        """The tables with rows of the site's databases: {'db', 'tbl'}."""

    @abc.abstractmethod
    def fence_triggers(self) -> List[Dict[str, str]]:
        """The triggers of the fence that exist: {'db', 'tbl', 'event', 'name'}."""

    @abc.abstractmethod
    def missing_triggers(self) -> List[Dict[str, str]]:
        """What the fence does not cover yet: {'db', 'tbl', 'event'}."""

    @abc.abstractmethod
    def make_triggers(self) -> int:
        """Cover every table; refuses nothing until the fence is set. How many were made."""

    @abc.abstractmethod
    def drop_fence(self) -> None:
        """Remove every trigger of the fence."""

    @abc.abstractmethod
    def fence_soft(self, wait: int = 1) -> bool:
        """Refuse every write from now on, for as long as this session lives. False where another session does."""

    @abc.abstractmethod
    def unfence_soft(self) -> None:
        """Let writes through again."""

    @abc.abstractmethod
    def fenced_by(self) -> Optional[int]:
        """The session that holds the soft fence."""

    @abc.abstractmethod
    def close(self) -> None:
        """Refuse every write from now on, restarts included; what arrives from the other side still gets in."""

    @abc.abstractmethod
    def open(self) -> None:
        """Let writes through, and have them replicate to the other side."""

    @abc.abstractmethod
    def is_closed(self) -> bool:
        """Whether the hard fence is set."""

    @abc.abstractmethod
    def attempt_write(self) -> str:
        """Try to change a row of the site, take it back, and return the server's refusal; '' if it was let through."""

    @abc.abstractmethod
    def writers(self) -> List[Dict[str, Any]]:
        """Open transactions that have written and may concern the site: {'id', 'user', 'db', 'seconds'}."""

    def prepare(self, other: "Database") -> List[str]:
        """Set what replication needs and what takes no restart; what was changed, in words."""
        return []

    # Keys that are wider on the target than on the source.

    def widenable(self, tables: Sequence[str]) -> List[str]:
        """What ``widen()`` would widen, in words; what cannot be is a ``WidenError``, a table that is not there too."""
        return []

    def widen(self, tables: Sequence[str], progress: Progress) -> List[str]:
        """Make bigint of the keys of these tables, or of ``all``, and of what is tied to them by foreign keys.

        On the target, before the site writes there. What was widened, in words; nothing on a second run, and one
        that was interrupted is gone on with. Larger values than the source can hold are kept out from then on.
        """
        return []

    def widened(self, database: str) -> Changed:
        """The definitions that ``widen()`` changed here: {(kind, name): (before, after)}, as the proof reads them."""
        return {}

    def take_widths(self, wide: "Database") -> List[str]:
        """Apply rows whose integers are wider or narrower on the other server; what was set for it, in words.

        ``wide`` is the server with the widened columns, this one or the other.
        """
        return []

    def room(self) -> List[Room]:
        """How far each widened key has come here, and the limit of the other side's type."""
        return []

    def let_keys_grow(self) -> int:
        """Keep larger values out no more: from the first of them on there is no way back. How many limits went."""
        return 0

    # Positions and the marker.

    @abc.abstractmethod
    def server(self) -> int:
        """What this server's markers are known by on the other side."""

    @abc.abstractmethod
    def mark(self, token: str) -> str:
        """Write the marker, and return the position that includes it; the other side can wait for it."""

    @abc.abstractmethod
    def marked(self, server: int) -> str:
        """The last marker of the given server that has arrived here."""

    @abc.abstractmethod
    def wait_for(self, position: str, seconds: float) -> bool:
        """Wait until this replica has applied a position that ``mark()`` of the other side returned."""

    @abc.abstractmethod
    def changes_from(self) -> str:
        """A point from which ``changes()`` can be followed later, on this server: from this instant."""

    @abc.abstractmethod
    def changes(self, credentials: Dict[str, Any], since: str, tables: Sequence[TableName]) -> Iterator[Change]:
        """What changes in these tables and the ``marker_tables()`` since a point, for ever; on its own connections."""

    def forget_changes(self) -> None:  # noqa: B027  most engines keep nothing for it
        """Give up what ``changes_from()`` keeps: a log that is kept for nobody fills the disk."""

    @abc.abstractmethod
    def marker_tables(self) -> List[TableName]:
        """The tables whose rows carry the tokens of ``mark()``."""

    # The link from the other server to this one.

    @abc.abstractmethod
    def link(self) -> Link:
        """The state of this server as a replica of the other one."""

    @abc.abstractmethod
    def has_link(self) -> bool:
        """Whether the site's link is defined here."""

    @abc.abstractmethod
    def follow(self, other: "Database", account: Dict[str, Any]) -> None:
        """Become a replica of the other server for the site's databases alone.

        The target goes on from where its copy ended, the source from now. ``account`` is how this server
        reaches the other: {'host', 'port', 'user', 'password', 'ssl_ca'}.
        """

    @abc.abstractmethod
    def resume_link(self) -> None:
        """Start a link that stopped."""

    @abc.abstractmethod
    def unfollow(self) -> None:
        """End the site's link and forget it."""

    def take_counters(self, origin: "Database") -> int:
        """Set what does not replicate to the origin's exact values: sequences. How many. Both sides are fenced."""
        return 0

    def let_events_run(self, run: bool) -> int:
        """Let the events that the server itself runs for the site run here, or leave them to the other side.

        How many changed. What the site itself has disabled stays so.
        """
        return 0

    # Accounts.

    @abc.abstractmethod
    def lock_accounts(self, locked: bool) -> int:
        """Lock or unlock the site's accounts on this server alone; how many."""

    @abc.abstractmethod
    def end_sessions(self) -> int:
        """End what sessions the site's accounts still have here; how many."""

    # The restart behind the valve.

    @abc.abstractmethod
    def before_restart(self) -> None:
        """Make the restart short: write beforehand what the stop would write."""
