# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuses variables that a role does not have; documented in plugins/modules/reject_unknown.py."""

import os
from typing import Any, Dict, Optional

import yaml
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.ocpizza.cutover.plugins.module_utils.unknown import (
    describe,
    find_unknown,
    known_names,
)

COLLECTION_ROLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "roles")


def read_argument_specs(role_path: str) -> Dict[str, Any]:
    """A role's argument specs, or a refusal that says which file is missing or broken."""
    path = os.path.join(role_path, "meta", "argument_specs.yml")
    try:
        with open(path, encoding="utf-8") as file:
            specs = yaml.safe_load(file)["argument_specs"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise AnsibleActionFail(
            "cannot read the role's variables from {0}: {1}; check the parameter 'role'".format(path, error)
        ) from error
    return dict(specs)


class ActionModule(ActionBase):
    """Compares the host's variable names with the role's argument specs."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _validation, args = self.validate_argument_spec(
            argument_spec={
                "role": {"type": "str", "required": True},
                "prefix": {"type": "str"},
                "renamed": {"type": "dict", "default": {}},
                "ignore": {"type": "list", "elements": "str", "default": []},
            }
        )
        name = args["role"].rpartition(".")[2]
        known = known_names(read_argument_specs(self._role_path(name))) | set(args["ignore"])
        unknown = find_unknown(task_vars, args["prefix"] or name + "_", known, args["renamed"])

        result.update(changed=False, unknown=[found._asdict() for found in unknown])
        if unknown:
            result.update(
                failed=True,
                msg="Role {0} on {1}: {2}.".format(
                    args["role"],
                    task_vars.get("inventory_hostname", "this host"),
                    "; ".join(describe(found) for found in unknown),
                ),
            )
        return result

    def _role_path(self, name: str) -> str:
        role = getattr(self._task, "_role", None)
        if role is not None and role.get_name(include_role_fqcn=False) == name:
            return str(role._role_path)
        return os.path.join(COLLECTION_ROLES, name)
