# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from django.db.models import Prefetch
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from shop.models import Order, OrderLine, Pizza, Pizzeria


@require_safe
def menu(request):
    pizzas = Pizza.objects.filter(available=True)
    return render(request, "shop/menu.html", {"pizzas": pizzas, "pizzerias": Pizzeria.objects.all()})


@require_safe
def pizza(request, pk):
    return render(request, "shop/pizza.html", {"pizza": get_object_or_404(Pizza, pk=pk)})


@require_safe
def order(request, key):
    orders = Order.objects.select_related("pizzeria").prefetch_related(with_pizzas())
    found = get_object_or_404(orders, key=str(key))
    return render(request, "shop/order.html", {"order": found})


@require_safe
def kitchen(request):
    waiting = Order.objects.filter(status__in=Order.OPEN).order_by("placed", "pk")
    orders = waiting.select_related("pizzeria").prefetch_related(with_pizzas())[:60]
    return render(request, "shop/kitchen.html", {"orders": orders, "statuses": Order.Status})


def with_pizzas():
    return Prefetch("lines", OrderLine.objects.select_related("pizza").order_by("pk"))
