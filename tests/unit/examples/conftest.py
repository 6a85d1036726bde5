# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site on SQLite, for its logic; tests/integration runs it on the real database servers."""

import sys
from collections.abc import Iterator
from pathlib import Path

import django
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import transaction
from django.test import Client, override_settings

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
sys.path[:0] = [str(EXAMPLES / folder) for folder in ("ocpizza/src", "ocpizza", "annex", "")]

from ocpizza.settings import base  # noqa: E402

settings.configure(
    **{name: value for name, value in vars(base).items() if name.isupper()},
    SECRET_KEY="for tests",
    ALLOWED_HOSTS=["testserver"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    STAFF_TOKEN="only for staff",
)
django.setup()

from shop import presets  # noqa: E402


@pytest.fixture(scope="session")
def _database() -> None:
    call_command("migrate", verbosity=0)
    presets.load()


@pytest.fixture
def media(tmp_path: Path) -> Path:
    return tmp_path / "media"


@pytest.fixture
def client(_database: None, media: Path) -> Iterator[Client]:
    with override_settings(MEDIA_ROOT=str(media), EXPORT_DIR=str(media)), transaction.atomic():
        yield Client()
        transaction.set_rollback(True)
