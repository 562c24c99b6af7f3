"""The API's rooms stay readable: small classes, short functions."""

import ast
from collections.abc import Iterator
from pathlib import Path

import rl_router_api

PACKAGE = Path(rl_router_api.__file__).parent
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def definitions() -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every class and function of the API, with its place."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.ClassDef, *FUNCTIONS)):
                yield f"{path.relative_to(PACKAGE)}: {node.name}", node


def lines(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_function_has_more_than_40_lines() -> None:
    found = {place: lines(node) for place, node in definitions() if isinstance(node, FUNCTIONS)}
    assert len(found) > 500
    assert not {place: count for place, count in found.items() if count > 40}


def test_no_class_has_more_than_200_lines_or_20_methods() -> None:
    classes = [(place, node) for place, node in definitions() if isinstance(node, ast.ClassDef)]
    assert not {place: lines(node) for place, node in classes if lines(node) > 200}
    methods = {place: sum(isinstance(part, FUNCTIONS) for part in node.body) for place, node in classes}
    assert not {place: count for place, count in methods.items() if count > 20}
