# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Books what orders take from the stock, exactly once for each key."""

from django.apps import apps


def book(key: str, total, pieces: int) -> None:
    """A row of its own database, after the order's own is committed and before the order is accepted.

    Where this fails the client asks again with the same key, and finds the order and no row here.
    """
    if not apps.is_installed("stock"):
        return
    movements = apps.get_model("stock", "Movement").objects
    # Not "ignore conflicts": that is INSERT IGNORE on MySQL, which hides other failures as well.
    movements.get_or_create(key=key, defaults={"total": total, "pieces": pieces})
