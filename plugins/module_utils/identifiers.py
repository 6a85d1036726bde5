# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that a site gives to things on servers, and how to quote them."""

import hashlib


def quote_mysql(name: str) -> str:
    """An identifier for MySQL and MariaDB, whatever is in it."""
    if not name or "\0" in name:
        raise ValueError("an identifier must not be empty or hold a null character")
    return "`" + name.replace("`", "``") + "`"


def schema_for(site: str) -> str:
    """The database that holds the site's marker and fence, beside the site's own on both sides."""
    return "cutover_" + site.replace("-", "_")


def trigger_name(event: str, table: str) -> str:
    """The name of a fence trigger; hashed, for a table's name may fill the 64 characters alone."""
    return "cutover_{0}_{1}".format(event.lower(), hashlib.sha256(table.encode("utf-8")).hexdigest()[:16])


def wildcard(name: str) -> str:
    """A database for replicate_wild_do_table, where % and _ would match more than themselves."""
    return "{0}.%".format(name.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%"))
