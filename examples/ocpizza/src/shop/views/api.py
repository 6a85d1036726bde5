# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import json
from functools import wraps
from uuid import UUID

from django.conf import settings
from django.http import JsonResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods
from ocpizza.release import RELEASE
from stock.moves import book

from shop.models import Order
from shop.ordering import RefusedError, place, read_cart

PAGE = 1000


def refusal(text: str, status: int) -> JsonResponse:
    return JsonResponse({"error": text}, status=status)


def is_staff(request) -> bool:
    if request.user.is_authenticated and request.user.is_staff:
        return True
    given = request.headers.get("X-Staff-Token", "")
    return bool(settings.STAFF_TOKEN) and constant_time_compare(given, settings.STAFF_TOKEN)


def staff_only(view):
    @wraps(view)
    def checked(request, *args, **kwargs):
        if not is_staff(request):
            return refusal("for staff: send the header X-Staff-Token", 403)
        return view(request, *args, **kwargs)

    return checked


def json_body(request):
    try:
        return json.loads(request.body)
    except (ValueError, RecursionError):
        raise RefusedError("the body must be JSON") from None


def described(order: Order) -> dict:
    return {
        "key": order.key,
        "number": order.number,
        "id": order.pk,
        "total": f"{order.total:.2f}",
        "release": RELEASE,
    }


@csrf_exempt
@require_http_methods(["GET", "POST"])
def orders(request):
    return create(request) if request.method == "POST" else listing(request)


def create(request):
    given = request.headers.get("Idempotency-Key", "")
    try:
        key = str(UUID(given))
    except ValueError:
        return refusal("the header Idempotency-Key must be a UUID", 400)
    try:
        cart = read_cart(json_body(request))
        order, new = place(key, cart)
    except RefusedError as error:
        return refusal(str(error), 422)
    book(order.key, order.total, sum(cart.quantities.values()))
    return JsonResponse(described(order), status=201 if new else 200)


def listing(request):
    """Keys in the order of their ids, for whoever compares what was acknowledged with what is there."""
    try:
        since = max(0, int(request.GET.get("since", 0)))
        limit = min(PAGE, max(1, int(request.GET.get("limit", PAGE))))
    except ValueError:
        return refusal("since and limit must be whole numbers", 400)
    rows = list(Order.objects.filter(pk__gt=since).order_by("pk").values("id", "key", "status")[:limit])
    return JsonResponse({"orders": rows, "next": rows[-1]["id"] if rows else since, "more": len(rows) == limit})


@require_http_methods(["GET"])
def order(request, key):
    found = Order.objects.filter(key=str(key)).prefetch_related("lines").first()
    if found is None:
        return refusal(f"there is no order {key}", 404)
    lines = [
        {"pizza": line.pizza_id, "quantity": line.quantity, "unit_price": f"{line.unit_price:.2f}"}
        for line in found.lines.all()
    ]
    return JsonResponse(
        {
            **described(found),
            "status": found.status,
            "placed": found.placed.isoformat(),
            "ready": found.ready and found.ready.isoformat(),
            "lines": lines,
            "note": found.note,
            "options": found.options,
        }
    )


@csrf_exempt
@require_http_methods(["POST"])
@staff_only
def status(request, key):
    try:
        body = json_body(request)
        wanted = body.get("status") if isinstance(body, dict) else None
        if wanted not in Order.Status.values:
            raise RefusedError(f"status must be one of {', '.join(Order.Status.values)}")
    except RefusedError as error:
        return refusal(str(error), 422)
    change = {"status": wanted}
    if wanted == Order.Status.READY:
        change["ready"] = timezone.now()
    # MySQL counts changed rows, not found ones, so 0 may also mean that nothing had to change.
    if not Order.objects.filter(key=str(key)).update(**change) and not Order.objects.filter(key=str(key)).exists():
        return refusal(f"there is no order {key}", 404)
    return JsonResponse({"key": str(key), "status": wanted})
