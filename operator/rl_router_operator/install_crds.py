"""`python -m rl_router_operator.install_crds`: applies this version's CRD for RouterDeployments.

The chart runs this command before an upgrade, because Helm installs CRDs but never changes them. Argo CD also runs it
before the first installation, when the CRD does not exist yet.
"""

from __future__ import annotations

import asyncio
import os
import sys

from kubernetes.aio.config import ConfigException

from .cluster.client import KubernetesClient
from .cluster.transport import UnreachableError, connection
from .generate.crd import definition
from .objects.kinds import Kind
from .objects.refusal import RefusedError

_CRD = Kind("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions")
_MANAGER = "helm"
"""Helm's own field manager. With another manager, a later `helm install` of another version would conflict."""


async def install() -> str:
    """Applies the CRD and returns its name. Raises RefusedError and UnreachableError."""
    client = KubernetesClient(await connection(os.environ.get("KUBECONFIG")))
    try:
        applied, _ = await client.apply(_CRD, definition(), force=True, manager=_MANAGER)
    finally:
        await client.close()
    return str(applied["metadata"]["name"])


def main() -> int:
    """Returns the exit status: 1 if the CRD could not be applied."""
    try:
        print(f"applied the CRD {asyncio.run(install())} of this version")
    except (RefusedError, UnreachableError, ConfigException, OSError) as error:
        print(f"error: cannot apply the CRD for RouterDeployments: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
