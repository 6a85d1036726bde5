# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils.hosts import host_offence, host_offences, split_hosts


@pytest.mark.parametrize(
    "name",
    ["ocpizza.test", "www.ocpizza.test", "localhost", "10.0.0.7", "::1", "[::1]", ".ocpizza.test", "xn--caf-dma.fr"],
)
def test_hosts_addresses_and_suffixes_pass(name):
    assert host_offence(name) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "empty"),
        (".", "empty"),
        ("*", "wildcard"),
        ("*.ocpizza.test", "write .example.org"),
        ("http://ocpizza.test/", "host name alone"),
        ("oc pizza.test", "space"),
        ("ocpizza.test:8000", "port"),
        ("10.0.0.300", "looks like an address"),
        ("ocpizza..test", "no host name"),
        ("-ocpizza.test", "no host name"),
        ("ocpizza.test.", "no host name"),
        ("café.fr", "no host name"),
        ("a" * 64 + ".fr", "no host name"),
        ("a." * 130 + "fr", "253"),
    ],
)
def test_what_is_no_host_is_refused_with_the_reason(name, words):
    assert words in host_offence(name)


def test_suffix_can_be_forbidden():
    assert "no host name" in host_offence(".ocpizza.test", allow_suffix=False)


def test_text_and_lists_are_split_alike():
    assert split_hosts("a.fr, b.fr,") == split_hosts(["a.fr", "b.fr"]) == ["a.fr", "b.fr"]
    assert split_hosts(None) == []


def test_each_offender_gets_a_text():
    assert host_offences("ok.fr,*,a b") == [
        "'*' has a wildcard, write .example.org for a domain and all below it",
        "'a b' has a space in it",
    ]


@given(st.lists(st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True), min_size=1, max_size=6))
def test_labels_joined_by_dots_pass(labels):
    assert host_offence(".".join(labels)) is None


@given(st.text(max_size=20))
def test_nothing_accepted_can_break_a_configuration_file(name):
    if host_offence(name) is None:
        assert not set(name) & set(" \t\n;{}'\"$/\\,*")
