# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation only: plugins/action/reject_unknown.py does the work, on the controller."""

DOCUMENTATION = r"""
module: reject_unknown
short_description: Refuse variables that a role does not have
version_added: 0.1.0
description:
  - Fails when a variable begins with the role's prefix and its C(meta/argument_specs.yml) does not have it,
    which is how a misspelt or renamed variable looks. Names the nearest right one.
  - Looks at the names of all variables the host has, never at their values.
  - Runs on the controller and changes nothing.
options:
  role:
    description: Name of the role, short or with the collection's name.
    type: str
    required: true
  prefix:
    description: What the role's variables begin with. The role's name and an underscore when not given.
    type: str
  renamed:
    description: Former names and the new ones; a former name is refused with both.
    type: dict
    default: {}
  ignore:
    description: Names that begin with the prefix and belong to someone else.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Does the same in check mode.
    support: full
  diff_mode:
    description: There is nothing to differ.
    support: none
author:
  - The ocpizza.cutover team
"""

EXAMPLES = r"""
- name: Refuse variables that this role does not have
  ocpizza.cutover.reject_unknown:
    role: gunicorn
    renamed:
      gunicorn_wsgi_module: gunicorn_wsgi
"""

RETURN = r"""
unknown:
  description: The refused variables.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The variable.
      type: str
    nearest:
      description: The name that was most likely meant, none where no name is near.
      type: str
    renamed:
      description: Whether the variable is a former name.
      type: bool
"""
