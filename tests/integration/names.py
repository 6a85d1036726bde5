# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names with everything in them that a server of MariaDB's or MySQL's takes."""

from __future__ import annotations

from ansible_collections.ocpizza.cutover.plugins.module_utils.identifiers import quote_mysql

SITE = "oc-shop"
# The servers' identifiers end at U+FFFF: a picture from beyond is refused by CREATE itself.
NAME = "sh`op 'é' ☎ 100%_"
TABLE = "every \"type\" 'and' ☎ 100% `name`"
D = quote_mysql(NAME)
Q = quote_mysql(TABLE)
