# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of PostgreSQL's pgoutput plugin, protocol version 1: what a replication slot tells of changes.

Values stay text, as the server wrote them for the session that reads.
"""

import struct
from typing import Dict, List, NamedTuple, Optional, Tuple, Union

from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_postgresql

Image = Dict[str, Optional[str]]


class Altered(Exception):  # noqa: N818  what happened, not a fault of the program
    """A table is no longer what it was, or lost all its rows at once: single keys cannot tell what changed."""


class Relation(NamedTuple):
    """A table as the stream introduces it. ``columns`` are (name, type's oid, type modifier), identity columns too."""

    oid: int
    name: str
    identity: str
    columns: Tuple[Tuple[str, int, int], ...]


class Rows(NamedTuple):
    """One changed row: its images, the old one first where there is one."""

    table: str
    images: List[Image]


class Commit(NamedTuple):
    """The end of a transaction, and the position behind it."""

    end: int


class Reader:
    """Takes a message, cuts values off its front."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, form: str) -> int:
        """One number."""
        (value,) = struct.unpack_from("!" + form, self.data, self.at)
        self.at += struct.calcsize(form)
        return int(value)

    def raw(self, length: int) -> bytes:
        """So many bytes; fewer is an error."""
        found = self.data[self.at : self.at + length]
        if length < 0 or len(found) != length:
            raise ValueError("a message of the replication stream is cut off")
        self.at += length
        return found

    def letter(self) -> str:
        """One ASCII letter."""
        return self.raw(1).decode("ascii")

    def text(self) -> str:
        """A string that ends in a null character."""
        end = self.data.index(b"\0", self.at)
        found = self.data[self.at : end].decode("utf-8")
        self.at = end + 1
        return found


class Parser:
    """Turns messages into changed rows, and remembers the tables that the stream introduced."""

    def __init__(self) -> None:
        self.relations: Dict[int, Relation] = {}

    def parse(self, message: bytes) -> Union[Rows, Commit, None]:
        """What a message says; None for what changes no row."""
        reader = Reader(message)
        kind = reader.letter()
        if kind in "IUD":
            return self.rows(kind, reader)
        if kind == "C":
            reader.take("b")
            reader.take("q")
            return Commit(reader.take("q"))
        if kind == "R":
            self.introduce(reader)
        elif kind == "T":
            self.truncated(reader)
        elif kind not in "BOYM":
            raise ValueError("the replication stream has a message of kind '{0}', which is not known".format(kind))
        return None

    def introduce(self, reader: Reader) -> None:
        """A table, before its first change and again after each invalidation."""
        oid = reader.take("I")
        # The schema's name is empty for pg_catalog, which is no site's.
        name = "{0}.{1}".format(quote_postgresql(reader.text() or "pg_catalog"), quote_postgresql(reader.text()))
        identity = reader.letter()
        columns = []
        for _ in range(reader.take("h")):
            reader.take("b")
            columns.append((reader.text(), reader.take("I"), reader.take("i")))
        relation = Relation(oid, name, identity, tuple(columns))
        known = self.relations.get(oid, relation)
        if (known.name, known.columns) != (relation.name, relation.columns):
            raise Altered("table {0} was altered, so that its earlier proof says nothing any more".format(known.name))
        self.relations[oid] = relation

    def truncated(self, reader: Reader) -> None:
        """Every row went away at once."""
        count = reader.take("i")
        reader.take("b")
        names = [self.relations[reader.take("I")].name for _ in range(count)]
        raise Altered("{0} was truncated, so that its earlier proof says nothing any more".format(", ".join(names)))

    def rows(self, kind: str, reader: Reader) -> Rows:
        """One inserted, updated or deleted row."""
        relation = self.relations[reader.take("I")]
        images = []  # type: List[Image]
        while reader.at < len(reader.data):
            part = reader.letter()
            if part not in "KON" or (kind == "I" and part != "N") or (kind == "D" and part == "N"):
                raise ValueError("a row image of kind '{0}' is not known in a message '{1}'".format(part, kind))
            images.append(self.image(relation, part, reader))
        if not images:
            raise ValueError("a message of the replication stream is cut off")
        if len(images) == 2:
            # A long value that did not change is left out of the new image; where the old one has it, it is that.
            images[1] = {**images[0], **images[1]}
        return Rows(relation.name, images)

    @staticmethod
    def image(relation: Relation, part: str, reader: Reader) -> Image:
        """The columns of one image: of an old key only those that are part of it, never a long one left out."""
        found = {}  # type: Image
        count = reader.take("h")
        if count != len(relation.columns):
            raise Altered("a row of {0} has {1} columns".format(relation.name, count))
        for name, _type, _modifier in relation.columns:
            state = reader.letter()
            if state == "t":
                found[name] = reader.raw(reader.take("i")).decode("utf-8")
            elif state == "n":
                # What is no part of the key is NULL in an old key; a key's column never is.
                if part != "K":
                    found[name] = None
            elif state != "u":
                raise ValueError("a value of kind '{0}' is not known".format(state))
        return found
