# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a gunicorn was started, and what of its environment may be shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import applications, gunicorn_options


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (
            "python3 /srv/bin/gunicorn --bind unix:/run/a.sock --workers=3 -k gthread shop.wsgi:app",
            {"bind": "unix:/run/a.sock", "workers": 3, "worker_class": "gthread", "application": "shop.wsgi:app"},
        ),
        (
            "gunicorn -w4 -b 127.0.0.1:8000 --keep-alive 5 shop",
            {"workers": 4, "bind": "127.0.0.1:8000", "keepalive": 5, "application": "shop"},
        ),
        ("gunicorn: master [shop.wsgi]", {}),
        ("gunicorn --workers", {"workers": ""}),
        ("gunicorn -c gone.py --user www-data shop:app", {"application": "shop:app"}),
    ],
)
def test_the_options_of_a_command(command: str, expected: dict[str, Any], tmp_path: Path) -> None:
    assert gunicorn_options.options(command.split(), str(tmp_path)) == expected


def test_the_command_goes_before_the_file_that_it_names(tmp_path: Path) -> None:
    (tmp_path / "conf.py").write_text(
        "workers = 2\nthreads = 8  # of each\nbind = '127.0.0.1:8001'\nsecret = 'cheese'\n"
    )
    assert gunicorn_options.options(["gunicorn", "-c", "conf.py", "-w", "3", "a:b"], str(tmp_path)) == {
        "workers": 3,
        "threads": 8,
        "bind": "127.0.0.1:8001",
        "application": "a:b",
    }


def test_only_what_is_plainly_no_secret_is_shown() -> None:
    environment = {
        "DATABASE_NAME": "shop",
        "A_LONG_DATABASE_HOST": "127.0.0.1",
        "DJANGO_SETTINGS_MODULE": "shop.settings.production",
        "ALLOWED_HOSTS": "shop.example,www.shop.example",
        "HOME": "/home/shop",
        "SUPERVISOR_PROCESS_NAME": "shop",
        "LICENCE": "cheese",
        "SECRET_NAME": "x",
        "CACHE_HOST": "redis://:cheese@127.0.0.1",
        "A_PATH": "x=1&token=cheese",
        "B_USER": "9f8e7d6c5b4a39281706f5e4d3c2b1a0",
    }
    assert gunicorn_options.settings(environment) == {
        "A_LONG_DATABASE_HOST": "127.0.0.1",
        "ALLOWED_HOSTS": "shop.example,www.shop.example",
        "DATABASE_NAME": "shop",
        "DJANGO_SETTINGS_MODULE": "shop.settings.production",
    }
    assert "HOME" not in gunicorn_options.own(sorted(environment))


def test_where_the_code_comes_from(tmp_path: Path) -> None:
    assert applications.repository(str(tmp_path)) == {}
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text('[remote "origin"]\n\turl = https://a:cheese@git.example/shop.git\n')
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    assert applications.repository(str(tmp_path)) == {"address": "https://…@git.example/shop.git", "version": "main"}
