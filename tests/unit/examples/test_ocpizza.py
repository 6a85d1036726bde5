# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import csv
import importlib
import json
import uuid
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings as configured
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from shop import ordering
from shop.management.commands import export_orders
from shop.models import Order, Pizza
from shop.views import api, health

KEY = "0b0f1c5e-7a52-4f0e-9b1a-3d1f6a7c9e01"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
BODY = {
    "customer": {"name": "Léa", "phone": "+33 6 99 11 22 33"},
    "lines": [{"pizza": 1, "quantity": 2}, {"pizza": 3, "quantity": 1}],
    "note": "sonnez deux fois",
}


def post(client, body, key=KEY, path="/api/orders", **headers):
    data = body if isinstance(body, str) else json.dumps(body)
    return client.post(path, data, "application/json", headers={"Idempotency-Key": key, **headers})


def queries():
    return CaptureQueriesContext(connection)


def test_menu_needs_two_queries_and_no_session(client):
    with queries() as made:
        answer = client.get("/")
    assert answer.status_code == 200
    assert b"Margherita" in answer.content
    assert b"/static/shop/pizzas/chevre-miel.svg" in answer.content
    assert len(made) == 2
    assert not answer.cookies


def test_an_order_is_placed_with_its_total(client):
    answer = post(client, BODY)
    assert answer.status_code == 201
    result = answer.json()
    assert result == {
        "key": KEY,
        "number": f"OC-{result['id']:06d}",
        "id": result["id"],
        "total": "29.70",
        "release": "1.0",
    }


def test_an_order_of_a_known_customer_takes_four_statements_in_one_transaction(client):
    post(client, BODY)
    with queries() as made:
        assert post(client, BODY, str(uuid.uuid4())).status_code == 201
    statements = [query["sql"].split()[0] for query in made if "SAVEPOINT" not in query["sql"]]
    assert statements == ["SELECT", "SELECT", "INSERT", "INSERT"]


def test_a_repeated_key_returns_the_same_order(client):
    first, second = post(client, BODY), post(client, BODY)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert Order.objects.filter(key=KEY).count() == 1


def test_a_repeated_order_is_found_even_when_its_pizza_left_the_menu(client):
    first = post(client, BODY)
    Pizza.objects.filter(pk=1).update(available=False)
    assert post(client, BODY).json() == first.json()
    refused = post(client, BODY, str(uuid.uuid4()))
    assert refused.status_code == 422
    assert refused.json() == {"error": "not on the menu: pizza 1"}


def test_a_key_is_not_shared_by_two_orders(client):
    post(client, BODY)
    answer = post(client, {**BODY, "note": "another"})
    assert answer.status_code == 422
    assert answer.json() == {"error": "this Idempotency-Key was used for a different order"}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"customer": None}, "customer must be an object with name and phone"),
        ({"customer": {"name": "A", "phone": "none"}}, "customer.name and customer.phone (digits) are needed"),
        ({"lines": []}, "lines must be a list of 1 to 50 entries {pizza, quantity}"),
        ({"lines": [{"pizza": 1, "quantity": 0}]}, "quantity must be a whole number from 1 to 99"),
        ({"lines": [{"pizza": 1, "quantity": True}]}, "quantity must be a whole number from 1 to 99"),
        ({"lines": [{"pizza": 9999, "quantity": 1}]}, "not on the menu: pizza 9999"),
        ({"lines": ["1"]}, "each line must be an object {pizza, quantity}"),
        ({"note": "\0"}, "note must be text of at most 2000 characters"),
        ({"options": []}, None),
        ({"options": [1]}, "options must be a JSON object of at most 2000 characters"),
    ],
)
def test_a_wrong_order_is_refused_in_words(client, change, text):
    answer = post(client, {**BODY, **change})
    assert answer.status_code == (422 if text else 201)
    assert answer.json().get("error") == text


@pytest.mark.parametrize("body", ["", "{", "[]", "\xff", "[" * 5000])
def test_what_is_not_json_is_refused(client, body):
    assert post(client, body).status_code == 422


def test_an_order_needs_a_key(client):
    answer = post(client, BODY, "again")
    assert answer.status_code == 400
    assert answer.json() == {"error": "the header Idempotency-Key must be a UUID"}


def test_the_listing_pages_through_all_keys(client):
    keys = [str(uuid.uuid4()) for _ in range(5)]
    for key in keys:
        post(client, BODY, key)
    found, since, more = [], 0, True
    while more:
        page = client.get(f"/api/orders?since={since}&limit=2").json()
        found += [row["key"] for row in page["orders"]]
        since, more = page["next"], page["more"]
    assert found == keys
    assert client.get("/api/orders?since=x").status_code == 400


def test_an_order_is_shown_as_json_and_as_a_page(client):
    post(client, {**BODY, "options": {"cut": "yes"}})
    order = client.get(f"/api/orders/{KEY}").json()
    assert order["lines"] == [
        {"pizza": 1, "quantity": 2, "unit_price": "8.90"},
        {"pizza": 3, "quantity": 1, "unit_price": "11.90"},
    ]
    assert order["options"] == {"cut": "yes"}
    with queries() as made:
        page = client.get(f"/orders/{KEY}/")
    assert b"29.70" in page.content
    assert len(made) == 2
    assert client.get(f"/api/orders/{uuid.uuid4()}").status_code == 404
    assert client.get(f"/orders/{uuid.uuid4()}/").status_code == 404


def test_status_is_for_staff(client):
    post(client, BODY)
    path = f"/api/orders/{KEY}/status"
    assert post(client, {"status": "ready"}, path=path).status_code == 403
    assert post(client, {"status": "ready"}, path=path, **{"X-Staff-Token": "guess"}).status_code == 403
    token = {"X-Staff-Token": "only for staff"}
    assert post(client, {"status": "eaten"}, path=path, **token).status_code == 422
    assert post(client, {"status": "ready"}, path=path, **token).json() == {"key": KEY, "status": "ready"}
    assert client.get(f"/api/orders/{KEY}").json()["ready"]
    assert post(client, {"status": "ready"}, path=f"/api/orders/{uuid.uuid4()}/status", **token).status_code == 404


def test_nobody_is_staff_while_no_token_is_set(client, monkeypatch):
    monkeypatch.setattr(configured, "STAFF_TOKEN", "")
    assert client.post("/api/media", PNG, "image/png", headers={"X-Staff-Token": ""}).status_code == 403


def test_the_kitchen_sees_what_is_to_be_baked(client):
    post(client, BODY)
    with queries() as made:
        page = client.get("/kitchen/")
    assert b"Quattro Formaggi" in page.content
    assert b"699112233" not in page.content.replace(b" ", b"")
    assert len(made) == 2


def test_a_picture_is_stored_by_its_content(client, media):
    token = {"X-Staff-Token": "only for staff"}
    answers = [client.post("/api/media?pizza=2", PNG, "image/png", headers=token) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    url = answers[0].json()["url"]
    assert url == answers[1].json()["url"]
    assert (media / url[len("/media/") :]).read_bytes() == PNG
    assert [path.name[0] for path in media.rglob("*") if path.is_file()] != ["."]
    assert url.encode() in client.get("/pizza/2/").content


@pytest.mark.parametrize("content", [b"<svg onload=x>", b"<html>", b""])
def test_what_is_no_picture_is_refused(client, content):
    answer = client.post("/api/media", content, "image/png", headers={"X-Staff-Token": "only for staff"})
    assert answer.status_code == 415


def test_health_tells_release_and_database(client):
    answer = client.get("/healthz")
    assert answer.status_code == 200
    result = answer.json()
    assert (result["status"], result["release"], result["database"]["writable"]) == ("ok", "1.0", True)


def test_health_fails_with_the_database_and_keeps_its_words_in_the_log(client, monkeypatch, caplog):
    class Away:
        vendor, settings_dict, mysql_is_mariadb = "mysql", {"HOST": "10.0.0.9"}, True

        def cursor(self):
            raise OperationalError("Access denied for user 'ocpizza'@'10.0.0.1'")

    monkeypatch.setattr(health, "connections", {"default": Away()})
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["database"]["state"] == "unreachable"
    assert b"Access denied" not in answer.content
    assert "Access denied" in caplog.text


def test_a_database_that_takes_no_writes_is_answered_with_503(client, monkeypatch):
    def refuse(key, cart):
        raise OperationalError(1290, "The server is running with the --read-only option")

    monkeypatch.setattr(api, "place", refuse)
    answer = post(client, BODY)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "2"
    assert "try again" in answer.json()["error"]


def test_a_deadlock_is_tried_again_and_another_failure_is_not(client, monkeypatch):
    insert, calls = ordering.insert, []

    def once(code):
        def failing(key, cart):
            calls.append(code)
            if len(calls) == 1:
                raise OperationalError(code, "…")
            return insert(key, cart)

        return failing

    monkeypatch.setattr(ordering, "insert", once(1213))
    assert post(client, BODY).status_code == 201
    assert calls == [1213, 1213]
    calls.clear()
    monkeypatch.setattr(ordering, "insert", once(2006))
    assert post(client, BODY, str(uuid.uuid4())).status_code == 503
    assert calls == [2006]


def exported(folder: Path) -> list:
    rows = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="") as stream:
            rows += list(csv.DictReader(stream))
    return rows


def test_an_export_has_each_order_once(client, tmp_path):
    for note in ("=1+1", "plain"):
        post(client, {**BODY, "note": note}, str(uuid.uuid4()))
    call_command("export_orders", directory=str(tmp_path), verbosity=0)
    call_command("export_orders", directory=str(tmp_path), verbosity=0)
    post(client, {**BODY, "note": "later"}, KEY)
    call_command("export_orders", directory=str(tmp_path), verbosity=0)
    rows = exported(tmp_path)
    assert [row["note"] for row in rows] == ["'=1+1", "plain", "later"]
    assert rows[2]["key"] == KEY
    assert Decimal(rows[2]["total"]) == Decimal("29.70")
    assert rows[2]["pizzas"] == "2 x Margherita; 1 x Quattro Formaggi"
    assert len(list(tmp_path.iterdir())) == 2


def test_an_interrupted_export_is_finished_by_the_next(client, tmp_path, monkeypatch):
    post(client, BODY)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(export_orders.os, "replace", full)
        with pytest.raises(CommandError, match="No space left on device; nothing is lost, run again"):
            call_command("export_orders", directory=str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    call_command("export_orders", directory=str(tmp_path), verbosity=0)
    assert [row["key"] for row in exported(tmp_path)] == [KEY]


def test_the_admin_asks_for_a_login(client):
    assert client.get("/admin/").status_code == 302
    assert client.get("/admin/login/?next=/admin/").status_code == 200


ENVIRONMENT = {
    "SECRET_KEY": "k",
    "DATABASE_ENGINE": "mysql",
    "DATABASE_USER": "u",
    "DATABASE_HOST": "db",
    "DATABASE_CA": "/ca.pem",
    "ALLOWED_HOSTS": "ocpizza.test, www.ocpizza.test",
}


def production(monkeypatch, **changes):
    for name, value in {**ENVIRONMENT, **changes}.items():
        monkeypatch.setenv(name, value)
    return importlib.reload(importlib.import_module("ocpizza.settings.production"))


@pytest.fixture
def settings(monkeypatch):
    for name in (
        "DATABASE_PORT",
        "DATABASE_SOCKET",
        "DATABASE_NAME",
        "CONN_MAX_AGE",
        "DEBUG",
        "SENTRY_DSN",
        "STOCK_DATABASE_ENGINE",
    ):
        monkeypatch.delenv(name, raising=False)
    production(monkeypatch)
    return lambda **changes: production(monkeypatch, **changes)


def test_settings_come_from_the_environment(settings):
    read = settings()
    database = read.DATABASES["default"]
    assert read.ALLOWED_HOSTS == ["ocpizza.test", "www.ocpizza.test", "127.0.0.1", "localhost"]
    assert read.DEBUG is False
    assert (database["ENGINE"], database["HOST"], database["PORT"]) == ("django.db.backends.mysql", "db", "3306")
    assert (database["CONN_MAX_AGE"], database["CONN_HEALTH_CHECKS"]) == (60, True)
    assert database["OPTIONS"]["ssl"] == {"ca": "/ca.pem", "check_hostname": True}
    assert database["OPTIONS"]["collation"] == "utf8mb4_general_ci"


def test_settings_for_postgresql(settings):
    database = settings(DATABASE_ENGINE="postgresql").DATABASES["default"]
    assert (database["ENGINE"], database["PORT"]) == ("django.db.backends.postgresql", "5432")
    assert database["OPTIONS"] == {"connect_timeout": 5, "sslmode": "verify-full", "sslrootcert": "/ca.pem"}


def test_settings_for_a_stock_of_its_own(settings):
    assert "stock" not in settings().DATABASES
    read = settings(STOCK_DATABASE_ENGINE="postgresql", STOCK_DATABASE_USER="s", STOCK_DATABASE_HOST="other")
    database = read.DATABASES["stock"]
    assert (database["ENGINE"], database["HOST"]) == ("django.db.backends.postgresql", "other")
    assert (database["NAME"], database["USER"], database["OPTIONS"]) == ("stock", "s", {"connect_timeout": 5})
    assert read.DATABASES["default"]["NAME"] == "ocpizza"
    assert "stock" in read.INSTALLED_APPS


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY is not set"),
        ({"DATABASE_USER": ""}, "DATABASE_USER is not set"),
        ({"DATABASE_ENGINE": "oracle"}, "DATABASE_ENGINE is 'oracle': choose one of mysql, postgresql"),
        ({"CONN_MAX_AGE": "long"}, "CONN_MAX_AGE is 'long': give a whole number"),
    ],
)
def test_wrong_settings_are_named(settings, changes, text):
    with pytest.raises(ImproperlyConfigured, match=text):
        settings(**changes)
