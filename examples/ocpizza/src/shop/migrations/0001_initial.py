# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = (migrations.swappable_dependency(settings.AUTH_USER_MODEL),)

    operations = (
        migrations.CreateModel(
            name="Customer",
            fields=[
                (
                    "id",
                    models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("name", models.CharField(max_length=120)),
                ("phone", models.CharField(max_length=20, unique=True)),
                ("email", models.EmailField(blank=True, max_length=254, null=True)),
                ("created", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                "ordering": ("name",),
            },
        ),
        migrations.CreateModel(
            name="Export",
            fields=[
                (
                    "id",
                    models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("started", models.DateTimeField(default=django.utils.timezone.now)),
                ("finished", models.DateTimeField(blank=True, null=True)),
                ("orders", models.PositiveIntegerField(default=0)),
            ],
            options={
                "ordering": ("-id",),
            },
        ),
        migrations.CreateModel(
            name="Order",
            fields=[
                (
                    "id",
                    models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("key", models.CharField(max_length=36, unique=True)),
                ("fingerprint", models.BinaryField(help_text="SHA-256 of what was ordered", max_length=32)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("placed", "Placed"),
                            ("baking", "In the oven"),
                            ("ready", "Ready"),
                            ("delivered", "Delivered"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="placed",
                        max_length=10,
                    ),
                ),
                ("total", models.DecimalField(decimal_places=2, max_digits=8)),
                ("note", models.TextField(blank=True, default="")),
                ("options", models.JSONField(blank=True, default=dict)),
                ("placed", models.DateTimeField(default=django.utils.timezone.now)),
                ("ready", models.DateTimeField(blank=True, null=True)),
                (
                    "customer",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="shop.customer"),
                ),
                (
                    "export",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        to="shop.export",
                    ),
                ),
            ],
            options={
                "ordering": ("-id",),
            },
        ),
        migrations.CreateModel(
            name="Pizza",
            fields=[
                (
                    "id",
                    models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("name", models.CharField(max_length=80, unique=True)),
                ("slug", models.SlugField(unique=True)),
                ("description", models.TextField()),
                ("price", models.DecimalField(decimal_places=2, max_digits=6)),
                ("oven_minutes", models.FloatField(default=7.5)),
                ("vegetarian", models.BooleanField(default=False)),
                ("available", models.BooleanField(default=True)),
                (
                    "picture",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="an uploaded picture, below the media folder",
                        max_length=120,
                    ),
                ),
                ("added", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                "ordering": ("name",),
            },
        ),
        migrations.CreateModel(
            name="Pizzeria",
            fields=[
                (
                    "id",
                    models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("name", models.CharField(max_length=80, unique=True)),
                ("city", models.CharField(max_length=80)),
                ("address", models.TextField()),
                ("phone", models.CharField(max_length=20)),
                ("opens_at", models.TimeField()),
                ("closes_at", models.TimeField()),
                ("oven_temperature", models.FloatField(blank=True, help_text="degrees Celsius", null=True)),
            ],
            options={
                "ordering": ("name",),
            },
        ),
        migrations.CreateModel(
            name="Rank",
            fields=[
                (
                    "id",
                    models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("name", models.CharField(max_length=40, unique=True)),
                ("level", models.PositiveSmallIntegerField(unique=True)),
                ("duties", models.TextField()),
                ("hourly_wage", models.DecimalField(decimal_places=2, max_digits=5)),
            ],
            options={
                "db_table": "rank",
                "ordering": ("level",),
            },
        ),
        migrations.CreateModel(
            name="OrderLine",
            fields=[
                (
                    "id",
                    models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("quantity", models.PositiveSmallIntegerField()),
                ("unit_price", models.DecimalField(decimal_places=2, max_digits=6)),
                (
                    "order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="lines", to="shop.order"
                    ),
                ),
                ("pizza", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="shop.pizza")),
            ],
        ),
        migrations.AddField(
            model_name="order",
            name="pizzeria",
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="shop.pizzeria"),
        ),
        migrations.CreateModel(
            name="Employee",
            fields=[
                (
                    "id",
                    models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("name", models.CharField(max_length=120)),
                ("hired", models.DateField()),
                (
                    "account",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "pizzeria",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="shop.pizzeria"),
                ),
                ("rank", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="shop.rank")),
            ],
            options={
                "ordering": ("name",),
            },
        ),
        migrations.AddConstraint(
            model_name="orderline",
            constraint=models.UniqueConstraint(fields=("order", "pizza"), name="order_line_once_per_pizza"),
        ),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(fields=["status", "placed"], name="order_status_placed"),
        ),
    )
