"""Every module imports, is short, says its one job and documents what is public."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

MAX_LINES = 400

Documentable = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def module_name(path: Path, repository: Path) -> str:
    parts = path.relative_to(repository).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def undocumented(body: list[ast.stmt], prefix: str) -> list[str]:
    """Return public classes and functions without a docstring, as ruff's D rules see them."""
    found = []
    for node in body:
        if not isinstance(node, Documentable) or node.name.startswith("_") or is_exempt(node):
            continue
        if ast.get_docstring(node) is None:
            found.append(f"{prefix}{node.name}")
        if isinstance(node, ast.ClassDef):
            found += undocumented(node.body, f"{prefix}{node.name}.")
    return found


def is_exempt(node: Documentable) -> bool:
    names = {ast.unparse(decorator).rsplit(".", 1)[-1] for decorator in node.decorator_list}
    return bool(names & {"overload", "setter", "override"})


def test_no_module_is_longer_than_the_cap(modules: list[Path], repository: Path) -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in modules}
    too_long = {
        str(path.relative_to(repository)): n for path, n in lengths.items() if n > MAX_LINES
    }
    assert too_long == {}


def test_every_module_imports(modules: list[Path], repository: Path) -> None:
    # Alembic runs these inside its own context; the migration test does.
    names = [module_name(path, repository) for path in modules if path.parent.name != "versions"]
    for name in names:
        if not name.endswith(("migrations.env", "__main__")):
            importlib.import_module(name)


def test_every_module_says_its_job_in_its_first_sentence(
    modules: list[Path], repository: Path
) -> None:
    silent = []
    for path in modules:
        docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
        if not docstring.split("\n\n")[0].rstrip().endswith("."):
            silent.append(str(path.relative_to(repository)))
    assert silent == []


def test_everything_public_is_documented(modules: list[Path], repository: Path) -> None:
    missing = [
        f"{path.relative_to(repository)}: {name}"
        for path in modules
        for name in undocumented(ast.parse(path.read_text()).body, "")
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(): pass", ["f"]),
        ("def _f(): pass", []),
        ("class A:\n  '''A.'''\n  def g(self): pass\n  def __len__(self): return 0", ["A.g"]),
        ("class A:\n  '''A.'''\n  @x.setter\n  def x(self, v): pass", []),
    ],
    ids=["public function", "private function", "method", "setter"],
)
def test_the_search_for_undocumented_names_finds_them(source: str, expected: list[str]) -> None:
    assert undocumented(ast.parse(source).body, "") == expected
