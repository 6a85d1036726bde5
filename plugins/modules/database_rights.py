# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings the accounts of the site's databases to the target, compares them, and takes them away again."""

DOCUMENTATION = r"""
---
module: database_rights
short_description: Bring the accounts of the site's databases to the target, or compare them
description:
  - Finds the source's accounts and roles that may do anything in the site's databases, or that something there runs as.
  - Brings them with the authentication plugin, the password's hash and the conditions that they have, and with
    their rights on the site's databases alone. Rights on everything are never given.
  - They come locked, so that nobody writes on the target before the switchover, which unlocks them.
  - An account that the target has already, from whatever host, is not touched; what differs is told.
  - Hashes go from server to server. They are in no result, no argument list and no diff.
version_added: "0.1.0"
author: The ocpizza.cutover team
requirements:
  - PyMySQL or pg8000, which agent.pyz brings along
attributes:
  check_mode:
    support: full
    description: Says what would come.
  diff_mode:
    support: none
    description: The result names the accounts and what they lack.
extends_documentation_fragment: ocpizza.cutover.databases
options:
  state:
    description:
      - V(present) brings what is missing, and follows the source where a password or a right has changed since.
      - V(compared) changes nothing.
      - V(absent) takes away what V(present) has brought, and nothing else.
    type: str
    choices: [present, compared, absent]
    default: present
  left:
    description: Accounts that stay behind, as C(user) or C(user@host).
    type: list
    elements: str
    default: []
  hosts:
    description: >-
      Hosts from which accounts of a host log in on the target, such as C(localhost) to C([10.0.0.4, 10.0.0.5]); an
      account of another host keeps it. PostgreSQL's roles have none.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Bring the accounts of the site's databases
  ocpizza.cutover.database_rights:
    credentials: /var/lib/cutover/ocpizza/credentials.json
    site: ocpizza
    databases: [ocpizza]
    left: [backup@localhost]
  environment:
    PYTHONPATH: /var/lib/cutover/ocpizza/agent.pyz
"""

RETURN = r"""
brought:
  description: Accounts on the target that were brought, those of earlier runs too; for V(absent) what was taken away.
  type: list
  elements: str
  returned: success
missing:
  description: Accounts that the target does not have.
  type: list
  elements: str
  returned: success
differing:
  description: What differs of those that were brought, in a sentence each.
  type: list
  elements: str
  returned: success
remarks:
  description: What differs of those that the target had already, in a sentence each.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils import engines, rights  # noqa: E402
from ansible_collections.ocpizza.cutover.plugins.module_utils.database import words  # noqa: E402
from ansible_collections.ocpizza.cutover.plugins.module_utils.database_side import (  # noqa: E402
    SIDE_OPTIONS,
    open_database,
)

LACKING = (
    "{0} could not log in on the target, which lacks its authentication plugin {1}. Install the plugin there, give the "
    "account another one on the source, or leave it behind (site_accounts_left)."
)
REMEDIES = {
    "present": "Check that the agent's account has what replicate.yml gives it; what came is brought again by it.",
    "compared": "Check that the accounts of replicate.yml are still there.",
    "absent": "Drop by hand what still depends on them on the target, and run withdraw.yml again.",
}


class Sides:
    """Both servers' accounts, and how they stand to each other."""

    def __init__(self, module, source, target):
        self.source, self.target = source, target
        self.settings = rights.Settings(frozenset(module.params["left"]), module.params["hosts"])
        self.look()

    def look(self):
        """Read both sides, again after a change."""
        self.accounts, _methods = self.source.read()
        there, self.methods = self.target.read()
        self.brought = self.target.brought()
        self.moves = rights.moves(self.accounts, there, self.settings, self.brought)
        self.logins = {move.name: self.source.definition(move.account) for move in self.moves}

    def lacking(self):
        """(account, plugin) of those that could not log in on the target; a login may name more than one."""
        named = [
            move._replace(
                account=move.account._replace(methods=self.source.methods(move.account, self.logins[move.name]))
            )
            for move in self.moves
        ]
        return rights.lacking_methods(named, self.methods)

    def changed_login(self, move):
        """Whether one that was brought logs in otherwise than on the source."""
        here = self.target.definition(move.there[0])
        return self.source.rest(self.logins[move.name]) != self.target.rest(here)

    def told(self):
        """What is missing and what differs, in words."""
        found = {"brought": sorted(self.brought), "missing": [], "differing": [], "remarks": []}
        for move in self.moves:
            if not move.there:
                found["missing"].append(move.name)
                continue
            mine = move.name in self.brought
            differences = rights.differences(move)
            if mine and self.changed_login(move):
                differences.append("logs in with another password, plugin or condition")
            if differences:
                names = ", ".join(account.name for account in move.there)
                found["differing" if mine else "remarks"].append(
                    "{0} ({1} on the source) {2}".format(names, move.account.name, "; ".join(differences))
                )
        return found

    def bring(self):
        """Make what is missing, all of it before rights are given: some are rights to others of them."""
        for move in self.moves:
            if not move.there:
                self.target.make(move.account, move.user, move.host, self.logins[move.name])
            elif move.name in self.brought and self.changed_login(move):
                self.target.change(move.user, move.host, self.logins[move.name])
        for move in self.moves:
            if move.there and move.name not in self.brought:
                continue
            theirs = move.there[0].rights if move.there else frozenset()
            self.target.revoke(move.user, move.host, theirs - move.account.rights)
            self.target.grant(move.user, move.host, move.account.rights - theirs)


class RefusedError(Exception):
    """What stands in the way, in words of its own."""


def present(module, sides):
    """Bring what is missing."""
    lacking = sides.lacking()
    if lacking:
        raise RefusedError(" ".join(LACKING.format(*each) for each in lacking))
    told = sides.told()
    changed = bool(told["missing"] or told["differing"])
    if changed and not module.check_mode:
        sides.bring()
        sides.look()
        told = sides.told()
    return dict(told, changed=changed)


def absent(module, target):
    """Take away what was brought."""
    brought = target.brought()
    if not module.check_mode:
        for name in sorted(brought):
            target.drop(*brought[name])
    return {"changed": bool(brought), "brought": sorted(brought), "missing": [], "differing": [], "remarks": []}


def main():
    options = dict(
        SIDE_OPTIONS,
        state={"type": "str", "choices": ["present", "compared", "absent"], "default": "present"},
        left={"type": "list", "elements": "str", "default": []},
        hosts={"type": "dict", "default": {}},
    )
    del options["side"]
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    state = module.params["state"]
    kind = engines.rights(module.params["engine"]).Rights
    target = kind(open_database(module, "target"))
    refusal = ""
    try:
        if state == "absent":
            result = absent(module, target)
        else:
            sides = Sides(module, kind(open_database(module, "source")), target)
            result = present(module, sides) if state == "present" else dict(sides.told(), changed=False)
    except RefusedError as error:
        refusal = str(error)
    except Exception as error:
        refusal = "The accounts of {0} cannot be {1}: {2}. {3}".format(
            ", ".join(module.params["databases"]),
            {"present": "brought", "compared": "compared", "absent": "taken away"}[state],
            words(error),
            REMEDIES[state],
        )
    if refusal:
        module.fail_json(msg=refusal)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
