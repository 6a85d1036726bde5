# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import archives
import dump
import pytest

import build


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("artefacts")
    for release in build.releases():
        build.build(release, out)
    return out


def names(path: Path) -> set:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return set(archive.namelist())


def test_bytes_depend_on_the_content_alone(artefacts, tmp_path):
    for release in ("1.0", "1.1"):
        build.build(release, tmp_path)
        for name in ("ocpizza.zip", "BDD.zip", "web.zip"):
            assert (tmp_path / release / name).read_bytes() == (artefacts / release / name).read_bytes()


def test_the_archives_hold_what_the_manual_says(artefacts):
    code = names(artefacts / "1.0/ocpizza.zip")
    assert {"manage.py", "requirements.txt", "ocpizza/wsgi.py", "ocpizza/settings/production.py"} <= code
    assert {"ocpizza_dump.sql", "base_data.sql"} <= names(artefacts / "1.0/BDD.zip")
    static = names(artefacts / "1.0/web.zip")
    assert {"static/shop/site.css", "static/shop/pizzas/margherita.svg", "static/admin/css/base.css"} <= static
    assert all(name.startswith("static/") for name in static)


def test_release_1_1_adds_a_column_and_a_page(artefacts):
    added = names(artefacts / "1.1/ocpizza.zip") - names(artefacts / "1.0/ocpizza.zip")
    assert added == {
        "shop/data/2_allergens.json",
        "shop/migrations/0002_pizza_allergens.py",
        "shop/templates/shop/allergens.html",
        "shop/views/allergens.py",
    }


def test_release_1_1_migrates_what_1_0_left_and_serves_its_page(tmp_path):
    settings = tmp_path / "offline.py"
    settings.write_text(
        "from ocpizza.settings.base import *\n"
        "SECRET_KEY = 'for tests'\nALLOWED_HOSTS = ['*']\n"
        f"DATABASES = {{'default': {{'ENGINE': 'django.db.backends.sqlite3', 'NAME': '{tmp_path}/db'}}}}\n"
    )

    def run(release, *command):
        tree = tmp_path / release
        if not tree.exists():
            build.unpack(build.code(release), tree)
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "offline", "PYTHONPATH": f"{tree}:{tmp_path}"}
        result = subprocess.run(
            [sys.executable, tree / "manage.py", *command], env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    run("1.0", "migrate", "-v0")
    run("1.0", "shell", "-v0", "-c", "from shop import presets; presets.load()")
    run("1.1", "makemigrations", "--check", "--dry-run")
    run("1.1", "migrate", "-v0")
    page = run(
        "1.1",
        "shell",
        "-v0",
        "-c",
        "from django.test import Client; print(Client().get('/allergens/').content.decode())",
    )
    assert "gluten, milk, fish" in page
    assert "release 1.1" in page


STOCK = """
import json
from django.db import OperationalError, connections
from django.test import Client
from shop.models import Order
from stock.models import Movement

KEY = "0b0f1c5e-7a52-4f0e-9b1a-3d1f6a7c9e01"
BODY = {"customer": {"name": "Zoe", "phone": "0699112233"}, "lines": [{"pizza": 1, "quantity": 2}]}

def order():
    return Client(raise_request_exception=False).post(
        "/api/orders", json.dumps(BODY), "application/json", headers={"Idempotency-Key": KEY}
    ).status_code

def rows():
    return Order.objects.filter(key=KEY).count(), [move.pieces for move in Movement.objects.all()]

first = order()
with connections["stock"].schema_editor() as editor:
    editor.create_model(Movement)
print(first, Order.objects.filter(key=KEY).count(), order(), order(), rows(), Client().get("/healthz").json())
"""


def test_an_order_is_accepted_once_both_databases_have_it(tmp_path):
    (tmp_path / "offline.py").write_text(
        "from ocpizza.settings.base import *\n"
        "SECRET_KEY = 'for tests'\nALLOWED_HOSTS = ['*']\nINSTALLED_APPS += ['stock']\n"
        "DATABASE_ROUTERS = ['stock.router.Router']\n"
        "DATABASES = {name: {'ENGINE': 'django.db.backends.sqlite3', 'NAME': f'%s/{name}'}"
        " for name in ('default', 'stock')}\n" % tmp_path
    )
    tree = build.unpack(build.code("1.0"), tmp_path / "tree")
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "offline", "PYTHONPATH": f"{tree}:{tmp_path}"}

    def run(*command):
        return subprocess.run(
            [sys.executable, tree / "manage.py", *command], env=environment, capture_output=True, text=True, check=True
        ).stdout

    run("migrate", "-v0")
    run("shell", "-v0", "-c", "from shop import presets; presets.load()")
    printed = run("shell", "-v0", "-c", STOCK)
    # Without its row in the stock the order is there and not accepted; the same key finishes it, once.
    assert printed.startswith("503 1 200 200 (1, [2]) {'status': 'ok'")
    assert "'database_stock': {'state': 'ok'" in printed


def test_the_sql_in_the_repository_is_what_the_models_give(tmp_path):
    pytest.importorskip("psycopg")
    subprocess.run([sys.executable, dump.__file__, "--out", tmp_path], check=True)
    assert archives.files_below(tmp_path) == archives.files_below(Path(dump.__file__).parent / "database")


def test_the_sql_loads_on_old_and_new_servers():
    for release in build.releases():
        for name, content in build.databases(release).items():
            text = content.decode()
            assert "uca1400" not in text
            if name == "ocpizza_dump.sql":
                assert text.count("CREATE TABLE") == text.count("CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci") == 18


@pytest.mark.parametrize(
    ("engine", "value", "expected"),
    [
        ("mysql", "O'Neill \\ x", "'O''Neill \\\\ x'"),
        ("postgresql", "O'Neill \\ x", "'O''Neill \\ x'"),
        ("mysql", True, "1"),
        ("postgresql", True, "true"),
        ("mysql", None, "NULL"),
        ("postgresql", 440.25, "440.25"),
    ],
)
def test_literals(engine, value, expected):
    assert dump.literal(engine, value) == expected
