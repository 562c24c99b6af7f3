"""`python scripts/chart [--check]`: writes the generated files of the chart and of deploy/.

They are the chart's version, its copy of the CRD, the rules of its Roles, the schema of its values and the list of
values in its README. If Helm is installed, the manifests in deploy/ are written too. With `--check` it prints the files
that would change.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from typing import Any

import yaml
from readme import readme
from rl_router_api.version import __version__
from rl_router_operator import rbac
from rl_router_operator.generate.__main__ import files
from rl_router_operator.generate.output import ROOT, update
from schema import schema
from values import read

CHART = "charts/rl-router"
RULES = {
    "operator": rbac.operator_rules,
    "lease": rbac.lease_rules,
    "crds": rbac.crd_rules,
    "view": rbac.viewer_rules,
    "edit": rbac.editor_rules,
}
RULES_HEADER = "# Written by `make chart` from operator/rl_router_operator/rbac.py; not to be edited.\n"
DEPLOY_HEADER = """\
# Written by `make chart`: the chart's output with its defaults, for kubectl; not to be edited.
#
#     kubectl apply --server-side -f crds
#     kubectl apply --server-side -f deploy
"""
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "rl-router-system"}}


def chart_texts() -> dict[str, str]:
    """Returns the text of each generated file of the chart by its path in the repository."""
    values = read(_text("values.yaml"))
    return {
        f"{CHART}/Chart.yaml": re.sub(r"(?m)^((app)?[vV]ersion): .*$", rf"\1: {__version__}", _text("Chart.yaml")),
        f"{CHART}/README.md": readme(_text("README.md"), values),
        f"{CHART}/values.schema.json": json.dumps(schema(values), indent=1, ensure_ascii=False) + "\n",
        **{f"{CHART}/{path}": text for path, text in files().items() if path.startswith("crds/")},
        **{f"{CHART}/rules/{name}.yaml": RULES_HEADER + _yaml(rules()) for name, rules in RULES.items()},
    }


def deploy_texts() -> dict[str, str]:
    """Returns the chart's output for kubectl by its path. Raises CalledProcessError if Helm rejects the chart."""
    # Helm 3.14 would render for Kubernetes 1.29, which the chart rejects.
    command = f"helm template rl-router {CHART} --kube-version 1.30 --namespace rl-router-system".split()
    command += ["--no-hooks", "--set", "creator=static"]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    # Versions of Helm differ in the order of objects and in blank lines.
    objects = sorted(filter(None, yaml.safe_load_all(output.stdout)), key=lambda each: (each["kind"], _name(each)))
    text = yaml.safe_dump_all([NAMESPACE, *objects], sort_keys=False, width=110)
    return {"deploy/rl-router.yaml": DEPLOY_HEADER + text}


def _name(manifest: dict[str, Any]) -> str:
    return str(manifest["metadata"]["name"])


def _text(name: str) -> str:
    return (ROOT / CHART / name).read_text("utf-8")


def _yaml(rules: list[dict[str, Any]]) -> str:
    return yaml.safe_dump(rules, sort_keys=False, width=110)


def main() -> int:
    """Runs the command line. Returns 1 if `--check` finds a file that would change, else 0."""
    parser = argparse.ArgumentParser(prog="python scripts/chart", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, but print the files that would change")
    check = parser.parse_args().check
    status = update(chart_texts(), check=check, command="make chart")
    if shutil.which("helm"):
        return status | update(deploy_texts(), check=check, command="make chart")
    print("helm is not installed: deploy/ is left as it is", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
