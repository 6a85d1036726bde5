# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import io
import os
import stat
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils.release_archive import (
    ArchiveError,
    Member,
    application_root,
    check_members,
    inspect,
    leads_outside,
    missing_members,
    parts_of,
)


def make_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return str(path)


def make_tar(path, infos, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for info, content in infos:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return str(path)


def tar_info(name, kind=tarfile.REGTYPE, target=""):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


FILE = stat.S_IFREG | 0o644
LINK = stat.S_IFLNK | 0o777


def test_good_zip_tells_kind_and_members(tmp_path):
    archive = inspect(
        make_zip(tmp_path / "a.zip", [("app/", b"", 0), ("app/manage.py", b"x", FILE), ("app/l", b"manage.py", LINK)]),
        required=["app/manage.py"],
    )
    assert archive.kind == "zip"
    assert [member.kind for member in archive.members] == ["directory", "file", "symlink"]


def test_wheel_is_told_from_zip(tmp_path):
    assert inspect(make_zip(tmp_path / "a-1.whl", [("a.py", b"", FILE)])).kind == "wheel"


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_good_tar_in_every_compression(tmp_path, mode):
    archive = inspect(make_tar(tmp_path / "a.tar", [(tar_info("./a.py"), b"x")], mode))
    assert (archive.kind, len(archive.members)) == ("tar", 1)


@pytest.mark.parametrize(
    ("name", "content", "mode", "words"),
    [
        ("../evil", b"", FILE, "leads out of the archive's folder"),
        ("a/../../evil", b"", FILE, "leads out of the archive's folder"),
        ("/etc/evil", b"", FILE, "absolute path"),
        ("c:/evil", b"", FILE, "absolute path"),
        ("link", b"/etc/passwd", LINK, "symbolic link out of the archive's folder, to /etc/passwd"),
        ("a/link", b"../../x", LINK, "symbolic link out of the archive's folder"),
        ("pipe", b"", stat.S_IFIFO | 0o644, "device or pipe"),
    ],
)
def test_zip_with_bad_member_is_refused_by_name(tmp_path, name, content, mode, words):
    path = make_zip(tmp_path / "bad.zip", [("good.py", b"", FILE), (name, content, mode)])
    with pytest.raises(ArchiveError) as refusal:
        inspect(path)
    text = str(refusal.value)
    assert text.startswith("Refused archive {}: member '{}' ".format(path, name))
    assert words in text
    assert "Nothing was changed" in text


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (tar_info("../evil"), "leads out"),
        (tar_info("/evil"), "absolute"),
        (tar_info("dev", tarfile.CHRTYPE), "device"),
        (tar_info("fifo", tarfile.FIFOTYPE), "device or pipe"),
        (tar_info("h", tarfile.LNKTYPE, "../x"), "hard link out"),
        (tar_info("s", tarfile.SYMTYPE, ".."), "symbolic link out"),
    ],
)
def test_tar_with_bad_member_is_refused_by_name(tmp_path, info, words):
    path = make_tar(tmp_path / "bad.tar.gz", [(tar_info("good.py"), b"x"), (info, b"")])
    with pytest.raises(ArchiveError, match=words) as refusal:
        inspect(path)
    assert repr(info.name) in str(refusal.value)


def test_damaged_zip_is_refused(tmp_path):
    path = make_zip(tmp_path / "a.zip", [("a.py", os.urandom(4000), FILE)])
    with open(path, "r+b") as file:
        file.seek(1000)
        file.write(b"\0" * 50)
    with pytest.raises(ArchiveError, match=r"Refused archive .*a\.zip: .*damaged"):
        inspect(path)


@pytest.mark.parametrize("keep", [0, 30, 500])
def test_cut_off_archives_are_refused(tmp_path, keep):
    for path in (
        make_zip(tmp_path / "a.zip", [("a.py", os.urandom(4000), FILE)]),
        make_tar(tmp_path / "a.tar.gz", [(tar_info("a.py"), os.urandom(4000))]),
        make_tar(tmp_path / "a.tar", [(tar_info("a.py"), os.urandom(4000))], "w"),
    ):
        os.truncate(path, keep)
        with pytest.raises(ArchiveError, match=r"damaged|cut off"):
            inspect(path)


def test_missing_file_says_so(tmp_path):
    with pytest.raises(ArchiveError, match=r"Refused archive /nowhere/a\.zip: there is no such file"):
        inspect("/nowhere/a.zip")


def test_required_member_that_is_missing_is_named(tmp_path):
    path = make_zip(tmp_path / "BDD.zip", [("ocpizza_dump.sql", b"", FILE)])
    with pytest.raises(ArchiveError, match=r"BDD\.zip: it lacks base_data\.sql"):
        inspect(path, required=["ocpizza_dump.sql", "base_data.sql"])
    assert missing_members(["./a/b"], ["a/b"]) == []


def test_archive_that_unpacks_to_too_much_is_refused(tmp_path):
    path = make_zip(tmp_path / "bomb.zip", [("zeros", b"\0" * 100000, FILE)])
    with pytest.raises(ArchiveError, match="unpacks to 100000 bytes, more than 1000"):
        inspect(path, max_bytes=1000)


def test_archive_without_files_is_refused():
    with pytest.raises(ArchiveError, match="holds no file"):
        check_members([Member("a/", "directory")])


def test_member_below_a_link_is_refused():
    with pytest.raises(ArchiveError, match=r"'a/b' lies below the symbolic link a"):
        check_members([Member("a", "symlink", "c"), Member("a/b")])


@pytest.mark.parametrize(
    ("links", "start", "target", "outside"),
    [
        ({}, ["a", "b"], "../c", False),
        ({}, ["a"], "../../c", True),
        ({}, [], "/etc", True),
        # p/q/up stands at the archive's own folder, so two steps up from it leave.
        ({"p/q/up": "../.."}, [], "p/q/up/..", True),
        ({"deep": "a/b"}, [], "deep/../..", False),
        ({"loop": "loop"}, [], "loop/x", True),
        ({"abs": "/etc"}, [], "abs/passwd", True),
    ],
)
def test_links_are_followed_as_a_kernel_does(links, start, target, outside):
    assert leads_outside(start, target, links) is outside


@pytest.mark.parametrize(
    ("names", "root"),
    [
        (["manage.py", "shop/wsgi.py"], ""),
        (["shop-1.0/", "shop-1.0/requirements.txt", "shop-1.0/shop/wsgi.py"], "shop-1.0"),
        (["shop/__init__.py", "shop/wsgi.py"], ""),
        (["a/manage.py", "b/x.py"], ""),
        ([], ""),
    ],
)
def test_application_root(names, root):
    assert application_root(names) == root


STEPS = st.lists(st.sampled_from(["..", ".", "a", "b", ""]), max_size=6).map("/".join)


@given(STEPS)
def test_any_accepted_name_stays_inside(name):
    try:
        check_members([Member("keep"), Member(name)])
    except ArchiveError:
        return
    assert not name.startswith("/")
    assert os.path.normpath(os.path.join("/root", name)).startswith("/root/")


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "a/c", "b/d/e", "d"]), STEPS), max_size=4))
def test_accepted_links_never_leave_on_a_real_disk(tmp_path_factory, links):
    members = [Member("keep"), *(Member(name, "symlink", target) for name, target in dict(links).items() if target)]
    try:
        check_members(members)
    except ArchiveError:
        return
    root = tmp_path_factory.mktemp("root")
    for member in members[1:]:
        place = root.joinpath(*parts_of(member.name))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(member.target)
    for member in members[1:]:
        real = os.path.realpath(root.joinpath(*parts_of(member.name)))
        assert (real + "/").startswith(str(root) + "/")
