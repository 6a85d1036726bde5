# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is documented once is what the modules take."""

import yaml

from ansible_collections.ocpizza.cutover.plugins.doc_fragments.databases import ModuleDocFragment
from ansible_collections.ocpizza.cutover.plugins.module_utils.database_side import SIDE_OPTIONS


def test_the_fragment_says_what_the_modules_take() -> None:
    documented = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    told = {name: {key: option[key] for key in option if key != "description"} for name, option in documented.items()}
    assert told == {name: option for name, option in SIDE_OPTIONS.items() if name != "side"}
