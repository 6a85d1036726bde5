# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same cases in every run, for `make test` judges a change. HYPOTHESIS_PROFILE=search looks for new ones."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    """A program that narrows its file modes does not narrow those of the next test's."""
    mask = os.umask(0o022)
    yield
    os.umask(mask)
