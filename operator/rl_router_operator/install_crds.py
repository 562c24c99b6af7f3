"""Creates or updates the custom resource definition (CRD) of RouterDeployments in the cluster.

Unless the value `crds.upgrade` is false, the chart runs `python -m rl_router_operator.install_crds` before an upgrade,
because Helm installs CRDs but never changes existing CRDs. Argo CD also runs this command before the first
installation, when the CRD does not exist yet.
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
"""The name of the field manager for the CRD, which is also the name of Helm's own field manager.

If the CRD had another field manager, a later `helm install` of another version would fail with a conflict.
"""


async def install() -> str:
    """Applies the CRD for RouterDeployments and returns the name of the CRD.

    Raises RefusedError if the API server rejects the CRD, UnreachableError if it returns no valid response, and
    ConfigException or OSError if the configuration of the connection to the API server is missing or not valid.
    """
    client = KubernetesClient(await connection(os.environ.get("KUBECONFIG")))
    try:
        applied, _ = await client.apply(_CRD, definition(), force=True, manager=_MANAGER)
    finally:
        await client.close()
    return str(applied["metadata"]["name"])


def main() -> int:
    """Applies the CRD, and returns the exit status: 1 if the CRD could not be applied, and otherwise 0."""
    try:
        print(f"this operator's version of the CRD {asyncio.run(install())} was applied")
    except (RefusedError, UnreachableError, ConfigException, OSError) as error:
        advice = "Check the kubeconfig, the address of the API server and the permission to create and patch the CRD."
        print(f"error: cannot apply the CRD for RouterDeployments: {error}. {advice}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
