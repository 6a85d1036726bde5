# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from django.db import models
from django.utils import timezone

from .catalogue import Pizza, Pizzeria


class Customer(models.Model):
    name = models.CharField(max_length=120)
    phone = models.CharField(max_length=20, unique=True)
    email = models.EmailField(null=True, blank=True)
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("name",)

    def __str__(self):
        return self.name


class Export(models.Model):
    """One CSV file of orders. Unfinished ones are written again by the next run."""

    started = models.DateTimeField(default=timezone.now)
    finished = models.DateTimeField(null=True, blank=True)
    orders = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("-id",)

    def __str__(self):
        return self.file_name

    @property
    def file_name(self):
        return f"orders-{self.pk:06d}.csv"


class Order(models.Model):
    class Status(models.TextChoices):
        PLACED = "placed", "Placed"
        BAKING = "baking", "In the oven"
        READY = "ready", "Ready"
        DELIVERED = "delivered", "Delivered"
        CANCELLED = "cancelled", "Cancelled"

    OPEN = (Status.PLACED, Status.BAKING, Status.READY)

    # Text, not a UUIDField: Django stores that one as char(32) on MySQL and as a type of its own on
    # MariaDB from 10.7 on, so the same rows would no longer be found after a move to a newer server.
    key = models.CharField(max_length=36, unique=True)
    fingerprint = models.BinaryField(max_length=32, help_text="SHA-256 of what was ordered")
    customer = models.ForeignKey(Customer, models.PROTECT)
    pizzeria = models.ForeignKey(Pizzeria, models.PROTECT)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PLACED)
    total = models.DecimalField(max_digits=8, decimal_places=2)
    note = models.TextField(blank=True, default="")
    options = models.JSONField(default=dict, blank=True)
    placed = models.DateTimeField(default=timezone.now)
    ready = models.DateTimeField(null=True, blank=True)
    export = models.ForeignKey(Export, models.SET_NULL, null=True, blank=True, editable=False)

    class Meta:
        ordering = ("-id",)
        indexes = (models.Index(fields=("status", "placed"), name="order_status_placed"),)

    def __str__(self):
        return self.number

    @property
    def number(self):
        return f"OC-{self.pk:06d}"


class OrderLine(models.Model):
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    pizza = models.ForeignKey(Pizza, models.PROTECT)
    quantity = models.PositiveSmallIntegerField()
    unit_price = models.DecimalField(max_digits=6, decimal_places=2)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("order", "pizza"), name="order_line_once_per_pizza"),)

    def __str__(self):
        return f"{self.quantity} x {self.pizza}"
