# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks a running site what its users would; runs inside the machine, with the Python that is there.

probe.py URL TOKEN [reads]: with "reads" the database takes no writes.
"""

import json
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError
from urllib.request import Request, urlopen

URL, TOKEN = sys.argv[1:3]
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
BODY = {
    "customer": {"name": "Zoé 🍕", "phone": "+33 6 99 44 55 66"},
    "lines": [{"pizza": 1, "quantity": 2}, {"pizza": 18, "quantity": 1}],
    "note": "l'étage – 山",
    "options": {"cut": [1, 2], "déjà": None},
}


def ask(path, body=None, **headers):
    data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
    request = Request(URL + path, data, {name.replace("_", "-"): value for name, value in headers.items()})  # noqa: S310
    try:
        with urlopen(request, timeout=30) as answer:  # noqa: S310
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


def order(key, body=BODY):
    status, content = ask("/api/orders", body, Idempotency_Key=key, Content_Type="application/json")
    return status, json.loads(content)


def expect(what, got, wanted):
    if got != wanted:
        sys.exit(f"{what}: got {got!r}, expected {wanted!r}")


def reads(writable):
    status, content = ask("/healthz")
    expect("/healthz", status, 200)
    health = json.loads(content)
    expect("writable", health["database"]["writable"], writable)
    for path, text in (
        ("/", "Chèvre Miel"),
        ("/pizza/18/", "honey"),
        ("/kitchen/", "Kitchen"),
        ("/admin/login/", "form"),
    ):
        status, content = ask(path)
        expect(path, (status, text in content.decode()), (200, True))
    return health


def writes():
    key = str(uuid.uuid4())
    status, first = order(key)
    expect("first order", (status, first["total"]), (201, "30.20"))
    expect("repeated order", order(key), (200, first))
    expect("other order with its key", order(key, {**BODY, "note": "x"})[0], 422)
    expect("unknown pizzeria", order(str(uuid.uuid4()), {**BODY, "pizzeria": 99})[0], 422)
    stored = json.loads(ask(f"/api/orders/{key}")[1])
    expect("stored", (stored["note"], stored["options"]), (BODY["note"], BODY["options"]))
    expect("microseconds", len(stored["placed"].split(".")[-1].split("+")[0]), 6)
    expect("order page", ask(f"/orders/{key}/")[0], 200)
    done = ask(f"/api/orders/{key}/status", {"status": "ready"}, X_Staff_Token=TOKEN, Content_Type="application/json")
    expect("status", done[0], 200)
    expect("status without token", ask(f"/api/orders/{key}/status", {"status": "ready"})[0], 403)
    status, content = ask("/api/media?pizza=2", PNG, X_Staff_Token=TOKEN, Content_Type="image/png")
    expect("media", status, 201)
    expect("picture", json.loads(content)["url"] in ask("/pizza/2/")[1].decode(), True)


def together():
    """Rounds of sixteen requests at once: one key, and one new customer, for all of them."""
    with ThreadPoolExecutor(16) as pool:
        for number in range(12):
            same = str(uuid.uuid4())
            body = {**BODY, "customer": {"name": "New", "phone": f"07{number:04d}{uuid.uuid4().int % 10**8:08d}"}}
            keys = [same] * 8 + [str(uuid.uuid4()) for _ in range(8)]
            answers = list(pool.map(order, keys, [body] * len(keys)))
            statuses = sorted(status for status, _ in answers)
            expect("requests together", statuses, [200] * 7 + [201] * 9)
            expect("orders of one key", len({answer["number"] for _, answer in answers[:8]}), 1)
    listed, since, more = [], 0, True
    while more:
        page = json.loads(ask(f"/api/orders?since={since}&limit=50")[1])
        listed += [row["key"] for row in page["orders"]]
        since, more = page["next"], page["more"]
    expect("keys listed once", len(listed), len(set(listed)))
    return len(listed)


def main():
    if sys.argv[3:] == ["reads"]:
        reads(writable=False)
        expect("order while read-only", order(str(uuid.uuid4()))[0], 503)
        return
    health = reads(writable=True)
    writes()
    health["orders"] = together()
    print(json.dumps(health))


main()
