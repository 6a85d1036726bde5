# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: S608 (its product is SQL, from the models and the presets alone)
"""Writes database/RELEASE/ENGINE/{ocpizza_dump,base_data,stock_dump}.sql from the models and the presets.

Django's schema editors make the SQL without a server; tests/integration proves on real ones that it is
what `migrate` makes. Needs Django, PyMySQL and psycopg.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from typing import Dict, Iterator

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import build  # noqa: E402

APPLIED = "2020-10-26 09:00:00.000000"
TABLE_END = ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;"


def connection_for(engine: str):
    from django.db import connections  # noqa: PLC0415

    connection = connections["default"]
    if engine == "mysql":
        # The oldest server meant: its dialect loads everywhere. MariaDB's differs from MySQL's in
        # nothing that is used here.
        connection.__dict__["mysql_server_data"] = {
            "version": "10.5.0-MariaDB",
            "sql_mode": "STRICT_TRANS_TABLES",
            "default_storage_engine": "InnoDB",
            "lower_case_table_names": False,
            "has_zoneinfo_database": False,
        }
        # The schema editor asks the server for each table's engine.
        connection.cursor = nullcontext
        connection.introspection.get_storage_engine = lambda cursor, table: "InnoDB"
    return connection


def tables(engine: str, models: list) -> Iterator[str]:
    with connection_for(engine).schema_editor(collect_sql=True, atomic=False) as editor:
        for model in models:
            editor.create_model(model)
        # Foreign keys and indexes, which the editor would emit when it is left on a real connection.
        statements = editor.collected_sql + [f"{statement};" for statement in editor.deferred_sql]
        editor.deferred_sql.clear()
    for statement in statements:
        if engine == "mysql" and statement.startswith("CREATE TABLE"):
            yield statement[: statement.rindex(")")] + TABLE_END
        else:
            yield statement


def schema(engine: str) -> Iterator[str]:
    from django.db.migrations.loader import MigrationLoader  # noqa: PLC0415
    from django.db.migrations.recorder import MigrationRecorder  # noqa: PLC0415

    loader = MigrationLoader(None)
    models = sorted(loader.project_state().apps.get_models(), key=lambda model: model._meta.db_table)
    yield from tables(engine, [MigrationRecorder.Migration, *models])
    plans = [loader.graph.forwards_plan(leaf) for leaf in sorted(loader.graph.leaf_nodes())]
    for app, name in dict.fromkeys(node for plan in plans for node in plan):
        yield (
            f"INSERT INTO django_migrations (app, name, applied) VALUES ('{app}', '{name}', "
            f"'{APPLIED}{'' if engine == 'mysql' else '+00'}');"
        )


def stock(engine: str) -> Iterator[str]:
    """The table of the stock's own database."""
    from django.apps import apps  # noqa: PLC0415

    yield from tables(engine, list(apps.get_app_config("stock").get_models()))


def presets(engine: str) -> Iterator[str]:
    from django.apps import apps  # noqa: PLC0415
    from django.contrib.auth.management import _get_all_permissions  # noqa: PLC0415
    from django.contrib.auth.models import Permission  # noqa: PLC0415
    from django.contrib.contenttypes.models import ContentType  # noqa: PLC0415
    from shop.presets import instances  # noqa: PLC0415

    connection = connection_for(engine)
    rows = list(instances())
    permission = 0
    # As migrate's signal handlers would add them; with them a later migrate has nothing to write.
    for number, model in enumerate(sorted_models(apps), 1):
        label = {"app_label": model._meta.app_label, "model": model._meta.model_name}
        rows.append(ContentType(pk=number, **label))
        for codename, name in _get_all_permissions(model._meta):
            permission += 1
            rows.append(Permission(pk=permission, name=name, codename=codename, content_type_id=number))
    quote = connection.ops.quote_name
    tables = []
    for row in rows:
        table, fields = row._meta.db_table, row._meta.local_concrete_fields
        columns = ", ".join(quote(field.column) for field in fields)
        values = ", ".join(literal(engine, field.pre_save(row, True)) for field in fields)
        if table not in tables:
            tables.append(table)
        yield f"INSERT INTO {quote(table)} ({columns}) VALUES ({values});"
    if engine == "postgresql":
        for name in map(quote, tables):
            yield f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), (SELECT max(id) FROM {name}));"


def sorted_models(apps) -> list:
    return sorted(apps.get_models(), key=lambda model: model._meta.label_lower)


def literal(engine: str, value) -> str:
    import datetime  # noqa: PLC0415

    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower() if engine == "postgresql" else str(int(value))
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, datetime.datetime):
        moment = value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")
        return f"'{moment}{'+00' if engine == 'postgresql' else ''}'"
    escaped = str(value).replace("'", "''")
    if engine == "mysql":
        escaped = escaped.replace("\\", "\\\\")
    return f"'{escaped}'"


def texts(engine: str, part: str) -> Dict[str, str]:
    if part == "stock":
        return {"stock_dump.sql": script(engine, stock(engine))}
    return {
        "ocpizza_dump.sql": script(engine, schema(engine)),
        "base_data.sql": script(engine, presets(engine)),
    }


def script(engine: str, statements: Iterator[str]) -> str:
    lines = ["-- Made by dump.py from the models; do not edit."]
    if engine == "postgresql":
        # Whoever loads it says where the transaction ends: psql --single-transaction.
        return "\n".join([*lines, "SET client_encoding = 'UTF8';", *statements, ""])
    # MySQL commits at every CREATE TABLE: there only the presets are all or nothing.
    return "\n".join([*lines, "SET NAMES utf8mb4;", "START TRANSACTION;", *statements, "COMMIT;", ""])


def write(release: str, engine: str, part: str, tree: Path, out: Path) -> None:
    sys.path.insert(0, str(tree))
    os.environ.update(
        DJANGO_SETTINGS_MODULE="ocpizza.settings.production",
        SECRET_KEY="offline",  # noqa: S106 (settings want one; nothing is signed)
        DATABASE_ENGINE=engine,
        DATABASE_USER="offline",
    )
    if part == "stock":
        os.environ.update(STOCK_DATABASE_ENGINE=engine, STOCK_DATABASE_USER="offline")
    import django  # noqa: PLC0415

    django.setup()
    folder = out / release / engine
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts(engine, part).items():
        (folder / name).write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the SQL of every release, for every engine.")
    parser.add_argument("--out", type=Path, default=HERE / "database")
    parser.add_argument("--one", nargs=4, metavar=("RELEASE", "ENGINE", "PART", "TREE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        release, engine, part, tree = arguments.one
        write(release, engine, part, Path(tree), arguments.out)
        return
    for release in build.releases():
        with tempfile.TemporaryDirectory() as folder:
            tree = build.unpack(build.code(release), Path(folder))
            for engine, part in product(("mysql", "postgresql"), ("site", "stock")):
                # A process for each: Django is set up once a process.
                one = ["--one", release, engine, part, str(tree)]
                subprocess.run([sys.executable, __file__, "--out", str(arguments.out), *one], check=True)


if __name__ == "__main__":
    main()
