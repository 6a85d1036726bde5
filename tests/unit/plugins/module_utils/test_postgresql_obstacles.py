# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in the way between two PostgreSQL servers, from made-up facts."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils.postgresql_obstacles import obstacles

SETTINGS = {
    "wal_level": "logical",
    "max_replication_slots": "10",
    "max_wal_senders": "10",
    "max_logical_replication_workers": "4",
    "max_worker_processes": "8",
    "max_slot_wal_keep_size": "-1",
    "server_version": "13.23",
    "server_version_num": "130023",
}


def facts(settings: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "database": "shop",
        "settings": {**SETTINGS, **(settings or {})},
        "encoding": "UTF8",
        "order": "bytes",
        "slots": 0,
        "senders": 0,
        "large_objects": 0,
        "unlogged": [],
        "foreign": [],
        "unkeyed": [],
        "generated": [],
        "extension_tables": [],
        "extensions": ["plpgsql"],
        "available": ["plpgsql", "hstore"],
        "event_triggers": [],
        "prepared": 0,
    }
    return {**plain, **changes}


NEWER = {"server_version_num": "170012", "server_version": "17.12"}


def test_nothing_stands_in_the_way() -> None:
    assert obstacles(facts(), facts(NEWER)) == []
    assert obstacles(facts(), None) == []


@pytest.mark.parametrize(
    ("source", "target", "key", "said"),
    [
        (facts({"wal_level": "replica"}), facts(NEWER), "wal_level", "replica on the source"),
        (facts(), facts({**NEWER, "wal_level": "minimal"}), "wal_level", "minimal on the target"),
        (facts({"max_replication_slots": "3"}, slots=2), None, "max_replication_slots", "others use 2"),
        (facts({"max_wal_senders": "1"}), None, "max_wal_senders", "needs 2"),
        (facts({"max_logical_replication_workers": "0"}), None, "replication_workers", "of 0 databases"),
        (facts({"max_slot_wal_keep_size": "64"}), None, "slot_limit", "64 MB on the source"),
        (facts(large_objects=3), None, "large_objects", "3 large objects"),
        (facts(unlogged=["public.a"]), None, "unlogged", "public.a"),
        (facts(foreign=["public.a"]), None, "foreign_tables", "public.a"),
        (facts(unkeyed=[["public.a", ""]]), None, "without_key", "public.a"),
        (facts(unkeyed=[["public.a", "j"]]), None, "without_key_or_equality", "public.a in database shop has no key"),
        (facts(generated=["public.a"]), None, "generated_key", "public.a"),
        (facts(extension_tables=["postgis.spatial_ref_sys"]), None, "extension_tables", "spatial_ref_sys"),
        (facts(event_triggers=["watch"]), None, "event_triggers", "watch"),
        (facts(prepared=1), None, "prepared_transactions", "1 prepared"),
        (facts({"server_version_num": "110022", "server_version": "11.22"}), facts(NEWER), "source_too_old", "11.22"),
        (facts(NEWER), facts(), "target_older", "17, the target 13"),
        (facts(extensions=["postgis"]), facts(NEWER), "extensions", "postgis"),
        (facts(encoding="LATIN1"), facts(NEWER), "encoding", "LATIN1 on the source and in UTF8"),
        (facts(order="fr_fr.utf8"), facts(NEWER), "collation", "'fr_fr.utf8' on the source and by 'bytes'"),
    ],
)
def test_each_obstacle_is_named_with_its_remedy(
    source: dict[str, Any], target: dict[str, Any] | None, key: str, said: str
) -> None:
    (found,) = obstacles(source, target)
    assert found["key"] == "database." + key
    assert said in found["title"]
    assert found["remedy"]


def test_a_list_of_many_names_is_cut() -> None:
    (found,) = obstacles(facts(unlogged=[f"public.t{n}" for n in range(8)]), None)
    assert found["title"].endswith("public.t4 and 3 more")
