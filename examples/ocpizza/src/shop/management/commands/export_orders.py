# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import csv
import os
import tempfile
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, transaction
from django.utils import timezone

from shop.models import Export, Order

COLUMNS = ("number", "key", "pizzeria", "placed", "status", "customer", "phone", "total", "pizzas", "note")


class Command(BaseCommand):
    help = "Writes the orders that were not exported yet to a CSV file; each order is in exactly one file."

    def add_arguments(self, parser):
        parser.add_argument("--directory", default=settings.EXPORT_DIR, help="default: EXPORT_DIR")

    def handle(self, *args, **options):
        directory = Path(options["directory"])
        try:
            directory.mkdir(mode=0o750, parents=True, exist_ok=True)
            self.claim()
            # With what an interrupted run claimed and did not write.
            for export in Export.objects.filter(finished=None).order_by("pk"):
                self.write(export, directory)
        except OSError as error:
            raise CommandError(f"cannot write to {directory}: {error.strerror}; nothing is lost, run again") from error
        except DatabaseError as error:
            raise CommandError(f"the database refused: {error}; nothing is lost, run again") from error

    def claim(self):
        # Not "ids above the last one": an order with a lower id may commit after one with a higher.
        unexported = Order.objects.filter(export=None)
        if not unexported.exists():
            return
        with transaction.atomic():
            export = Export.objects.create()
            export.orders = unexported.update(export=export)
            export.save(update_fields=["orders"])

    def write(self, export, directory):
        orders = (
            Order.objects.filter(export=export)
            .select_related("customer", "pizzeria")
            .prefetch_related("lines__pizza")
            .order_by("pk")
        )
        path = directory / export.file_name
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=directory)
        try:
            with os.fdopen(handle, "w", newline="", encoding="utf-8") as stream:
                writer = csv.writer(stream)
                writer.writerow(COLUMNS)
                for order in orders.iterator(chunk_size=1000):
                    writer.writerow(map(harmless, row(order)))
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(temporary, 0o640)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        Export.objects.filter(pk=export.pk).update(finished=timezone.now())
        self.stdout.write(f"{path}: {export.orders} orders")


def row(order):
    pizzas = "; ".join(f"{line.quantity} x {line.pizza.name}" for line in order.lines.all())
    return (
        order.number,
        order.key,
        order.pizzeria.name,
        order.placed.isoformat(),
        order.status,
        order.customer.name,
        order.customer.phone,
        f"{order.total:.2f}",
        pizzas,
        order.note,
    )


def harmless(value):
    """A spreadsheet would run a cell that begins like a formula."""
    return "'" + value if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
