"""Each wrong input is one clear line, said before anything runs."""

import os
from pathlib import Path

import pytest

from cutover import job
from cutover.job import WrongInputError


def test_values_are_what_ansible_makes_of_them() -> None:
    assert job.parse_extra("a=1 b='two words'").values == {"a": "1", "b": "two words"}
    assert job.parse_extra('{"a": 1, "b": [true]}').values == {"a": 1, "b": [True]}


def test_a_file_stays_a_file(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets.yml"
    secrets.write_text("password: hunter2\n")
    assert job.parse_extra(f"@{secrets}") == job.Extra(path=secrets)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@nowhere.yml", r"file of variables not found: nowhere\.yml\. Check the path after '-e @'\."),
        ('{"a": ', "the value of -e begins as JSON but is none"),
        ("hunter2", "a value of -e is neither name=value nor JSON nor @file"),
        ("", "a value of -e is neither name=value nor JSON nor @file"),
        ("a='unbalanced", "a value of -e is neither name=value nor JSON nor @file"),
    ],
)
def test_a_wrong_value(text: str, message: str) -> None:
    with pytest.raises(WrongInputError, match=message) as caught:
        job.parse_extra(text)
    assert "hunter2" not in str(caught.value)


def test_a_playbook_by_path_brings_the_configuration_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANSIBLE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "playbooks"
    folder.mkdir()
    (folder / "one.yml").write_text("[]\n")
    (folder / "ansible.cfg").write_text("[defaults]\n")
    assert job.resolve_playbook("playbooks/one.yml") == (str(folder / "one.yml"), folder / "ansible.cfg")


def test_a_playbook_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    playbooks = tmp_path / "ansible_collections" / "some" / "thing" / "playbooks"
    playbooks.mkdir(parents=True)
    (playbooks / "act.yml").write_text("[]\n")
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", str(tmp_path))
    assert job.resolve_playbook("some.thing.act")[0] == "some.thing.act"
    with pytest.raises(WrongInputError, match=r"playbook some\.thing\.rest not found in the .*installed"):
        job.resolve_playbook("some.thing.rest")


def test_no_playbook() -> None:
    with pytest.raises(WrongInputError, match=r"playbook not found: nothing\.yml\. Give a path, or a name such as"):
        job.resolve_playbook("nothing.yml")


def test_inventories(tmp_path: Path) -> None:
    assert job.resolve_inventory("one,two") == "one,two"
    assert job.resolve_inventory(str(tmp_path)) == str(tmp_path)
    with pytest.raises(WrongInputError, match=r"inventory not found: .*nowhere\. Copy inventories/example"):
        job.resolve_inventory(str(tmp_path / "nowhere"))


def test_the_run_directory_is_the_one_plain_ansible_would_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUTOVER_RUN_DIR", raising=False)
    hosts = tmp_path / "hosts.yml"
    hosts.write_text("all: {hosts: {one: {}}, vars: {site_name: shop}}\n")
    assert job.default_run_dir([str(hosts)], None) == tmp_path / "run" / "shop"
    hosts.write_text("all: {hosts: {one: {}}, vars: {site_name: shop, site_run_dir: /srv/run}}\n")
    assert job.default_run_dir([str(hosts)], None) == Path("/srv/run")
    for unclear in ("", "site_name: '../..'", "site_name: shop, site_run_dir: '{{ x }}'"):
        hosts.write_text(f"all: {{hosts: {{one: {{}}}}, vars: {{{unclear}}}}}\n")
        with pytest.raises(WrongInputError, match=r"does not say where the journal and the report go\. Give"):
            job.default_run_dir([str(hosts)], None)


def test_the_environment_names_the_run_directory_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUTOVER_RUN_DIR", "/srv/lab")
    assert job.default_run_dir(["nowhere"], None) == Path("/srv/lab")


def test_a_run_directory_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WrongInputError, match=r"run directory .*file/run cannot be made: Not a directory"):
        job.make_run_dir(tmp_path / "file" / "run")
    monkeypatch.setattr(os, "access", lambda *_arguments: False)
    with pytest.raises(WrongInputError, match=r"run directory .* is not writable\. Choose another"):
        job.make_run_dir(tmp_path)


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with (
        job.sole_user(tmp_path),
        pytest.raises(WrongInputError, match=rf"is in use by process {os.getpid()} since 2.*Wait for it"),
        job.sole_user(tmp_path),
    ):
        pass
    with job.sole_user(tmp_path):
        assert (tmp_path / ".lock").read_text().count("process") == 1
