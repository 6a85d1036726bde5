# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Placing an order, exactly once for each key."""

import hashlib
import json
import re
from decimal import Decimal
from typing import Dict, NamedTuple, Optional, Tuple

from django.conf import settings
from django.db import IntegrityError, OperationalError, transaction

from .models import Customer, Order, OrderLine, Pizza

ATTEMPTS = 4
# MySQL: lock wait timeout, deadlock. PostgreSQL: serialization failure, deadlock.
WORTH_REPEATING = {1205, 1213, "40001", "40P01"}
PHONE = re.compile(r"\+?[0-9][0-9 .-]{3,18}")


class RefusedError(Exception):
    """The order is wrong; its text says how."""


class Cart(NamedTuple):
    name: str
    phone: str
    email: Optional[str]
    pizzeria: int
    quantities: Dict[int, int]
    note: str
    options: dict

    @property
    def fingerprint(self) -> bytes:
        canonical = json.dumps(self._asdict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).digest()


def whole(value, low: int, high: int, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise RefusedError(f"{what} must be a whole number from {low} to {high}")
    return value


def text(value, longest: int, what: str) -> str:
    if not isinstance(value, str) or len(value) > longest or "\0" in value:
        raise RefusedError(f"{what} must be text of at most {longest} characters")
    return value.strip()


def read_cart(body) -> Cart:
    if not isinstance(body, dict):
        raise RefusedError("the order must be a JSON object")
    customer, lines = body.get("customer"), body.get("lines")
    if not isinstance(customer, dict):
        raise RefusedError("customer must be an object with name and phone")
    name = text(customer.get("name"), 120, "customer.name")
    phone = text(customer.get("phone"), 20, "customer.phone")
    if not name or not PHONE.fullmatch(phone):
        raise RefusedError("customer.name and customer.phone (digits) are needed")
    email = text(customer.get("email") or "", 254, "customer.email")
    if not isinstance(lines, list) or not 1 <= len(lines) <= 50:
        raise RefusedError("lines must be a list of 1 to 50 entries {pizza, quantity}")
    quantities: Dict[int, int] = {}
    for line in lines:
        if not isinstance(line, dict):
            raise RefusedError("each line must be an object {pizza, quantity}")
        pizza = whole(line.get("pizza"), 1, 2**31 - 1, "pizza")
        quantity = quantities.get(pizza, 0) + whole(line.get("quantity"), 1, 99, "quantity")
        quantities[pizza] = whole(quantity, 1, 99, "quantity")
    options = body.get("options") or {}
    if not isinstance(options, dict) or len(json.dumps(options)) > 2000:
        raise RefusedError("options must be a JSON object of at most 2000 characters")
    return Cart(
        name,
        phone,
        email or None,
        whole(body.get("pizzeria", settings.DEFAULT_PIZZERIA), 1, 2**31 - 1, "pizzeria"),
        quantities,
        text(body.get("note") or "", 2000, "note"),
        options,
    )


def worth_repeating(error: OperationalError) -> bool:
    return getattr(error.__cause__, "sqlstate", None) in WORTH_REPEATING or error.args[:1] in [
        (code,) for code in WORTH_REPEATING
    ]


def insert(key: str, cart: Cart) -> Order:
    prices = dict(Pizza.objects.filter(pk__in=cart.quantities, available=True).order_by().values_list("pk", "price"))
    unknown = sorted(set(cart.quantities) - set(prices))
    if unknown:
        raise RefusedError(f"not on the menu: pizza {', '.join(map(str, unknown))}")
    customer = Customer.objects.filter(phone=cart.phone).order_by().values_list("pk", flat=True).first()
    if customer is None:
        customer = Customer.objects.create(name=cart.name, phone=cart.phone, email=cart.email).pk
    total = sum((prices[pizza] * quantity for pizza, quantity in cart.quantities.items()), Decimal())
    order = Order.objects.create(
        key=key,
        fingerprint=cart.fingerprint,
        customer_id=customer,
        pizzeria_id=cart.pizzeria,
        total=total,
        note=cart.note,
        options=cart.options,
    )
    OrderLine.objects.bulk_create(
        OrderLine(order=order, pizza_id=pizza, quantity=quantity, unit_price=prices[pizza])
        for pizza, quantity in sorted(cart.quantities.items())
    )
    return order


def place(key: str, cart: Cart) -> Tuple[Order, bool]:
    """The order of this key and whether it is new.

    The unique key decides, not a look beforehand: of requests that arrive together one inserts, the
    others fail and find its row. The same failure covers a customer who is created by two requests.
    """
    failure: Exception = RefusedError("the order could not be placed")
    for _attempt in range(ATTEMPTS):
        try:
            with transaction.atomic():
                return insert(key, cart), True
        except OperationalError as error:
            if not worth_repeating(error):
                raise
            failure = error
        except (IntegrityError, RefusedError) as error:
            # Also after a refusal: the menu may have changed since the order was accepted.
            known = Order.objects.filter(key=key).first()
            if known is not None:
                if bytes(known.fingerprint) != cart.fingerprint:
                    raise RefusedError("this Idempotency-Key was used for a different order") from error
                return known, False
            if isinstance(error, RefusedError):
                raise
            failure = error
    if isinstance(failure, IntegrityError):
        raise RefusedError(f"there is no pizzeria {cart.pizzeria}") from failure
    raise failure
