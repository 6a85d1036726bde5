"""What update.yml runs before the code, of migrations that say when they may: on a small Django project."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROLE = Path(__file__).parents[2] / "roles" / "gunicorn"
SETTINGS = """
SECRET_KEY = "k"
INSTALLED_APPS = ["shop", "stock"]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "{folder}/db"}}}}
"""
MIGRATION = """
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = {dependencies}
    {said}
    operations = [migrations.RunSQL("CREATE TABLE {table} (id int)")]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "settings.py").write_text(SETTINGS.format(folder=tmp_path))
    for app, name, dependencies, said in (
        ("shop", "0001_first", [], ""),
        ("shop", "0002_away", [("shop", "0001_first")], "cutover_after = True"),
        ("shop", "0003_on_it", [("shop", "0002_away")], ""),
        ("stock", "0001_first", [("shop", "0001_first")], ""),
        ("stock", "0002_on_it", [("stock", "0001_first"), ("shop", "0003_on_it")], ""),
    ):
        folder = tmp_path / app / "migrations"
        folder.mkdir(parents=True, exist_ok=True)
        for package in (folder, folder.parent):
            (package / "__init__.py").touch()
        text = MIGRATION.format(dependencies=dependencies, said=said, table=f"{app}_{name}")
        (folder / f"{name}.py").write_text(text)
    return tmp_path


def manage(project: Path, *words: str) -> str:
    environment = {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(project)}
    command = [sys.executable, "-m", "django", *words]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=True).stdout


def first(project: Path) -> str:
    script = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())["__gunicorn_migrate_first"]
    return manage(project, "shell", "-c", script)


def applied(project: Path) -> list[str]:
    app, found = "", []
    for line in manage(project, "showmigrations").splitlines():
        if line.startswith(" [X]"):
            found.append(f"{app}.{line[5:]}")
        elif not line.startswith(" "):
            app = line
    return found


def test_what_takes_away_is_left_with_what_depends_on_it(project: Path) -> None:
    said = first(project)
    assert "Left for later: shop.0002_away, shop.0003_on_it, stock.0002_on_it" in said
    assert applied(project) == ["shop.0001_first", "stock.0001_first"]
    assert "Left for later" in first(project)
    assert "Applying shop.0002_away" in manage(project, "migrate", "--noinput")
    assert len(applied(project)) == 5


def test_where_nothing_waits_all_of_it_runs(project: Path) -> None:
    away = project / "shop" / "migrations" / "0002_away.py"
    away.write_text(away.read_text().replace("cutover_after = True", ""))
    assert "Left for later" not in first(project)
    assert len(applied(project)) == 5
    assert "Applying" not in first(project)
