# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from django.conf import settings
from django.db import models
from django.templatetags.static import static
from django.utils import timezone


class Pizzeria(models.Model):
    name = models.CharField(max_length=80, unique=True)
    city = models.CharField(max_length=80)
    address = models.TextField()
    phone = models.CharField(max_length=20)
    opens_at = models.TimeField()
    closes_at = models.TimeField()
    oven_temperature = models.FloatField(null=True, blank=True, help_text="degrees Celsius")

    class Meta:
        ordering = ("name",)

    def __str__(self):
        return self.name


class Pizza(models.Model):
    name = models.CharField(max_length=80, unique=True)
    slug = models.SlugField(unique=True)
    description = models.TextField()
    price = models.DecimalField(max_digits=6, decimal_places=2)
    oven_minutes = models.FloatField(default=7.5)
    vegetarian = models.BooleanField(default=False)
    available = models.BooleanField(default=True)
    picture = models.CharField(
        max_length=120, blank=True, default="", help_text="an uploaded picture, below the media folder"
    )
    added = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("name",)

    def __str__(self):
        return self.name

    @property
    def picture_url(self):
        if self.picture:
            return settings.MEDIA_URL + self.picture
        return static(f"shop/pizzas/{self.slug}.svg")
