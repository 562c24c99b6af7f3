"""Writes the generated files, or with `--check` prints which of them differ."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from . import reference
from .crd import definition

ROOT = Path(__file__).parents[3]
HEADER = "# Written by `python -m rl_router_operator.generate` from operator/rl_router_operator/schema/. Do not edit.\n"


class _Dumper(yaml.SafeDumper):
    """Quotes `n` and `y` as well, which kubectl and Helm read as booleans, unlike PyYAML."""


_Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("[nNyY]$"), list("nNyY"))


def files() -> dict[str, str]:
    """Returns the text of each generated file by its path in the repository."""
    crd = yaml.dump(definition(), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
    return {"crds/routerdeployments.rlrouter.dev.yaml": HEADER + crd, "docs/routerdeployment.md": reference.text()}


def write(texts: Mapping[str, str], root: Path) -> None:
    """Writes every file under `root`."""
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def drifted(texts: Mapping[str, str], root: Path) -> list[str]:
    """Returns the files under `root` that are missing or have another text."""
    return [
        path for path, text in texts.items() if not (root / path).is_file() or (root / path).read_text("utf-8") != text
    ]


def main() -> int:
    """Runs the command line. Returns 1 if `--check` finds a file that would change, else 0."""
    parser = argparse.ArgumentParser(prog="python -m rl_router_operator.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, but print the files that would change")
    if not parser.parse_args().check:
        write(files(), ROOT)
        return 0
    changed = drifted(files(), ROOT)
    for path in changed:
        print(f"{path}: differs from the schema. Run python -m rl_router_operator.generate")
    return bool(changed)


if __name__ == "__main__":
    sys.exit(main())
