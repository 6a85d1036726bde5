# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils.answers import Answer, compare_answers

HTML = {"content-type": "text/html; charset=utf-8"}


def page(body, status=200, **headers):
    return Answer(status, {**HTML, **headers}, body)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (b"<p>4 pizzas", b"<p>4 pizzas"),
        (b'<input name="csrfmiddlewaretoken" value="a">', b'<input name="csrfmiddlewaretoken" value="b">'),
        (b'<a href="http://x/">', b'<a href="https://x/">'),
    ],
)
def test_alike(one, two):
    assert compare_answers(page(one), page(two)) == ""


def test_servers_may_differ_in_what_means_the_same():
    source = page(b"", server="Apache", date="then")._replace(cookies=("a=1; Path=/; Expires=Mon",))
    target = page(b"", server="nginx", **{"strict-transport-security": "max-age=63072000"})
    assert compare_answers(source, target._replace(cookies=("a=2; path=/; Secure",))) == ""


def test_headers_that_may_differ_are_given():
    assert compare_answers(page(b"", **{"x-backend": "a"}), page(b""), ignored_headers=["X-Backend"]) == ""


@pytest.mark.parametrize(
    ("one", "two", "text"),
    [
        (page(b"a\n4 pizzas"), page(b"a\n5 pizzas"), "line 2 is '4 pizzas' on the source and '5 pizzas' on the target"),
        (page(b"a"), page(b"a", 503), "the source answers 200 and the target 503"),
        (page(b"a"), page(b"a\nb"), "1 lines on the source and 2"),
        (page(b"", 302, location="/a"), page(b"", 302, location="/b"), "header location is '/a'"),
        (
            Answer(200, {"content-type": "image/png"}, b"a"),
            Answer(200, {"content-type": "image/png"}, b"ab"),
            "1 bytes",
        ),
        (
            page(b"", **{"x-frame-options": "DENY"}),
            page(b""),
            "header x-frame-options is 'DENY' on the source and '' on the target",
        ),
        (
            page(b"<title>Menu\n card</title>a"),
            page(b"<title>Error</title>b"),
            "the title is 'Menu card' on the source",
        ),
        (
            page(b"")._replace(cookies=("session=1; HttpOnly; Path=/",)),
            page(b""),
            "cookie session is set by the source and not by the target",
        ),
        (
            page(b""),
            page(b"")._replace(cookies=("session=1",)),
            "cookie session is set by the target and not by the source",
        ),
        (
            page(b"")._replace(cookies=("session=1; HttpOnly; SameSite=Lax; Path=/",)),
            page(b"")._replace(cookies=("session=1; path=/",)),
            "cookie session is httponly, samesite=lax on the source and not on the target",
        ),
    ],
)
def test_difference_is_named(one, two, text):
    assert text in compare_answers(one, two)


def test_what_may_differ_is_given():
    assert compare_answers(page(b"at 10:01"), page(b"at 10:02"), [r"\d+:\d+"]) == ""
