"""What holds for every role, module and playbook of the house."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ROLES = sorted(path.parents[1] for path in ROOT.glob("roles/*/tasks/main.yml"))
MODULES = sorted(ROOT.glob("plugins/modules/[!_]*.py"))
PLUGINS = sorted(path for path in ROOT.glob("plugins/*/*.py") if path.name != "__init__.py")
# These run on hosts, whose Python may be as old as 3.6; the other plugins run on the controller.
ON_HOSTS = [path for path in PLUGINS if path.parent.name in ("modules", "module_utils")]
PLAYBOOKS = sorted(ROOT.glob("playbooks/*.yml"))
LICENCE = [
    "# Copyright: the ocpizza.cutover team",
    "# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)",
    "# SPDX-License-Identifier: GPL-3.0-or-later",
]
NEVER = {
    "a note to oneself": r"\b(TODO|FIXME|XXX)\b",
    "sample text": r"(?i)\blorem ipsum\b|\bfoobar\b",
    "a world-writable mode": r"mode: [\"']?0?[0-7]?[0-7][0-7][2367]\b",
    "a fact that is injected as a variable": (
        r"(?<![\w'\"\[.])ansible_(hostname|fqdn|distribution\w*|os_family|default_ipv4|memtotal_mb|service_mgr)\b"
    ),
}
BUILTINS = {"dict", "frozenset", "list", "set", "tuple", "type"}

role = pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def options(role: Path) -> dict[str, dict[str, Any]]:
    specs = load(role / "meta" / "argument_specs.yml")["argument_specs"]
    return {name: option for spec in specs.values() for name, option in (spec.get("options") or {}).items()}


@role
def test_a_role_has_its_parts(role: Path) -> None:
    wanted = ("README.md", "defaults/main.yml", "meta/argument_specs.yml", "meta/main.yml", "tasks/main.yml")
    assert [part for part in wanted if not (role / part).is_file()] == []


@role
def test_defaults_and_specs_agree(role: Path) -> None:
    defaults, specs = load(role / "defaults" / "main.yml") or {}, options(role)
    documented = {name: option["default"] for name, option in specs.items() if "default" in option}
    # "Not given" needs no default in the specs.
    documented.update((name, None) for name in specs if name in defaults and name not in documented)
    assert documented == defaults
    assert [name for name, option in specs.items() if option.get("required") and name in defaults] == []


@role
def test_variables_carry_the_name_of_their_role(role: Path) -> None:
    assert [name for name in options(role) if not name.startswith(f"{role.name}_")] == []


@role
def test_every_variable_says_what_it_means(role: Path) -> None:
    assert [name for name, option in options(role).items() if not option.get("description")] == []


@role
def test_the_table_of_contents_only_includes(role: Path) -> None:
    allowed = {"ansible.builtin.include_tasks", "ansible.builtin.import_tasks", "ansible.builtin.include_role"}
    allowed |= {"ansible.builtin.import_role", "ansible.builtin.meta", "block"}
    tasks = load(role / "tasks" / "main.yml") or []
    assert [task.get("name") for task in tasks if not allowed & set(task)] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_is_documented(path: Path) -> None:
    texts = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper()
        if node.targets[0].id in ("DOCUMENTATION", "EXAMPLES", "RETURN")
    }
    assert set(texts) == {"DOCUMENTATION", "EXAMPLES", "RETURN"}
    documented = yaml.safe_load(texts["DOCUMENTATION"])
    assert documented["module"] == path.stem
    assert {"check_mode", "diff_mode"} <= set(documented["attributes"])
    assert yaml.safe_load(texts["EXAMPLES"])
    yaml.safe_load(texts["RETURN"])


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_plugin_has_a_test(path: Path) -> None:
    tests = ROOT / "tests" / "unit" / "plugins"
    kinds = {"modules": ("modules", "action")}.get(path.parent.name, (path.parent.name,))
    if any((tests / kind / f"test_{path.stem}.py").is_file() for kind in kinds):
        return
    # A thin action plugin or a helper may be tested with what it serves.
    words = re.compile(rf"\bplugins\.{path.parent.name}(\.{path.stem}\b|\simport [^\n]*\b{path.stem}\b)")
    assert any(words.search(test.read_text(encoding="utf-8")) for test in tests.rglob("test_*.py"))


@pytest.mark.parametrize("path", ON_HOSTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_an_old_server_understands_it(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 6))
    imports = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imports += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert {"__future__", "dataclasses"}.isdisjoint(imports) or _only_old_futures(tree)
    generics = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in BUILTINS
    ]
    assert generics == []


# First the program itself: what stands for it on the path may be a shim that has been told of other versions only.
OLDEST = next(map(str, Path.home().glob(".pyenv/versions/3.6*/bin/python3.6")), "") or shutil.which("python3.6")
IMPORT_ALL = """
import importlib, sys
broken = []
for name in sys.argv[1:]:
    try:
        importlib.import_module("ansible_collections.ocpizza.cutover.plugins." + name)
    except Exception as error:
        broken.append("{0}: {1!r}".format(name, error))
sys.exit("\\n".join(broken) or 0)
"""


@pytest.mark.skipif(not OLDEST, reason="there is no Python 3.6 on this machine")
def test_python_3_6_imports_it(tmp_path: Path) -> None:
    """With what it takes from the standard library; of ansible's own it needs little, which stands here."""
    basic = tmp_path / "ansible" / "module_utils" / "basic.py"
    basic.parent.mkdir(parents=True)
    basic.write_text("AnsibleModule = missing_required_lib = None\n", encoding="utf-8")
    names = [f"{path.parent.name}.{path.stem}" for path in ON_HOSTS if path.stem != "__init__"]
    result = subprocess.run(
        [OLDEST, "-c", IMPORT_ALL, *names],
        env={"PYTHONPATH": f"{tmp_path}:{ROOT / 'build' / 'collections'}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")


def _only_old_futures(tree: ast.Module) -> bool:
    names = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
        for alias in node.names
    }
    return bool(names) and names <= {"absolute_import", "division", "print_function"}


@pytest.mark.parametrize(
    "path", [*PLUGINS, *sorted(ROOT.glob("src/cutover/*.py"))], ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_the_licence_comes_first(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    start = 1 if lines and lines[0].startswith("#!") else 0
    assert lines[start : start + 3] == LICENCE


@pytest.mark.parametrize("what", NEVER)
def test_nobody_left(what: str) -> None:
    words = re.compile(NEVER[what])
    found = []
    for folder in ("roles", "playbooks", "plugins", "src", "docs", "molecule", "inventories", "examples"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".yml", ".py", ".md", ".j2", ".sh") and "node_modules" not in path.parts:
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
                places = [number for number, line in enumerate(lines, 1) if words.search(line)]
                found += [f"{path.relative_to(ROOT)}:{number}" for number in places]
    assert found == []


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_a_playbook_is_a_list_of_named_plays(path: Path) -> None:
    plays = load(path)
    assert isinstance(plays, list)
    assert [play for play in plays if not play.get("name")] == []


def test_the_playbooks_parse() -> None:
    if not PLAYBOOKS:
        pytest.skip("there is no playbook yet")
    command = [
        str(Path(sys.executable).parent / "ansible-playbook"),
        "--syntax-check",
        "-i",
        str(ROOT / "inventories" / "example"),
    ]
    names = [path.name for path in PLAYBOOKS]
    result = subprocess.run([*command, *names], cwd=ROOT / "playbooks", capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_generated_pages_are_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout + result.stderr == ""
