"""The operator stays readable: small classes, short functions, and a line for every file in the architecture."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import rl_router_operator

PACKAGE = Path(rl_router_operator.__file__).parent
DOCUMENT = PACKAGE.parents[1] / "docs" / "architecture.md"
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def definitions() -> Iterator[tuple[str, Definition]]:
    """Every class and function of the operator, with its place."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(PACKAGE)}: {node.name}", node


def lines(node: Definition) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def is_enumeration(node: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id.endswith("Enum") for base in node.bases)


def test_no_function_has_more_than_40_lines() -> None:
    found = {place: lines(node) for place, node in definitions() if isinstance(node, FUNCTIONS)}
    assert len(found) > 400
    assert not {place: count for place, count in found.items() if count > 40}


def test_no_class_but_an_enumeration_has_more_than_200_lines_or_20_methods() -> None:
    classes = [(place, node) for place, node in definitions() if isinstance(node, ast.ClassDef)]
    classes = [(place, node) for place, node in classes if not is_enumeration(node)]
    assert not {place: lines(node) for place, node in classes if lines(node) > 200}
    methods = {place: sum(isinstance(part, FUNCTIONS) for part in node.body) for place, node in classes}
    assert not {place: count for place, count in methods.items() if count > 20}


def test_every_file_is_in_the_architecture() -> None:
    text = DOCUMENT.read_text().partition("## The rooms of the operator")[2]
    files = [str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]
    assert len(files) > 70
    assert not [file for file in files if f"| `{file}` |" not in text]
    named = re.findall(r"^\| `([\w/]+\.py)` \|", text, re.MULTILINE)
    assert not [file for file in named if not (PACKAGE / file).exists()]
