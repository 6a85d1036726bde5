#!/usr/bin/env python3
# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the pages that would otherwise drift away from the code.

The variable table in each roles/*/README.md, between its two marks, comes from meta/argument_specs.yml; docs/modules.md
and a page for each module from its DOCUMENTATION, EXAMPLES and RETURN. With --check nothing is written, and a page that
is behind is an error.
"""

import argparse
import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- specs -->", "<!-- /specs -->"
FQCN = "ocpizza.cutover"
DEPTH = 3


def text(value: Any) -> str:
    """A description, which may be one paragraph or several, as one table cell."""
    paragraphs = value if isinstance(value, list) else [value or ""]
    line = " ".join(" ".join(str(paragraph).split()) for paragraph in paragraphs)
    return marked(line).replace("|", "\\|")


def marked(line: str) -> str:
    """Ansible's marks (C(x), O(x), M(x) ...) as Markdown."""
    return re.sub(r"\b[A-Z]{1,2}\(([^)]+)\)", r"`\1`", line)


def code(value: Any) -> str:
    """A default as it is written in YAML's flow style."""
    shown = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    if "\n" in shown.strip():
        shown = shown.strip().splitlines()[0] + " …"
    return "`" + shown.strip().replace("|", "\\|") + "`"


def kind(option: dict[str, Any]) -> str:
    """An option's type with that of its elements."""
    name = str(option.get("type", "str"))
    return f"{name} of {option['elements']}" if option.get("elements") else name


def rows(options: dict[str, Any], prefix: str = "", depth: int = 0) -> Iterator[str]:
    """A table row for each option; parts of dictionaries follow their whole."""
    for name, option in options.items():
        default = code(option["default"]) if "default" in option else ""
        if option.get("required"):
            default = "required"
        description = text(option.get("description"))
        if option.get("choices"):
            description += " One of " + ", ".join(code(choice) for choice in option["choices"]) + "."
        yield f"| {'&nbsp;&nbsp;' * depth}`{prefix}{name}` | {kind(option)} | {default} | {description} |"
        if depth < DEPTH and option.get("options"):
            yield from rows(option["options"], ".", depth + 1)


def table(specs: dict[str, Any]) -> str:
    """The variables of a role, by entry point where there are several."""
    parts = []
    for entry, spec in specs.items():
        options = spec.get("options") or {}
        if len(specs) > 1:
            parts += [f"### `{entry}`", "", text(spec.get("short_description")), ""]
        if options:
            parts += ["| variable | type | default | meaning |", "| --- | --- | --- | --- |", *rows(options), ""]
        else:
            parts += ["No variables of its own.", ""]
    return "\n".join(parts).strip()


def role_readme(role: Path) -> tuple[Path, str]:
    """A role's README with its table made anew; without a README, the beginning of one."""
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
    path = role / "README.md"
    if path.exists():
        page = path.read_text(encoding="utf-8")
    else:
        main = specs.get("main") or next(iter(specs.values()))
        about = main.get("description") or main.get("short_description") or ""
        paragraphs = about if isinstance(about, list) else [about]
        example = f"```yaml\n- name: Use {role.name}\n  ansible.builtin.import_role:\n    name: {FQCN}.{role.name}\n```"
        body = "\n\n".join(" ".join(str(paragraph).split()) for paragraph in paragraphs)
        page = f"# {FQCN}.{role.name}\n\n{body}\n\n{example}\n"
    block = f"{BEGIN}\n{table(specs)}\n{END}"
    if BEGIN not in page:
        page = page.rstrip() + f"\n\n## Variables\n\n{block}\n"
    before, _mark, rest = page.partition(BEGIN)
    _old, mark, after = rest.partition(END)
    if not mark and BEGIN in page and END not in page:
        sys.exit(f"{path}: {BEGIN} has no {END} after it")
    return path, before + block + after


def documented(path: Path) -> dict[str, Any]:
    """A module's DOCUMENTATION with its fragment, EXAMPLES and RETURN, read without running the module."""
    found: dict[str, Any] = {"DOCUMENTATION": {}, "EXAMPLES": "", "RETURN": {}}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        name = getattr(node.targets[0], "id", "") if isinstance(node, ast.Assign) else ""
        if name in found and isinstance(node, ast.Assign):
            value = ast.literal_eval(node.value)
            found[name] = value if name == "EXAMPLES" else yaml.safe_load(value)
    fragment = found["DOCUMENTATION"].get("extends_documentation_fragment")
    if fragment:
        source = ROOT / "plugins" / "doc_fragments" / f"{fragment.rpartition('.')[2]}.py"
        (shared,) = re.findall(r'DOCUMENTATION = r"""\n(.*?)"""', source.read_text(encoding="utf-8"), re.DOTALL)
        common = yaml.safe_load(shared)["options"]
        found["DOCUMENTATION"]["options"] = {**common, **(found["DOCUMENTATION"].get("options") or {})}
    return found


def support(about: dict[str, Any], attribute: str) -> str:
    return str((about.get("attributes") or {}).get(attribute, {}).get("support", ""))


def returned(values: dict[str, Any]) -> Iterator[str]:
    """A table row for each value that a module gives back."""
    for name, value in values.items():
        yield f"| `{name}` | {kind(value)} | {text(value.get('returned'))} | {text(value.get('description'))} |"


def module_page(path: Path) -> tuple[Path, str]:
    """docs/modules/NAME.md."""
    found = documented(path)
    about = found["DOCUMENTATION"]
    description = about.get("description") or []
    paragraphs = description if isinstance(description, list) else [description]
    lines = [f"# {FQCN}.{path.stem}", "", f"{text(about.get('short_description'))}.", ""]
    for paragraph in paragraphs:
        lines += [f"* {marked(' '.join(str(paragraph).split()))}"]
    checks, diffs = support(about, "check_mode"), support(about, "diff_mode")
    lines += ["", f"Check mode: {checks}. Diff mode: {diffs}.", ""]
    if about.get("options"):
        lines += ["| option | type | default | meaning |", "| --- | --- | --- | --- |", *rows(about["options"]), ""]
    lines += ["```yaml", found["EXAMPLES"].strip(), "```", ""]
    if found["RETURN"]:
        lines += ["| result | type | returned | meaning |", "| --- | --- | --- | --- |", *returned(found["RETURN"]), ""]
    lines.append(f"[Source](../../plugins/modules/{path.name})")
    return ROOT / "docs" / "modules" / f"{path.stem}.md", "\n".join(lines) + "\n"


def modules() -> list[Path]:
    return sorted((ROOT / "plugins" / "modules").glob("[!_]*.py"))


def module_index() -> tuple[Path, str]:
    """docs/modules.md."""
    lines = [
        "# Modules",
        "",
        f"`ansible-doc {FQCN}.<name>` shows the same as these pages, which are made by `make docs`.",
        "",
        "| module | what it does | check mode | diff |",
        "| --- | --- | --- | --- |",
    ]
    for path in modules():
        about = documented(path)["DOCUMENTATION"]
        checks, diffs = support(about, "check_mode"), support(about, "diff_mode")
        said = text(about.get("short_description"))
        lines.append(f"| [{path.stem}](modules/{path.stem}.md) | {said} | {checks} | {diffs} |")
    return ROOT / "docs" / "modules.md", "\n".join(lines) + "\n"


def pages() -> Iterator[tuple[Path, str]]:
    """Every generated page with what it should hold."""
    for specs in sorted((ROOT / "roles").glob("*/meta/argument_specs.yml")):
        yield role_readme(specs.parents[1])
    yield module_index()
    for path in modules():
        yield module_page(path)


def main() -> int:
    """Write the pages, or say which are behind."""
    parser = argparse.ArgumentParser(description="Make the pages that come from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail if a page is behind")
    parser.add_argument("--only", metavar="NAME", help="only the page of this role, or 'modules'")
    options = parser.parse_args()
    behind = []
    made = dict(pages())
    for path, page in made.items():
        name = "modules" if path.name == "modules.md" else path.parent.name
        if options.only and name != options.only:
            continue
        if path.exists() and path.read_text(encoding="utf-8") == page:
            continue
        behind.append(path.relative_to(ROOT))
        if not options.check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(page, encoding="utf-8")
    # The page of a module that is gone.
    for path in {*(ROOT / "docs" / "modules").glob("*.md")} - made.keys():
        behind.append(path.relative_to(ROOT))
        if not options.check:
            path.unlink()
    for path in behind:
        print(f"{path} is behind; run 'make docs'" if options.check else f"{path} written")
    return 1 if options.check and behind else 0


if __name__ == "__main__":
    sys.exit(main())
