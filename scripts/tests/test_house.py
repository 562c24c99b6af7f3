"""The packages have short functions, small classes, and a page that lists all their files."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
PAGE = (ROOT / "docs" / "architecture.md").read_text()


@dataclass(frozen=True)
class Package:
    """A package, its name on the architecture page, and the minimum numbers of functions and files."""

    folder: Path
    name: str
    functions: int
    files: int
    long_enumerations: bool = False
    """Whether enumerations may have any number of lines, as the operator's enumeration of all reasons of conditions."""

    @property
    def page(self) -> str:
        """Returns the section of the architecture page that lists the package's files."""
        _, _, section = PAGE.partition(f"\n## Files of the {self.name}\n")
        return section.partition("\n## ")[0]

    def definitions(self) -> Iterator[tuple[str, Definition]]:
        """Yields each class and function with its file, line and name."""
        for path in sorted(self.folder.rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, (ast.ClassDef, *FUNCTIONS)):
                    yield f"{path.relative_to(self.folder)}:{node.lineno} {node.name}", node

    def classes(self) -> dict[str, ast.ClassDef]:
        """Returns the classes to which the size limits apply, by file, line and name."""
        classes = {name: node for name, node in self.definitions() if isinstance(node, ast.ClassDef)}
        return {name: node for name, node in classes.items() if not (self.long_enumerations and is_enumeration(node))}


PACKAGES = (
    Package(ROOT / "router_api" / "rl_router_api", "router API", functions=500, files=80),
    Package(ROOT / "operator" / "rl_router_operator", "operator", functions=400, files=70, long_enumerations=True),
    Package(ROOT / "router_model" / "rl_router_model", "router model", functions=100, files=20),
    Package(ROOT / "process" / "rl_router_process", "processes", functions=4, files=1),
    Package(ROOT / "cli" / "rl_router_cli", "command line", functions=4, files=2),
    Package(ROOT / "policy" / "rl_router_policy", "policy", functions=30, files=12),
    Package(ROOT / "lab" / "rl_router_lab", "lab", functions=40, files=14),
)
each_package = pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)


def lines(node: Definition) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def is_enumeration(node: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id.endswith("Enum") for base in node.bases)


@each_package
def test_no_function_has_more_than_40_lines(package: Package) -> None:
    functions = {name: lines(node) for name, node in package.definitions() if isinstance(node, FUNCTIONS)}
    assert len(functions) > package.functions
    assert not {name: count for name, count in functions.items() if count > 40}


@each_package
def test_no_class_has_more_than_200_lines_or_20_methods(package: Package) -> None:
    classes = package.classes()
    assert not {name: lines(node) for name, node in classes.items() if lines(node) > 200}
    methods = {name: sum(isinstance(part, FUNCTIONS) for part in node.body) for name, node in classes.items()}
    assert not {name: count for name, count in methods.items() if count > 20}


@each_package
def test_the_architecture_page_lists_exactly_the_existing_files(package: Package) -> None:
    paths = [path for path in package.folder.rglob("*.py") if path.name != "__init__.py"]
    files = [str(path.relative_to(package.folder)) for path in paths]
    assert len(files) > package.files
    assert not [file for file in files if f"| `{file}` |" not in package.page]
    listed = re.findall(r"^\| `([\w/]+\.py)` \|", package.page, re.MULTILINE)
    assert not [file for file in listed if not (package.folder / file).exists()]


def test_make_help_has_a_line_for_every_target() -> None:
    # A target that sets a variable for its commands has two lines.
    targets = list(dict.fromkeys(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)))
    # Without --no-print-directory, make would also print the folders that it enters if `make test` runs this test.
    command = ["make", "--no-print-directory", "help"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in shown.splitlines()] == targets
    assert all(len(line.split()) > 2 for line in shown.splitlines())
