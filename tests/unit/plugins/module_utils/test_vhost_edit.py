"""Includes in virtual hosts: in the right ones, and out again without a trace."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import vhost_edit

PATH = "/etc/apache2/cutover/shop.conf"
LINES = "    # ocpizza.cutover: removed again when the source is retired\n    Include " + PATH + "\n"
TWO = """\
Listen 80
<VirtualHost *:80>
    ServerName shop.example
    ServerAlias www.shop.example
</VirtualHost>
# <VirtualHost *:80> ServerName shop.example
  <virtualhost 10.0.0.1:443>
    ServerName annex.example
</virtualhost>
<VirtualHost *:443>
\tservername https://SHOP.example:443
    SSLEngine on
</VirtualHost>
"""


def test_the_include_comes_first_in_each_host_of_the_site_and_in_no_other() -> None:
    edited = vhost_edit.add_include(TWO, ["shop.example"], PATH)
    assert edited == TWO.replace(
        "<VirtualHost *:80>\n    Server", "<VirtualHost *:80>\n" + LINES + "    Server"
    ).replace("<VirtualHost *:443>\n", "<VirtualHost *:443>\n" + LINES)
    assert vhost_edit.add_include(edited, ["shop.example"], PATH) == edited
    assert vhost_edit.remove_include(edited, PATH) == TWO


def test_a_neighbour_is_left_alone() -> None:
    assert vhost_edit.add_include(TWO, ["nothere.example"], PATH) == TWO
    assert vhost_edit.remove_include(TWO, PATH) == TWO


def test_other_includes_stay() -> None:
    other = "/etc/apache2/cutover/other.conf"
    both = vhost_edit.add_include(vhost_edit.add_include(TWO, ["shop.example"], other), ["shop.example"], PATH)
    assert vhost_edit.remove_include(both, PATH) == vhost_edit.add_include(TWO, ["shop.example"], other)


def test_windows_line_ends_stay() -> None:
    content = TWO.replace("\n", "\r\n")
    edited = vhost_edit.add_include(content, ["www.shop.example"], PATH)
    assert edited.count("Include") == 1
    assert "<VirtualHost *:80>\r\n" + LINES + "    ServerName" in edited
    assert vhost_edit.add_include(edited, ["www.shop.example"], PATH) == edited
    assert vhost_edit.remove_include(edited, PATH) == content


def test_a_host_that_is_not_closed_reaches_to_the_end() -> None:
    content = "<VirtualHost *:80>\nServerName shop.example"
    assert vhost_edit.add_include(content, ["shop.example"], PATH) == (
        "<VirtualHost *:80>\n" + LINES + "ServerName shop.example"
    )


def test_names_are_found_however_they_are_written() -> None:
    block = (
        'ServerName "Shop.Example:8080"\nServerAlias a.example b.example \\\n    c.example\r\n#ServerName no.example\n'
    )
    assert vhost_edit.names_of(block) == ["shop.example", "a.example", "b.example", "c.example"]


@pytest.mark.parametrize(
    ("name", "domain", "expected"),
    [
        ("shop.example", "SHOP.example", True),
        ("shop.example", "www.shop.example", False),
        ("*.shop.example", "www.shop.example", True),
        ("*.shop.example", "a.b.shop.example", True),
        ("*.shop.example", "shop.example", False),
        ("*.shop.example", "evilshop.example", False),
        ("*", "shop.example", False),
    ],
)
def test_matches(name: str, domain: str, expected: bool) -> None:
    assert vhost_edit.matches([name], [domain]) is expected


PIECES = [
    "<VirtualHost *:80>",
    "  <virtualhost a:443> ",
    "<VirtualHost",
    "</VirtualHost>",
    "ServerName shop.example",
    "ServerAlias *.example other",
    "ServerName other.example",
    "# words",
    " ",
    "\n",
    "\r\n",
    "\\\n",
]


def test_a_continued_opening_is_not_broken() -> None:
    content = "<VirtualHost *:80> \\\r\n \\\n \nServerName shop.example\n</VirtualHost>\n"
    edited = vhost_edit.add_include(content, ["shop.example"], PATH)
    assert edited == content.replace("ServerName", LINES + "ServerName")


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
@example("<VirtualHost *:80>\n<VirtualHost *:80>\\\nServerName shop.example")
def test_taking_out_what_was_put_in_gives_the_original(content: str) -> None:
    edited = vhost_edit.add_include(content, ["shop.example"], PATH)
    assert vhost_edit.remove_include(edited, PATH) == content
    assert vhost_edit.add_include(edited, ["shop.example"], PATH) == edited
