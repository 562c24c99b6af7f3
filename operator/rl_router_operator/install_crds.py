"""`python -m rl_router_operator.install_crds`: applies this version's definition of RouterDeployments.

What the chart runs before an upgrade, since Helm installs a definition and never changes it.
"""

from __future__ import annotations

import asyncio
import os
import sys

from kubernetes.aio.config import ConfigException

from .cluster.client import Api, UnreachableError, connection
from .generate.crd import definition
from .objects.kinds import Kind
from .objects.refusal import RefusedError

_DEFINITION = Kind("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions")
_MANAGER = "helm"
"""Helm's own name: under another one, a later `helm install` of another version would be refused as a conflict."""


async def install() -> str:
    """Applies the definition, whoever else has set its fields; its name. Raises RefusedError and UnreachableError."""
    api = Api(await connection(os.environ.get("KUBECONFIG")))
    try:
        applied, _ = await api.apply(_DEFINITION, definition(), force=True, manager=_MANAGER)
    finally:
        await api.close()
    return str(applied["metadata"]["name"])


def main() -> int:
    """The exit status is 1 where it could not be applied."""
    try:
        print(f"{asyncio.run(install())} is this version's")
    except (RefusedError, UnreachableError, ConfigException, OSError) as error:
        print(f"error: the definition of RouterDeployments cannot be applied: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
