# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from .catalogue import Pizza, Pizzeria
from .orders import Customer, Export, Order, OrderLine
from .staff import Employee, Rank

__all__ = ["Customer", "Employee", "Export", "Order", "OrderLine", "Pizza", "Pizzeria", "Rank"]
