# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers that were kept come back as they were, or not at all."""

import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import recorded_answers
from ansible_collections.ocpizza.cutover.plugins.module_utils.answers import Answer
from ansible_collections.ocpizza.cutover.plugins.module_utils.recorded_answers import Timed

ANSWERS = st.builds(
    Answer,
    st.integers(100, 599),
    st.dictionaries(st.text(), st.text()),
    st.binary(),
    st.lists(st.text()).map(tuple),
)
TIMED = st.builds(Timed, ANSWERS, st.integers(0, 100000).map(lambda tenths: tenths / 10))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text(), TIMED))
def test_what_is_written_is_read(tmp_path: Path, found: dict[str, Timed]) -> None:
    path = str(tmp_path / "answers.gz")
    recorded_answers.write(path, "shop.test", found)
    assert recorded_answers.read(path, "shop.test") == found
    assert [one.name for one in tmp_path.iterdir()] == ["answers.gz"]


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda whole: whole[: len(whole) // 2], "cannot be read as a record of answers"),
        (lambda _whole: b"", "cannot be read as a record of answers"),
        (lambda _whole: gzip.compress(b"[]\n"), "cannot be read as a record of answers"),
        (lambda whole: gzip.compress(b"".join(gzip.decompress(whole).splitlines(True)[:2])), "has 1 of 2 answers"),
    ],
)
def test_a_damaged_record_is_refused(tmp_path: Path, damage, text: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "answers.gz"
    one = Timed(Answer(200, {}, b"a"), 1.0)
    recorded_answers.write(str(path), "shop.test", {"/": one, "/menu/": one})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=text):
        recorded_answers.read(str(path), "shop.test")


def test_the_answers_of_another_site_are_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "answers.gz")
    recorded_answers.write(path, "annex.test", {})
    with pytest.raises(ValueError, match=r"has the answers of annex\.test, not of shop\.test"):
        recorded_answers.read(path, "shop.test")
