# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of every module that looks at a site's databases on both sides; SIDE_OPTIONS is their specification."""


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  credentials:
    description: JSON file on the host with the connection of each side. Only root should read it.
    type: path
    required: true
  engine:
    description: The engine of both servers.
    type: str
    choices: [mariadb, mysql, postgresql]
    default: mariadb
  site:
    description: Name of the site.
    type: str
    required: true
  databases:
    description: The site's databases; they have the same names on both sides.
    type: list
    elements: str
    required: true
"""
