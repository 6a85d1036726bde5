# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import logging

from django.db import DatabaseError, connections
from django.http import JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from ocpizza.release import RELEASE

logger = logging.getLogger(__name__)

QUESTIONS = {
    "mysql": "SELECT @@global.hostname, VERSION(), NOT @@global.read_only",
    "postgresql": "SELECT host(inet_server_addr()), current_setting('server_version'),"
    " NOT pg_is_in_recovery() AND NOT current_setting('transaction_read_only')::bool",
    "sqlite": "SELECT 'local', sqlite_version(), 1",
}


def database_state(connection) -> dict:
    state = {
        "state": "ok",
        "engine": connection.vendor,
        "host": connection.settings_dict["HOST"],
        "writable": False,
    }
    try:
        with connection.cursor() as cursor:
            cursor.execute(QUESTIONS[connection.vendor])
            server, version, writable = cursor.fetchone()
    except DatabaseError as error:
        # Its text names accounts and addresses: that belongs in the log, not on a public page.
        logger.error("health: %s", error)
        return {**state, "state": "unreachable"}
    if connection.vendor == "mysql" and connection.mysql_is_mariadb:
        state["engine"] = "mariadb"
    return {**state, "server": server, "version": version, "writable": bool(writable)}


@never_cache
@require_safe
def health(request):
    states = {
        "database" if name == "default" else f"database_{name}": database_state(connections[name])
        for name in connections
    }
    well = all(state["state"] == "ok" for state in states.values())
    return JsonResponse(
        {"status": "ok" if well else "failed", "release": RELEASE, **states},
        status=200 if well else 503,
    )
