# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the clients of each site do, and what counts as an answer."""

from __future__ import annotations

import json
import random
import uuid
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from tests.lab.traffic.http import Request, Response

READY = "ready"
PRESETS = 20
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)


def picture(key: str) -> bytes:
    """The content of an uploaded file."""
    return PICTURE + key.encode()


@dataclass(frozen=True)
class Action:
    """One thing a client does; `key` names what it writes, `shows` the picture that it must see."""

    kind: str
    request: Request
    key: str = ""
    shows: str = ""

    @property
    def writes(self) -> bool:
        """Whether an answer to this is a promise."""
        return bool(self.key)


class Site(Protocol):
    """What load and read-back know of a site."""

    name: str

    def next(self) -> Action:
        """What the next client does."""

    def accept(self, action: Action, response: Response) -> str:
        """Empty when this is the answer the client wanted, else what is wrong with it."""


class OcPizza:
    """Browsing, ordering, and the kitchen."""

    name = "ocpizza"

    def __init__(self, writes: float, seed: int, staff_token: str = "", media: bool = False, session: str = "") -> None:
        """`writes`: share of requests that write; with a staff token the kitchen works; `session`: of who is in."""
        self._writes = writes
        self._random = random.Random(seed)  # noqa: S311 - which page is asked for is no secret
        self._token = staff_token
        self._media = media
        self._session = session
        self._count = 0
        self._placed: deque[str] = deque(maxlen=200)
        self._cooking: deque[str] = deque(maxlen=2000)
        self._pictures: deque[tuple[str, str]] = deque(maxlen=50)

    def next(self) -> Action:
        """A write with the given probability, else a page."""
        self._count += 1
        if self._random.random() >= self._writes:
            if self._session and self._count % 25 == 0:
                headers = {"Cookie": f"sessionid={self._session}"}
                return Action("signed-in", Request("GET", "/admin/", headers))
            if self._pictures and self._random.random() < 0.1:
                return self._picture()
            return Action("browse", Request("GET", self._page()))
        if self._media and self._count % 20 == 0:
            return self._upload()
        if self._token and self._cooking and self._random.random() < 0.15:
            return self._status(self._cooking.popleft())
        return self._order()

    def accept(self, action: Action, response: Response) -> str:
        """Orders answer with their key, everything else with a success."""
        if response.status not in {200, 201}:
            return f"http-{response.status}"
        if action.kind == "order":
            if response.json().get("key") != action.key:
                return "wrong-answer"
            self._placed.append(action.key)
            self._cooking.append(action.key)
        elif action.kind == "signed-in":
            # Who is not is sent to sign in, with a status of its own.
            return "" if b"Log out" in response.body else "signed-out"
        elif action.kind == "media":
            self._pictures.append((str(response.json()["url"]), action.key))
        elif action.kind == "picture":
            return "" if response.body == picture(action.shows) else "wrong-answer"
        elif not response.body:
            return "empty-answer"
        return ""

    def _page(self) -> str:
        choice = self._random.random()
        if choice < 0.5:
            return "/"
        if choice < 0.8 or not self._placed:
            return f"/pizza/{self._random.randint(1, PRESETS)}/"
        return f"/orders/{self._random.choice(self._placed)}/"

    def _order(self) -> Action:
        key = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        number = self._random.randint(1, 9999)
        lines = [
            {"pizza": pizza, "quantity": self._random.randint(1, 3)}
            for pizza in self._random.sample(range(1, PRESETS + 1), self._random.randint(1, 3))
        ]
        order = {
            "customer": {"name": f"Client {number}", "phone": f"06{number:08d}"},
            "lines": lines,
            "note": f"ledger {key}",
        }
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        return Action("order", Request("POST", "/api/orders", headers, json.dumps(order).encode()), key)

    def _status(self, key: str) -> Action:
        body = json.dumps({"status": READY}).encode()
        headers = {"Content-Type": "application/json", "X-Staff-Token": self._token}
        return Action("status", Request("POST", f"/api/orders/{key}/status", headers, body), key)

    def _upload(self) -> Action:
        # The site names a picture by its content, so each one has to differ.
        key = f"{self._random.getrandbits(64):016x}"
        headers = {"Content-Type": "image/png", "X-Staff-Token": self._token, "Idempotency-Key": key}
        return Action("media", Request("POST", "/api/media", headers, picture(key)), key)

    def _picture(self) -> Action:
        """One that was uploaded a moment ago, by a request of its own: whoever sees its address may ask."""
        url, key = self._random.choice(self._pictures)
        return Action("picture", Request("GET", url), shows=key)


class Annex:
    """The neighbour that must not notice anything: a guestbook."""

    name = "annex"

    def __init__(self, writes: float, seed: int) -> None:
        """`writes`: share of requests that write."""
        self._writes = writes
        self._random = random.Random(seed)  # noqa: S311 - which page is asked for is no secret

    def next(self) -> Action:
        """An entry with the given probability, else the page."""
        if self._random.random() >= self._writes:
            return Action("browse", Request("GET", "/"))
        key = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        body = json.dumps({"author": "Client", "message": f"ledger {key}"}).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        return Action("entry", Request("POST", "/", headers, body), key)

    def accept(self, action: Action, response: Response) -> str:
        """Entries answer with their key."""
        if response.status not in {200, 201}:
            return f"http-{response.status}"
        if action.writes and response.json().get("key") != action.key:
            return "wrong-answer"
        return "" if response.body else "empty-answer"
