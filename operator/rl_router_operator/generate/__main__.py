"""Writes the CRD of RouterDeployments and the page docs/routerdeployment.md, which describes the CRD's fields.

With `--check`, the program only prints the paths of the files that would change.
"""

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
    """A YAML dumper that also quotes the texts `n`, `N`, `y` and `Y`.

    Without quotes, kubectl and Helm read these texts as booleans.
    """


_Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("[nNyY]$"), list("nNyY"))


def files() -> dict[str, str]:
    """Returns a mapping from the path of each generated file in the repository to the text of the generated file."""
    crd = yaml.dump(definition(), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
    return {"crds/routerdeployments.rlrouter.dev.yaml": HEADER + crd, "docs/routerdeployment.md": reference.text()}


def main() -> int:
    """Runs the generator, and returns the exit status: 1 if `--check` finds a file that would change, otherwise 0."""
    parser = argparse.ArgumentParser(prog="python -m rl_router_operator.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="print which files would change, and write no file")
    return update(files(), check=parser.parse_args().check, command="python -m rl_router_operator.generate")


if __name__ == "__main__":
    sys.exit(main())
