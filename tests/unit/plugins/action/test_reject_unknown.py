# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from types import SimpleNamespace
from unittest import mock

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.ocpizza.cutover.plugins.action.reject_unknown import ActionModule

SPECS = """
argument_specs:
  main:
    options:
      shop_workers: {type: int}
      shop_name: {type: str}
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta/argument_specs.yml").write_text(SPECS)
    role = SimpleNamespace(_role_path=str(tmp_path), get_name=lambda include_role_fqcn=True: "shop")

    def run_(args, **task_vars):
        task = mock.MagicMock(args=args, _role=role, async_val=0, diff=False, check_mode=False)
        action = ActionModule(task, mock.MagicMock(), mock.MagicMock(), mock.MagicMock(), mock.MagicMock(), None)
        return action.run(task_vars=dict(task_vars, inventory_hostname="app1"))

    return run_


def test_known_variables_pass(run):
    result = run({"role": "shop"}, shop_workers=3, shop_name="x", other_thing=1)
    assert not result.get("failed")
    assert result["changed"] is False
    assert result["unknown"] == []


def test_misspelt_variable_is_refused_with_host_and_nearest(run):
    result = run({"role": "ocpizza.cutover.shop"}, shop_worker="s3cret")
    assert result["failed"] is True
    assert result["msg"] == (
        "Role ocpizza.cutover.shop on app1: shop_worker is no variable of this role: did you mean shop_workers."
    )
    assert "s3cret" not in str(result)


def test_all_are_named_at_once(run):
    result = run({"role": "shop", "renamed": {"shop_procs": "shop_workers"}}, shop_procs=1, shop_nam=2)
    assert "shop_nam is no variable" in result["msg"]
    assert "shop_procs is now called shop_workers" in result["msg"]


def test_prefix_and_ignored_names(run):
    assert run({"role": "shop", "ignore": ["shop_address"]}, shop_address="x").get("failed") is None
    assert run({"role": "shop", "prefix": "kiosk_"}, kiosk_x=1)["failed"] is True


def test_role_without_specs_is_refused_with_the_file(run):
    with pytest.raises(AnsibleActionFail, match=r"no_such_role/meta/argument_specs.yml.*parameter 'role'"):
        run({"role": "no_such_role"})
