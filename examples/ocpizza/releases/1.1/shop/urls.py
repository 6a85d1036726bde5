# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from django.urls import path

from .views import allergens, api, health, media, pages

urlpatterns = [
    path("", pages.menu, name="menu"),
    path("pizza/<int:pk>/", pages.pizza, name="pizza"),
    path("orders/<uuid:key>/", pages.order, name="order"),
    path("kitchen/", pages.kitchen, name="kitchen"),
    path("allergens/", allergens.allergens, name="allergens"),
    path("api/orders", api.orders),
    path("api/orders/<uuid:key>", api.order),
    path("api/orders/<uuid:key>/status", api.status),
    path("api/media", media.upload),
    path("healthz", health.health),
]
