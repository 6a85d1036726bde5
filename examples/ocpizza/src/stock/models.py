# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from django.db import models
from django.utils import timezone


class Movement(models.Model):
    """What an accepted order took from the stock. The table is made by stock_dump.sql, not by migrations."""

    key = models.CharField(max_length=36, unique=True)
    pieces = models.PositiveIntegerField()
    total = models.DecimalField(max_digits=8, decimal_places=2)
    moved = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "movement"
