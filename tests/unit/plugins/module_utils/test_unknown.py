# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils.unknown import (
    Unknown,
    describe,
    find_unknown,
    known_names,
)

KNOWN = {"gunicorn_workers", "gunicorn_name", "gunicorn_bind"}


def test_known_names_come_from_every_entry_point_with_aliases():
    specs = {
        "main": {"options": {"gunicorn_name": {"type": "str", "aliases": ["gunicorn_site"]}}},
        "rollback": {"options": {"gunicorn_release": None}},
        "empty": None,
    }
    assert known_names(specs) == {"gunicorn_name", "gunicorn_site", "gunicorn_release"}


def test_misspelt_name_is_found_with_the_nearest():
    assert find_unknown(["gunicorn_worker", "gunicorn_name"], "gunicorn_", KNOWN) == [
        Unknown("gunicorn_worker", "gunicorn_workers", False)
    ]


def test_name_far_from_all_has_no_nearest():
    assert find_unknown(["gunicorn_qqqqqqqqqqqqqqqq"], "gunicorn_", KNOWN)[0].nearest is None


def test_renamed_name_is_found_whatever_its_prefix():
    found = find_unknown(["app_workers"], "gunicorn_", KNOWN, {"app_workers": "gunicorn_workers"})
    assert found == [Unknown("app_workers", "gunicorn_workers", True)]


def test_internal_and_foreign_names_are_left_alone():
    assert find_unknown(["__gunicorn_x", "nginx_sites", "ansible_facts"], "gunicorn_", KNOWN) == []


def test_texts_name_variable_and_remedy():
    assert describe(Unknown("a_x", "a_y", True)) == "a_x is now called a_y: rename it"
    assert describe(Unknown("a_x", "a_y", False)) == "a_x is no variable of this role: did you mean a_y"
    assert "remove it" in describe(Unknown("a_x", None, False))


NAMES = st.sets(st.text(alphabet="abc_", min_size=1, max_size=6))


@given(NAMES, NAMES)
def test_exactly_the_prefixed_and_not_known_are_found(names, known):
    found = {unknown.name for unknown in find_unknown(names, "a_", known)}
    assert found == {name for name in names if name.startswith("a_") and name not in known}
