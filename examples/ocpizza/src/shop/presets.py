# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows a new shop starts with: data/*.json, of which later files complete the earlier ones."""

import json
from pathlib import Path
from typing import Iterator, Tuple

from django.apps import apps
from django.db import models

DATA = Path(__file__).parent / "data"


def documents() -> list:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(DATA.glob("*.json"))]


def instances() -> Iterator[models.Model]:
    merged = {}
    for document in documents():
        for name, rows in document.items():
            for pk, fields in rows.items():
                merged.setdefault((name, int(pk)), {}).update(fields)
    for (name, pk), fields in merged.items():
        yield build(apps.get_model("shop", name), pk, fields)


def build(model, pk: int, fields: dict) -> models.Model:
    converted = {}
    for name, value in fields.items():
        field = model._meta.get_field(name)
        converted[field.attname] = field.to_python(value)
    return model(pk=pk, **converted)


def load() -> Tuple[int, int]:
    """Adds what is missing and leaves what is there."""
    added = known = 0
    for instance in instances():
        if type(instance).objects.filter(pk=instance.pk).exists():
            known += 1
        else:
            instance.save(force_insert=True)
            added += 1
    return added, known
