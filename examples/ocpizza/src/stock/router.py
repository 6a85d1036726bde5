# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which database a model lives in."""

APP = "stock"


class Router:
    def db_for_read(self, model, **_hints):
        return APP if model._meta.app_label == APP else None

    db_for_write = db_for_read

    def allow_migrate(self, db, app_label, **_hints):
        return False if APP in (db, app_label) else None
