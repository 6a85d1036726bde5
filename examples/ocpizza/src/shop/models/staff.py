# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from django.conf import settings
from django.db import models

from .catalogue import Pizzeria


class Rank(models.Model):
    name = models.CharField(max_length=40, unique=True)
    level = models.PositiveSmallIntegerField(unique=True)
    duties = models.TextField()
    hourly_wage = models.DecimalField(max_digits=5, decimal_places=2)

    class Meta:
        db_table = "rank"
        ordering = ("level",)

    def __str__(self):
        return self.name


class Employee(models.Model):
    name = models.CharField(max_length=120)
    rank = models.ForeignKey(Rank, models.PROTECT)
    pizzeria = models.ForeignKey(Pizzeria, models.PROTECT)
    account = models.OneToOneField(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)
    hired = models.DateField()

    class Meta:
        ordering = ("name",)

    def __str__(self):
        return self.name
