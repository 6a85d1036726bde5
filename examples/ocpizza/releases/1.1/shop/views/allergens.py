# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from django.shortcuts import render
from django.views.decorators.http import require_safe
from shop.models import Pizza


@require_safe
def allergens(request):
    pizzas = Pizza.objects.filter(available=True).only("name", "allergens")
    return render(request, "shop/allergens.html", {"pizzas": pizzas})
