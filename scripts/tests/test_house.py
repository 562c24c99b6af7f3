"""The router API and the operator stay readable: small classes, short functions, every file in the architecture."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_API_PART, _, _OPERATOR_PART = (ROOT / "docs" / "architecture.md").read_text().partition("## Packages of the operator")


@dataclass(frozen=True)
class House:
    """A package with the part of the page that is about it; it has more than so many functions and files."""

    package: Path
    page: str
    functions: int
    files: int
    long_enumerations: bool = False
    """Whether an enumeration may be long: the operator's has a line for every reason."""

    def definitions(self) -> Iterator[tuple[str, Definition]]:
        """Every class and function, with its place."""
        for path in sorted(self.package.rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, (ast.ClassDef, *FUNCTIONS)):
                    yield f"{path.relative_to(self.package)}: {node.name}", node

    def classes(self) -> dict[str, ast.ClassDef]:
        """Every class that is held to the limits."""
        found = {place: node for place, node in self.definitions() if isinstance(node, ast.ClassDef)}
        return {k: node for k, node in found.items() if not (self.long_enumerations and is_enumeration(node))}


HOUSES = {
    "router API": House(ROOT / "router_api" / "rl_router_api", _API_PART, functions=500, files=80),
    "operator": House(ROOT / "operator" / "rl_router_operator", _OPERATOR_PART, 400, 70, long_enumerations=True),
}
each_house = pytest.mark.parametrize("house", HOUSES.values(), ids=HOUSES)


def lines(node: Definition) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def is_enumeration(node: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id.endswith("Enum") for base in node.bases)


@each_house
def test_no_function_has_more_than_40_lines(house: House) -> None:
    found = {place: lines(node) for place, node in house.definitions() if isinstance(node, FUNCTIONS)}
    assert len(found) > house.functions
    assert not {place: count for place, count in found.items() if count > 40}


@each_house
def test_no_class_has_more_than_200_lines_or_20_methods(house: House) -> None:
    classes = house.classes()
    assert not {place: lines(node) for place, node in classes.items() if lines(node) > 200}
    methods = {place: sum(isinstance(part, FUNCTIONS) for part in node.body) for place, node in classes.items()}
    assert not {place: count for place, count in methods.items() if count > 20}


@each_house
def test_every_file_is_in_the_architecture_and_no_other(house: House) -> None:
    files = [str(path.relative_to(house.package)) for path in house.package.rglob("*.py") if path.name != "__init__.py"]
    assert len(files) > house.files
    assert not [file for file in files if f"| `{file}` |" not in house.page]
    named = re.findall(r"^\| `([\w/]+\.py)` \|", house.page, re.MULTILINE)
    assert not [file for file in named if not (house.package / file).exists()]
