# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from django.db import migrations, models
from shop.presets import documents


def record_known(apps, schema_editor):
    pizzas = apps.get_model("shop", "Pizza").objects
    for document in documents():
        for pk, fields in document.get("pizza", {}).items():
            if "allergens" in fields:
                pizzas.filter(pk=pk, allergens=None).update(allergens=fields["allergens"])


class Migration(migrations.Migration):
    dependencies = (("shop", "0001_initial"),)

    operations = (
        migrations.AddField(
            model_name="pizza",
            name="allergens",
            field=models.CharField(blank=True, max_length=200, null=True),
        ),
        migrations.RunPython(record_known, migrations.RunPython.noop, elidable=True),
    )
