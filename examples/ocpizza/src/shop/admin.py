# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from django.contrib import admin

from .models import Customer, Employee, Export, Order, OrderLine, Pizza, Pizzeria, Rank


class Lines(admin.TabularInline):
    model = OrderLine
    extra = 0


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ("number", "customer", "pizzeria", "status", "total", "placed")
    list_filter = ("status", "pizzeria")
    list_select_related = ("customer", "pizzeria")
    search_fields = ("key", "customer__name", "customer__phone")
    readonly_fields = ("key", "placed")
    inlines = (Lines,)
    show_full_result_count = False


@admin.register(Pizza)
class PizzaAdmin(admin.ModelAdmin):
    list_display = ("name", "price", "vegetarian", "available")
    list_editable = ("price", "available")
    search_fields = ("name",)


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    list_display = ("name", "phone", "created")
    search_fields = ("name", "phone")


@admin.register(Employee)
class EmployeeAdmin(admin.ModelAdmin):
    list_display = ("name", "rank", "pizzeria", "hired")


@admin.register(Export)
class ExportAdmin(admin.ModelAdmin):
    list_display = ("file_name", "started", "finished", "orders")


admin.site.register([Pizzeria, Rank])
