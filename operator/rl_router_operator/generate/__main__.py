"""Writes the CRD and its reference page. With `--check`, prints the files that would change and writes no file."""

from __future__ import annotations

import argparse
import re
import sys

import yaml

from . import reference
from .crd import definition
from .output import update

HEADER = (
    "# `python -m rl_router_operator.generate` wrote this file from operator/rl_router_operator/schema/. Do not edit.\n"
)


class _Dumper(yaml.SafeDumper):
    """A YAML dumper that also quotes `n` and `y`, because kubectl and Helm read them as booleans."""


_Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("[nNyY]$"), list("nNyY"))


def files() -> dict[str, str]:
    """Returns the text of each generated file by its path in the repository."""
    crd = yaml.dump(definition(), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
    return {"crds/routerdeployments.rlrouter.dev.yaml": HEADER + crd, "docs/routerdeployment.md": reference.text()}


def main() -> int:
    """Runs the command line of the generator. Returns 1 if `--check` finds a file that would change, else 0."""
    parser = argparse.ArgumentParser(prog="python -m rl_router_operator.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="print the files that would change, and write no file")
    return update(files(), check=parser.parse_args().check, command="python -m rl_router_operator.generate")


if __name__ == "__main__":
    sys.exit(main())
