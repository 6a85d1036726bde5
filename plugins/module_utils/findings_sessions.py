# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether whoever has signed in stays so, decided from facts alone."""

import re
from typing import Any, Dict, Iterator

from ansible_collections.ocpizza.cutover.plugins.module_utils.finding import INHIBITOR, WARNING, Finding, join

TABLE = re.compile(r"(^|[_.])sessions?$", re.I)


def decide(facts: Dict[str, Any]) -> Iterator[Finding]:
    """What would sign people out."""
    secrets = facts["source"].get("secrets", {})
    differing, unknown = secrets.get("differing", []), secrets.get("unknown", [])
    if differing:
        yield Finding(
            "session.secret_differs",
            INHIBITOR,
            "Everybody would be signed out",
            "What the target is to have as {0} is not what the application on the source has.".format(join(differing)),
            "Give gunicorn_secrets the source's own value; change it, if it is to change, on another day.",
        )
    if unknown:
        yield Finding(
            "session.secret_unknown",
            WARNING,
            "Whether people stay signed in is not known",
            "{0} is not in the environment of the application on the source, so it was not compared.".format(
                join(unknown)
            ),
            "Compare the value in gunicorn_secrets with the source's settings by hand.",
        )
    tables = [
        table
        for server in facts["source"]["databases"].values()
        for database in server.get("databases", {}).values()
        for table in database.get("tables", [])
    ]
    if tables and not any(TABLE.search(table) for table in tables):
        yield Finding(
            "session.not_in_database",
            WARNING,
            "Sessions are not in the site's databases",
            "No table is called session or sessions; those in files, in a cache of the source or in its processes' "
            "memory do not come along.",
            "Have the application keep sessions in its database or in signed cookies, days before; else people sign in "
            "anew.",
        )
