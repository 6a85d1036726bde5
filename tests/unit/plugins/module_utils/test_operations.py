# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.ocpizza.cutover.plugins.filter.restart_way import FilterModule
from ansible_collections.ocpizza.cutover.plugins.filter.update_outcome import FilterModule as UpdateFilterModule

APP1, APP2 = "/run/cutover/drain/10.0.0.1_8000", "/run/cutover/drain/10.0.0.2_8000"
ALONE, BESIDE = "Alone: 10.0.0.1_8000", "/run/cutover/drain/127.0.0.1_8000"
restart_way = FilterModule().filters()["restart_way"]
update_outcome = UpdateFilterModule().filters()["update_outcome"]


@pytest.mark.parametrize(
    ("told", "flags"),
    [
        ({"web1": [APP1, APP2]}, [["web1", APP1]]),
        ({"web1": [APP1, APP2, APP1]}, [["web1", APP1]]),
        ({"web1": [APP1, APP2, "Alone: 10.0.0.2_8000"]}, [["web1", APP1]]),
        ({"web1": [APP1, APP2], "web2": [APP2, APP1]}, [["web1", APP1], ["web2", APP1]]),
    ],
)
def test_all_of_it_is_restarted_where_every_web_server_has_another(told, flags):
    assert restart_way(told, "app1", "10.0.0.1", "8000") == {"way": "restart", "flags": flags}


@pytest.mark.parametrize(
    "told",
    [
        {"web1": [APP1, APP2], "web2": [APP2]},
        {"web1": [APP2]},
        {"web1": [ALONE]},
        {"web1": [APP1, APP2, ALONE]},
        {"web1": [APP1, APP2], "web2": [APP1, APP2, ALONE]},
        {"web1": ["/run/cutover/drain/10.0.0.1_80"]},
        {"web1": []},
        {},
    ],
)
def test_elsewhere_its_workers_are_replaced(told):
    assert restart_way(told, "app1", "10.0.0.1", "8000") == {"way": "workers", "flags": []}


def test_loopback_is_the_application_beside_the_web_server_and_no_other():
    told = {"one": [BESIDE, APP2], "two": [APP1, BESIDE]}
    assert restart_way(told, "one", "10.0.0.1", "8000") == {"way": "restart", "flags": [["one", BESIDE], ["two", APP1]]}
    assert restart_way(told, "two", "10.0.0.2", "8000") == {"way": "restart", "flags": [["one", APP2], ["two", BESIDE]]}
    assert restart_way(told, "three", "10.0.0.1", "8000") == {"way": "workers", "flags": []}


def updated(now, problem="", answers=True, taken_out=True):
    return {"__operations_update": {"now": now, "problem": problem, "answers": answers, "taken_out": taken_out}}


def test_nothing_is_said_where_all_went_well():
    assert update_outcome(["app1", "app2"], {"app1": updated("1.1"), "app2": {}}) == ""


def test_a_failed_update_says_what_everyone_runs():
    known = {"app1": updated("1.1"), "app2": updated("1.0", "it answers 500"), "app3": {"other": 1}}
    assert update_outcome(["app1", "app2", "app3"], known).splitlines() == [
        "app2: it answers 500",
        "app1 runs 1.1.",
        "app2 runs 1.0.",
        "app3 was not touched.",
    ]


@pytest.mark.parametrize(
    ("taken_out", "text"), [(True, "the web servers leave it out"), (False, "no other has its requests")]
)
def test_a_server_that_does_not_answer_is_said_to_be_so(taken_out, text):
    assert text in update_outcome(["app1"], {"app1": updated("1.0", "no", False, taken_out)}).splitlines()[1]
