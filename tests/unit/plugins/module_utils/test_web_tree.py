# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import web_tree
from ansible_collections.ocpizza.cutover.plugins.module_utils.web_tree import ABSENT, FILE, LINK, OTHER, Entry

ROOT = "/etc/nginx"
TREE = "/root/stage/tree"
NGINX = web_tree.SERVERS["nginx"]
APACHE = web_tree.SERVERS["apache"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("sites-available/a", "sites-available/a"),
        ("/etc/nginx/conf.d/a.conf", "conf.d/a.conf"),
        ("conf.d//x/../a", "conf.d/a"),
    ],
)
def test_relative_path(path, expected):
    assert web_tree.relative_path(ROOT, path) == expected


@pytest.mark.parametrize("path", ["../passwd", "/etc/passwd", "/etc/nginx", ".", "a/../../b", "/etc/nginx-old/a"])
def test_a_path_outside_the_tree_is_refused(path):
    with pytest.raises(web_tree.TreeError, match=r"is not a path below /etc/nginx. Name files of the web server's"):
        web_tree.relative_path(ROOT, path)


@given(st.text(alphabet="./ab", max_size=12))
def test_relative_path_never_leaves_the_tree(path):
    try:
        found = web_tree.relative_path(ROOT, path)
    except web_tree.TreeError:
        return
    assert found.split("/")[0] not in ("", "..")


def test_a_path_asked_for_twice_is_refused():
    with pytest.raises(web_tree.TreeError, match=r"'a' is asked for twice"):
        web_tree.wanted_entries(ROOT, [{"path": "a", "content": ""}], [], ["./a"])


def test_a_mode_that_is_none_is_refused():
    with pytest.raises(web_tree.TreeError, match=r"'rw' is not a mode for 'a'. Write it in octal"):
        web_tree.wanted_entries(ROOT, [{"path": "a", "content": "", "mode": "rw"}], [], [])


def test_wanted_entries():
    wanted = web_tree.wanted_entries(
        ROOT, [{"path": "a", "content": "é", "mode": "0640"}], [{"path": "b", "target": "a"}], ["c"]
    )
    assert wanted == {"a": Entry(FILE, "é".encode(), mode=0o640), "b": Entry(LINK, target="a"), "c": Entry(ABSENT)}


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (Entry(ABSENT), Entry(FILE, b"x"), "p: is missing"),
        (Entry(FILE, b"y", mode=0o644), Entry(FILE, b"x"), "p: content differs"),
        (Entry(FILE, b"x", mode=0o644), Entry(FILE, b"x", mode=0o600), "p: mode is 0644"),
        (Entry(LINK, target="old"), Entry(LINK, target="new"), "p: points at old"),
        (Entry(FILE, b"x"), Entry(LINK, target="new"), "p: is a file and shall be a link"),
        (Entry(LINK, target="x"), Entry(ABSENT), "p: is there and shall not be"),
    ],
)
def test_a_change_says_why(before, after, reason):
    (change,) = web_tree.decide({"p": after}, {"p": before})
    assert change.reason == reason


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Entry(ABSENT), Entry(ABSENT)),
        (Entry(FILE, b"x", mode=0o600), Entry(FILE, b"x")),
        (Entry(LINK, target="x"), Entry(LINK, target="x")),
    ],
)
def test_what_is_as_wanted_is_left(before, after):
    assert web_tree.decide({"p": after}, {"p": before}) == []


def test_a_folder_is_not_replaced():
    with pytest.raises(web_tree.TreeError, match=r"'conf.d' is neither a file nor a link. Move it away"):
        web_tree.decide({"conf.d": Entry(FILE)}, {"conf.d": Entry(OTHER)})


def test_no_link_points_at_a_missing_file_meanwhile():
    wanted = {
        "enabled/new": Entry(LINK, target="../z-new"),
        "z-new": Entry(FILE, b"x"),
        "a-old": Entry(ABSENT),
        "enabled/old": Entry(ABSENT),
    }
    found = {
        "enabled/new": Entry(ABSENT),
        "z-new": Entry(ABSENT),
        "a-old": Entry(FILE, b"x"),
        "enabled/old": Entry(LINK, target="../a-old"),
    }
    assert [change.path for change in web_tree.decide(wanted, found)] == [
        "z-new",
        "enabled/new",
        "enabled/old",
        "a-old",
    ]


def test_staged_content_leads_into_the_copy_only():
    content = (
        b'include /etc/nginx/sites/*;\nroot /etc/nginx;\n"/etc/nginx"\n/etc/nginx-x/a /opt/etc/nginx/a\n/etc/nginx'
    )
    assert web_tree.staged_content(content, ROOT, TREE) == (
        b'include /root/stage/tree/sites/*;\nroot /root/stage/tree;\n"/root/stage/tree"\n'
        b"/etc/nginx-x/a /opt/etc/nginx/a\n/root/stage/tree"
    )


def test_staged_content_leaves_binary_files():
    assert web_tree.staged_content(b"\0/etc/nginx/a", ROOT, TREE) == b"\0/etc/nginx/a"


@pytest.mark.parametrize(
    ("path", "target", "expected"),
    [
        ("enabled/a", "/etc/nginx/available/a", TREE + "/available/a"),
        ("enabled/a", "../available/a", TREE + "/available/a"),
        ("modules/a", "/usr/share/nginx/a.conf", "/usr/share/nginx/a.conf"),
        ("modules/a", "../../../usr/share/a", "/usr/share/a"),
        ("a", "/etc/nginx-old/a", "/etc/nginx-old/a"),
    ],
)
def test_staged_link(path, target, expected):
    assert web_tree.staged_link(path, target, ROOT, TREE) == expected


def test_ports_as_both_servers_write_them():
    nginx = b"server { listen 82; }\nlisten 80;\n  listen [::]:8443 ssl;\nlisten unix:/run/a.sock;\n# listen 9;\n"
    nginx += b"listen 10.0.0.1:81 http2;"
    assert web_tree.ports(NGINX, [nginx]) == {80, 8443, 81, 82}
    assert web_tree.ports(APACHE, [b"Listen 80\n\tListen 10.0.0.1:8080 https\n#Listen 9\nListenBacklog 511"]) == {
        80,
        8080,
    }


def test_key_pairs_in_order():
    content = (
        b'SSLCertificateFile "/a.pem"\n SSLCertificateKeyFile /a.key\n#SSLCertificateFile /no\n'
        b"SSLCertificateFile /b\nSSLCertificateKeyFile /c\n"
    )
    assert web_tree.key_pairs(APACHE, content) == [("/a.pem", "/a.key"), ("/b", "/c")]


NGINX_SAYS = (
    '2026/11/22 20:20:45 [emerg] 12#12: unknown directive "lissten" in /root/stage/tree/sites-enabled/a:2\n'
    "nginx: configuration file /root/stage/tree/nginx.conf test failed\n"
)
APACHE_SAYS = (
    "AH00558: apache2: Could not reliably determine the server's name\n"
    "AH00526: Syntax error on line 3 of /root/stage/tree/sites-enabled/a.conf:\nInvalid command 'ServerNome'\n"
    "Action '-t' failed.\nThe Apache error log may have more information.\n"
)


def test_own_words_name_the_real_tree():
    words = web_tree.own_words(NGINX_SAYS, ROOT, TREE)
    assert words == '[emerg] unknown directive "lissten" in /etc/nginx/sites-enabled/a:2'
    assert web_tree.blamed_place(words) == "/etc/nginx/sites-enabled/a, line 2"
    words = web_tree.own_words(APACHE_SAYS, "/etc/apache2", TREE)
    assert words.startswith("AH00526: Syntax error on line 3 of /etc/apache2/sites-enabled/a.conf:\nInvalid command")
    assert web_tree.blamed_place(words) == "/etc/apache2/sites-enabled/a.conf, line 3"
    assert "Action" not in words
    assert web_tree.blamed_place("no place") == ""


def test_warnings_are_told_apart():
    words = 'nginx: [warn] conflicting server name "a" on 0.0.0.0:80, ignored\nother'
    assert web_tree.warnings(words) == ['nginx: [warn] conflicting server name "a" on 0.0.0.0:80, ignored']


NAMES = {"server": "nginx", "root": ROOT, "port": 81, "certificate": "/c.pem", "key": "/c.key"}


@pytest.mark.parametrize(
    ("step", "parts"),
    [
        (
            "existing",
            ["fails its own test as it is now", "Nothing was changed", "mend that file by hand"],
        ),
        ("staged", ["nginx refuses the new configuration", "Nothing was changed", "Mend the variable or template"]),
        ("switched", ["in place, though its staged copy passed", "The old files are back", "outside /etc/nginx"]),
        ("reload", ["not take the new configuration", "The old files are back: it serves.", "mend what they name"]),
        (
            "port",
            ["port 81: another program holds it", "Nothing was changed", "ss -ltnp 'sport = :81'"],
        ),
        (
            "pair",
            ["the certificate /c.pem with the key /c.key", "Nothing was changed", "without a passphrase"],
        ),
    ],
)
def test_a_failure_says_what_where_and_the_remedy(step, parts):
    words = "[emerg] x in /etc/nginx/a:3"
    text = web_tree.failure(step, words, after="it serves." if step == "reload" else "", **NAMES)
    assert "(/etc/nginx/a, line 3). Its own words: [emerg] x in /etc/nginx/a:3. " in text
    for part in parts:
        assert part in text
